# SPDX-License-Identifier: MIT
"""FPGA regions through the kernel's FPGA subsystem, whichever manager is below it.

A region is programmed by a device-tree overlay (of-fpga-region) where user space can apply one,
which is linux-xlnx's configfs interface; elsewhere by linux-xlnx's `flags` and `firmware` of the
FPGA manager. Interfaces: Documentation/ABI/testing/sysfs-class-fpga-{manager,region},
devicetree/bindings/fpga/fpga-region.yaml.

What mainline has no property for is read from the region's node or one above it, as of
docs/spec/devices.md: `hetoci,part`, `hetoci,shell` (strings) and `hetoci,part-id`,
`hetoci,shell-id` (cells). A slot's `ranges` are its windows, `memory-region` its DMA memory,
`interrupts` its lines, `clocks` its clocks. `hetoci,resources` leads to the node of the board's
tree that has its windows and lines; Xen disables that in dom0's tree if they are for domains.
"""

from __future__ import annotations

import errno

from .. import designs, devicetree, overlay, staging
from ..errors import FpgaError
from ..fabric import REGION, SLOT, Fabric
from ..host import explain
from ..model import MemoryRange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..designs import DesignNode
    from ..fabric import Programming
    from ..host import Host

REGIONS = "/sys/class/fpga_region"
MANAGERS = "/sys/class/fpga_manager"
OVERLAYS = "/sys/kernel/config/device-tree/overlays"
COMPATIBLE = "fpga-region"

#: Overlays of accelerators, and files staged for them, begin so; those of shells otherwise.
OURS = "hetoci-"
SHELL = "hetoci.shell-"

#: linux/fpga/fpga-mgr.h, for linux-xlnx's `flags`.
_PARTIAL, _ENCRYPTED = 1 << 0, 1 << 2

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


# what there is


def discover(host: Host, part: str = "") -> list[Fabric]:
    """The regions and slots that the kernel shows now, in the order of their numbers."""
    places = {}
    for instance in host.listing(REGIONS):
        node = host.resolve(f"{REGIONS}/{instance}/of_node")
        if node.startswith(f"{devicetree.BASE}/"):
            places[instance] = node
    order = sorted(places, key=lambda name: (len(name), name))
    nodes = set(places.values())
    tree = devicetree.LiveTree(host)
    ours = _ours(host, host.listing(OVERLAYS))
    with devicetree.ReadOnce(host):
        found = [_describe(host, tree, name, places[name], nodes, part) for name in order]
    for fabric in found:
        fabric.ours = fabric.key in ours
    return found


def unchanged(host: Host, fabric: Fabric) -> bool:
    """True if the fabric still has its shell, and no design of others in it."""
    node = host.resolve(f"{REGIONS}/{fabric.instance}/of_node")
    if node != devicetree.BASE + fabric.place or _shell_in(host, node, fabric) != fabric.shell:
        return False
    return not devicetree.strings(host, node, "firmware-name") or _is_ours(host, fabric)


def _describe(
    host: Host,
    tree: devicetree.LiveTree,
    instance: str,
    node: str,
    regions: set[str],
    part: str,
) -> Fabric:
    parent = _above(node, regions)
    label = devicetree.strings(host, node, "label") or (node.rpartition("/")[2],)
    name = "".join(c if c in _NAME_CHARACTERS else "-" for c in label[0])
    place = node[len(devicetree.BASE) :]
    fabric = Fabric("fpga", instance, SLOT if parent else REGION, name, place)
    fabric.parent = parent[len(devicetree.BASE) :]
    fabric.compatible = devicetree.strings(host, node, "compatible")
    fabric.part = _inherited(host, node, "part") or part
    fabric.shell = _shell_in(host, node, fabric)
    manager = _manager(host, node)
    _windows(host, tree, fabric, node)
    fabric.clocks = tree.clock_rates(place)
    fabric.for_domains = any(
        devicetree.strings(host, f"{devicetree.BASE}{path}", "status") == ("disabled",)
        for phandle in tree.cells(place, "hetoci,resources")
        if (path := tree.node(phandle))
    )
    _content(host, fabric, node, manager)
    return fabric


def _above(node: str, regions: set[str]) -> str:
    """The region that `node` lies in, "" if in none."""
    while "/" in node:
        node = node.rpartition("/")[0]
        if node in regions:
            return node
    return ""


def _shell_in(host: Host, node: str, fabric: Fabric) -> str:
    found = host.text(f"{REGIONS}/{fabric.instance}/compat_id")
    return found or _inherited(host, node, "shell")


def _is_ours(host: Host, fabric: Fabric) -> bool:
    return fabric.key in _ours(host, host.listing(OVERLAYS))


