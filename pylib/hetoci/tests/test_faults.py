# SPDX-License-Identifier: MIT
"""SIGKILL of every process at every step: after the next command nothing is left over.

The steps are the checkpoints in the code; a test at the end sees to it that none is missing
from the tables here.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

import hetoci
from conftest import Board, children, until

#: Steps of `hetoci create`; the keeper is forked between recorded and forked.
CREATE = (
    "create:claimed",
    "create:recorded",
    "create:forked",
    "create:ready",
    "create:pid-file",
    "create:committed",
)
#: Steps of the keeper before create has succeeded.
KEEPER_CREATE = ("keeper:claimed", "keeper:staged")
#: Steps of the keeper afterwards, with the command that takes it there.
KEEPER_LATER = ("keeper:committed", "keeper:start", "keeper:activated")
START = ("start:asked",)
KILL = ("kill:marked", "kill:saved", "kill:stopped")
DELETE = ("delete:ended", "delete:given-back")
#: Steps of containers with accelerators (test_accelerator_faults.py).
ACCELERATOR_CREATE = (
    "create:claimed",
    "create:recorded",
    "program:item",
    "create:programmed",
    "create:bundle",
    "create:delegated",
    "create:handed-over",
    "create:committed",
)
ACCELERATOR_SHELL = ("create:shell",)
ACCELERATOR_DELETE = ("delete:delegated", "delete:given-back")
#: Steps of the keeper of a domain, which needs Xen (labtests/test_domain.py).
DOMAIN_KEEPER = (
    "keeper:configured", "keeper:built", "keeper:disk", "keeper:connected", "keeper:network",
    "keeper:attached",
)  # fmt: skip


def _settle(board: Board) -> None:
    """Wait until orphaned keepers have ended (they notice their creator's death)."""

    def none_left() -> bool:
        return not [child for child in children() if not os.waitpid(child, os.WNOHANG)[0]]

    until(none_left)


def _next_container_works(board: Board) -> None:
    assert board.create("next", board.bundle("say fine\nexit 3")).code == 0
    board.ok("start", "next")
    assert board.exit_code("next") == 3
    assert board.log("next") == "fine\n"
    board.ok("delete", "next")
    assert board.leftovers() == []


@pytest.mark.parametrize("step", CREATE)
def test_killing_create_leaves_nothing_after_the_next_create(board: Board, step: str) -> None:
    result = board.create("c", board.bundle(), die_at=step)
    assert result.code == -signal.SIGKILL
    _settle(board)
    assert board.core.state == "offline"
    _next_container_works(board)


@pytest.mark.parametrize("step", CREATE)
def test_killing_create_leaves_nothing_after_reap(board: Board, step: str) -> None:
    board.create("c", board.bundle(), die_at=step)
    _settle(board)
    board.ok("reap")
    assert board.leftovers() == []


@pytest.mark.parametrize("step", CREATE)
def test_after_killing_create_the_same_id_can_be_created(board: Board, step: str) -> None:
    bundle = board.bundle("exit 2")
    board.create("c", bundle, die_at=step)
    _settle(board)
    assert board.create("c", bundle).code == 0
    board.ok("start", "c")
    assert board.exit_code("c") == 2


@pytest.mark.parametrize("step", KEEPER_CREATE)
def test_a_keeper_killed_during_create_fails_the_create_and_leaves_nothing(
    board: Board, step: str
) -> None:
    result = board.create("c", board.bundle(), die_at=step)
    assert (result.code, result.err) == (
        1,
        "hetoci: the keeper was killed while it was set up\n",
    )
    assert board.leftovers() == []
    _next_container_works(board)


@pytest.mark.parametrize("step", KEEPER_LATER)
def test_a_keeper_killed_later_leaves_nothing_after_delete(board: Board, step: str) -> None:
    board.create("c", board.bundle(), die_at=step)
    result = board.hetoci("start", "c")
    assert result.code == 1
    assert "the keeper of container c" in result.err or "it is stopped" in result.err
    assert board.exit_code("c") == -signal.SIGKILL
    until(lambda: board.core.state == "offline")
    board.ok("delete", "c")
    assert board.leftovers() == []
    assert (board.core.firmware, board.core.recovery) == ("rproc-default-fw", "enabled")


@pytest.mark.parametrize("step", KEEPER_LATER)
def test_a_killed_keeper_does_not_block_the_next_container(board: Board, step: str) -> None:
    board.create("c", board.bundle(), die_at=step)
    board.hetoci("start", "c")
    board.exit_code("c")
    assert board.create("next", board.bundle("exit 3")).code == 0
    board.ok("start", "next")
    assert board.exit_code("next") == 3
    board.ok("delete", "next")
    board.ok("delete", "c")
    assert board.leftovers() == []


@pytest.mark.parametrize("step", START)
def test_killing_start_leaves_a_container_that_can_be_killed(board: Board, step: str) -> None:
    board.create("c", board.bundle())
    assert board.hetoci("start", "c", die_at=step).code == -signal.SIGKILL
    until(lambda: board.status("c") == "running")
    board.ok("kill", "c", "KILL")
    assert board.exit_code("c") == 137
    board.ok("delete", "c")
    assert board.leftovers() == []


@pytest.mark.parametrize("step", KILL)
def test_killing_kill_leaves_a_container_that_can_be_deleted(board: Board, step: str) -> None:
    board.running("c")
    assert board.hetoci("kill", "c", "TERM", die_at=step).code == -signal.SIGKILL
    board.ok("delete", "--force", "c")
    assert board.exit_code("c") in (137, 143)
    assert board.leftovers() == []


@pytest.mark.parametrize("step", DELETE)
def test_killing_delete_leaves_a_container_that_can_be_deleted(board: Board, step: str) -> None:
    board.running("c")
    assert board.hetoci("delete", "--force", "c", die_at=step).code == -signal.SIGKILL
    board.exit_code("c")
    board.ok("delete", "--force", "c")
    assert board.leftovers() == []


@pytest.mark.parametrize("die_at", ["", *DELETE])
def test_reap_forgets_containers_whose_engine_is_gone(board: Board, die_at: str) -> None:
    pid = board.running("c")
    os.kill(pid, signal.SIGKILL)
    board.exit_code("c")
    if die_at:
        board.hetoci("delete", "c", die_at=die_at)
    (board.root / "bundle0/config.json").unlink()
    (board.root / "bundle0/rootfs/x.elf").unlink()
    (board.root / "bundle0/rootfs").rmdir()
    (board.root / "bundle0").rmdir()
    assert "forgot container c" in board.ok("reap").out
    assert board.leftovers() == []


def test_reap_leaves_living_containers_alone(board: Board) -> None:
    board.running("c")
    assert board.ok("reap").out == ""
    assert board.core.state == "running"
    assert board.status("c") == "running"


def test_reap_leaves_stopped_containers_to_their_engine(board: Board) -> None:
    board.running("c", "exit 1")
    board.exit_code("c")
    assert board.ok("reap").out == ""
    assert board.status("c") == "stopped"


def test_reap_frees_a_crashed_core_without_keeper(board: Board) -> None:
    pid = board.running("c")
    os.kill(pid, signal.SIGSTOP)
    board.core.crash()
    os.kill(pid, signal.SIGKILL)
    board.exit_code("c")
    assert board.ok("reap").out == "freed core remoteproc0\n"
    assert board.core.state == "offline"
    assert board.core.firmware == "rproc-default-fw"


def test_reap_says_what_it_could_not_free(board: Board) -> None:
    pid = board.running("c")
    board.core.fail_stop = 5
    os.kill(pid, signal.SIGKILL)
    board.exit_code("c")
    result = board.hetoci("reap")
    assert result.code == 1
    assert "could not give everything back: cannot stop core remoteproc0" in result.err
    board.core.fail_stop = 0
    assert board.ok("reap").out == "freed core remoteproc0\n"


def test_every_checkpoint_in_the_code_is_in_a_table_here() -> None:
    package = Path(hetoci.__file__).parent
    used = {
        name
        for file in package.rglob("*.py")
        for name in re.findall(r'checkpoint\("([^"]+)"\)', file.read_text())
    }
    firmware = {*CREATE, *KEEPER_CREATE, *KEEPER_LATER, *START, *KILL, *DELETE}
    accelerators = {*ACCELERATOR_CREATE, *ACCELERATOR_SHELL, *ACCELERATOR_DELETE}
    assert used == firmware | accelerators | set(DOMAIN_KEEPER)
