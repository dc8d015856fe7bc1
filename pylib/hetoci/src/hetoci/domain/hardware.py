# SPDX-License-Identifier: MIT
"""What a domain gets of the board: pages, interrupts, and a device tree that tells its kernel.

By `vm.hwConfig` of config.json, as far as the operator's lists allow, and by the image's
accelerators (docs/spec/devices.md, 5). Nothing is changed here.
"""

from __future__ import annotations

from .. import fdt, inventory, overlay
from ..designs import DesignNode
from ..devicetree import LiveTree
from ..errors import BundleError, PolicyDenied
from ..fabric import xen_number
from ..host import explain
from ..model import MemoryRange, span
from ..workloads import PageRange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..assign import Placement
    from ..config import Config
    from ..contents import Content
    from ..fabric import Fabric
    from ..host import Host
    from ..workloads import AcceleratorRequest, VmConfig
    from .plan import Plan

#: The guest's interrupt controller in its tree (xen/include/public/arch-arm.h, GUEST_PHANDLE_GIC).
_GIC = 65000

#: Where Xen puts what it gives a guest itself: devices and tables, and memory from here up (the
#: same header, GUEST_VIRTIO_MMIO_BASE to GUEST_MAGIC_BASE, and GUEST_RAM0_BASE).
_DEVICES, _MEMORY = range(0x02000000, 0x3A000000), 0x40000000

#: Most pages of the board's memory that `vm` may give one domain.
_MOST_PAGES = 4096

#: Largest partial device tree, bytes.
_TREE_LIMIT = 1 << 20

#: The compatible that hetoci's kernel for domains has a driver for (UIO_PDRV_GENIRQ).
UIO = "generic-uio"

#: Of a design's node, what means something in dom0's tree only, or is written anew.
_LEFT_OUT = frozenset(
    ("clock-names", "clocks", "interrupt-parent", "interrupts", "phandle", "reg", "status")
)


class Hardware:
    """pages: of the board, and where the guest has them; irqs: as xl counts; dtdevs: for an IOMMU;
    tree: partial device tree or None; nodes: by accelerator, as the guest has them; whole: further
    pages that `vm` takes, the first ones of what it names parts of; memory: that `vm` names, to be
    cleared."""

    __slots__ = ("dtdevs", "irqs", "memory", "nodes", "pages", "tree", "whole")

    def __init__(self) -> None:
        self.pages: list[PageRange] = []
        self.irqs: list[int] = []
        self.dtdevs: tuple[str, ...] = ()
        self.tree: fdt.Node | None = None
        self.nodes: dict[str, list[DesignNode]] = {}
        self.whole: set[int] = set()
        self.memory: list[MemoryRange] = []


# vm of config.json


def of_vm(host: Host, settings: Config, vm: VmConfig | None) -> Hardware:
    """What vm.hwConfig assigns, if the operator lists it and it is nobody's. Raises PolicyDenied
    with every reason, BundleError."""
    found = Hardware()
    if vm is None:
        return found
    reasons = []
    if sum(pages.count for pages in vm.iomems) > _MOST_PAGES:
        reasons.append(f"more than {_MOST_PAGES} pages of memory")
    for pages in vm.iomems:
        first, end = pages.first << 12, (pages.first + pages.count) << 12
        if not any(low <= first and end - 1 <= high for low, high in settings.domain_iomem):
            reasons.append(f"memory {span(first, end)} is not in the operator's domain-iomem")
    for irq in vm.irqs:
        if not any(low <= irq <= high for low, high in settings.domain_irqs):
            reasons.append(f"interrupt {irq} is not in the operator's domain-irqs")
    for node in vm.dtdevs:
        if node not in settings.domain_dtdevs:
            reasons.append(f"device {node} is not in the operator's domain-dtdevs")
    if vm.iomems and not reasons:
        from . import board

        told = board.look(host, vm.iomems)
        reasons, found.whole = told.reasons, told.whole
        found.memory = [
            MemoryRange("vm", low << 12, high - low << 12)
            for low, high in _merged([(page << 12, page + 1 << 12) for page in told.memory])
        ]
    if reasons:
        raise PolicyDenied("hardware that the domain may not have", reasons)
    found.pages = list(vm.iomems)
    found.irqs = list(vm.irqs)
    found.dtdevs = vm.dtdevs
    if vm.device_tree:
        found.tree = _tree(host, vm.device_tree)
    return found


