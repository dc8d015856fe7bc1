# SPDX-License-Identifier: MIT
"""The keeper of firmware: it holds the core.

If it dies, however that happens, the kernel frees the claim (flock) and stops the core (the
remoteproc device's shutdown-on-release).
"""

from __future__ import annotations

import os
import time

from . import state
from .backends import remoteproc
from .errors import HetociError
from .host import explain
from .keeper import FAULT, KILLED, Ended, Job, Keeper
from .model import OCCUPIED_STATES
from .streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .host import Host

#: How often the core and its trace buffers are looked at: at once after output, then slower.
_FASTEST, _SLOWEST = 0.02, 0.25

#: How often services that are to be offered by CDI are looked for, s.
_LOOK = 1.0


class FirmwareKeeper(Keeper):
    """Stages the ELF file, starts the core, passes on its output. The job's payload is the file."""

    def __init__(self, host: Host, job: Job) -> None:
        super().__init__(host, job)
        self._core = job.record.core
        self._running: remoteproc.Running | None = None
        self._firmware = ""
        self._missing = len(self._record.data["endpoints"])
        self._next_look = 0.0
        self._streams = Streams(host, self._core, self._record.directory, self._poll)

    def _prepare(self) -> None:
        path, name = remoteproc.stage(self._host, self._core, self._job.payload)
        self._undo.append(lambda: self._host.remove(path))
        self._firmware = name
        self._job.payload = b""
        self._host.checkpoint("keeper:staged")

    def _start(self, command: str) -> None:
        reply = command.partition(" ")[2]
        if self._running is not None:
            self._answer(reply, f"container {self._record.id} is running already")
            return
        try:
            self._host.checkpoint("keeper:start")
            self._running = remoteproc.activate(self._host, self._core, self._firmware)
            self._host.checkpoint("keeper:activated")
            self._started = True
            self._record.mark(state.STARTED)
        except HetociError as error:
            self._refuse(reply, str(error))
            raise Ended(1) from None
        self._streams.begin(self._record.data["traces"], self._record.data["consoles"])
        self._answer(reply, "ok")

    def _watch(self) -> None:
        interval = _FASTEST
        while True:
            for command in self._wait(interval):
                self._start(command)
            moved = self._streams.copy()
            self._check_exit_record()
            self._check_core()
            self._offer()
            interval = _FASTEST if moved else min(interval * 1.5, _SLOWEST)

    def _offer(self) -> None:
        """Have a CDI device for each service that others may use, until all of them are there."""
        if not self._missing or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK
        self._missing = len(self._record.data["endpoints"]) - self._refresh()

    def _refresh(self) -> int:
        """Bring the firmware's CDI devices up to date; how many there are."""
        from . import cdi

        try:
            return len(cdi.refresh_endpoints(self._host, self._core, self._record.data["coreName"]))
        except OSError as error:  # they are an offer: the container does not depend on them
            self._streams.complain(f"its services cannot be offered by CDI: {explain(error)}")
            return len(self._record.data["endpoints"])

    def _wait(self, seconds: float | None) -> list[str]:
        commands: list[str] = []
        timeout = None if seconds is None else seconds * 1000
        if self._streams.congested:  # nothing is read now, so poll would not sleep
            self._streams.relieve(_SLOWEST)
            timeout = 0
        for descriptor, events in self._poll.poll(timeout):
            if descriptor == self._wake:
                os.read(self._wake, 64)
            elif descriptor == self._control:
                commands += os.read(self._control, 4096).decode().splitlines()
            else:
                self._streams.event(descriptor, events)
        if self._signal:
            raise Ended(128 + self._signal_sent())
        return commands

    def _check_exit_record(self) -> None:
        kind, _, rest = (self._streams.exit_record() or "").partition(" ")
        if kind == "exit" and rest.isdecimal():
            raise Ended(int(rest) & 0xFF)
        if kind == "fault":
            raise Ended(FAULT, f"firmware fault on core {self._core}: {rest}")

    def _check_core(self) -> None:
        now = remoteproc.state(self._host, self._core)
        if now == "running":
            return
        sent = self._signal_sent()
        if sent:
            raise Ended(128 + sent)
        if now == "crashed":
            raise Ended(FAULT, f"the kernel reports that core {self._core} crashed")
        if now in OCCUPIED_STATES:
            return
        if now == "offline":
            raise Ended(KILLED, f"core {self._core} was stopped from outside this container")
        raise Ended(FAULT, f"core {self._core} is {now}")

    def _stop(self) -> None:
        self._streams.drain()
        running, self._running = self._running, None
        try:
            if running is not None:
                running.release()
        except HetociError as error:  # the container's outcome is worth more than this
            self._streams.complain(str(error))
        if self._record.data["endpoints"]:
            self._refresh()

    def _complain(self, words: str) -> None:
        self._streams.complain(words)

    def _end_streams(self) -> None:
        self._streams.end()
