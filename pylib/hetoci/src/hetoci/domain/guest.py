# SPDX-License-Identifier: MIT
"""What dom0 does for a domain that runs hetoci's kernel: serve its files, talk to its agent."""

from __future__ import annotations

import select

from ..errors import XenError
from . import ninep, wire
from .rings import Events, Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..host import Host
    from .store import Store
    from .wire import Frame, Link

#: Pages of a 9P ring as a power of two. Messages are at most a quarter of it (trans_xen.c).
_ORDER = 5
_RINGS = 2

#: Requests of one guest that are answered before the others get their turn.
_BURST = 64

_INIT_WAIT, _INITIALISED, _CONNECTED = "2", "3", "4"


class Share:
    """One 9P device of the domain: a tag, a server, and the rings once the guest has made them."""

    def __init__(self, number: int, tag: str, server: ninep.Server) -> None:
        self.number = number
        self.tag = tag
        self.server = server
        self.rings: list[Ring] = []


class Guest:
    """Domain number `domain`. Register `descriptors` with poll(2) and call `pump` when one is
    ready, or when `busy`."""

    def __init__(self, host: Host, store: Store, domain: int) -> None:
        self._host = host
        self._store = store
        self._domain = domain
        self._events = Events(host)
        self._shares: list[Share] = []
        self._ports: dict[int, tuple[Share, Ring]] = {}
        self._again: set[int] = set()
        self.link: Link | None = None

    @property
    def descriptors(self) -> tuple[int, int]:
        """What to wait for."""
        return self._events.descriptor, self._store.descriptor

    @property
    def busy(self) -> bool:
        """True if there is work although no descriptor says so."""
        return bool(self._again)

    def _path(self, rest: str) -> str:
        return f"/local/domain/{self._domain}/{rest}"

    def offer(self, tag: str, server: ninep.Server) -> None:
        """Give the domain a 9P device called `tag`. All of it lies below the domain's own node in
        the Xen store, and goes with it."""
        share = Share(len(self._shares), tag, server)
        self._shares.append(share)
        back = self._path(f"hetoci/9pfs/{share.number}")
        front = self._path(f"device/9pfs/{share.number}")
        backs = {
            "versions": "1",
            "max-rings": str(_RINGS),
            "max-ring-page-order": str(_ORDER),
            "state": _INIT_WAIT,
        }
        self._store.add_device(self._domain, back, backs, front, {"tag": tag, "state": "1"})
        self._store.watch(f"{front}/state", f"share/{share.number}")

    def await_agent(self) -> None:
        """From now on the agent may announce itself."""
        self._store.watch(self._path("data/hetoci/ring-ref0"), "agent")

    def note(self, token: str) -> None:
        """The Xen store says that what `token` stands for has changed."""
        kind, _, number = token.partition("/")
        if kind == "agent" and self.link is None:
            ring = self._ring(self._path("data/hetoci"), 0)
            if ring is not None:
                self.link = wire.Link(ring)
                self._again.add(ring.port)
        elif kind == "share":
            self._connect(self._shares[int(number)])

    def _ring(self, base: str, number: int) -> Ring | None:
        values = [
            self._store.read(f"{base}/{key}") or ""
            for key in (f"ring-ref{number}", f"event-channel-{number}")
        ]
        if not all(value.isascii() and value.isdecimal() and len(value) < 10 for value in values):
            return None
        return Ring(self._host, self._events, self._domain, int(values[0]), int(values[1]))

    def _connect(self, share: Share) -> None:
        front = self._path(f"device/9pfs/{share.number}")
        if share.rings or self._store.read(f"{front}/state") != _INITIALISED:
            return
        for number in range(_RINGS):
            ring = self._ring(front, number)
            if ring is None:
                raise XenError(f"domain {self._domain} announces no ring for its files")
            share.rings.append(ring)
            self._ports[ring.port] = (share, ring)
        self._store.write(self._path(f"hetoci/9pfs/{share.number}/state"), _CONNECTED)

    def pump(self) -> Iterator[Frame]:
        """Answer what the domain asks; what its agent says. Raises XenError if the domain breaks
        the rules, after which it has to be destroyed."""
        ports = self._events.take() | self._again
        self._again = set()
        for port in ports:
            if port in self._ports:
                self._serve(*self._ports[port])
        if self.link is not None:
            yield from self.link.frames()

    def _serve(self, share: Share, ring: Ring) -> None:
        moved = ring.flush()
        for _ in range(_BURST):
            have = ring.peek()
            if have < 7:
                break
            size = int.from_bytes(ring.look(4), "little")
            if not 7 <= size <= ninep.MSIZE:
                raise XenError(f"domain {self._domain} sent a message of {size} bytes")
            if size > have:
                break
            message = ring.look(size)
            ring.advance(size)
            ring.write(share.server.answer(message))
            moved = True
        else:
            self._again.add(ring.port)
        if moved:
            ring.notify()

    def register(self, poller: select.poll) -> None:
        """Have `poller` watch `descriptors`."""
        for descriptor in self.descriptors:
            poller.register(descriptor, select.POLLIN)

    def close(self) -> None:
        """Give the domain its pages back and close its files."""
        for share in self._shares:
            share.server.close()
            for ring in share.rings:
                ring.close()
        if self.link is not None:
            self.link.ring.close()
        self._events.close()