def _tree(host: Host, path: str) -> fdt.Node:
    where = f"vm.hwConfig.deviceTree in config.json: {path}"
    try:
        blob = host.read(path, _TREE_LIMIT)
    except OSError as error:
        raise BundleError(f"{where}: {explain(error)}") from error
    tree = fdt.parse(blob, where)
    if tree.child("passthrough") is None:
        raise BundleError(f"{where} has no node /passthrough, which is all that a domain gets")
    return tree


def claims_of(host: Host, vm: VmConfig, found: Hardware) -> list[str]:
    """Keys of the claims on what `vm` assigns: one a page and interrupt, the slots that the pages
    are of, and, where a slot is not there yet because its shell is not, the first page of its
    windows, which whoever gets the slot has to claim."""
    pages = {page for p in vm.iomems for page in range(p.first, p.first + p.count)}
    keys = [f"iomem.{page:#x}" for page in pages | found.whole]
    keys += [f"irq.{irq}" for irq in set(vm.irqs)]
    for fabric in inventory.fabrics(host) if pages else ():
        ranges = [*(fabric.windows or ()), *fabric.memory]
        own = {page for r in ranges for page in range(r.first >> 12, -(-r.end >> 12))}
        if fabric.for_domains and own & pages:
            keys.append(fabric.key)
    return keys


# accelerators


def add(
    host: Host,
    found: Hardware,
    requests: Sequence[AcceleratorRequest],
    placement: Placement,
    contents: dict[str, Content],
    *,
    linux: bool,
) -> None:
    """Give the domain the slots of `requests`. linux: the guest is hetoci's kernel. Raises
    PolicyDenied with every reason."""
    found.tree = found.tree or fdt.Node("")
    reasons: list[str] = []
    for request in requests:
        fabric, content = placement.chosen[request.name], contents[request.name]
        try:
            found.nodes[request.name] = _pass(host, found, fabric, content, linux)
        except BundleError as error:
            reasons.append(f"{request.name}: {error}")
    if reasons:
        raise PolicyDenied("the image's accelerators cannot be given to a domain", reasons)


def _pass(
    host: Host, found: Hardware, fabric: Fabric, content: Content, linux: bool
) -> list[DesignNode]:
    blob = content.programming.overlay
    if not blob:
        raise BundleError("without an overlay there is nothing to tell the domain's kernel")
    parsed = overlay.parse(blob, fabric.name)
    by_name = {node.name.partition("@")[0]: path for path, node in parsed.nodes()}
    tree = LiveTree(host)
    ranges = [(memory.first, memory.end) for memory in fabric.memory]
    nodes = []
    for name in content.main_nodes:
        path = by_name[name]
        windows = overlay.windows(parsed, path, fabric, tree)
        lines = _lines(parsed.by_path[path], name)
        nodes.append(_guest_node(found, parsed.by_path[path], windows, lines))
        ranges += [_whole_pages(fabric, name, *window) for window in windows]
        found.irqs += [xen_number(line) for line in lines]
        if linux and UIO not in nodes[-1].compatible:
            raise BundleError(
                f"node {name} is not compatible with {UIO}, the only driver of hetoci's kernel for"
                " domains"
            )
    found.pages += [PageRange(first, end - first, first) for first, end in _merged(ranges)]
    return nodes


def _lines(node: fdt.Node, name: str) -> list[tuple[int, ...]]:
    """The interrupts of a node, three cells each."""
    words = fdt.cells(node.properties.get("interrupts", b""))
    lines = [words[at : at + 3] for at in range(0, len(words), 3)]
    for line in lines:
        if not xen_number(line):
            raise BundleError(f"interrupt {line} of node {name} is no shared one of a GIC")
    return lines


