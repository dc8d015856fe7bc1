# SPDX-License-Identifier: MIT
"""The resource table: what a firmware asks of the kernel before it starts.

Source: include/linux/rsc_table.h and the handlers in drivers/remoteproc/remoteproc_core.c
(remoteproc_virtio.c for vrings). Pure functions on bytes.
"""

from __future__ import annotations

import struct

from .errors import BundleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CARVEOUT, DEVMEM, TRACE, VDEV = range(4)
TYPE_NAMES = {CARVEOUT: "carve-out", DEVMEM: "device memory", TRACE: "trace buffer", VDEV: "vdev"}

#: "Let the kernel choose" (FW_RSC_ADDR_ANY).
ANY = 0xFFFFFFFF

#: The kernel supports two vrings a virtio device (RVDEV_NUM_VRINGS).
MAX_VRINGS = 2

#: More entries than any firmware has; bounds the work on a hostile table.
MAX_ENTRIES = 256

#: Name of the trace buffer that is no log but holds `exit N` or `fault REASON` at the end.
EXIT_RECORD = "hetoci-exit"

_HEAD = struct.Struct("<IIII")
_MEMORY = struct.Struct("<IIIII32s")  # carve-out and device memory
_TRACE = struct.Struct("<III32s")
_VDEV = struct.Struct("<IIIIIBB2s")
_VRING = struct.Struct("<IIIII")


class Entry:
    """A request for the range address..address+size-1 (address ANY: wherever)."""

    __slots__ = ("address", "index", "kind", "name", "size")

    def __init__(self, index: int, kind: int, address: int, size: int, name: str) -> None:
        self.index = index
        self.kind = kind
        self.address = address
        self.size = size
        self.name = name

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"resource table entry {self.index} ({TYPE_NAMES[self.kind]}{name})"


class ResourceTable:
    """The entries that concern us, in the table's order."""

    __slots__ = ("entries",)

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)

    def traces(self) -> list[Entry]:
        """The trace buffers; the n-th is debugfs' `trace<n>`."""
        return [entry for entry in self.entries if entry.kind == TRACE]


def parse(table: bytes, where: str) -> ResourceTable:
    """Parse the content of `.resource_table`. Raises BundleError for what Linux refuses."""
    if len(table) < _HEAD.size:
        raise BundleError(f"{where}: the resource table is too short ({len(table)} bytes)")
    version, count, *reserved = _HEAD.unpack_from(table)
    if version != 1:
        raise BundleError(f"{where}: resource table version {version} is unknown, 1 is meant")
    if any(reserved):
        raise BundleError(f"{where}: reserved words of the resource table are not zero")
    if count > MAX_ENTRIES or _HEAD.size + 4 * count > len(table):
        raise BundleError(
            f"{where}: the resource table claims {count} entries and has {len(table)} bytes"
        )
    offsets = struct.unpack_from(f"<{count}I", table, _HEAD.size)
    entries: list[Entry] = []
    for index, offset in enumerate(offsets):
        if not _HEAD.size <= offset <= len(table) - 4:
            raise BundleError(
                f"{where}: resource table entry {index} lies at offset {offset}, outside the"
                f" table of {len(table)} bytes"
            )
        (kind,) = struct.unpack_from("<I", table, offset)
        try:
            entries.extend(_entry(index, kind, table, offset + 4))
        except struct.error:
            raise BundleError(
                f"{where}: resource table entry {index} ({TYPE_NAMES[kind]}) is truncated"
            ) from None
        except ValueError as error:
            raise BundleError(f"{where}: resource table entry {index} {error}") from None
    return ResourceTable(entries)


def _name(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("ascii", "replace")


def _entry(index: int, kind: int, table: bytes, at: int) -> list[Entry]:
    """The entry's own range, and for a vdev those of its vrings (ValueError: a bad value)."""
    if kind in (CARVEOUT, DEVMEM):
        da, _pa, size, _flags, reserved, name = _MEMORY.unpack_from(table, at)
        _reserved_zero(reserved)
        return [Entry(index, kind, da, size, _name(name))]
    if kind == TRACE:
        da, size, reserved, name = _TRACE.unpack_from(table, at)
        _reserved_zero(reserved)
        return [Entry(index, kind, da, size, _name(name))]
    if kind == VDEV:
        return _vdev(index, table, at)
    return []  # vendor entries and unknown ones: the driver's business, Linux only warns


def _vdev(index: int, table: bytes, at: int) -> list[Entry]:
    fields = _VDEV.unpack_from(table, at)
    config_length, count, reserved = fields[4], fields[6], fields[7]
    _reserved_zero(any(reserved))
    if count > MAX_VRINGS:
        raise ValueError(f"has {count} vrings, Linux supports {MAX_VRINGS}")
    if at + _VDEV.size + count * _VRING.size + config_length > len(table):
        raise struct.error
    entries = []
    for number in range(count):
        da, align, num, _notify, _pa = _VRING.unpack_from(
            table, at + _VDEV.size + number * _VRING.size
        )
        if not num or num & (num - 1) or not align or align & (align - 1):
            raise ValueError(
                f"has vring {number} with {num} buffers aligned to {align}; both must be"
                " powers of two"
            )
        entries.append(Entry(index, VDEV, da, _vring_size(num, align), f"vring{number}"))
    return entries


def _reserved_zero(value: object) -> None:
    if value:
        raise ValueError("has reserved fields that are not zero")


def _vring_size(num: int, align: int) -> int:
    """Bytes of a split virtqueue (virtio 1.x, 2.7), rounded up to a page as Linux does."""
    rings = 16 * num + 2 * (3 + num)
    size = (rings + align - 1) // align * align + 2 * 3 + 8 * num
    return (size + 4095) // 4096 * 4096
