# SPDX-License-Identifier: MIT
"""Rings shared with a domain: pages that it grants, and event channels.

The layout is DEFINE_XEN_FLEX_RING_AND_INTF of xen/include/public/io/ring.h, as 9P over Xen has
it; the agent uses the same. The other side is a guest: nothing it writes is believed.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from _thread import allocate_lock

from ..errors import XenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host

_PAGE = 4096
_MAX_ORDER = 9

# linux/gntdev.h, linux/evtchn.h: _IOC(_IOC_NONE, type, number, size)
_MAP_GRANTS = (24 << 16) | (ord("G") << 8) | 0
_BIND_INTERDOMAIN = (8 << 16) | (ord("E") << 8) | 1
_NOTIFY = (4 << 16) | (ord("E") << 8) | 4

# Places in the interface page, in words of 32 bits.
_IN_CONS, _IN_PROD, _OUT_CONS, _OUT_PROD, _ORDER, _REFS = 0, 1, 16, 17, 32, 33
_WORD = 0xFFFFFFFF

_fence = allocate_lock()
_fence.acquire()


def _barrier() -> None:
    """Everything before is seen by the other side before everything after: a release and an
    acquire in this order are a full barrier on Arm (B2.3, RCsc) and x86."""
    _fence.release()
    _fence.acquire()


class Events:
    """Event channels of this process; `descriptor` is for poll(2)."""

    def __init__(self, host: Host) -> None:
        self.descriptor = host.open("/dev/xen/evtchn", os.O_RDWR | os.O_NONBLOCK)

    def bind(self, domain: int, port: int) -> int:
        """Our end of the channel that `domain` offers as its `port`."""
        ask = bytearray(struct.pack("=II", domain, port))
        return int(fcntl.ioctl(self.descriptor, _BIND_INTERDOMAIN, ask))

    def notify(self, port: int) -> None:
        """Wake the other side."""
        fcntl.ioctl(self.descriptor, _NOTIFY, struct.pack("=I", port))

    def take(self) -> set[int]:
        """Our ports that have been rung since."""
        ports: set[int] = set()
        while True:
            try:
                data = os.read(self.descriptor, 4096)
            except BlockingIOError:
                return ports
            os.write(self.descriptor, data)  # unmask
            ports.update(struct.unpack(f"={len(data) // 4}I", data))

    def close(self) -> None:
        """Give up all channels."""
        os.close(self.descriptor)


class Ring:
    """What `domain` has granted as `reference`, with an event channel `port` of its own.

    read gets what the guest has sent, write gives it something. Raises XenError for a ring that
    breaks the rules.
    """

    def __init__(self, host: Host, events: Events, domain: int, reference: int, port: int) -> None:
        device = host.open("/dev/xen/gntdev", os.O_RDWR)
        try:
            self._page = _map(device, domain, [reference])
            self._words = memoryview(self._page).cast("I")
            order = self._words[_ORDER]
            if not 1 <= order <= _MAX_ORDER:
                raise XenError(f"domain {domain} offers a ring of order {order}")
            count = 1 << order
            self._data = _map(device, domain, list(self._words[_REFS : _REFS + count]))
            self.port = events.bind(domain, port)
        except OSError as error:
            raise XenError(f"a ring of domain {domain} cannot be mapped: {error}") from error
        finally:
            os.close(device)
        self._half = count * _PAGE // 2
        self._events = events
        self._queue = bytearray()

    def close(self) -> None:
        """Give the guest its pages back."""
        self._words.release()
        self._page.close()
        self._data.close()

    def peek(self) -> int:
        """How many bytes the guest has sent that were not read."""
        have = (self._words[_OUT_PROD] - self._words[_OUT_CONS]) & _WORD
        if have > self._half:
            raise XenError("the guest broke its ring")
        _barrier()
        return have

    def look(self, size: int) -> bytes:
        """The next `size` bytes, which `peek` must have promised; they stay in the ring."""
        at = self._words[_OUT_CONS] & (self._half - 1)
        base = self._half
        first = min(size, self._half - at)
        data = self._data[base + at : base + at + first]
        return data if first == size else data + self._data[base : base + size - first]

    def advance(self, size: int) -> None:
        """Drop `size` bytes: the guest may use the room."""
        _barrier()
        self._words[_OUT_CONS] = (self._words[_OUT_CONS] + size) & _WORD

    @property
    def waiting(self) -> int:
        """Bytes that the ring had no room for yet."""
        return len(self._queue)

    def write(self, data: bytes) -> None:
        """Send `data`, or queue it; `notify` must follow."""
        if self._queue:
            self._queue += data
            return
        done = self._put(data)
        if done < len(data):
            self._queue += data[done:]

    def flush(self) -> bool:
        """Send what was queued as far as there is room; True if something moved."""
        if not self._queue:
            return False
        done = self._put(bytes(self._queue))
        del self._queue[:done]
        return done > 0

    def _put(self, data: bytes) -> int:
        produced = self._words[_IN_PROD]
        used = (produced - self._words[_IN_CONS]) & _WORD
        if used > self._half:
            raise XenError("the guest broke its ring")
        _barrier()
        size = min(len(data), self._half - used)
        at = produced & (self._half - 1)
        first = min(size, self._half - at)
        self._data[at : at + first] = data[:first]
        if first < size:
            self._data[0 : size - first] = data[first:size]
        _barrier()
        self._words[_IN_PROD] = (produced + size) & _WORD
        return size

    def notify(self) -> None:
        """Wake the guest."""
        _barrier()
        self._events.notify(self.port)


def _map(device: int, domain: int, references: list[int]) -> mmap.mmap:
    ask = bytearray(struct.pack("=IIQ", len(references), 0, 0))
    for reference in references:
        ask += struct.pack("=II", domain, reference)
    fcntl.ioctl(device, _MAP_GRANTS, ask)
    (index,) = struct.unpack_from("=Q", ask, 8)
    return mmap.mmap(
        device,
        len(references) * _PAGE,
        mmap.MAP_SHARED,
        mmap.PROT_READ | mmap.PROT_WRITE,
        offset=index,
    )
