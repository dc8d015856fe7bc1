# SPDX-License-Identifier: MIT
"""A client of the kernel's network configuration (rtnetlink(7)).

Written against the numbers of linux/netlink.h and linux/rtnetlink.h, which are an ABI. The kernel
is trusted: what it answers is not checked for sense.
"""

from __future__ import annotations

import _socket
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .host import Host

NEWLINK, GETLINK = 16, 18
NEWADDR, GETADDR = 20, 22
NEWROUTE, GETROUTE = 24, 26
NEWNEIGH, GETNEIGH = 28, 30
NEWQDISC, DELQDISC = 36, 37
NEWTFILTER, GETTFILTER = 44, 46

CREATE, EXCL = 0x400, 0x200
_REQUEST, _ACK, _DUMP, _INTERRUPTED = 0x1, 0x4, 0x300, 0x10
_ERROR, _DONE = 2, 3

_NETLINK_ROUTE = 0
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")

#: Larger than what the kernel puts into one datagram of a dump (NLMSG_GOODSIZE, 32 KiB at most).
_MOST = 1 << 16


class Socket:
    """A connection to the network namespace that this process is in when it is made, and which
    stays that one's. Failures are OSError with the kernel's error number."""

    def __init__(self) -> None:
        self._socket = _socket.socket(
            _socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, _NETLINK_ROUTE
        )
        self._sequence = 0

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def ask(self, kind: int, body: bytes, flags: int = 0) -> bytes:
        """Have the kernel do something; the body of its answer, which is empty unless the request
        is one for a single object."""
        answer = b""
        for kind_, text in self._exchange(kind, body, flags | _ACK):
            if kind_ != _ERROR:
                answer = text
        return answer

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Bodies of the messages about all objects of one kind."""
        while True:
            try:
                return [text for _, text in self._exchange(kind, body, _DUMP)]
            except InterruptedError:  # something changed meanwhile: what came may not fit
                continue

    def _exchange(self, kind: int, body: bytes, flags: int) -> Iterator[tuple[int, bytes]]:
        self._sequence += 1
        size = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(size, kind, flags | _REQUEST, self._sequence, 0) + body)
        while True:
            data = self._socket.recv(_MOST)
            at = 0
            while at + _HEADER.size <= len(data):
                size, answer, marks, sequence, _ = _HEADER.unpack_from(data, at)
                text = data[at + _HEADER.size : at + size]
                at += (size + 3) & ~3
                if sequence != self._sequence:  # of a request that was given up
                    continue
                if marks & _INTERRUPTED and flags & _DUMP:
                    self._drain()
                    raise InterruptedError
                if answer == _ERROR:
                    code = -struct.unpack_from("=i", text)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                    return
                if answer == _DONE:
                    return
                yield answer, text

    def _drain(self) -> None:
        """Forget the rest of a dump: the next one has another number."""
        self._sequence += 1


def attribute(kind: int, *parts: bytes) -> bytes:
    """An attribute, padded."""
    data = b"".join(parts)
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + bytes(-len(data) % 4)


def number(kind: int, value: int) -> bytes:
    """An attribute of 32 bits."""
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    """An attribute that is a string."""
    return attribute(kind, value.encode() + b"\0")


def attributes(raw: bytes) -> dict[int, bytes]:
    """The attributes in `raw`, by kind."""
    found = {}
    at = 0
    while at + 4 <= len(raw):
        size, kind = _ATTRIBUTE.unpack_from(raw, at)
        if size < 4:
            break
        found[kind & 0x3FFF] = raw[at + 4 : at + size]
        at += (size + 3) & ~3
    return found


def pick(found: dict[int, bytes], kinds: Iterable[int]) -> bytes:
    """Those of the attributes `found` that are of `kinds`, as a message has them."""
    return b"".join(attribute(kind, found[kind]) for kind in kinds if kind in found)


def inside(host: Host, namespace: int) -> Socket:
    """A connection to another network namespace, given as a descriptor of it. Not for processes
    with threads: this one is in the other namespace for a moment."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        host.enter_network_namespace(namespace)
        try:
            return Socket()
        finally:
            host.enter_network_namespace(own)
    finally:
        os.close(own)