def _ours(host: Host, items: Sequence[str]) -> set[str]:
    """Claim keys of the fabrics for which there is an overlay, of `items`, or a staged file of
    ours."""
    keys = {f"fpga.{name[len(OURS) :]}" for name in items if name.startswith(OURS)}
    for path in staging.staged(host, f"{OURS}fpga."):
        name = path.rpartition("/")[2]
        keys.add(name[len(OURS) :].partition(".bit")[0])
    return keys


def _inherited(host: Host, node: str, what: str) -> str:
    while node.startswith(f"{devicetree.BASE}/"):
        text = devicetree.strings(host, node, f"hetoci,{what}")
        number = devicetree.cells(host, node, f"hetoci,{what}-id")
        if text or number:
            return text[0] if text else f"0x{number[0]:08x}"
        node = node.rpartition("/")[0]
    return ""


def _manager(host: Host, node: str) -> str:
    """sysfs directory of the manager that programs the region at `node`, "" if there is none."""
    managers = host.listing(MANAGERS)
    phandle: tuple[int, ...] = ()
    while node.startswith(f"{devicetree.BASE}/") and not phandle:
        phandle = devicetree.cells(host, node, "fpga-mgr")
        node = node.rpartition("/")[0]
    for name in managers:
        for device in (f"{MANAGERS}/{name}", f"{MANAGERS}/{name}/device"):
            if phandle and devicetree.cells(host, f"{device}/of_node", "phandle") == phandle:
                return f"{MANAGERS}/{name}"
    return f"{MANAGERS}/{managers[0]}" if len(managers) == 1 else ""


def _windows(host: Host, tree: devicetree.LiveTree, fabric: Fabric, node: str) -> None:
    reserved = f"{devicetree.BASE}/reserved-memory"
    memory = []
    for phandle in devicetree.cells(host, node, "memory-region"):
        target = devicetree.by_phandle(host, phandle, reserved)
        name = target.rpartition("/")[2].partition("@")[0] if target else ""
        memory += [
            MemoryRange(name, first, size)
            for first, size in (devicetree.reg(host, target) if target else ())
        ]
    fabric.memory = tuple(memory)
    windows = devicetree.ranges(host, node)
    if windows:
        fabric.windows = tuple(
            MemoryRange("registers", child, size)
            for child, _, size in windows
            if not any(m.holds(child, size) for m in memory)
        )
    lines = tree.cells(fabric.place, "interrupts")
    if lines:
        controller = tree.interrupt_parent(fabric.place)
        width = tree.interrupt_cells(controller)
        fabric.interrupts = tuple(lines[at : at + width] for at in range(0, len(lines), width))


def _content(host: Host, fabric: Fabric, node: str, manager: str) -> None:
    """What is in it, by whom, and whether something can be put in."""
    fabric.overlays = host.is_directory(OVERLAYS)
    design = devicetree.strings(host, node, "firmware-name")
    fabric.design = design[0] if design else ""
    if fabric.kind == SLOT:
        fabric.state = "programmed" if fabric.design else "empty"
    else:
        fabric.state = host.text(f"{manager}/state") or "unknown" if manager else "unknown"
    if not manager:
        fabric.blocker = "has no FPGA manager"
    elif not fabric.overlays and not host.exists(f"{manager}/firmware"):
        fabric.blocker = (
            f"cannot be programmed from user space: the kernel offers neither {OVERLAYS}"
            f" nor {manager}/firmware"
        )


def _overlay(key: str) -> str:
    return f"{OVERLAYS}/{OURS}{key.removeprefix('fpga.')}"


def _file(key: str) -> str:
    return f"{OURS}{key}.bit"


# programming


def program(host: Host, fabric: Fabric, programming: Programming) -> None:
    """Program `fabric`. Raises FpgaError; then it is empty."""
    try:
        path, firmware = staging.stage(host, _file(fabric.key), programming.bitstream)
    except staging.StagingError as error:
        raise FpgaError(
            error.message, op="stage", path=error.path, errno=error.errno, hint=error.hint
        ) from error
    try:
        if fabric.overlays:
            _apply(host, fabric, _blob(host, fabric, firmware, programming))
        else:
            _write(host, fabric, firmware, programming)
    except BaseException:
        clear(host, fabric.key)
        raise
    if fabric.overlays:  # the kernel has read it; without an overlay it marks what is ours
        host.remove(path)


def _blob(host: Host, fabric: Fabric, firmware: str, programming: Programming) -> bytes:
    parsed = overlay.parse(programming.overlay, fabric.name) if programming.overlay else None
    node = devicetree.BASE + fabric.place
    return overlay.bind(
        parsed,
        fabric.place,
        firmware,
        partial=programming.partial,
        encrypted=programming.encrypted,
        cells=(
            (devicetree.cells(host, node, "#address-cells") or (2,))[0],
            (devicetree.cells(host, node, "#size-cells") or (1,))[0],
        ),
    )


