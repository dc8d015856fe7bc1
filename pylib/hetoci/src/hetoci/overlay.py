# SPDX-License-Identifier: MIT
"""Device-tree overlays of accelerators: what an image may say, and what the kernel gets.

An image's overlay is parsed and held to rule S7 of docs/spec/security.md; the kernel gets a new
one, made of what passed: bound to the claimed region by its path, without labels of its own.
Format of overlays: kernel, Documentation/devicetree/overlay-notes.rst and dtc's
dt-object-internal.txt (`__fixups__`, `__local_fixups__`).
"""

from __future__ import annotations

from . import fdt
from .devicetree import number
from .errors import BundleError
from .metadata import matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .devicetree import LiveTree
    from .fabric import Fabric

#: What an overlay may set of the region itself (fpga/fpga-region.yaml). Of these, the flags
#: and the firmware's name are replaced by the runtime's.
REGION_PROPERTIES = frozenset(
    (
        "#address-cells",
        "#size-cells",
        "config-complete-timeout-us",
        "encrypted-fpga-config",
        "firmware-name",
        "partial-fpga-config",
        "region-freeze-timeout-us",
        "region-unfreeze-timeout-us",
    )
)

#: What a node of a design may have, beside properties with a vendor's prefix.
NODE_PROPERTIES = frozenset(
    (
        "#address-cells",
        "#clock-cells",
        "#gpio-cells",
        "#size-cells",
        "clock-names",
        "clocks",
        "compatible",
        "gpio-controller",
        "interrupt-names",
        "interrupt-parent",
        "interrupts",
        "label",
        "phandle",
        "ranges",
        "reg",
        "reg-names",
        "status",
    )
)

#: How many faults of one overlay a message names.
_MAX_REASONS = 16

#: The properties in which a reference to another node may stand.
_REFERENCES = frozenset(("clocks", "interrupt-parent"))


class Overlay:
    """An overlay with one fragment: `body` is its content, `label` or `path` its target."""

    __slots__ = (
        "body",
        "by_path",
        "fragment",
        "label",
        "local",
        "offsets",
        "outside",
        "path",
        "where",
    )

    def __init__(self, root: fdt.Node, where: str) -> None:
        self.where = where
        fragments = [child for child in root.children if child.child("__overlay__")]
        if len(fragments) != 1:
            raise BundleError(
                f"overlay {where} has {len(fragments)} fragments, one is needed, for its region"
            )
        self.fragment = fragments[0].name
        self.body = fragments[0].child("__overlay__") or fdt.Node("")
        self.by_path = dict(self.body.walk())
        #: (path below __overlay__, property, offset) -> label of the node referred to
        self.outside = dict(_outside(root, where))
        #: the same places, for references to nodes of the overlay
        self.local = set(_local(root, self.fragment))
        self.label = self.outside.pop((f"/{self.fragment}", "target", 0), "")
        #: (path below __overlay__, property) -> offsets of all of them
        self.offsets: dict[tuple[str, str], set[int]] = {}
        for place, name, offset in (*self.outside, *self.local):
            self.offsets.setdefault((place, name), set()).add(offset)
        path = fragments[0].properties.get("target-path", b"")
        self.path = (fdt.strings(path) or ("",))[0]

    def nodes(self) -> Iterator[tuple[str, fdt.Node]]:
        """The design's nodes, with their paths below the region."""
        return ((path, node) for path, node in self.by_path.items() if path)

    def main_nodes(self) -> list[str]:
        """Names, without unit address, of the nodes that a driver could bind to."""
        return [
            node.name.partition("@")[0]
            for _, node in self.nodes()
            if fdt.strings(node.properties.get("compatible", b""))
        ]

    def inside(self, path: str) -> str:
        """The path below the region of the overlay's absolute `path`, "?" if elsewhere."""
        base = f"/{self.fragment}/__overlay__"
        return path[len(base) :] if path == base or path.startswith(f"{base}/") else "?"


def _outside(root: fdt.Node, where: str) -> Iterator[tuple[tuple[str, str, int], str]]:
    fixups = root.child("__fixups__")
    for label, value in fixups.properties.items() if fixups else ():
        for place in fdt.strings(value):
            path, _, rest = place.partition(":")
            name, _, offset = rest.partition(":")
            if not offset.isdecimal() or len(offset) > 8:
                raise BundleError(f"overlay {where} has the fixup {place[:80]!r} for {label}")
            yield (path, name, int(offset)), label


def _local(root: fdt.Node, fragment: str) -> Iterator[tuple[str, str, int]]:
    top = root.child("__local_fixups__")
    for path, node in top.walk() if top else ():
        for name, value in node.properties.items():
            for offset in fdt.cells(value):
                yield (path, name, offset)


def parse(blob: bytes, where: str) -> Overlay:
    """The overlay in `blob`. Raises BundleError naming `where` if it is none, or has more
    than one fragment."""
    return Overlay(fdt.parse(blob, f"overlay {where}"), where)


# what S7 asks for


