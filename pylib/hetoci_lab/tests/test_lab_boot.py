# SPDX-License-Identifier: MIT
"""Boards that do not come up: what a run says then, and how it ends."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hetoci_lab import paths, session
from hetoci_lab.errors import BOOT_FAILED, LabError
from hetoci_lab.strategy import BoardStrategy

SILENT = """
targets:
  main:
    features: [console]
    resources:
      - NetworkService: {address: 127.0.0.1, username: root}
    drivers:
      - ExternalPowerDriver: {name: power, cmd_on: 'true', cmd_off: 'true', delay: 0.0}
      - ExternalConsoleDriver: {name: console, cmd: "sh -c 'echo Kernel panic; exec sleep 60'"}
      - ShellDriver:
          name: shell
          prompt: 'root@board'
          login_prompt: 'login:'
          username: root
          login_timeout: 3
      - SSHDriver: {name: ssh}
      - BoardStrategy:
          bindings: {power: power, console: console, shell: shell, ssh: ssh}
imports: [hetoci_lab.drivers]
"""


def labtests(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=paths.tree(),
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_silent_board_ends_the_run_with_its_own_status_and_its_last_words(
    tmp_path: Path,
) -> None:
    (tmp_path / "env.yaml").write_text(SILENT)
    done = labtests("labtests/test_boot.py", "--lg-env", str(tmp_path / "env.yaml"))
    assert done.returncode == BOOT_FAILED
    assert "The board did not boot: TIMEOUT" in done.stdout
    assert "The console's last lines:\nKernel panic" in done.stdout


def test_without_an_environment_the_tests_say_which_they_need() -> None:
    done = labtests("labtests/test_boot.py")
    assert done.returncode == 4
    assert "These tests need a board: pytest labtests --lg-env" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("U-Boot 2024\nWrong Image Type\n", "  U-Boot 2024\n  Wrong Image Type"),
        ("", "(the console is empty)"),
    ],
)
def test_a_board_that_is_never_ready_is_told_with_its_last_lines(
    board_folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setattr(session, "BOOT_TIMEOUT", 0.5)
    with session.Session(board_folder, "xen", on=False) as running:
        running.console.write_text(text)
        running.machine.child = subprocess.Popen(["sleep", "60"])
        with pytest.raises(session.BoardSilent, match="was not ready after") as raised:
            running.wait_ready(lambda _: None)
    assert said in str(raised.value)


def test_a_board_that_stops_while_it_starts_is_told_at_once(board_folder: Path) -> None:
    with session.Session(board_folder, "xen", on=False) as running:
        running.machine.child = subprocess.Popen(["true"])
        running.machine.child.wait()
        with pytest.raises(session.BoardSilent, match="stopped while it was starting"):
            running.wait_ready(lambda _: None)


def test_an_image_of_another_board_is_told_by_both_names() -> None:
    strategy: Any = SimpleNamespace(compatible="xlnx,zynqmp-zcu102")
    commands = SimpleNamespace(run_check=lambda *_, **__: ["xlnx,zynqmp-sm-k26-revA xlnx,zynqmp"])
    with pytest.raises(LabError, match=r"booted as xlnx,zynqmp-sm-k26-revA, .*for xlnx.*zcu102"):
        BoardStrategy._check_identity(strategy, commands)