def apply(host: Host, item: str, blob: bytes) -> None:
    """Apply an overlay as configfs item `item` (a path). OSError as the kernel says it; the
    item is there afterwards in any case."""
    host.make_directory(item, 0o755)
    host.checkpoint("program:item")
    host.write_once(f"{item}/dtbo", blob)
    number = host.text(f"{item}/error") or "0"
    if number != "0" or host.text(f"{item}/status") != "applied":
        raise OSError(abs(int(number)) if number.lstrip("-").isdecimal() else errno.EIO, "")


def _apply(host: Host, fabric: Fabric, blob: bytes) -> None:
    item = _overlay(fabric.key)
    try:
        apply(host, item, blob)
    except OSError as error:
        raise _refused(fabric, item, error) from error


def _refused(fabric: Fabric, path: str, error: OSError) -> FpgaError:
    number = error.errno or errno.EIO
    words = explain(error) if number in errno.errorcode else f"status {number} of the platform"
    return FpgaError(
        f"{fabric.kind} {fabric.name} could not be programmed ({path}): {words}",
        op="program",
        path=path,
        errno=number,
        device=fabric.instance,
        hint="the kernel's log (dmesg) has the details",
    )


def _write(host: Host, fabric: Fabric, firmware: str, programming: Programming) -> None:
    manager = _manager(host, devicetree.BASE + fabric.place)
    flags = _PARTIAL * programming.partial | _ENCRYPTED * programming.encrypted
    try:
        host.poke(f"{manager}/flags", f"{flags:x}")
        host.poke(f"{manager}/firmware", firmware)
    except OSError as error:
        raise _refused(fabric, f"{manager}/firmware", error) from error


def clear(host: Host, key: str) -> None:
    """Remove our overlay and what is staged for the fabric whose claim is `key`, and a shell
    whose loading was interrupted. Raises FpgaError if the overlay stays."""
    _remove(host, _overlay(key))
    if _unfinished_shell(host, key):
        _remove(host, _shell(key))
    staging.unstage(host, _file(key))


def _remove(host: Host, item: str) -> None:
    try:
        host.remove_directory(item)
    except OSError as error:
        raise FpgaError(
            f"overlay {item} cannot be removed: {explain(error)}",
            op="clear",
            path=item,
            errno=error.errno or 0,
        ) from error


# shells of the operator's


def _shell(key: str) -> str:
    return f"{OVERLAYS}/{SHELL}{key.removeprefix('fpga.')}"


def _unfinished_shell(host: Host, key: str) -> bool:
    return host.text(f"{_shell(key)}/status") not in (None, "applied")


def shell_of_ours(host: Host, region: Fabric) -> bool:
    """True if the shell in `region` was loaded by `load_shell`."""
    return host.exists(_shell(region.key))


def load_shell(host: Host, region: Fabric, blob: bytes) -> None:
    """Apply the overlay of a shell, as it is. Raises FpgaError; then it is not there."""
    item = _shell(region.key)
    try:
        apply(host, item, blob)
    except OSError as error:
        _remove(host, item)
        raise _refused(region, item, error) from error


def unload_shell(host: Host, region: Fabric) -> None:
    """Remove the overlay of a shell that `load_shell` applied. Raises FpgaError."""
    _remove(host, _shell(region.key))


def leftovers(host: Host) -> list[str]:
    """Claim keys of fabrics for which there is an overlay or a staged file of ours; a shell only
    if its loading was interrupted."""
    items = host.listing(OVERLAYS)
    shells = [f"fpga.{name[len(SHELL) :]}" for name in items if name.startswith(SHELL)]
    return sorted(_ours(host, items).union(key for key in shells if _unfinished_shell(host, key)))


# the design's devices


def design_nodes(host: Host, fabric: Fabric) -> list[DesignNode]:
    """The nodes of the design, with their device files, in the order of sysfs."""
    with devicetree.ReadOnce(host):
        return [designs.node_of(host, device) for device in _devices(host, fabric)]


def scrub(host: Host, fabric: Fabric, nodes: Sequence[DesignNode]) -> None:
    """Clear the DMA memory of `fabric` that UIO devices of `nodes` map."""
    designs.scrub(host, nodes, fabric.memory)


def _devices(host: Host, fabric: Fabric) -> Iterator[str]:
    """sysfs directories of the devices made of nodes below the region, without those of regions
    in it: children of the region's own platform device (of_platform_notify())."""
    base = devicetree.BASE + fabric.place + "/"
    below = [host.resolve(f"{REGIONS}/{fabric.instance}/device")]
    while below:
        directory = below.pop()
        for name in host.subdirectories(directory):
            device = f"{directory}/{name}"
            node = host.resolve(f"{device}/of_node")
            if not node.startswith(base) or not host.exists(f"{device}/subsystem"):
                continue
            if COMPATIBLE not in devicetree.strings(host, node, "compatible"):
                yield device
                below.append(device)
