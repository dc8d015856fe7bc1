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
from .sessions import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host

#: As the agent's SESSIONS.
_MAX = 64


class Executed:
    """process: a pidfd of the process that stands for it; items: what to run."""

    def __init__(self, session: Session, process: int, reply: int, items: bytes) -> None:
        self.session = session
        self.process = process
        self.items = items
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


def adopt(
    host: Host,
    directory: str,
    present: dict[int, Executed],
    pid: int,
    reply: str,
    poller: select.poll,
) -> Executed:
    """Take over process `pid`'s standard streams for a new session in `present`. Raises
    HetociError."""
    number = next((n for n in range(1, _MAX) if n not in present), 0)
    if not number:
        raise StateError(f"there are {_MAX - 1} programs in the domain already")
    opened: list[int] = []
    try:
        items = host.read(f"{directory}/{reply}.run", 4 << 20)
        opened.append(os.pidfd_open(pid))
        opened.append(host.open(f"{directory}/{reply}", os.O_WRONLY | os.O_NONBLOCK))
        for standard, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
            path = f"/proc/{pid}/fd/{standard}"
            append = os.O_APPEND if standard else 0
            opened.append(
                os.open(path, flags | append | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            )
    except OSError as error:
        for descriptor in opened:
            os.close(descriptor)
        raise HetociError(f"the streams of process {pid} cannot be taken over: {error}") from error
    terminal = os.isatty(opened[2])
    session = Session(number, (opened[2], opened[3], opened[4]), poller, terminal=terminal)
    executed = Executed(session, opened[0], opened[1], items)
    present[number] = executed
    poller.register(executed.process, select.POLLIN)
    return executed