def objections(
    overlay: Overlay, fabric: Fabric, tree: LiveTree, compatibles: Sequence[str]
) -> list[str]:
    """Every reason why `overlay` must not be applied to `fabric`; empty if it may.

    compatibles: the operator's globs of compatibles that nodes may have.
    """
    reasons = [*_target(overlay, fabric, tree), *own_objections(overlay)]
    for path, node in overlay.nodes():
        name = path.lstrip("/")
        reasons += [f"node {name}: {reason}" for reason in _compatible(node, compatibles)]
        reasons += [f"node {name}: {reason}" for reason in _addresses(overlay, path, fabric, tree)]
        reasons += [f"node {name}: {reason}" for reason in _interrupts(overlay, path, fabric, tree)]
        reasons += [f"node {name}: {reason}" for reason in _clocks(overlay, path, fabric, tree)]
    if len(reasons) > _MAX_REASONS:  # who makes an overlay of a million faults needs no list
        reasons[_MAX_REASONS:] = [f"and {len(reasons) - _MAX_REASONS} more"]
    return [f"overlay {overlay.where}: {reason}" for reason in reasons]


def own_objections(overlay: Overlay) -> list[str]:
    """Those of the reasons that no board is needed for."""
    reasons = [*_region(overlay), *_fixups(overlay)]
    for path, node in overlay.nodes():
        reasons += [f"node {path.lstrip('/')}: {reason}" for reason in _properties(node)]
    return reasons


def _target(overlay: Overlay, fabric: Fabric, tree: LiveTree) -> list[str]:
    if overlay.label:
        found = tree.label(overlay.label)
        what = f"&{overlay.label}"
        if found is None:
            return [f"its target {what} does not exist on this board"]
    else:
        found = what = overlay.path
    if found != fabric.place:
        return [f"its target is {what or 'missing'}, it has to be its region {fabric.place}"]
    return []


def _region(overlay: Overlay) -> list[str]:
    return [
        f"it sets {name} of the region, which is not an accelerator's to set"
        for name in overlay.body.properties
        if name not in REGION_PROPERTIES
    ]


def _fixups(overlay: Overlay) -> list[str]:
    """A fixup writes a number into a property: nowhere but where a reference belongs."""
    reasons = []
    for path, name, offset in [*overlay.outside, *sorted(overlay.local)]:
        inside = overlay.inside(path)
        node = overlay.by_path.get(inside) if inside else None
        size = len(node.properties.get(name, b"")) if node else 0
        if name not in _REFERENCES or offset % 4 or offset + 4 > size:
            reasons.append(f"it refers to another node in {path}:{name}, offset {offset}")
    return reasons


def _properties(node: fdt.Node) -> list[str]:
    reasons = []
    for name, value in node.properties.items():
        if name not in NODE_PROPERTIES and "," not in name:
            reasons.append(f"property {name} is not one that an accelerator may have")
        if name == "ranges" and value:
            reasons.append("ranges has to be empty")
    return reasons


def _compatible(node: fdt.Node, globs: Sequence[str]) -> list[str]:
    return [
        f"compatible {word!r} is not among those allowed ({' '.join(globs) or 'none'})"
        for word in fdt.strings(node.properties.get("compatible", b""))
        if not matches(word, globs)
    ]


def _parent(overlay: Overlay, path: str) -> fdt.Node:
    return overlay.by_path[path.rpartition("/")[0]]


def _count(overlay: Overlay, path: str, name: str, fabric: Fabric, tree: LiveTree) -> int:
    """#address-cells or #size-cells that hold for the node at `path`."""
    value = fdt.cells(_parent(overlay, path).properties.get(name, b""))
    if not value and path.count("/") == 1:
        value = tree.cells(fabric.place, name)
    return value[0] if value else (2 if name == "#address-cells" else 1)


def _reg(overlay: Overlay, path: str) -> tuple[int, ...]:
    """Cells of the node's `reg`; () also for numbers on a bus of the design's own."""
    words = fdt.cells(overlay.by_path[path].properties.get("reg", b""))
    above = path.rpartition("/")[0]
    return () if above and "ranges" not in _parent(overlay, path).properties else words


def windows(
    overlay: Overlay, path: str, fabric: Fabric, tree: LiveTree
) -> Sequence[tuple[int, int]]:
    """(first, size) of the addresses of a node of an overlay that has no objection."""
    words = _reg(overlay, path)
    if not words:  # then nobody has looked at the numbers of cells
        return []
    address_cells = _count(overlay, path, "#address-cells", fabric, tree)
    width = address_cells + _count(overlay, path, "#size-cells", fabric, tree)
    return [
        (number(words[at : at + address_cells]), number(words[at + address_cells : at + width]))
        for at in range(0, len(words), width)
    ]


