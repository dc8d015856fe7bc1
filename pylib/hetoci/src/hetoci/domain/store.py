# SPDX-License-Identifier: MIT
"""A client of the Xen store, by the kernel's /dev/xen/xenbus.

Messages are those of xen/include/public/io/xs_wire.h: type, request, transaction, length, each
32 bits, then strings that end with NUL.
"""

from __future__ import annotations

import os
import select
import struct

from ..errors import XenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..host import Host

DEVICE = "/dev/xen/xenbus"

_DIRECTORY, _READ, _WATCH, _BEGIN, _END, _WRITE, _RM, _SET_PERMS = 1, 2, 4, 6, 7, 11, 13, 14
_EVENT, _ERROR = 15, 16
_HEADER = struct.Struct("=IIII")

#: How often `add_device` tries again because others write as well.
_TRIES = 100


class Store:
    """One connection. Watches end with it."""

    def __init__(self, host: Host) -> None:
        """Raises XenError if there is no Xen store here."""
        try:
            self.descriptor = host.open(DEVICE, os.O_RDWR)
        except OSError as error:
            raise XenError(
                f"{DEVICE} cannot be opened: {error.strerror}",
                path=DEVICE,
                errno=error.errno or 0,
                hint="domains need Xen, and hetoci in its dom0",
            ) from error
        self._events: list[tuple[str, str]] = []
        self._fronts: dict[str, str] = {}  # who may do what with them, by path

    def close(self) -> None:
        """End the connection."""
        os.close(self.descriptor)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = os.read(self.descriptor, size - len(data))
            if not part:
                raise XenError("the Xen store ended the connection", path=DEVICE)
            data += part
        return data

    def _message(self) -> tuple[int, bytes]:
        kind, _request, _transaction, length = _HEADER.unpack(self._exactly(_HEADER.size))
        return kind, self._exactly(length)

    def _note(self, body: bytes) -> None:
        path, token = body.decode("utf-8", "replace").split("\0")[:2]
        self._events.append((path, token))

    def _ask(self, kind: int, body: bytes, transaction: int = 0) -> bytes:
        """The answer's body. Raises KeyError where there is no such node, InterruptedError for a
        transaction that has to be tried again, else XenError."""
        os.write(self.descriptor, _HEADER.pack(kind, 0, transaction, len(body)) + body)
        while True:
            answer, text = self._message()
            if answer == _EVENT:
                self._note(text)
            elif answer == _ERROR:
                symbol = text.rstrip(b"\0").decode()
                path = body.partition(b"\0")[0].decode("utf-8", "replace")
                if symbol == "ENOENT":
                    raise KeyError(path)
                if symbol == "EAGAIN":
                    raise InterruptedError(path)
                raise XenError(f"the Xen store refused {path}: {symbol}", path=path)
            else:
                return text

    def read(self, path: str) -> str | None:
        """The value of a node; None if there is none."""
        try:
            return self._ask(_READ, path.encode() + b"\0").decode("utf-8", "replace")
        except KeyError:
            return None

    def write(self, path: str, value: str) -> None:
        """Set a node."""
        self._ask(_WRITE, path.encode() + b"\0" + value.encode())

    def add_device(
        self,
        domain: int,
        back: str,
        backs: Mapping[str, str],
        front: str,
        fronts: Mapping[str, str],
    ) -> None:
        """Make both nodes of a device of `domain` as one change: a kernel that saw one without the
        other would wait for it, or give up. back, front: their paths; backs, fronts: what they say
        beside leading to each other. Raises XenError."""
        access = f"n{domain}\0r0"
        ends = (  # path, who may do what, the owner first, and values
            (back, f"n0\0r{domain}", {"frontend": front, "frontend-id": str(domain), **backs}),
            (front, access, {"backend": back, "backend-id": "0", **fronts}),
        )
        for _ in range(_TRIES):
            number = int(self._ask(_BEGIN, b"\0").rstrip(b"\0"))
            for path, access, values in ends:
                self._ask(_WRITE, path.encode() + b"\0", number)
                # What is below a node has its permissions.
                self._ask(_SET_PERMS, f"{path}\0{access}\0".encode(), number)
                for key, value in values.items():
                    self._ask(_WRITE, f"{path}/{key}\0{value}".encode(), number)
            try:
                self._ask(_END, b"T\0", number)
            except InterruptedError:
                continue
            self._fronts[front] = access
            return
        raise XenError(f"the Xen store does not take {back} and {front}: others write all the time")

    def show_again(self) -> None:
        """Have the guest's kernel look at its devices once more. Linux misses those that appear
        while it starts, between its look at what is there and its watch for changes
        (`frontend_probe_and_watch` in drivers/xen/xenbus/xenbus_probe_frontend.c). Their
        permissions are set as they are: a change for the watch, and none for a device that is
        gone. Raises XenError."""
        for front, access in self._fronts.items():
            try:
                self._ask(_SET_PERMS, f"{front}\0{access}\0".encode())
            except KeyError:
                continue

    def listing(self, path: str) -> list[str]:
        """Names of the nodes below; empty if there is no such node."""
        try:
            text = self._ask(_DIRECTORY, path.encode() + b"\0")
        except KeyError:
            return []
        return [name for name in text.decode("utf-8", "replace").split("\0") if name]

    def remove(self, path: str) -> None:
        """Remove a node with what is below; that it is gone already is success."""
        try:
            self._ask(_RM, path.encode() + b"\0")
        except KeyError:
            return

    def watch(self, path: str, token: str) -> None:
        """From now on changes of `path` and below are events with `token`; the first is at once."""
        self._ask(_WATCH, f"{path}\0{token}\0".encode())

    def watch_changes(self, path: str, token: str) -> None:
        """As `watch`, without the first event, which says nothing."""
        self.watch(path, token)
        while (path, token) not in self._events:
            kind, body = self._message()
            if kind == _EVENT:
                self._note(body)
        self._events.remove((path, token))

    @property
    def pending(self) -> bool:
        """True if `events` has some although the descriptor is not readable: they came while
        something else was asked."""
        return bool(self._events)

    def events(self) -> list[tuple[str, str]]:
        """(path, token) of what has changed; never blocks."""
        waiter = select.poll()
        waiter.register(self.descriptor, select.POLLIN)
        while waiter.poll(0):
            kind, body = self._message()
            if kind == _EVENT:
                self._note(body)
        events, self._events = self._events, []
        return events
