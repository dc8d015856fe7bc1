# SPDX-License-Identifier: MIT
"""The devices of a design: from device-tree nodes to device files, as sysfs shows them."""

from __future__ import annotations

import os

from . import devicetree

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator, Sequence

    from .host import Host
    from .model import MemoryRange


class DeviceFile:
    """A device file that belongs to a node: `type` c or b, `class_name` as in /sys/class,
    `host_path` in the host's /dev."""

    __slots__ = ("class_name", "host_path", "major", "minor", "sysfs", "type")

    def __init__(
        self, kind: str, major: int, minor: int, class_name: str, host_path: str, sysfs: str
    ) -> None:
        self.type = kind
        self.major = major
        self.minor = minor
        self.class_name = class_name
        self.host_path = host_path
        self.sysfs = sysfs


class DesignNode:
    """A node of the design that a fabric holds: `name` without unit address; windows in the
    order of its `reg`; interrupts: how many lines it has; files: its device files now."""

    __slots__ = ("compatible", "files", "full_name", "interrupts", "name", "windows")

    def __init__(
        self,
        full_name: str,
        compatible: Sequence[str],
        windows: Sequence[tuple[int, int]],
        interrupts: int,
        files: Sequence[DeviceFile],
    ) -> None:
        self.full_name = full_name
        self.name = full_name.partition("@")[0]
        self.compatible = tuple(compatible)
        self.windows = tuple(windows)
        self.interrupts = interrupts
        self.files = tuple(files)


def node_of(host: Host, device: str) -> DesignNode:
    """The node of the platform device `device` (its sysfs directory)."""
    node = host.resolve(f"{device}/of_node")
    parent = node.rpartition("/")[0]
    windows = [
        (physical, size)
        for address, size in devicetree.reg(host, node)
        if (physical := devicetree.translate(host, parent, address)) is not None
    ]
    tree = devicetree.LiveTree(host)
    path = node[len(devicetree.BASE) :]
    lines = tree.cells(path, "interrupts")
    count = 0
    if lines:
        controller = tree.interrupt_parent(path)
        width = tree.interrupt_cells(controller)
        count = len(lines) // width
    return DesignNode(
        node.rpartition("/")[2],
        devicetree.strings(host, node, "compatible"),
        windows,
        count,
        list(files_of(host, device)),
    )


def files_of(host: Host, device: str) -> Iterator[DeviceFile]:
    """Device files of `device`: its own, and those of class devices below it that have no
    device-tree node themselves."""
    own = file_of(host, device)
    if own is not None:
        yield own
    node = host.resolve(f"{device}/of_node")
    for group in host.subdirectories(device):
        for name in host.subdirectories(f"{device}/{group}"):
            path = f"{device}/{group}/{name}"
            below = f"{path}/of_node"
            if host.exists(below) and host.resolve(below) != node:
                continue
            file = file_of(host, path)
            if file is not None:
                yield file


def file_of(host: Host, path: str) -> DeviceFile | None:
    """The device file of the device whose sysfs directory is `path`, None if it has none."""
    numbers = host.text(f"{path}/dev")
    if numbers is None:
        return None
    major, _, minor = numbers.partition(":")
    class_name = host.resolve(f"{path}/subsystem").rpartition("/")[2]
    kind = "b" if class_name == "block" else "c"
    return DeviceFile(kind, int(major), int(minor), class_name, _device_name(host, path), path)


def _device_name(host: Host, path: str) -> str:
    for line in (host.text(f"{path}/uevent") or "").splitlines():
        if line.startswith("DEVNAME="):
            return "/dev/" + line.partition("=")[2]
    return ""


_CHUNK = 1 << 16

#: The whole physical memory as a file, where the kernel is built with it.
_MEMORY = "/dev/mem"


def clear_memory(host: Host, memory: Sequence[MemoryRange]) -> None:
    """Write zeros over `memory`, which the board's tree reserves; without effect where the kernel
    does not offer it."""
    import mmap

    try:
        descriptor = host.open(_MEMORY, os.O_RDWR)
    except OSError:
        return
    try:
        for part in memory:
            size = part.end - part.first
            with mmap.mmap(descriptor, size, offset=part.first) as window:
                _zero(window, size)
    finally:
        os.close(descriptor)


def _zero(window: mmap.mmap, size: int) -> None:
    zeros = bytes(min(_CHUNK, size))
    for at in range(0, size, len(zeros)):
        window[at : at + len(zeros)] = zeros[: size - at]


def scrub(host: Host, nodes: Sequence[DesignNode], memory: Sequence[MemoryRange]) -> None:
    """Write zeros over those parts of `memory` that UIO devices of `nodes` map
    (kernel, Documentation/driver-api/uio-howto.rst: map n is n pages into the file)."""
    import mmap

    for file in (f for node in nodes for f in node.files if f.class_name == "uio"):
        descriptor = host.open(file.host_path, os.O_RDWR)
        try:
            for name in host.listing(f"{file.sysfs}/maps"):
                first = int(host.text(f"{file.sysfs}/maps/{name}/addr") or "0", 16)
                size = int(host.text(f"{file.sysfs}/maps/{name}/size") or "0", 16)
                if not size or not any(m.holds(first, size) for m in memory):
                    continue
                offset = int(name.removeprefix("map")) * mmap.PAGESIZE
                with mmap.mmap(descriptor, size, offset=offset) as window:
                    _zero(window, size)
        finally:
            os.close(descriptor)
