# SPDX-License-Identifier: MIT
"""Who holds which device.

A claim is a file in /run/hetoci/claims with an exclusive flock(2) that the keeper holds for
its whole life: however it ends, the kernel frees the claim. The file's content says who that
is; it outlives the lock, so that a claim taken over can wait until the old holder is wholly
gone (its descriptors may still be closing, and closing one stops the core).

Where the holder is a process of the delegate's, which holds no lock of ours, the content alone
is the claim, for as long as that process or another one in its control group lives.

A domain outlives a keeper that is killed, and uses what the keeper had. So the claims of such a
keeper are not free before the domain is destroyed.
"""

from __future__ import annotations

import fcntl
import os
import time

from . import cgroup
from .errors import DeviceBusy
from .host import RUN
from .model import DOMAIN, UNLOCKED, Holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host

DIRECTORY = f"{RUN}/claims"

#: Holder's name while a claim is only taken to clean up; others wait for it to end.
REAPER = "@reap"

#: How long a claim may be in transition (somebody looks at it, or an old holder ends), s.
_TRANSITION = 5.0
_POLL = 0.02


class Claim:
    """A held claim: `descriptor` carries the lock, across fork too."""

    __slots__ = ("descriptor", "key")

    def __init__(self, key: str, descriptor: int) -> None:
        self.key = key
        self.descriptor = descriptor

    def set_holder(self, holder: Holder) -> None:
        """Write down who holds it."""
        _write(self.descriptor, holder)

    def hand_over(self, holder: Holder) -> None:
        """Leave the claim to `holder`, a process that holds no lock, and let go of the lock."""
        self.set_holder(holder)
        os.close(self.descriptor)

    def release(self) -> None:
        """Let go in this process; the lock stays while a forked keeper still has it."""
        os.close(self.descriptor)

    def give_up(self) -> None:
        """Free the claim, and leave no trace of having held it."""
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)

    def drop(self, host: Host) -> None:
        """Free the claim and remove its file: for keys of what comes and goes."""
        host.remove(f"{DIRECTORY}/{self.key}")
        os.close(self.descriptor)


def _write(descriptor: int, holder: Holder) -> None:
    words = (holder.container, holder.root, str(holder.pid), holder.start, holder.group)
    line = ("\t".join(words) + "\n").encode()
    os.pwrite(descriptor, line, 0)
    os.ftruncate(descriptor, len(line))


def _parse(text: bytes) -> Holder | None:
    fields = text.decode("utf-8", "replace").rstrip("\n").split("\t")
    if len(fields) != 5 or not fields[2].isdecimal():
        return None
    return Holder(fields[0], fields[1], int(fields[2]), fields[3], fields[4])


def lives(host: Host, holder: Holder) -> bool:
    """True while `holder`, or another process of its container, or its domain, is there."""
    if host.alive(holder.pid, holder.start):
        return True
    if holder.group == DOMAIN:
        from .domain import life

        return life.left(host, holder.root, holder.container)
    return holder.group not in ("", UNLOCKED) and cgroup.populated(host, holder.group)


def holder_of(host: Host, key: str) -> Holder | None:
    """The living holder of claim `key`, None if it is free. Takes no lock: the answer may be
    old at once, only `acquire` decides."""
    try:
        noted = _parse(host.read(f"{DIRECTORY}/{key}", 4096))
    except OSError:
        return None
    if noted is None or noted.container == REAPER or not lives(host, noted):
        return None
    return noted


def acquire(host: Host, key: str, holder: Holder, of: Holder | None = None) -> Claim:
    """Take the claim `key` for `holder`. Raises DeviceBusy, naming the holder.

    of: a holder without a lock whose claim may be taken although it lives."""
    while True:
        claim = _acquire(host, key, holder, of)
        if os.fstat(claim.descriptor).st_nlink:
            return claim
        claim.release()  # it was dropped meanwhile: whoever comes next has another file


def _acquire(host: Host, key: str, holder: Holder, of: Holder | None) -> Claim:
    host.make_directory(DIRECTORY)
    descriptor = host.open(f"{DIRECTORY}/{key}", os.O_RDWR | os.O_CREAT)
    try:
        deadline = time.monotonic() + _TRANSITION
        while not _lock(descriptor):
            current = _parse(os.pread(descriptor, 4096, 0))
            if current and current.container != REAPER and host.alive(current.pid, current.start):
                raise DeviceBusy(f"{key} is held by {current}", device=key)
            if time.monotonic() > deadline:
                raise DeviceBusy(f"{key} is held by a process that left no name", device=key)
            time.sleep(_POLL)
        former = _parse(os.pread(descriptor, 4096, 0))
        if not former or former.group in ("", DOMAIN):
            _await_former_holder(host, descriptor, holder, deadline)
        mine = former and of and of.pid == former.pid
        if former and former.group and not mine and lives(host, former):
            raise DeviceBusy(f"{key} is held by {former}", device=key)
        _write(descriptor, holder)
    except BaseException:
        os.close(descriptor)
        raise
    return Claim(key, descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _await_former_holder(host: Host, descriptor: int, new: Holder, deadline: float) -> None:
    former = _parse(os.pread(descriptor, 4096, 0))
    while former and former.pid != new.pid and host.alive(former.pid, former.start):
        if time.monotonic() > deadline:
            raise DeviceBusy(f"the former holder, {former}, does not end")
        time.sleep(_POLL)


def take_back(host: Host, key: str, container: str, root: str) -> Claim:
    """Take the claim `key` to clean up after `container` of the engine's `root`, which may be
    on its way out still. Raises DeviceBusy if another one holds it."""
    start = host.start_time(os.getpid()) or ""
    me = Holder(REAPER, "", os.getpid(), start)
    try:
        return acquire(host, key, me)
    except DeviceBusy:
        noted = holder_of(host, key)
        if noted is None or (noted.container, noted.root) != (container, root):
            raise
    return acquire(host, key, me, of=noted)


def acquire_all(host: Host, keys: Sequence[str], holder: Holder) -> list[Claim]:
    """Take all of `keys` in sorted order, or none: two containers that want the same set
    cannot wait for each other. Raises DeviceBusy."""
    claims: list[Claim] = []
    try:
        for key in sorted(keys):
            claims.append(acquire(host, key, holder))
    except BaseException:
        for claim in claims:
            claim.give_up()
        raise
    return claims
