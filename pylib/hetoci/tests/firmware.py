# SPDX-License-Identifier: MIT
"""Builds firmware files for tests: a real ELF with a resource table, whose first segment is a
script that `fakekernel` carries out in place of Cortex-R5 code."""

from __future__ import annotations

import struct
from collections.abc import Sequence

ATCM = 0x0
CARVEOUT = 0x3ED00000


def trace(name: str, da: int = CARVEOUT + 0x10000, size: int = 0x1000, reserved: int = 0) -> bytes:
    """A fw_rsc_trace entry with its header."""
    return struct.pack("<IIII32s", 2, da, size, reserved, name.encode())


def memory(kind: int, name: str, da: int, size: int) -> bytes:
    """A fw_rsc_carveout (kind 0) or fw_rsc_devmem (kind 1) entry with its header."""
    return struct.pack("<IIIIII32s", kind, da, da, size, 0, 0, name.encode())


def vdev(
    vrings: Sequence[tuple[int, int, int]], reserved: bytes = b"\0\0", config: int = 0
) -> bytes:
    """A fw_rsc_vdev entry with its header; vrings are (da, align, num)."""
    head = struct.pack("<IIIIIIBB2s", 3, 7, 0, 1, 0, config, 0, len(vrings), reserved)
    body = b"".join(struct.pack("<IIIII", da, align, num, 0, 0) for da, align, num in vrings)
    return head + body + bytes(config)


def table(entries: Sequence[bytes], version: int = 1) -> bytes:
    """A resource table."""
    offsets, body = [], b""
    base = 16 + 4 * len(entries)
    for entry in entries:
        offsets.append(base + len(body))
        body += entry
    return struct.pack(f"<IIII{len(entries)}I", version, len(entries), 0, 0, *offsets) + body


def elf(
    segments: Sequence[tuple[int, bytes, int, int]],
    *,
    entry: int = 0,
    machine: int = 40,
    resource_table: bytes | None = None,
    bits: int = 32,
) -> bytes:
    """An ELF file; segments are (address, content, memory size, flags)."""
    header_size, program_size, section_size = (52, 32, 40) if bits == 32 else (64, 56, 64)
    at = header_size + program_size * len(segments)
    programs, body = b"", b""
    for address, content, size, flags in segments:
        offset = at + len(body)
        if bits == 32:
            programs += struct.pack(
                "<8I", 1, offset, address, address, len(content), size, flags, 4
            )
        else:
            programs += struct.pack(
                "<2I6Q", 1, flags, offset, address, address, len(content), size, 4
            )
        body += content
    names = b"\0.resource_table\0.shstrtab\0"
    table_at = at + len(body)
    content = resource_table or b""
    names_at = table_at + len(content)
    shoff = (names_at + len(names) + 7) // 8 * 8
    layout = "<10I" if bits == 32 else "<2I4Q2I2Q"
    sections = struct.pack(layout, *[0] * 10)
    if resource_table is not None:
        sections += struct.pack(layout, 1, 1, 2, 0, table_at, len(content), 0, 0, 4, 0)
    sections += struct.pack(layout, 17, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    count = len(sections) // section_size
    words = "<16sHHIIIIIHHHHHH" if bits == 32 else "<16sHHIQQQIHHHHHH"
    header = struct.pack(
        words,
        b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9),
        2,
        machine,
        1,
        entry,
        header_size,
        shoff,
        0,
        header_size,
        program_size,
        len(segments),
        section_size,
        count,
        count - 1,
    )
    image = header + programs + body + content + names
    return image + bytes(shoff - len(image)) + sections


def scripted(script: str, *, exit_record: bool = True) -> bytes:
    """Firmware for the fake kernel's core: log in trace0, exit record in trace1."""
    traces = [trace("log")]
    if exit_record:
        traces.append(trace("hetoci-exit", CARVEOUT + 0x11000, 256))
    segments = [(ATCM, script.encode(), len(script), 5), (CARVEOUT, b"", 0x20000, 6)]
    return elf(segments, resource_table=table(traces))
