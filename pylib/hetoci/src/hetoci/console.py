# SPDX-License-Identifier: MIT
"""A firmware's output becoming a container's log.

A trace buffer (RSC_TRACE) is memory that the firmware writes text into, shown by debugfs up
to the first NUL. Firmwares differ in what they do when it is full: stop, start over from
zero, or go round. The terminal of RPMsg (`rpmsg-tty`) is a byte stream in both directions.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .host import Host

#: A pipe takes this much without blocking once poll(2) says it is writable (pipe(7)).
_PIPE_CHUNK = 4096

#: With this much unread output, nothing more is taken from the firmware, in bytes.
BACKLOG = 1 << 16


class TraceFollower:
    """Turns snapshots of a trace buffer into the bytes that are new since the last one."""

    __slots__ = ("_at", "_last", "_size")

    def __init__(self, size: int) -> None:
        """size: bytes in the buffer, from the resource table."""
        self._size = size
        self._last = b""
        self._at = 0  # the firmware's write position, as far as we can know

    def feed(self, now: bytes) -> bytes:
        """The text written since the previous snapshot, given the buffer's text `now`.

        Text that was overwritten between two snapshots is lost; text that is equal to what
        it overwrote cannot be told from text that was not written.
        """
        last, self._last = self._last, now
        if now == last:
            return b""
        if now.startswith(last) and self._at == len(last):
            start, self._at = self._at, len(now)
            return now[start:]
        if len(now) < max(len(last), self._size - 1):  # cleared, and written from the start
            self._at = len(now)
            return now
        behind = _last_difference(last, now, 0, self._at)
        if behind >= 0:  # went round
            fresh = now[self._at :] + now[: behind + 1]
            self._at = behind + 1
            return fresh
        ahead = _last_difference(last, now, self._at, len(last))
        start, self._at = self._at, ahead + 1 if len(now) == len(last) else len(now)
        return now[start : self._at]

    def finish(self, saved: bytes) -> bytes:
        """The text that is new in `saved`, a snapshot that may be a little older than the
        last one fed."""
        return b"" if self._last.startswith(saved) else self.feed(saved)


def _last_difference(a: bytes, b: bytes, start: int, end: int) -> int:
    """Index of the last byte in start..end-1 where a and b differ, -1 if there is none."""
    for at in range(min(end, len(a)) - 1, start - 1, -1):
        if a[at] != b[at]:
            return at
    return -1


class Outlet:
    """A standard stream of the container. Never blocks the keeper: a reader that does not
    read makes the backlog grow, and the caller then stops taking more."""

    __slots__ = ("_closed", "_descriptor", "pending")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._closed = False
        self.pending = bytearray()

    @property
    def full(self) -> bool:
        """True while the reader is too far behind."""
        return len(self.pending) >= BACKLOG

    def put(self, data: bytes) -> None:
        """Queue `data` and write what the reader takes now."""
        if not self._closed:
            self.pending += data
            self.flush(0)

    def flush(self, patience: float) -> None:
        """Write queued bytes, waiting at most `patience` seconds for the reader in all."""
        waiter = select.poll()
        waiter.register(self._descriptor, select.POLLOUT)
        while self.pending and not self._closed:
            ready = waiter.poll(patience * 1000)
            if not ready or not ready[0][1] & select.POLLOUT:
                self._closed = bool(ready)  # error or hang-up: nobody will read this
                break
            try:
                done = os.write(self._descriptor, self.pending[:_PIPE_CHUNK])
            except OSError:
                self._closed = True
                break
            del self.pending[:done]
        if self._closed:
            self.pending.clear()


def open_terminal(host: Host, name: str) -> int:
    """Open the RPMsg terminal `name` (as in /sys/class/tty) for raw bytes, without blocking
    and without making it our controlling terminal."""
    import termios

    descriptor = host.open(f"/dev/{name}", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        make_raw(descriptor)
    except termios.error:
        os.close(descriptor)
        raise
    return descriptor


def make_raw(descriptor: int) -> None:
    """Let bytes pass as they are through the terminal `descriptor`."""
    import termios

    mode = termios.tcgetattr(descriptor)
    mode[0] = mode[1] = mode[3] = 0  # iflag, oflag, lflag
    termios.tcsetattr(descriptor, termios.TCSANOW, mode)


def give_terminal(host: Host, socket_path: str) -> None:
    """Make a new pseudo-terminal our standard streams and controlling terminal, and send its
    master to the engine listening at `socket_path` (one descriptor, SCM_RIGHTS, as runc)."""
    import fcntl
    import socket
    import termios

    master, slave = os.openpty()
    try:
        name = os.ttyname(slave).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as engine:
            engine.connect(host.path(socket_path))
            socket.send_fds(engine, [name], [master])
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for standard in (0, 1, 2):
            os.dup2(slave, standard, inheritable=True)
    finally:
        os.close(master)
        if slave > 2:
            os.close(slave)
