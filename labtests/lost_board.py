# SPDX-License-Identifier: MIT
"""A board that goes away in the middle of a run, on the virtual bench. `make lab-test` runs it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from hetoci_lab import build, places
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
