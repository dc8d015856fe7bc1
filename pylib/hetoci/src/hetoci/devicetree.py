# SPDX-License-Identifier: MIT
"""Reading the flattened device tree that the kernel shows as directories.

Properties are big-endian (Devicetree Specification 0.4, chapter 2). A tree that does not
have what is looked for gives None or nothing: the kernel's drivers are the judges of it.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .host import Host

BASE = "/sys/firmware/devicetree/base"

#: Deepest node looked at when a phandle is searched.
_MAX_DEPTH = 8


def raw(host: Host, node: str, name: str) -> bytes | None:
    """The property's bytes, None if the node has no such property."""
    try:
        return host.read(f"{node}/{name}", 1 << 16)
    except OSError:
        return None


def strings(host: Host, node: str, name: str) -> tuple[str, ...]:
    """A <stringlist> property; empty if absent."""
    value = raw(host, node, name) or b""
    return tuple(part.decode("ascii", "replace") for part in value.split(b"\0") if part)


def cells(host: Host, node: str, name: str) -> tuple[int, ...]:
    """A property made of 32-bit cells; empty if absent."""
    value = raw(host, node, name) or b""
    return struct.unpack(f">{len(value) // 4}I", value[: len(value) // 4 * 4])


def reg(host: Host, node: str) -> list[tuple[int, int]]:
    """The (address, size) pairs of `reg`, as the parent's #address-cells and #size-cells
    (2 and 1 where absent) divide it; not translated through `ranges`."""
    parent = node.rpartition("/")[0]
    address_cells = (cells(host, parent, "#address-cells") or (2,))[0]
    size_cells = (cells(host, parent, "#size-cells") or (1,))[0]
    width = address_cells + size_cells
    words = cells(host, node, "reg")
    if not width:
        return []
    pairs = []
    for at in range(0, len(words) - width + 1, width):
        address = _number(words[at : at + address_cells])
        pairs.append((address, _number(words[at + address_cells : at + width])))
    return pairs


def _number(words: tuple[int, ...]) -> int:
    value = 0
    for word in words:
        value = value << 32 | word
    return value


def by_phandle(host: Host, phandle: int, below: str) -> str | None:
    """The node with `phandle` among the descendants of `below`, None if there is none."""
    return _search(host, phandle, below, _MAX_DEPTH)


def _search(host: Host, phandle: int, node: str, depth: int) -> str | None:
    for name in host.listing(node):
        child = f"{node}/{name}"
        if not host.is_directory(child):
            continue
        if cells(host, child, "phandle") == (phandle,):
            return child
        found = _search(host, phandle, child, depth - 1) if depth else None
        if found:
            return found
    return None
