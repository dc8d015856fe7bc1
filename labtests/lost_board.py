# SPDX-License-Identifier: MIT
"""A board or a user that goes away in the middle, on the virtual bench. `make lab-test` runs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hetoci_lab import build, places, qemu
from hetoci_lab.errors import BOARD_LOST
from hetoci_lab.virtual_bench import ENVIRONMENT, Bench

NAME = "vboard-1"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(build.board_folder(), "xen", 1, 0) as running:
        yield running


def run_and_lose(bench: Bench, lose: Callable[[], None]) -> str:
    """Start a run at the place, lose its board once that is up; return what the run said."""
    words = ["run", "remoteproc", "firmware_container", "--place", NAME, "--env", ENVIRONMENT]
    child = subprocess.Popen(
        [sys.executable, "-m", "hetoci_lab.cli", *words, "--out", str(bench.folder / "run")],
        env=os.environ | {"LG_COORDINATOR": bench.address},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert child.stdout is not None
        said = ""
        while "test_remoteproc.py ." not in said:  # the board is up, a test has passed
            piece = child.stdout.read(1)
            assert piece, said
            said += piece
        lose()
        said += child.communicate(timeout=240)[0]
    finally:
        child.kill()
        child.wait()
    assert child.returncode == BOARD_LOST, said
    return said


def test_a_power_cut_ends_the_run_with_its_own_status_and_a_sentence(bench: Bench) -> None:
    said = run_and_lose(bench, lambda: bench.boards[0].power(False))
    assert "The board was lost" in said
    assert "its power is off" in said
    assert f"released place {NAME}" in said


def test_a_lost_exporter_ends_the_run_with_its_own_status_and_a_sentence(bench: Bench) -> None:
    exporter = bench.children["exporter"]
    said = run_and_lose(bench, lambda: os.killpg(exporter.pid, signal.SIGKILL))
    assert "its exporter is gone" in said
    with places.Coordinator(bench.address) as coordinator:
        assert coordinator.place(NAME).holder is None


def interrupted(
    words: list[str], temporary: Path, powered: Callable[[], bool], *, everyone: bool
) -> str:
    """Start a command and end it once the board has power: as Ctrl-C does, or by SIGTERM alone."""
    child = subprocess.Popen(
        [sys.executable, "-m", "hetoci_lab.cli", *words],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not powered():
            assert child.poll() is None, child.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        if everyone:
            os.killpg(child.pid, signal.SIGINT)
        else:
            child.terminate()
        said = child.communicate(timeout=60)[0]
    finally:
        child.kill()
    assert child.returncode == 130, said
    with pytest.raises(ProcessLookupError):
        os.killpg(child.pid, 0)
    assert list(temporary.iterdir()) == []
    return said


def test_sigterm_leaves_no_board_and_no_file(tmp_path: Path) -> None:
    said = interrupted(["boot"], tmp_path, lambda: bool(qemu.using(tmp_path)), everyone=False)
    assert "hetoci-lab: stopped." in said
    assert qemu.using(tmp_path) == []


@pytest.mark.parametrize("everyone", [True, False], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_run_gives_the_place_back_with_its_power_off(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everyone: bool
) -> None:
    monkeypatch.setenv("LG_COORDINATOR", bench.address)
    words = ["run", "boot", "--place", NAME, "--env", ENVIRONMENT]
    words += ["--out", str(bench.folder / "run")]
    board = bench.boards[0]
    said = interrupted(words, tmp_path, board.powered, everyone=everyone)
    assert "hetoci-lab: stopped." in said
    with places.Coordinator(bench.address) as coordinator:
        assert coordinator.place(NAME).holder is None
    assert not board.powered()
