# SPDX-License-Identifier: MIT
"""The command line: what a dry run prints, what a mistake is answered with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hetoci_lab import build, cli, paths
from hetoci_lab.machine import Machine
from hetoci_lab.virtual_bench import Bench


def hetoci_lab(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "hetoci_lab.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_of_a_checkout_works_from_anywhere_by_a_link(tmp_path: Path) -> None:
    link = tmp_path / "hetoci-lab"
    link.symlink_to(paths.tree() / "pylib/hetoci_lab/bin/hetoci-lab")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [link, "run", "boot", "--env", "vboard", "--dry-run"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "-m pytest" in done.stdout


def test_a_dry_run_prints_the_exact_command() -> None:
    done = hetoci_lab("run", "boot", "--env", "vboard", "--dry-run")
    assert done.returncode == 0
    assert "-m pytest" in done.stdout
    assert "--lg-env" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["boot"], ["qemu-system-aarch64 -M", "console.log"]),
        (["shell"], ["qemu-system-aarch64 -M", "mon:stdio"]),
        (["run", "boot", "--bench"], ["labgrid-coordinator -l", "LG_PLACE=vboard-1", "-m pytest"]),
        (["serve", "--places", "2"], ["labgrid-exporter -c", "-p vboard-2 create", "qemu-system"]),
        (["bench", "runtime"], ["qemu-system-aarch64 -M", "python3 /run/runtime.py"]),
        (["bench", "domains"], ["'cat > /run/Image'", "python3 /run/domains.py"]),
    ],
)
def test_a_dry_run_prints_and_starts_nothing(
    board_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: list[str],
) -> None:
    monkeypatch.setattr(build, "build", lambda **_: board_folder)
    monkeypatch.setattr(Machine, "on", None)
    monkeypatch.setattr(Bench, "spawn", None)
    cli.app([*words, "--dry-run"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert all(part in printed for part in said), printed


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("run", "--deploy", "gone.deb"), 1, "hetoci-lab: gone.deb cannot be deployed"),
        (("run", "--bench", "--place", "p"), 1, "hetoci-lab: --bench brings a place of its own"),
        (("run", "--place", "p"), 1, "hetoci-lab: Nothing says in which environment place p"),
        (("run", "nothing"), 1, "hetoci-lab: There is no scenario nothing"),
        (("run", "boot", "--env", "none"), 1, "hetoci-lab: There is no environment none"),
        (("report", "/nonexistent"), 1, "hetoci-lab: /nonexistent holds no run"),
        (("lava", "render", "versal"), 1, "hetoci-lab: There is no LAVA target versal"),
        (("frobnicate",), 2, "No such command 'frobnicate'"),
    ],
)
def test_a_mistake_is_one_sentence_and_a_status(
    words: tuple[str, ...], status: int, said: str
) -> None:
    done = hetoci_lab(*words)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