def _addresses(overlay: Overlay, path: str, fabric: Fabric, tree: LiveTree) -> list[str]:
    words = _reg(overlay, path)
    if not words:
        return []
    if fabric.windows is None:
        return [f"the board's tree does not say which addresses belong to {fabric.name} (ranges)"]
    address_cells = _count(overlay, path, "#address-cells", fabric, tree)
    size_cells = _count(overlay, path, "#size-cells", fabric, tree)
    width = address_cells + size_cells
    if not 1 <= address_cells <= 2 or not 1 <= size_cells <= 2 or len(words) % width:
        return [f"reg has {len(words)} cells, {address_cells} + {size_cells} each are needed"]
    allowed = [*fabric.windows, *fabric.memory]
    reasons = []
    for at in range(0, len(words), width):
        first = number(words[at : at + address_cells])
        size = number(words[at + address_cells : at + width])
        if not size or not any(window.holds(first, size) for window in allowed):
            right = ", ".join(str(window) for window in allowed) or "nothing"
            reasons.append(
                f"reg 0x{first:x} with 0x{size:x} bytes lies outside of {fabric.name} ({right})"
            )
    return reasons


def _interrupts(overlay: Overlay, path: str, fabric: Fabric, tree: LiveTree) -> list[str]:
    node = overlay.by_path[path]
    reasons = []
    parent = tree.interrupt_parent(fabric.place)
    if "interrupt-parent" in node.properties:
        label = overlay.outside.get(_place(overlay, path, "interrupt-parent", 0), "")
        if not label or tree.label(label) != parent:
            reasons.append(
                f"interrupt-parent is {'&' + label if label else 'not a label'}; leave it out,"
                f" {fabric.name} has its own"
            )
    words = fdt.cells(node.properties.get("interrupts", b""))
    if not words:
        return reasons
    width = (tree.cells(parent, "#interrupt-cells") or (1,))[0] if parent else 1
    if fabric.interrupts is None:
        reasons.append(f"the board's tree does not say which interrupts {fabric.name} has")
        return reasons
    mine = {line[: max(1, width - 1)] for line in fabric.interrupts}
    for at in range(0, len(words), width):
        line = words[at : at + width]
        if line[: max(1, width - 1)] not in mine or len(line) != width:
            reasons.append(f"interrupt {line} is not one of {fabric.name}")
    return reasons


def _clocks(overlay: Overlay, path: str, fabric: Fabric, tree: LiveTree) -> list[str]:
    node = overlay.by_path[path]
    words = fdt.cells(node.properties.get("clocks", b""))
    mine = {(provider, *arguments) for provider, arguments in tree.clocks(fabric.place)}
    references = set(overlay.offsets.get(_place(overlay, path, "clocks", 0)[:2], ()))
    at = 0
    while at < len(words):
        references.discard(4 * at)
        label = overlay.outside.get(_place(overlay, path, "clocks", 4 * at))
        local = _place(overlay, path, "clocks", 4 * at) in overlay.local
        provider = tree.label(label) if label else None
        if not local and provider is None:
            return [f"clocks refers to {'&' + label if label else 'no label'} at cell {at}"]
        count = (tree.cells(provider, "#clock-cells") or (0,))[0] if provider else 0
        if provider and (provider, *words[at + 1 : at + 1 + count]) not in mine:
            return [f"clock &{label} is not one of {fabric.name}"]
        at += 1 + count
    if references:
        return [f"clocks has a reference in an argument, at cell {min(references) // 4}"]
    return []


def _place(overlay: Overlay, path: str, name: str, offset: int) -> tuple[str, str, int]:
    return (f"/{overlay.fragment}/__overlay__{path}", name, offset)


# what the kernel gets


def bind(
    overlay: Overlay | None,
    place: str,
    firmware: str,
    *,
    partial: bool,
    encrypted: bool,
    cells: tuple[int, int] = (2, 2),
) -> bytes:
    """The overlay that has the region at `place` programmed with `firmware` (a name in the
    kernel's search path), with the nodes of `overlay`, or without any.

    cells: #address-cells and #size-cells, if `overlay` does not set them.
    """
    root = fdt.Node("")
    fragment = root.add("fragment@0", {"target-path": fdt.from_strings(place)})
    body = fragment.add("__overlay__")
    if overlay:
        body.properties.update(overlay.body.properties)
        body.children = overlay.body.children
        _references(root, overlay)
    for name in ("partial-fpga-config", "encrypted-fpga-config"):
        body.properties.pop(name, None)
    body.properties["firmware-name"] = fdt.from_strings(firmware)
    if partial:
        body.properties["partial-fpga-config"] = b""
    if encrypted:
        body.properties["encrypted-fpga-config"] = b""
    for name, count in zip(("#address-cells", "#size-cells"), cells, strict=True):
        body.properties.setdefault(name, fdt.from_cells(count))
    return fdt.build(root)


def _references(root: fdt.Node, overlay: Overlay) -> None:
    places: dict[str, list[str]] = {}
    for (path, name, offset), label in overlay.outside.items():
        inside = overlay.inside(path)
        places.setdefault(label, []).append(f"/fragment@0/__overlay__{inside}:{name}:{offset}")
    if places:
        fixups = root.add("__fixups__")
        for label, found in places.items():
            fixups.properties[label] = fdt.from_strings(*found)
    if overlay.local:
        top = root.add("__local_fixups__")
        for path, name, offset in sorted(overlay.local):
            node = top
            for part in f"/fragment@0/__overlay__{overlay.inside(path)}".strip("/").split("/"):
                node = node.child(part) or node.add(part)
            value = node.properties.get(name, b"")
            node.properties[name] = value + fdt.from_cells(offset)
