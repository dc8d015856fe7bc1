# SPDX-License-Identifier: MIT
"""A program in a domain, and the descriptors in dom0 that are its standard streams."""

from __future__ import annotations

import os
import select

from ..console import Outlet
from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .wire import Link

OUT, ERROR = 1, 2

#: How long an engine may take to read the last output, s.
_LAST_WORDS = 2.0


class Session:
    """Number 0 is the container's own program; descriptors: what its stdin, stdout and stderr are
    here. With a terminal all three are one."""

    def __init__(
        self, number: int, descriptors: tuple[int, int, int], poller: select.poll, *, terminal: bool
    ) -> None:
        self.number = number
        self.terminal = terminal
        self.descriptors = descriptors
        self._poll = poller
        self._outlets = {OUT: Outlet(descriptors[1]), ERROR: Outlet(descriptors[2])}
        self._owed = {OUT: 0, ERROR: 0}
        self._room = wire.WINDOW
        self._listening = False
        self.input_over = False

    def begin(self) -> None:
        """The program runs: from now on it gets what comes in."""
        self._listen()

    def _listen(self) -> None:
        wanted = self._room > 0 and not self.input_over
        if wanted and not self._listening:
            self._poll.register(self.descriptors[0], select.POLLIN)
        elif self._listening and not wanted:
            self._poll.unregister(self.descriptors[0])
        self._listening = wanted

    def take_input(self, link: Link) -> None:
        """Pass on what is to be read now."""
        try:
            data = os.read(self.descriptors[0], min(self._room, 16384))
        except BlockingIOError:
            return
        except OSError:  # a terminal that the engine has closed
            data = b""
        self.input_over = not data
        self._room -= len(data)
        link.send(wire.DATA, self.number, 0, data)
        self._listen()

    def input_taken(self, count: int) -> None:
        """The program has read `count` bytes."""
        self._room = min(self._room + count, wire.WINDOW)
        self._listen()

    def output(self, stream: int, data: bytes) -> None:
        """The program wrote `data`."""
        outlet = self._outlets.get(stream)
        if outlet is not None:
            outlet.put(data)
            self._owed[stream] += len(data)

    def settle(self, link: Link) -> bool:
        """Write what readers take, and let the program write as much more; True if some reader is
        behind."""
        behind = False
        for stream, outlet in self._outlets.items():
            if outlet.pending:
                outlet.flush(0)
            done = self._owed[stream] - len(outlet.pending)
            if done:
                self._owed[stream] -= done
                link.send(wire.CREDIT, self.number, stream, done.to_bytes(4, "little"))
            behind = behind or bool(outlet.pending)
        return behind

    def write_out(self) -> None:
        """Write what readers take, where nobody counts."""
        for outlet in self._outlets.values():
            outlet.flush(0)

    def wait_writable(self, poller: select.poll) -> list[int]:
        """Have `poller` wake when a reader that is behind takes more; what was registered. A
        descriptor that is input as well is left alone: its reader is asked again soon enough."""
        taken = {self.descriptors[0]} if self._listening else set()
        waiting = [
            self.descriptors[stream] for stream, outlet in self._outlets.items() if outlet.pending
        ]
        waiting = [descriptor for descriptor in dict.fromkeys(waiting) if descriptor not in taken]
        for descriptor in waiting:
            poller.register(descriptor, select.POLLOUT)
        return waiting

    def complain(self, words: str) -> None:
        """Say something of ours on standard error."""
        end = "\r\n" if self.terminal else "\n"
        self._outlets[ERROR].put(f"hetoci: {words}{end}".encode())

    def end(self) -> None:
        """Give readers a last chance."""
        if self._listening:
            self._poll.unregister(self.descriptors[0])
            self._listening = False
        for outlet in self._outlets.values():
            outlet.flush(_LAST_WORDS)

    def close(self) -> None:
        """`end`, and give up the descriptors."""
        self.end()
        for descriptor in set(self.descriptors):
            os.close(descriptor)
