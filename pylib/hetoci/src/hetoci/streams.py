# SPDX-License-Identifier: MIT
"""The standard streams of a firmware container: what the keeper passes on while a core runs."""

from __future__ import annotations

import os
import select

from . import console
from .backends import remoteproc
from .rsctable import EXIT_RECORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host

#: How long an engine may take to read the last output, s.
_LAST_WORDS = 2.0


class Streams:
    """Trace buffers and RPMsg terminals of `core` to standard output, standard input to the
    terminals, remarks of ours to standard error. Nothing here blocks.

    directory: the container's state directory; poller: gets what is to be waited for.
    """

    def __init__(self, host: Host, core: str, directory: str, poller: select.poll) -> None:
        self._host = host
        self._core = core
        self._directory = directory
        self._poll = poller
        self._out = console.Outlet(1)
        self._error = console.Outlet(2)
        self._traces: dict[int, console.TraceFollower] = {}
        self._exit_trace = -1
        self._terminals: dict[int, str] = {}
        self._wants_terminals = False
        self._takes_input = True

    def begin(self, traces: Sequence[tuple[str, int]], consoles: Sequence[str]) -> None:
        """The core runs: `traces` are the names and sizes of its trace buffers, `consoles` the
        sources that are wanted."""
        for number, (name, size) in enumerate(traces):
            if name == EXIT_RECORD:
                self._exit_trace = number
            elif "trace" in consoles:
                self._traces[number] = console.TraceFollower(size)
        if traces and remoteproc.trace(self._host, self._core, 0) is None:
            self.complain(
                "the firmware's trace buffers cannot be read, so there is no log from them and"
                f" no exit code: {remoteproc.DEBUG} is missing (mount debugfs) or locked down"
            )
        self._wants_terminals = "rpmsg-tty" in consoles

    @property
    def congested(self) -> bool:
        """True while the reader of standard output is too far behind to take more."""
        return self._out.full

    def relieve(self, patience: float) -> None:
        """Give the reader of standard output `patience` seconds."""
        self._out.flush(patience)

    def complain(self, words: str) -> None:
        """Say something on standard error."""
        self._error.put(f"hetoci: {words}\n".encode())

    def event(self, descriptor: int, events: int) -> None:
        """Handle what poll(2) reports on a descriptor that this object registered."""
        if descriptor == 0:
            self._take_input()
        elif not events & select.POLLIN:  # hang-up or error, and nothing left to read
            self._close_terminal(descriptor)

    def copy(self) -> bool:
        """Pass on what is there; True if there was something."""
        self._out.flush(0)
        if self._out.full:
            return False
        moved = False
        for number, follower in self._traces.items():
            text = remoteproc.trace(self._host, self._core, number)
            fresh = b"" if text is None else follower.feed(text)
            if fresh:
                self._out.put(fresh)
                moved = True
        if self._wants_terminals:
            self._find_terminals()
        for descriptor in list(self._terminals):
            moved = self._copy_terminal(descriptor) or moved
        return moved

    def drain(self) -> None:
        """Take what is left of the output, whether or not the reader keeps up: from the core
        while it is there, else what kill saved before it stopped the core."""
        for number, follower in self._traces.items():
            live = remoteproc.trace(self._host, self._core, number)
            saved = self._host.read_or_none(f"{self._directory}/trace{number}.last")
            if live is not None:
                self._out.put(follower.feed(live))
            elif saved is not None:
                self._out.put(follower.finish(saved))
        for descriptor in list(self._terminals):
            while descriptor in self._terminals and self._copy_terminal(descriptor):
                pass

    def end(self) -> None:
        """Give the engine a last chance to read."""
        self._out.flush(_LAST_WORDS)
        self._error.flush(_LAST_WORDS)

    def exit_record(self) -> str | None:
        """The line in the exit record, None while there is no whole one."""
        if self._exit_trace < 0:
            return None
        text = remoteproc.trace(self._host, self._core, self._exit_trace) or b""
        if not text.endswith(b"\n"):
            return None
        return text.decode("utf-8", "replace").strip()

    def _find_terminals(self) -> None:
        for name in remoteproc.consoles(self._host, self._core):
            if name in self._terminals.values():
                continue
            try:
                descriptor = console.open_terminal(self._host, name)
            except OSError:  # announced, its device node not there yet
                continue
            self._terminals[descriptor] = name
            self._poll.register(descriptor, select.POLLIN)
            if self._takes_input:
                self._poll.register(0, select.POLLIN)

    def _take_input(self) -> None:
        try:
            data = os.read(0, 4096)
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(0)
            self._takes_input = False
        for descriptor in self._terminals:
            try:
                os.write(descriptor, data)
            except OSError:  # the firmware takes no more: input is lost, as on a serial line
                continue

    def _copy_terminal(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, 4096)
        except BlockingIOError:
            return False
        except OSError:
            self._close_terminal(descriptor)
            return False
        self._out.put(data)
        return bool(data)

    def _close_terminal(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        os.close(descriptor)
        del self._terminals[descriptor]
