# SPDX-License-Identifier: MIT
"""Frames between the keeper and the agent in the domain (recipes-guest, agent.h)."""

from __future__ import annotations

import struct

from ..errors import XenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .rings import Ring

VERSION = 1
RUN, SIGNAL, RESIZE, DATA, CREDIT, HELLO, STARTED, FAILED, EXITED = range(1, 10)
DEVICES = 10

#: Most bytes of one stream that nobody has taken.
WINDOW = 65536

#: Most that a guest may send in one frame.
_MAX = WINDOW

_HEADER = struct.Struct("<BBHI")


class Frame:
    """One message: `kind`, of `session`'s `stream`."""

    __slots__ = ("body", "kind", "session", "stream")

    def __init__(self, kind: int, session: int, stream: int, body: bytes) -> None:
        self.kind = kind
        self.session = session
        self.stream = stream
        self.body = body

    def number(self) -> int:
        """The body as the number it must be."""
        if len(self.body) != 4:
            raise XenError("the agent sent a number that is none")
        return int.from_bytes(self.body, "little")

    def text(self) -> str:
        """The body as the sentence that it is."""
        return self.body.decode("utf-8", "replace")


class Link:
    """The agent, at the other end of `ring`."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self._partial = b""

    def send(self, kind: int, session: int, stream: int, body: bytes) -> None:
        """Send a frame, or queue it."""
        self.ring.write(_HEADER.pack(kind, stream, session, len(body)) + body)
        self.ring.notify()

    def frames(self) -> Iterator[Frame]:
        """What has come whole. Raises XenError for what no agent of ours sends."""
        moved = self.ring.flush()
        have = self.ring.peek()
        if have:
            self._partial += self.ring.look(have)
            self.ring.advance(have)
            moved = True
        if moved:
            self.ring.notify()  # it may wait for room
        while len(self._partial) >= _HEADER.size:
            kind, stream, session, size = _HEADER.unpack_from(self._partial)
            if size > _MAX:
                raise XenError("the agent sent a frame that is too long")
            end = _HEADER.size + size
            if len(self._partial) < end:
                return
            body, self._partial = self._partial[_HEADER.size : end], self._partial[end:]
            yield Frame(kind, session, stream, body)
