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

#: Deepest node that a walk down the tree looks at.
MAX_DEPTH = 8


class ReadOnce:
    """A context in which each property is read once and each node listed once, for as long as
    nobody of ours changes the tree: what has many descendants is asked for the same things by all
    of them. One within another is part of it."""

    __slots__ = ("_host", "_outer")

    def __init__(self, host: Host) -> None:
        self._host = host

    def __enter__(self) -> None:
        self._outer = ReadOnce in self._host.memory
        self._host.memory.setdefault(ReadOnce, {})

    def __exit__(self, *_: object) -> None:
        if not self._outer:
            del self._host.memory[ReadOnce]


def raw(host: Host, node: str, name: str) -> bytes | None:
    """The property's bytes, None if the node has no such property."""
    seen: dict[tuple[str, str], bytes | None] | None = host.memory.get(ReadOnce)
    if seen is None:
        return _read(host, node, name)
    if (node, name) not in seen:
        seen[node, name] = _read(host, node, name)
    return seen[node, name]


def children(host: Host, node: str) -> list[str]:
    """The names of the nodes in `node`."""
    seen: dict[str, list[str]] | None = host.memory.get(ReadOnce)
    if seen is None:
        return host.subdirectories(node)
    if node not in seen:
        seen[node] = host.subdirectories(node)
    return seen[node]


def _read(host: Host, node: str, name: str) -> bytes | None:
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
    words = cells(host, node, "reg")
    return [
        (address, size)
        for address, size in _tuples(
            words, _width(host, parent, "#address-cells", 2), _width(host, parent, "#size-cells", 1)
        )
    ]


def _width(host: Host, node: str, name: str, default: int) -> int:
    return (cells(host, node, name) or (default,))[0]


def _tuples(words: tuple[int, ...], *widths: int) -> list[tuple[int, ...]]:
    """`words` divided into tuples of numbers of so many cells each."""
    whole = sum(widths)
    found = []
    for at in range(0, len(words) - whole + 1, whole) if whole else ():
        numbers = []
        for width in widths:
            numbers.append(number(words[at : at + width]))
            at += width
        found.append(tuple(numbers))
    return found


def ranges(host: Host, node: str) -> list[tuple[int, int, int]] | None:
    """The (child address, parent address, size) triples of `ranges`; [] where it is empty,
    which means that addresses stay as they are, None where it is absent."""
    value = raw(host, node, "ranges")
    if value is None:
        return None
    parent = node.rpartition("/")[0]
    words = struct.unpack(f">{len(value) // 4}I", value[: len(value) // 4 * 4])
    return [
        (child, above, size)
        for child, above, size in _tuples(
            words,
            _width(host, node, "#address-cells", 2),
            _width(host, parent, "#address-cells", 2),
            _width(host, node, "#size-cells", 1),
        )
    ]


def translate(host: Host, node: str, address: int) -> int | None:
    """The physical address of `address` as written in a child of `node`; None if a bus on the
    way up does not pass it."""
    while node.startswith(f"{BASE}/"):
        windows = ranges(host, node)
        if windows is None:
            return None
        if windows:
            hit = next((w for w in windows if w[0] <= address < w[0] + w[2]), None)
            if hit is None:
                return None
            address += hit[1] - hit[0]
        node = node.rpartition("/")[0]
    return address


def number(words: tuple[int, ...]) -> int:
    """The number that `words`, the most significant first, make."""
    value = 0
    for word in words:
        value = value << 32 | word
    return value


def by_phandle(host: Host, phandle: int, below: str) -> str | None:
    """The node with `phandle` among the descendants of `below`, None if there is none. The
    nearest ones are looked at first: what is referred to mostly lies high in the tree.

    What was seen on the way is remembered, and looked at again before it is believed: overlays
    come and go."""
    seen: dict[int, str] = host.memory.setdefault("phandles", {})
    node = seen.get(phandle, "")
    if node.startswith(f"{below}/") and cells(host, node, "phandle") == (phandle,):
        return node
    level = [below]
    for _ in range(MAX_DEPTH):
        level = [f"{node}/{name}" for node in level for name in children(host, node)]
        for node in level:
            found = cells(host, node, "phandle")
            if len(found) == 1:
                seen[found[0]] = node
            if found == (phandle,):
                return node
    return None


class LiveTree:
    """The kernel's tree by its own paths, such as /fpga-region/slot0."""

    __slots__ = ("_found", "host")

    def __init__(self, host: Host) -> None:
        self.host = host
        self._found: dict[int, str | None] = {}

    def cells(self, path: str, name: str) -> tuple[int, ...]:
        """A property made of cells; empty if absent."""
        return cells(self.host, BASE + path, name)

    def label(self, name: str) -> str | None:
        """The path of the node with the label `name`, None if the tree knows no such label.

        Labels are there only if the tree was compiled with them (dtc -@)."""
        found = strings(self.host, f"{BASE}/__symbols__", name)
        return found[0] if found and "/" not in name else None

    def node(self, phandle: int) -> str | None:
        """The path of the node with `phandle`."""
        if phandle not in self._found:
            found = by_phandle(self.host, phandle, BASE)
            self._found[phandle] = found[len(BASE) :] if found else None
        return self._found[phandle]

    def interrupt_parent(self, path: str) -> str | None:
        """The node that interrupts of `path` go to: its own or the nearest inherited
        interrupt-parent (Devicetree Specification 0.4, 2.4)."""
        while True:
            found = self.cells(path, "interrupt-parent")
            if found or not path:
                return self.node(found[0]) if found else None
            path = path.rpartition("/")[0]

    def interrupt_cells(self, controller: str | None) -> int:
        """Cells of one interrupt of `controller`; 1 where there is none or it does not say."""
        return (self.cells(controller, "#interrupt-cells") or (1,))[0] if controller else 1

    def clocks(self, path: str) -> list[tuple[str, tuple[int, ...]]]:
        """(provider's path, arguments) of each clock of `path`; what leads nowhere ends it."""
        words = self.cells(path, "clocks")
        found = []
        while words:
            provider = self.node(words[0])
            if provider is None:
                break
            count = (self.cells(provider, "#clock-cells") or (0,))[0]
            found.append((provider, words[1 : 1 + count]))
            words = words[1 + count :]
        return found

    def clock_rates(self, path: str) -> dict[str, int]:
        """Rates in Hz of the clocks of `path` whose rate the tree fixes, by name."""
        names = strings(self.host, BASE + path, "clock-names")
        rates = {}
        for number, (provider, _) in enumerate(self.clocks(path)):
            rate = self.cells(provider, "clock-frequency")
            if rate:
                rates[names[number] if number < len(names) else f"clock{number}"] = rate[0]
        return rates