def _whole_pages(fabric: Fabric, name: str, first: int, size: int) -> tuple[int, int]:
    low, high = first & ~0xFFF, (first + size + 0xFFF) & ~0xFFF
    if not any(r.first <= low and high <= r.end for r in (*(fabric.windows or ()), *fabric.memory)):
        raise BundleError(
            f"the pages of {span(first, first + size)} of node {name} hold more than"
            f" {fabric.name} has"
        )
    return low, high


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pages of `ranges` (addresses), each once: (first, end)."""
    found: list[tuple[int, int]] = []
    for low, high in sorted((low >> 12, -(-high >> 12)) for low, high in ranges):
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


def _guest_node(
    found: Hardware,
    node: fdt.Node,
    windows: Sequence[tuple[int, int]],
    lines: Sequence[tuple[int, ...]],
) -> DesignNode:
    """Add a design's node to the guest's tree. Raises BundleError."""
    bare = node.name.partition("@")[0]
    name = f"{bare}@{windows[0][0]:x}" if windows else node.name
    if node.children:
        raise BundleError(f"node {bare} has nodes below it, which a domain cannot be given")
    place = _passthrough(found)
    if place.child(name):
        raise BundleError(f"there is a node /passthrough/{name} already")
    widths = [
        (fdt.cells(place.properties.get(key, b"")) or (default,))[0]
        for key, default in (("#address-cells", 2), ("#size-cells", 1))
    ]
    properties = {k: v for k, v in node.properties.items() if k not in _LEFT_OUT}
    if windows:
        words = [word for window in windows for word in _cells(window, widths)]
        properties["reg"] = fdt.from_cells(*words)
    if lines:
        properties["interrupt-parent"] = fdt.from_cells(_GIC)
        properties["interrupts"] = fdt.from_cells(*(word for line in lines for word in line))
    place.add(name, properties)
    compatible = fdt.strings(properties.get("compatible", b""))
    return DesignNode(name, compatible, windows, len(lines), ())


def _cells(window: tuple[int, int], widths: Sequence[int]) -> Iterator[int]:
    for value, width in zip(window, widths, strict=True):
        if value >> 32 * width:
            raise BundleError(f"0x{value:x} does not fit the {width} cells of /passthrough")
        yield from (value >> 32 * n & 0xFFFFFFFF for n in range(width - 1, -1, -1))


def _passthrough(found: Hardware) -> fdt.Node:
    found.tree = found.tree or fdt.Node("")
    place = found.tree.child("passthrough")
    if place is None:
        two = fdt.from_cells(2)
        for name in ("#address-cells", "#size-cells"):
            found.tree.properties.setdefault(name, two)
        bus = {"compatible": fdt.from_strings("simple-bus"), "ranges": b""}
        place = found.tree.add("passthrough", {**bus, "#address-cells": two, "#size-cells": two})
    return place


# into the plan


def settle(found: Hardware, plan: Plan) -> None:
    """Put it into the plan. Raises BundleError if it cannot be in one domain."""
    memory = int(str(plan.settings["memory"])) << 20
    taken = (_DEVICES, range(_MEMORY, _MEMORY + memory))
    used: set[int] = set()
    for pages in found.pages:
        guest = range(pages.guest, pages.guest + pages.count)
        first, end = guest.start << 12, guest.stop << 12
        if any(first < other.stop and other.start < end for other in taken):
            words = " and ".join(span(other.start, other.stop) for other in taken)
            raise BundleError(
                f"{span(first, end)} of the domain's addresses is taken: {words} is Xen's devices"
                " and the domain's memory"
            )
        if used.intersection(guest):
            raise BundleError(f"{span(first, end)} in the domain is given twice")
        used.update(guest)
    if len(set(found.irqs)) < len(found.irqs):
        raise BundleError("an interrupt is given to the domain twice")
    if found.pages:
        plan.settings["iomem"] = [f"{p.first:#x},{p.count:x}@{p.guest:#x}" for p in found.pages]
    if found.irqs:
        plan.settings["irqs"] = list(found.irqs)
    if found.dtdevs:
        plan.settings["dtdev"] = list(found.dtdevs)
    if found.tree is not None:
        plan.files["device_tree"] = fdt.build(found.tree)
