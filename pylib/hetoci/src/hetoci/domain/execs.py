# SPDX-License-Identifier: MIT
"""Further programs in a running domain: the keeper's side.

The process that the engine watches for an exec is one of its own (verbs/domain_exec). It tells the
keeper by the control FIFO; the keeper opens that process's standard streams by /proc and talks back
by a FIFO in the container's state directory.
"""

from __future__ import annotations

import os
import select

from ..errors import HetociError, StateError
from ..signals import signal
from . import wire
from .sessions import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host
    from .wire import Frame, Link

#: As the agent's SESSIONS.
_MAX = 64


class Executed:
    """process: a pidfd of the process that stands for it; reply: a FIFO that it reads."""

    def __init__(self, session: Session, process: int, reply: int) -> None:
        self.session = session
        self.process = process
        self._reply = reply

    def say(self, text: str) -> None:
        """Tell that process."""
        try:
            os.write(self._reply, text.encode() + b"\n")
        except OSError:  # it has been killed
            pass

    def close(self) -> None:
        """Give back what is open for it."""
        self.session.close()
        os.close(self.process)
        os.close(self._reply)


class Execs:
    """The programs that run beside the container's own, by the number of their session."""

    def __init__(self, host: Host, directory: str, poller: select.poll) -> None:
        self._host = host
        self._directory = directory
        self._poll = poller
        self._present: dict[int, Executed] = {}

    def sessions(self) -> list[Session]:
        """Those of programs that run."""
        return [executed.session for executed in self._present.values()]

    def adopt(self, pid: int, reply: str, link: Link) -> None:
        """Take over process `pid`'s standard streams for a new session, and have the agent run what
        it left beside `reply`. Raises HetociError."""
        number = next((n for n in range(1, _MAX) if n not in self._present), 0)
        if not number:
            raise StateError(f"there are {_MAX - 1} programs in the domain already")
        opened: list[int] = []
        try:
            items = self._host.read(f"{self._directory}/{reply}.run", 4 << 20)
            opened.append(os.pidfd_open(pid))
            answer = self._host.open(f"{self._directory}/{reply}", os.O_WRONLY | os.O_NONBLOCK)
            opened.append(answer)
            for standard, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
                path = f"/proc/{pid}/fd/{standard}"
                append = os.O_APPEND if standard else 0
                opened.append(
                    os.open(path, flags | append | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
                )
        except OSError as error:
            for descriptor in opened:
                os.close(descriptor)
            raise HetociError(
                f"the streams of process {pid} cannot be taken over: {error}"
            ) from error
        terminal = os.isatty(opened[2])
        streams = (opened[2], opened[3], opened[4])
        session = Session(number, streams, self._poll, terminal=terminal)
        self._present[number] = Executed(session, opened[0], opened[1])
        self._poll.register(opened[0], select.POLLIN)
        link.send(wire.RUN, number, 0, items)

    def event(self, descriptor: int, link: Link) -> None:
        """Handle what poll(2) reports."""
        for executed in list(self._present.values()):
            if descriptor == executed.session.descriptors[0]:
                executed.session.take_input(link)
            elif descriptor == executed.process:
                # The process that stands for an exec was killed: so is the program.
                number = int(signal.SIGKILL).to_bytes(4, "little")
                link.send(wire.SIGNAL, executed.session.number, 0, number)
                self._poll.unregister(executed.process)

    def handle(self, frame: Frame) -> None:
        """What the agent says of one of them."""
        executed = self._present.get(frame.session)
        if executed is None:
            return
        session = executed.session
        if frame.kind == wire.STARTED:
            session.begin()
            executed.say(f"ok {session.number}")
        elif frame.kind == wire.DATA:
            session.output(frame.stream, frame.body)
        elif frame.kind == wire.CREDIT:
            session.input_taken(frame.number())
        elif frame.kind in (wire.EXITED, wire.FAILED):
            session.end()
            ended = frame.kind == wire.EXITED
            executed.say(f"exited {frame.number()}" if ended else frame.text())
            self._forget(executed)

    def _forget(self, executed: Executed) -> None:
        del self._present[executed.session.number]
        try:
            self._poll.unregister(executed.process)
        except KeyError:  # it was dropped
            pass
        executed.close()

    def over(self) -> None:
        """The container has ended: tell the processes that stand for programs in it."""
        for executed in self._present.values():
            executed.say("the container has ended")
