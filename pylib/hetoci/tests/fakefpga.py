# SPDX-License-Identifier: MIT
"""Linux's FPGA subsystem in a directory: regions, a manager, overlays, the devices they make.

The behaviour is that of Linux 6.12, drivers/fpga/{of-fpga-region,fpga-region,fpga-mgr}.c,
drivers/of/{overlay,resolver,platform}.c and drivers/uio/uio_pdrv_genirq.c, and of our
of_overlay_configfs.c, as far as user space sees it; with `xlnx` that of linux-xlnx's
`flags` and `firmware` of the manager.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import accelerator as make
from fakekernel import FakeKernel
from hetoci import fdt
from hetoci.errors import BundleError

TREE = "sys/firmware/devicetree/base"
OVERLAYS = "sys/kernel/config/device-tree/overlays"
MANAGER = "sys/class/fpga_manager/fpga0"
REGION = "fpga-region"
UIO_MAJOR = 241


class Refused(Exception):
    """The kernel says no; `number` as in an item's `error`, without its sign."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Tree:
    """The live device tree, as directories."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.phandles = 0x100

    def at(self, path: str) -> Path:
        return self.base / path.strip("/")

    def add(self, path: str, label: str = "", **properties: bytes) -> int:
        """A node of the base tree; its phandle. Underscores stand for dashes."""
        self.phandles += 1
        named = {name.replace("_", "-"): value for name, value in properties.items()}
        self.write(path, {**named, "phandle": fdt.from_cells(self.phandles)})
        if label:
            self.write("/__symbols__", {label: fdt.from_strings(path)})
        return self.phandles

    def write(self, path: str, properties: dict[str, bytes]) -> None:
        self.at(path).mkdir(parents=True, exist_ok=True)
        for name, value in properties.items():
            (self.at(path) / name).write_bytes(value)

    def label(self, name: str) -> str:
        file = self.base / "__symbols__" / name
        if not file.is_file():
            raise Refused(errno.EINVAL)
        return fdt.strings(file.read_bytes())[0]

    def cells(self, path: str, name: str) -> tuple[int, ...]:
        file = self.at(path) / name
        return fdt.cells(file.read_bytes()) if file.is_file() else ()

    def words(self, path: str, name: str) -> tuple[str, ...]:
        file = self.at(path) / name
        return fdt.strings(file.read_bytes()) if file.is_file() else ()


class Changeset:
    """An applied overlay: how to take it back, and the nodes that it added."""

    def __init__(self) -> None:
        self.undo: list[Callable[[], None]] = []
        self.nodes: list[str] = []
        self.targets: list[str] = []

    def revert(self) -> None:
        for step in reversed(self.undo):
            step()


class FakeFpga:
    """The board's programmable logic, with one manager and one region for full bitstreams.

    shell: whether the shell is there from the start, as the boot scripts load it; configfs,
    xlnx: which interfaces there are. drivers: compatibles that uio_pdrv_genirq binds to; delay:
    seconds from a node to its device file; status: what the platform answers to a bitstream.
    """

    def __init__(
        self, kernel: FakeKernel, *, shell: bool = True, configfs: bool = True, xlnx: bool = False
    ) -> None:
        self.kernel = kernel
        kernel.fpga = self
        self.root = kernel.root
        self.tree = Tree(self.root / TREE)
        self.lock = threading.RLock()
        self.items: dict[str, Changeset | None] = {}
        self.applied: list[Changeset] = []
        self.orphans: list[Changeset] = []
        self.loads: list[tuple[str, int, bytes]] = []
        self.drivers = {"generic-uio"}
        self.delay = 0.0
        self.status = 0
        self.flags = 0
        self.class_files = ["uio"]
        self._regions = 0
        for directory in ("sys/bus/platform", "sys/class/uio", "sys/class/fpga_region", "lib"):
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        if configfs:
            (self.root / OVERLAYS).mkdir(parents=True)
        self._base_tree()
        self._manager(xlnx)
        self._device(f"/{REGION}", self.root / "sys/devices/platform")
        firmware = self.root / "lib/firmware"
        firmware.mkdir()
        (firmware / "pl-shell.bit.bin").write_bytes(make.bitstream(0xFFFFFFFF, partial=False))
        if shell:
            self.mkdir("pl-shell")
            self.close("pl-shell", make.shell_overlay())
            self.loads.clear()

    # what is there at boot

    def _base_tree(self) -> None:
        tree = self.tree
        gic = tree.add("/gic@f9000000", "gic", **{"#interrupt_cells": fdt.from_cells(3)})
        tree.write(
            "/",
            {
                "interrupt-parent": fdt.from_cells(gic),
                "compatible": fdt.from_strings("hetoci,vboard", "xlnx,zynqmp"),
                "model": fdt.from_strings("hetoci virtual board"),
                "#address-cells": fdt.from_cells(2),
                "#size-cells": fdt.from_cells(2),
            },
        )
        tree.add(
            "/clk125",
            "pl_clk",
            **{"#clock_cells": fdt.from_cells(0), "clock_frequency": fdt.from_cells(125_000_000)},
        )
        # A clock with an argument, which slots have with argument 0 only.
        tree.add("/clk-mux", "clk_mux", **{"#clock_cells": fdt.from_cells(1)})
        tree.add("/uart@ff000000", "uart0", compatible=fdt.from_strings("arm,pl011"))
        for n in range(make.SLOTS):
            address = make.DMA + n * make.DMA_SIZE
            tree.add(f"/reserved-memory/pl-dma{n}@{address:x}", f"pl_dma{n}", reg=make.memory(n))
        pcap = tree.add("/firmware/zynqmp-firmware/pcap", "zynqmp_pcap")
        tree.add(
            f"/{REGION}",
            "fpga_full",
            compatible=fdt.from_strings("fpga-region"),
            fpga_mgr=fdt.from_cells(pcap),
            ranges=b"",
            **{
                "hetoci,part_id": fdt.from_cells(make.PART),
                "#address_cells": fdt.from_cells(2),
                "#size_cells": fdt.from_cells(2),
            },
        )

    def _manager(self, xlnx: bool) -> None:
        device = self.root / "sys/devices/platform/firmware:zynqmp-firmware:pcap"
        manager = device / "fpga_manager/fpga0"
        manager.mkdir(parents=True)
        (device / "of_node").symlink_to(self.tree.at("/firmware/zynqmp-firmware/pcap"))
        (manager / "device").symlink_to(device)
        (manager / "name").write_text("Xilinx ZynqMP FPGA Manager\n")
        (manager / "state").write_text("unknown\n")
        if xlnx:
            (manager / "flags").write_text("0\n")
            (manager / "firmware").write_text("\n")
        link = self.root / MANAGER
        link.parent.mkdir(parents=True)
        link.symlink_to(manager)

    # the manager

    def poke(self, attribute: str, value: str) -> int:
        """A write to an attribute of the manager: 0, or an errno."""
        with self.lock:
            if attribute == "flags":
                self.flags = int(value, 16)
                return 0
            if attribute != "firmware":
                return errno.EACCES
            try:
                self._load(value, self.flags)
            except Refused as error:
                return error.number
            return 0

    def _load(self, name: str, flags: int) -> None:
        """fpga_mgr_firmware_load()."""
        state = self.root / MANAGER / "state"
        image = self.kernel.find_firmware(name)
        if image is None:
            state.write_text("firmware request error\n")
            raise Refused(errno.ENOENT)
        if self.status:
            state.write_text("write error\n")
            raise Refused(self.status)
        self.loads.append((name, flags, image))
        state.write_text("operating\n")

    # configfs

    def mkdir(self, name: str) -> int:
        """mkdir of an item; an errno."""
        with self.lock:
            if name in self.items:
                return errno.EEXIST
            self.items[name] = None
            new = self.root / OVERLAYS / f".{name}"
            new.mkdir()
            for attribute, text in (("dtbo", ""), ("path", "\n"), ("error", "0\n")):
                (new / attribute).write_text(text)
            (new / "status").write_text("unapplied\n")
            new.rename(new.with_name(name))
            return 0

    def close(self, name: str, blob: bytes) -> None:
        """The close after a write to an item's dtbo, whose result nobody sees but in `error`."""
        with self.lock:
            item = self.root / OVERLAYS / name
            number = 0
            if self.items[name]:
                number = errno.EBUSY
            else:
                try:
                    self.items[name] = self._apply(blob)
                    (item / "status").write_text("applied\n")
                except Refused as error:
                    number = error.number
            (item / "error").write_text(f"{-number}\n")

    def rmdir(self, name: str) -> int:
        """rmdir of an item, which takes its overlay off; what cannot come off yet is kept."""
        with self.lock:
            if name not in self.items:
                return errno.ENOENT
            changes = self.items.pop(name)
            shutil.rmtree(self.root / OVERLAYS / name)
            if changes:
                self.orphans.append(changes)
            progress = True
            while progress:
                progress = False
                for orphan in reversed(self.orphans):
                    if self._take_off(orphan):
                        self.orphans.remove(orphan)
                        progress = True
                        break
            return 0

    # overlays

    def _take_off(self, changes: Changeset) -> bool:
        """of_overlay_remove(): nothing that was applied later may lie on top."""
        later = self.applied[self.applied.index(changes) + 1 :]
        ours = {*changes.nodes, *changes.targets}
        if any(ours & {*other.targets, *other.nodes} for other in later):
            return False
        self.applied.remove(changes)
        changes.revert()
        return True

    def _apply(self, blob: bytes) -> Changeset:
        """of_overlay_fdt_apply(): all of it, or Refused and nothing."""
        try:
            root = fdt.parse(blob, "blob")
        except BundleError:
            raise Refused(errno.EINVAL) from None
        self._resolve(root)
        changes = Changeset()
        try:
            for fragment in root.children:
                body = fragment.child("__overlay__")
                if body:
                    self._fragment(changes, fragment, body)
            self._symbols(changes, root)
            for path in changes.nodes:  # of_platform_notify(), once the tree is complete
                parent = path.rpartition("/")[0]
                if "fpga-region" in self.tree.words(parent, "compatible"):
                    self._device(path, self._device_of(parent), changes)
        except BaseException:
            changes.revert()
            raise
        self.applied.append(changes)
        return changes

    def _resolve(self, root: fdt.Node) -> None:
        """of_resolve_phandles()."""
        delta = self.tree.phandles
        nodes = dict(root.walk())
        for path, node in nodes.items():
            if path.startswith(("/__fixups__", "/__local_fixups__", "/__symbols__")):
                continue
            if "phandle" in node.properties:
                value = fdt.cells(node.properties["phandle"])[0] + delta
                node.properties["phandle"] = fdt.from_cells(value)
                self.tree.phandles = max(self.tree.phandles, value)
        for path, node in nodes.items():
            if path.startswith("/__local_fixups__"):
                for name, value in node.properties.items():
                    target = nodes.get(path.removeprefix("/__local_fixups__"))
                    for offset in fdt.cells(value):
                        _patch(target, name, offset, lambda word: word + delta)
        fixups = root.child("__fixups__")
        for label, value in fixups.properties.items() if fixups else ():
            phandle = self.tree.cells(self.tree.label(label), "phandle")[0]
            for place in fdt.strings(value):
                path, name, offset = place.split(":")
                _patch(nodes.get(path), name, int(offset), lambda _, p=phandle: p)

    def _fragment(self, changes: Changeset, fragment: fdt.Node, body: fdt.Node) -> None:
        target = self._target(fragment)
        changes.targets.append(target)
        if "fpga-region" in self.tree.words(target, "compatible"):
            self._before(changes, target, body)
        for name, value in body.properties.items():
            self._set(changes, target, name, value)
        for node in body.children:
            self._attach(changes, f"{target}/{node.name}", node)

    def _target(self, fragment: fdt.Node) -> str:
        phandle = fdt.cells(fragment.properties.get("target", b""))
        if phandle:
            for directory, _, _ in os.walk(self.tree.base):
                path = directory[len(os.fspath(self.tree.base)) :]
                if self.tree.cells(path, "phandle") == phandle:
                    return path
        path = (fdt.strings(fragment.properties.get("target-path", b"")) or ("",))[0]
        if not path or not self.tree.at(path).is_dir():
            raise Refused(errno.EINVAL)
        return path

    def _before(self, changes: Changeset, target: str, body: fdt.Node) -> None:
        """of_fpga_region_notify_pre_apply()."""
        for path, node in body.walk():
            compatible = fdt.strings(node.properties.get("compatible", b""))
            if path and "fpga-region" in compatible and "firmware-name" in node.properties:
                raise Refused(errno.EINVAL)
        name = fdt.strings(body.properties.get("firmware-name", b""))
        if not name:
            return
        if self.tree.words(target, "firmware-name"):
            raise Refused(errno.EINVAL)
        partial = "partial-fpga-config" in body.properties
        encrypted = "encrypted-fpga-config" in body.properties
        self._load(name[0], partial | encrypted << 2)

    def _set(self, changes: Changeset, path: str, name: str, value: bytes) -> None:
        file = self.tree.at(path) / name
        if not file.exists():
            changes.undo.append(file.unlink)
        else:
            former = file.read_bytes()
            if name in ("#address-cells", "#size-cells") and former != value:
                raise Refused(errno.EINVAL)
            changes.undo.append(lambda: file.write_bytes(former) and None)
        file.write_bytes(value)

    def _attach(self, changes: Changeset, path: str, node: fdt.Node) -> None:
        directory = self.tree.at(path)
        if not directory.exists():
            changes.undo.append(directory.rmdir)
            changes.nodes.append(path)
            directory.mkdir()
        for name, value in node.properties.items():
            self._set(changes, path, name, value)
        for child in node.children:
            self._attach(changes, f"{path}/{child.name}", child)

    def _symbols(self, changes: Changeset, root: fdt.Node) -> None:
        symbols = root.child("__symbols__")
        for label, value in symbols.properties.items() if symbols else ():
            fragment, _, inside = fdt.strings(value)[0].strip("/").partition("/__overlay__")
            node = root.child(fragment)
            if node:
                place = self._target(node) + inside
                self._set(changes, "/__symbols__", label, fdt.from_strings(place))

    # devices

    def _device_of(self, node: str) -> Path:
        """sysfs directory of the platform device of `node`."""
        for directory, names, _ in os.walk(self.root / "sys/devices/platform"):
            link = Path(directory, "of_node")
            if link.is_symlink() and link.readlink() == self.tree.at(node):
                return Path(directory)
            names[:] = [name for name in names if not Path(directory, name).is_symlink()]
        raise AssertionError(node)

    def _device(self, node: str, parent: Path, changes: Changeset | None = None) -> None:
        """of_platform_device_create(), and the driver's probe."""
        name = node.rpartition("/")[2]
        reg = self.tree.cells(node, "reg")
        bus_id = f"{reg[0] << 32 | reg[1]:x}.{name.partition('@')[0]}" if len(reg) > 1 else name
        if not reg and parent.name != "platform":
            bus_id = f"{parent.name}:{name}"
        device = parent / bus_id
        device.mkdir(parents=True)
        (device / "of_node").symlink_to(self.tree.at(node))
        (device / "subsystem").symlink_to(self.root / "sys/bus/platform")
        gone = threading.Event()
        links: list[Path] = []

        def remove() -> None:
            gone.set()
            with self.lock:
                for link in links:
                    link.unlink()
                shutil.rmtree(device)

        if changes:
            changes.undo.append(remove)
        compatible = self.tree.words(node, "compatible")
        if "fpga-region" in compatible:
            self._region(node, device, links)
        elif self.drivers & set(compatible):
            self._probe(node, device, links, gone)

    def _region(self, node: str, device: Path, links: list[Path]) -> None:
        region = device / f"fpga_region/region{self._regions}"
        self._regions += 1
        region.mkdir(parents=True)
        (region / "of_node").symlink_to(self.tree.at(node))
        (region / "device").symlink_to(device)
        (region / "subsystem").symlink_to(self.root / "sys/class/fpga_region")
        link = self.root / "sys/class/fpga_region" / region.name
        link.symlink_to(region)
        links.append(link)

    def _probe(self, node: str, device: Path, links: list[Path], gone: threading.Event) -> None:
        def bind() -> None:
            if gone.wait(self.delay):
                return
            with self.lock:
                if not gone.is_set():
                    for class_name in self.class_files:
                        self._class_device(node, device, class_name, links)

        if self.delay:
            threading.Thread(target=bind, daemon=True).start()
        else:
            bind()

    def _class_device(self, node: str, device: Path, class_name: str, links: list[Path]) -> None:
        """A character device as uio_pdrv_genirq makes it, with a map for each `reg`."""
        classes = self.root / "sys/class" / class_name
        classes.mkdir(exist_ok=True)
        used = {entry.name for entry in classes.iterdir()}
        minor = next(n for n in range(256) if f"{class_name}{n}" not in used)
        name = f"{class_name}{minor}"
        entry = device / class_name / name
        entry.mkdir(parents=True)
        (entry / "subsystem").symlink_to(classes)
        (entry / "device").symlink_to(device)
        (entry / "uevent").write_text(f"MAJOR={UIO_MAJOR}\nMINOR={minor}\nDEVNAME={name}\n")
        reg = self.tree.cells(node, "reg")
        end = 0
        for number, at in enumerate(range(0, len(reg), 4) if class_name == "uio" else ()):
            place = entry / f"maps/map{number}"
            place.mkdir(parents=True)
            address, size = reg[at] << 32 | reg[at + 1], reg[at + 2] << 32 | reg[at + 3]
            (place / "addr").write_text(f"0x{address:x}\n")
            (place / "size").write_text(f"0x{size:x}\n")
            end = max(end, number * 4096 + size)
        file = self.root / "dev" / name
        file.write_bytes(b"\xff" * end)  # what an earlier design may have left
        classes.joinpath(name).symlink_to(entry)
        links += [file, classes / name]
        (entry / "dev").write_text(f"{UIO_MAJOR + (class_name != 'uio')}:{minor}\n")


def _patch(node: fdt.Node | None, name: str, offset: int, change: Callable[[int], int]) -> None:
    value = node.properties.get(name, b"") if node else b""
    if node is None or offset + 4 > len(value):
        raise Refused(errno.EINVAL)
    word = int.from_bytes(value[offset : offset + 4], "big")
    word = change(word) & 0xFFFFFFFF
    node.properties[name] = value[:offset] + word.to_bytes(4, "big") + value[offset + 4 :]
