# SPDX-License-Identifier: MIT
"""SIGKILL of hetoci while it works on containers with accelerators: after the next command
nothing is left over.

Besides the steps of test_faults.py, each single change of a file is followed by a death once.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import children, until
from plboard import SHELL_ITEM, PlBoard, end, keys, running, shell_file
from test_faults import ACCELERATOR_CREATE, ACCELERATOR_DELETE, ACCELERATOR_SHELL

KILLED = -signal.SIGKILL

#: What an engine or an operator does next; all of them end with nothing of container c left.
NEXT: dict[str, Callable[[PlBoard], object]] = {
    "reap": lambda pl: pl.ok("reap"),
    "create": lambda pl: next_container(pl),
    "delete": lambda pl: (pl.hetoci("delete", "--force", "c"), pl.ok("reap")),
}


def next_container(pl: PlBoard) -> None:
    """Another container gets the first slot, and gives it back."""
    assert pl.create("next", pl.accelerator(keys(slot="slot0"))).code == 0
    pl.ok("delete", "--force", "next")


def orphans_end(pl: PlBoard) -> None:
    """Wait for delegates whose hetoci was killed; they end what they were at."""

    def busy() -> list[int]:
        found = []
        for child in children():
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            # A container's init that waits for its start looks the same, but is a leader.
            if b"create" in words and os.getsid(child) != child:
                found.append(child)
        return found

    until(lambda: not busy())


def nothing_is_left(pl: PlBoard) -> None:
    assert pl.leftovers() == []
    assert SHELL_ITEM in pl.overlays() or "pl-shell" in pl.overlays()


# steps


@pytest.mark.parametrize("after", ["reap", "create", "delete"])
@pytest.mark.parametrize("step", [s for s in ACCELERATOR_CREATE if s != "create:committed"])
def test_killing_create_leaves_nothing_after_the_next(pl: PlBoard, step: str, after: str) -> None:
    assert pl.create("c", pl.accelerator(), die_at=step).code == KILLED
    NEXT[after](pl)
    nothing_is_left(pl)


def test_create_killed_after_its_last_step_has_made_a_container(pl: PlBoard) -> None:
    assert pl.create("c", pl.accelerator(), die_at="create:committed").code == KILLED
    pl.ok("reap")
    assert (pl.status("c"), pl.slots()) == ("created", {"slot0": "c"})
    pl.ok("delete", "--force", "c")
    nothing_is_left(pl)


@pytest.mark.parametrize("step", ACCELERATOR_CREATE[:-1])
def test_after_killing_create_the_same_id_can_be_created(pl: PlBoard, step: str) -> None:
    bundle = pl.accelerator()
    pl.create("c", bundle, die_at=step)
    assert pl.create("c", bundle).code == 0
    assert pl.slots() == {"slot0": "c"}
    pl.ok("delete", "--force", "c")
    nothing_is_left(pl)


@pytest.mark.parametrize("step", [*ACCELERATOR_SHELL, "program:item"])
@pytest.mark.parametrize("after", ["reap", "create"])
def test_killing_a_load_of_a_shell_does_not_block_the_next(
    bare_pl: PlBoard, step: str, after: str
) -> None:
    bare_pl.settings(f"shells = {shell_file(bare_pl)}\n")
    assert bare_pl.create("c", bare_pl.accelerator(), die_at=step).code == KILLED
    NEXT[after](bare_pl)
    assert after != "reap" or bare_pl.overlays() == []
    next_container(bare_pl)
    nothing_is_left(bare_pl)


@pytest.mark.parametrize("after", ["reap", "create", "delete"])
@pytest.mark.parametrize("step", ACCELERATOR_DELETE)
def test_killing_delete_leaves_nothing_after_the_next(pl: PlBoard, step: str, after: str) -> None:
    bundle = running(pl, "c")
    assert pl.hetoci("delete", "--force", "c", die_at=step).code == KILLED
    (pl.root / bundle[1:]).rename(pl.root / f"{bundle[1:]}.gone")
    NEXT[after](pl)
    if after == "create":  # its record is its engine's to forget, or the operator's
        assert "forgot container c" in pl.ok("reap").out
    nothing_is_left(pl)


@pytest.mark.parametrize("step", ACCELERATOR_DELETE)
def test_killing_delete_leaves_a_container_that_can_be_deleted(pl: PlBoard, step: str) -> None:
    running(pl, "c")
    pl.hetoci("delete", "--force", "c", die_at=step)
    pl.ok("delete", "--force", "c")
    nothing_is_left(pl)


# the delegate

DELEGATE_CREATE = ("create:begun", "create:made", "create:forked", "create:done")
DELEGATE_DELETE = ("delete:begun", "delete:killed", "delete:done")


@pytest.mark.parametrize("step", DELEGATE_CREATE)
def test_a_create_whose_delegate_is_killed_leaves_nothing(pl: PlBoard, step: str) -> None:
    bundle = pl.accelerator()
    (pl.root / "delegate-dies").write_text(step)
    assert pl.create("c", bundle).code == 128 + signal.SIGKILL
    nothing_is_left(pl)
    assert pl.create("c", bundle).code == 0


@pytest.mark.parametrize("detach", [(), ("--detach",)])
@pytest.mark.parametrize("step", [*DELEGATE_CREATE, "run:started"])
def test_a_run_whose_delegate_is_killed_leaves_nothing(
    pl: PlBoard, step: str, detach: tuple[str, ...]
) -> None:
    (pl.root / "delegate-dies").write_text(step)
    result = pl.hetoci("run", *detach, "--bundle", pl.accelerator(), "c")
    assert result.code == 128 + signal.SIGKILL
    nothing_is_left(pl)


@pytest.mark.parametrize("step", DELEGATE_DELETE)
def test_a_delete_whose_delegate_is_killed_can_be_repeated(pl: PlBoard, step: str) -> None:
    running(pl, "c")
    (pl.root / "delegate-dies").write_text(step)
    assert pl.hetoci("delete", "--force", "c").code == 128 + signal.SIGKILL
    pl.ok("delete", "--force", "c")
    nothing_is_left(pl)


@pytest.mark.parametrize("step", DELEGATE_CREATE)
def test_a_delegate_and_hetoci_killed_in_create_leave_nothing_after_reap(
    pl: PlBoard, step: str
) -> None:
    (pl.root / "delegate-dies").write_text(step)
    assert pl.create("c", pl.accelerator(), die_at="create:delegated").code == KILLED
    pl.ok("reap")
    nothing_is_left(pl)


def test_a_container_of_the_same_id_that_is_another_ones_stays(pl: PlBoard) -> None:
    plain = pl.bundle(process={"args": ["sleep", "600"], "cwd": "/"}, annotations={})
    assert pl.create("c", plain).code == 0
    pid = pl.pid("c")
    result = pl.hetoci("create", "--bundle", pl.accelerator(), "c")
    assert (result.code, result.err) == (1, "container c already exists\n")
    for step in ("create:bundle", "create:delegated"):
        call = pl.hetoci("create", "--bundle", pl.accelerator(), "c", die_at=step)
        assert call.code == KILLED
        pl.ok("reap")
    found = pl.ok("state", "c").json()
    assert (found["status"], found["pid"], found["bundle"]) == ("created", pid, plain)
    assert pl.slots() == {}
    pl.ok("delete", "--force", "c")
    nothing_is_left(pl)


# every change


def deaths(pl: PlBoard, fatal: Callable[[str], int], after: str, every: int = 1) -> int:
    """Kill `fatal` after its first change, its second and so on (`every` n-th), until it gets to
    its end; how often that was. Each time `after` is done, and nothing may be left."""
    for count, number in enumerate(range(1, 200, every)):
        if fatal(f"change:{number}") != KILLED:
            return count
        NEXT[after](pl)
        nothing_is_left(pl)
    raise AssertionError("it does not end")


@pytest.mark.parametrize(("after", "names"), [("reap", "ab"), ("create", "a")])
def test_killing_create_after_any_change_leaves_nothing(
    pl: PlBoard, after: str, names: str
) -> None:
    bundle = pl.accelerator(*(keys(name) for name in names))

    def fatal(when: str) -> int:
        code = pl.create("c", bundle, die_at=when).code
        if code == KILLED and (pl.root / "delegate/@/c").exists() and pl.ok("state", "c"):
            # After the last change create has succeeded, but for its exit code.
            committed = (
                '"committed": true'
                in next((pl.root / "run/hetoci/containers").glob("*/c/record.json")).read_text()
            )
            if committed:
                pl.ok("delete", "--force", "c")
        return code

    every = 1 if after == "reap" else 3
    assert deaths(pl, fatal, after, every) >= {"reap": 33, "create": 8}[after]


def test_killing_delete_after_any_change_leaves_nothing(pl: PlBoard) -> None:
    bundle = pl.root / "bundle0"

    def fatal(when: str) -> int:
        if (pl.root / "gone").exists():
            (pl.root / "gone").rename(bundle)
        else:
            pl.accelerator(keys("a"), keys("b"))
        assert pl.create("c", "/bundle0").code == 0
        code = pl.hetoci("delete", "--force", "c", die_at=when).code
        bundle.rename(pl.root / "gone")
        return code

    assert deaths(pl, fatal, "reap") >= 12


def test_killing_reap_after_any_change_leaves_nothing(pl: PlBoard) -> None:
    bundle = pl.accelerator(keys("a"), keys("b"))

    def fatal(when: str) -> int:
        pl.create("c", bundle, die_at="create:handed-over")
        return pl.hetoci("reap", die_at=when).code

    assert deaths(pl, fatal, "reap", 2) >= 8


def test_killing_run_after_any_change_leaves_nothing(pl: PlBoard) -> None:
    bundle = pl.accelerator(args=("true",))

    def fatal(when: str) -> int:
        with (pl.root / "run.err").open("w") as error:
            code = pl.start_hetoci("run", "--bundle", bundle, "c", die_at=when, stderr=error).wait()
        orphans_end(pl)
        return int(code)

    assert deaths(pl, fatal, "reap") >= 15


# any moment


@pytest.mark.parametrize("seed", range(4))
def test_killing_a_life_at_any_moment_leaves_nothing(pl: PlBoard, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    for _ in range(5):
        bundle = pl.accelerator(keys("a"), keys("b"))
        begin = time.monotonic()
        if chance.random() < 0.5:
            assert pl.create("c", bundle).code == 0
            length = time.monotonic() - begin
            call = pl.start_hetoci("delete", "--force", "c")
        else:
            length = 0.15
            call = pl.start_hetoci("create", "--bundle", bundle, "c")
        time.sleep(chance.random() * length)
        try:
            os.kill(call.pid, signal.SIGKILL)
        except ProcessLookupError:  # it was quicker
            pass
        call.wait()
        orphans_end(pl)
        NEXT["delete"](pl)
        nothing_is_left(pl)


def test_a_container_killed_before_its_start_leaves_nothing(pl: PlBoard) -> None:
    assert pl.create("c", pl.accelerator()).code == 0
    os.kill(pl.pid("c"), signal.SIGKILL)
    pl.exit_code("c")
    assert pl.hetoci("start", "c").code == 1
    next_container(pl)
    assert pl.overlays() == ["pl-shell"]
    pl.ok("delete", "c")
    nothing_is_left(pl)


def test_reapers_do_not_get_in_each_others_way(pl: PlBoard) -> None:
    for number in range(4):
        running(pl, f"c{number}", args=("true",))
        pl.exit_code(f"c{number}")
        (pl.root / f"bundle{number}").rename(pl.root / f"bundle{number}.gone")
    calls = []
    for number in range(3):
        with (pl.root / f"reap{number}").open("w") as error:
            calls.append(pl.start_hetoci("reap", stderr=error))
    codes = [call.wait() for call in calls]
    assert [(pl.root / f"reap{number}").read_text() for number in range(3)] == [""] * 3
    assert codes == [0, 0, 0]
    nothing_is_left(pl)


def test_reap_does_not_disturb_a_create(pl: PlBoard) -> None:
    pl.fpga.delay = 0.5
    with (pl.root / "c.err").open("w") as error:
        call = pl.start_hetoci(
            "create", "--bundle", pl.accelerator(), "--pid-file", "/c.pid", "c", stderr=error
        )
    until(lambda: len(pl.overlays()) == 2)
    assert pl.ok("reap").out == ""
    assert call.wait() == 0
    assert pl.slots() == {"slot0": "c"}
    pl.ok("start", "c")
    end(pl, "c")
    nothing_is_left(pl)
