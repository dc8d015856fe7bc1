# SPDX-License-Identifier: MIT
"""Whose the pages of the board are, by the device tree that Xen left to dom0.

Xen marks what it keeps for domains as disabled. All else in the tree is in use: by dom0's drivers,
as memory, or by firmware and cores that memory is reserved for.
"""

from __future__ import annotations

from .. import devicetree
from ..devicetree import BASE
from ..model import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..host import Host
    from ..workloads import PageRange


class Area:
    """Pages first..end-1 that a node has some of. free: Xen keeps it for domains; general: memory,
    or reserved memory, in which a device may lie."""

    __slots__ = ("end", "first", "free", "general", "node")

    def __init__(self, node: str, first: int, end: int, *, free: bool) -> None:
        self.node = node
        self.first = first
        self.end = end
        self.free = free
        self.general = node.startswith(("/memory@", "/memory/", "/reserved-memory/"))

    def holds(self, page: int) -> bool:
        """True if the page is one of these."""
        return self.first <= page < self.end


def areas(host: Host) -> list[Area]:
    """What the tree says of addresses."""
    with devicetree.ReadOnce(host):
        return list(_below(host, BASE, free=False, depth=0))


def _below(host: Host, parent: str, *, free: bool, depth: int) -> Iterator[Area]:
    for name in host.subdirectories(parent) if depth < devicetree.MAX_DEPTH else ():
        node = f"{parent}/{name}"
        # What lies below a disabled node is not dom0's either.
        own = free or devicetree.strings(host, node, "status") == ("disabled",)
        for address, size in devicetree.reg(host, node):
            first = devicetree.translate(host, parent, address) if size else None
            if first is not None:
                end = -(-(first + size) >> 12)
                yield Area(node[len(BASE) :], first >> 12, end, free=own)
        yield from _below(host, node, free=own, depth=depth + 1)


class Findings:
    """reasons: why a domain cannot have some pages; whole: the first pages of all that is for
    domains and has one of them, so that whoever claims those has claimed it whole; memory: those
    of the pages that are memory, in which somebody else may have left something."""

    __slots__ = ("memory", "reasons", "whole")

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.whole: set[int] = set()
        self.memory: set[int] = set()


def look(host: Host, wanted: Sequence[PageRange]) -> Findings:
    """What the tree says of the pages `wanted`."""
    found = areas(host)
    told = Findings()
    for pages in wanted:
        end = pages.first + pages.count
        near = [area for area in found if area.first < end and pages.first < area.end]
        for page in range(pages.first, end) if near else ():
            here = [area for area in near if area.holds(page)]
            free = [area for area in here if area.free]
            others = [area for area in here if not area.free and not _is_above(area, free)]
            if free and any(area.general for area in others):
                told.memory.add(page)
                others = [area for area in others if not area.general]
            for area in others:
                where = span(area.first << 12, area.end << 12)
                reason = f"memory {where} is in use: {area.node} of dom0's device tree"
                if reason not in told.reasons:
                    told.reasons.append(reason)
            nodes = {area.node for area in free}
            told.whole.update(area.first for area in found if area.node in nodes)
    return told


def _is_above(area: Area, others: Sequence[Area]) -> bool:
    return any(other.node.startswith(f"{area.node}/") for other in others)
