# SPDX-License-Identifier: MIT
"""What a file of an image says of itself, and what is wrong with it that needs no board.

The formats are read by the runtime's own readers, so a file that passes here is read there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hetoci import bitstream, elf, fdt, overlay, rsctable
from hetoci.errors import BundleError

#: linux: Documentation/arch/arm64/booting.rst, arch/arm/boot/compressed/head.S
_ARM64_IMAGE = (56, b"ARM\x64")
_ZIMAGE = (36, (0x016F2818).to_bytes(4, "little"))
_SECTOR = 512


@dataclass
class Content:
    """facts: for people and programs; problems: what is wrong, as the end of a sentence."""

    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def firmware(data: bytes, where: str) -> Content:
    """An ELF file for a remote core: class, machine, segments, resource table."""
    found = Content({"format": "ELF"})
    try:
        parsed = elf.parse(data, where)
        found.facts |= {
            "class": parsed.bits,
            "machine": elf.machine_name(parsed.machine),
            "entry": hex(parsed.entry),
            "segments": [
                {"address": hex(s.address), "size": s.memory_size} for s in parsed.segments
            ],
        }
        if parsed.resource_table is not None:
            table = rsctable.parse(parsed.resource_table, where)
            found.facts["resources"] = [_resource(entry) for entry in table.entries]
            found.problems += exit_record(table, parsed.segments)
    except BundleError as error:
        found.problems.append(_without(str(error), where))
        return found
    if not any(segment.executes(parsed.entry) for segment in parsed.segments):
        found.problems.append(f"has its entry point {parsed.entry:#x} in no executable segment")
    return found


def _resource(entry: rsctable.Entry) -> dict[str, Any]:
    address = None if entry.address == rsctable.ANY else hex(entry.address)
    kind = rsctable.TYPE_NAMES[entry.kind]
    return {"type": kind, "name": entry.name, "address": address, "size": entry.size}


def exit_record(table: rsctable.ResourceTable, segments: Any) -> list[str]:
    """An exit record outside of the segments is not empty when the core starts."""
    return [
        f"has the exit record at {entry.address:#x} in no segment; place it in .bss"
        for entry in table.traces()
        if entry.name == rsctable.EXIT_RECORD
        and not any(
            s.address <= entry.address and entry.address + entry.size <= s.address + s.memory_size
            for s in segments
        )
    ]


def _bitstream(data: bytes, where: str) -> Content:
    header = bitstream.read(data)
    if header is None:
        return Content({"format": "unknown"})
    facts = {"format": header.format, "partial": header.partial}
    facts |= {
        name: getattr(header, name) for name in ("part", "shell", "slot") if getattr(header, name)
    }
    return Content(facts, [f"is damaged: {fault}" for fault in header.faults])


def _overlay(data: bytes, where: str) -> Content:
    found = Content({"format": "device-tree blob"})
    try:
        parsed = overlay.parse(data, where)
    except BundleError as error:
        found.problems.append(_without(str(error).removeprefix("overlay "), where))
        return found
    found.problems += [f"would be refused: {reason}" for reason in overlay.own_objections(parsed)]
    if not parsed.label and not parsed.path:
        found.problems.append("has no target")
    found.facts["target"] = f"&{parsed.label}" if parsed.label else parsed.path
    found.facts["nodes"] = {
        path.lstrip("/"): [*fdt.strings(node.properties.get("compatible", b""))]
        for path, node in parsed.nodes()
    }
    found.facts["main"] = parsed.main_nodes()
    return found


def _kernel(data: bytes, where: str) -> Content:
    for name, (offset, magic) in (("arm64 Image", _ARM64_IMAGE), ("Arm zImage", _ZIMAGE)):
        if data[offset : offset + len(magic)] == magic:
            return Content({"format": name})
    if data[:4] == b"\x7fELF":
        return Content({"format": "ELF"})
    if data[:2] == b"\x1f\x8b":
        return Content({"format": "gzip"})
    return Content({"format": "unknown"})


def _ramdisk(data: bytes, where: str) -> Content:
    return Content({}, [] if data else ["is empty"])


READERS: Mapping[str, Callable[[bytes, str], Content]] = {
    "firmware": firmware,
    "bitstream": _bitstream,
    "overlay": _overlay,
    "kernel": _kernel,
    "ramdisk": _ramdisk,
}


def disk(size: int) -> Content:
    """A raw disk image, of which only the size can be checked."""
    bad = size == 0 or size % _SECTOR != 0
    right = f"has {size} bytes, right would be a multiple of {_SECTOR}"
    return Content({"format": "raw"}, [right] if bad else [])


def _without(message: str, where: str) -> str:
    """A sentence of the runtime without its subject, which is said anyway."""
    return message.removeprefix(where).lstrip(": ")
