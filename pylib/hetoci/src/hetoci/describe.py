# SPDX-License-Identifier: MIT
"""What a container is told of its devices: names in /dev/hetoci, and the description
(docs/spec/devices.md, 1 and 3; docs/spec/schema/devices.schema.json)."""

from __future__ import annotations

from .errors import FpgaError
from .inject import Device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .accelerate import Prepared
    from .designs import DesignNode, DeviceFile
    from .endpoints import Found
    from .fabric import Fabric

DIRECTORY = "/dev/hetoci"
SPEC_VERSION = "1.0"


def all_of(
    prepared: Sequence[Prepared], endpoints: Sequence[Found] = ()
) -> tuple[list[Device], dict[str, Any]]:
    """The device files of all accelerators and endpoints, and the description of them.

    Raises FpgaError for devices that cannot be named without doubt.
    """
    devices: list[Device] = []
    entries = []
    for accelerator in prepared:
        made, entry = _one(accelerator)
        devices += made
        entries.append(entry)
    for endpoint in endpoints:
        if endpoint.file is None:
            continue
        made, node = service(endpoint.request.name, endpoint.channel.service, endpoint.file)
        devices += made
        entries.append({**endpoint.describe(), "nodes": [node]})
    return devices, {"specVersion": SPEC_VERSION, "devices": entries}


def _one(accelerator: Prepared) -> tuple[list[Device], dict[str, Any]]:
    content = accelerator.content
    devices, entries = nodes(accelerator.request.name, accelerator.nodes)
    entry: dict[str, Any] = {
        "name": accelerator.request.name,
        "kind": "accelerator",
        **place(accelerator.fabric),
        "bitstream": {"path": content.bitstream_path, "digest": content.bitstream_digest},
        "nodes": entries,
    }
    return devices, entry


def nodes(name: str, found: Sequence[DesignNode]) -> tuple[list[Device], list[dict[str, Any]]]:
    """The device files of the accelerator `name`, whose main node is the first one, and what is
    said of them. Raises FpgaError for those that cannot be told apart."""
    devices = []
    entries = []
    for number, node in enumerate(found):
        for path, file in _named(name + (f".{node.name}" if number else ""), node):
            devices.append(Device(path, file.type, file.major, file.minor))
            entries.append(_node(node, path, file))
    return devices, entries


def place(fabric: Fabric) -> dict[str, Any]:
    """What is said of the fabric that an accelerator is in."""
    known = {key: value for key in ("shell", "part") if (value := getattr(fabric, key))}
    return {"slot": fabric.name, "clocks": fabric.clocks, **known}


def service(name: str, channel: str, file: DeviceFile) -> tuple[list[Device], dict[str, Any]]:
    """The device file of the endpoint `name`, and what is said of it."""
    path = f"{DIRECTORY}/{name}"
    return [Device(path, file.type, file.major, file.minor)], _file(channel, path, file)


def _named(name: str, node: DesignNode) -> list[tuple[str, DeviceFile]]:
    """Paths in the container; the first file of a node has the node's name."""
    files = sorted(node.files, key=lambda file: (file.class_name != "uio", file.class_name))
    found = []
    for number, file in enumerate(files):
        path = f"{DIRECTORY}/{name}" + (f".{file.class_name}" if number else "")
        if number and file.class_name == files[number - 1].class_name:
            raise FpgaError(
                f"node {node.full_name} has two device files of class {file.class_name},"
                " which cannot be told apart"
            )
        found.append((path, file))
    return found


def _node(node: DesignNode, path: str, file: DeviceFile) -> dict[str, Any]:
    return {
        **_file(node.name, path, file),
        "compatible": list(node.compatible),
        "windows": [{"address": hex(address), "size": size} for address, size in node.windows],
        "interrupts": node.interrupts,
    }


def _file(node: str, path: str, file: DeviceFile) -> dict[str, Any]:
    """What is said of any device file."""
    return {
        "node": node,
        "path": path,
        "type": file.type,
        "major": file.major,
        "minor": file.minor,
        "access": "rw",
        "class": file.class_name,
    }
