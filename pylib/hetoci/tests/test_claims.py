# SPDX-License-Identifier: MIT
"""Claims whose holder is a process of the delegate's, which holds no lock."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hetoci import cgroup, claims, errors
from hetoci.host import Host
from hetoci.model import UNLOCKED, Holder

GROUP = f"{cgroup.MOUNT}/pod/c"


@pytest.fixture
def machine(tmp_path: Path) -> Host:
    return Host(os.fspath(tmp_path))


@pytest.fixture
def program() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def holder(machine: Host, pid: int, name: str = "c", group: str = "") -> Holder:
    return Holder(name, "/run/engine", pid, machine.start_time(pid) or "", group)


def me(machine: Host, name: str = "other") -> Holder:
    return Holder(name, "", os.getpid(), machine.start_time(os.getpid()) or "")


def handed_over(machine: Host, pid: int, group: str = UNLOCKED) -> None:
    """What create leaves: claim k with the container's process as its holder."""
    claims.acquire(machine, "k", me(machine, "c")).hand_over(holder(machine, pid, group=group))


def populate(machine: Host, count: int) -> None:
    machine.make_directory(GROUP)
    machine.put(f"{GROUP}/cgroup.events", f"populated {count}\nfrozen 0\n".encode())


def test_it_is_held_while_its_process_lives(
    machine: Host, program: subprocess.Popen[bytes]
) -> None:
    handed_over(machine, program.pid)
    found = claims.holder_of(machine, "k")
    assert found
    assert (found.container, found.root, found.pid) == ("c", "/run/engine", program.pid)
    with pytest.raises(errors.DeviceBusy) as caught:
        claims.acquire(machine, "k", me(machine))
    assert str(caught.value) == f"k is held by container c of /run/engine (pid {program.pid})"
    program.kill()
    program.wait()
    assert claims.holder_of(machine, "k") is None
    claims.acquire(machine, "k", me(machine)).give_up()


def test_it_is_held_while_its_group_has_processes(
    machine: Host, program: subprocess.Popen[bytes]
) -> None:
    populate(machine, 1)
    handed_over(machine, program.pid, GROUP)
    program.kill()
    program.wait()
    with pytest.raises(errors.DeviceBusy, match="k is held by container c"):
        claims.acquire(machine, "k", me(machine))
    populate(machine, 0)
    assert claims.holder_of(machine, "k") is None
    claims.acquire(machine, "k", me(machine)).give_up()


def test_another_process_with_the_same_pid_does_not_hold_it(machine: Host) -> None:
    pid = os.getpid()
    claims.acquire(machine, "k", me(machine)).hand_over(
        Holder("c", "", pid, str(int(machine.start_time(pid) or "0") - 1), UNLOCKED)
    )
    assert claims.holder_of(machine, "k") is None
    claims.acquire(machine, "k", me(machine)).give_up()


def test_its_own_container_is_cleaned_up_after_although_it_lives(
    machine: Host, program: subprocess.Popen[bytes]
) -> None:
    handed_over(machine, program.pid)
    for container, root in (("c", ""), ("d", "/run/engine"), ("", "")):
        with pytest.raises(errors.DeviceBusy):
            claims.take_back(machine, "k", container, root)
    claims.take_back(machine, "k", "c", "/run/engine").give_up()
    assert claims.holder_of(machine, "k") is None


def test_who_cleans_up_is_waited_for(machine: Host) -> None:
    cleaning = claims.take_back(machine, "k", "", "")
    assert claims.holder_of(machine, "k") is None
    timer = threading.Timer(0.2, cleaning.give_up)
    timer.start()
    claims.acquire(machine, "k", me(machine)).give_up()
    timer.join()


def test_claims_that_were_not_had_all_leave_no_holder(
    machine: Host, program: subprocess.Popen[bytes]
) -> None:
    handed_over(machine, program.pid)
    with pytest.raises(errors.DeviceBusy):
        claims.acquire_all(machine, ["a", "k"], me(machine))
    assert claims.holder_of(machine, "a") is None


def test_who_waited_for_a_claim_that_is_dropped_has_the_new_one(
    machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [claims.acquire(machine, "k", me(machine))]
    lock = claims._lock

    def lock_after_the_drop(descriptor: int) -> bool:
        if held:
            held.pop().drop(machine)
        return lock(descriptor)

    monkeypatch.setattr(claims, "_lock", lock_after_the_drop)
    claim = claims.acquire(machine, "k", me(machine))
    assert claims.holder_of(machine, "k")
    claim.drop(machine)
    assert not machine.exists(f"{claims.DIRECTORY}/k")
