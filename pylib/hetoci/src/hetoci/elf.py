# SPDX-License-Identifier: MIT
"""Firmware files: the part of ELF that the remoteproc loader looks at.

Sources: System V ABI (gABI) chapters 4 and 5; drivers/remoteproc/remoteproc_elf_loader.c for
what Linux refuses. Pure functions on bytes: nothing here trusts the file.
"""

from __future__ import annotations

import struct

from .errors import BundleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PT_LOAD = 1
PF_X = 1
EM_386, EM_ARM, EM_X86_64, EM_AARCH64, EM_RISCV, EM_XTENSA = 3, 40, 62, 183, 243, 94
EM_TI_C6000, EM_TI_PRU = 140, 144

MACHINE_NAMES = {
    EM_386: "x86",
    EM_ARM: "Arm (EM_ARM)",
    EM_X86_64: "x86-64",
    EM_AARCH64: "AArch64",
    EM_RISCV: "RISC-V",
    EM_XTENSA: "Xtensa",
    EM_TI_C6000: "TI C6000",
    EM_TI_PRU: "TI PRU",
}

_HEADER = {32: struct.Struct("<16sHHIIIIIHHHHHH"), 64: struct.Struct("<16sHHIQQQIHHHHHH")}
_PROGRAM = {32: struct.Struct("<IIIIIIII"), 64: struct.Struct("<IIQQQQQQ")}
_SECTION = {32: struct.Struct("<IIIIIIIIII"), 64: struct.Struct("<IIQQQQIIQQ")}


class Segment:
    """A PT_LOAD program header; `index` counts all program headers, as readelf does."""

    __slots__ = ("address", "flags", "index", "memory_size", "virtual")

    def __init__(
        self, index: int, address: int, virtual: int, memory_size: int, flags: int
    ) -> None:
        self.index = index
        self.address = address
        self.virtual = virtual
        self.memory_size = memory_size
        self.flags = flags

    def executes(self, address: int) -> bool:
        """True if `address` is code of this segment, by its load or its run address."""
        return bool(self.flags & PF_X) and (
            0 <= address - self.address < self.memory_size
            or 0 <= address - self.virtual < self.memory_size
        )


class Elf:
    """A firmware file that can be loaded: bits is 32 or 64; resource_table is the content of
    the section `.resource_table`, or None."""

    __slots__ = ("bits", "entry", "machine", "resource_table", "segments")

    def __init__(
        self,
        bits: int,
        machine: int,
        entry: int,
        segments: Sequence[Segment],
        resource_table: bytes | None,
    ) -> None:
        self.bits = bits
        self.machine = machine
        self.entry = entry
        self.segments = tuple(segments)
        self.resource_table = resource_table


def machine_name(machine: int) -> str:
    """The usual name of an e_machine value."""
    return MACHINE_NAMES.get(machine, f"machine {machine}")


def parse(data: bytes, where: str) -> Elf:
    """Parse the firmware file `data`; `where` names it in errors.

    Raises BundleError for whatever the kernel's loader would refuse later, in our words.
    """
    if data[:4] != b"\x7fELF":
        raise BundleError(
            f"{where} is no ELF file (it begins with {data[:4].hex(' ') or 'nothing'})",
            hint="the firmware must be the linked ELF image, not a raw binary",
        )
    bits = {1: 32, 2: 64}.get(data[4] if len(data) > 4 else 0)
    if bits is None:
        raise BundleError(f"{where} has the unknown ELF class {data[4:5].hex() or 'nothing'}")
    if data[5:6] != b"\x01":
        raise BundleError(f"{where} is big-endian; remote cores take little-endian firmware")
    if len(data) < _HEADER[bits].size:
        raise BundleError(f"{where} ends inside its ELF header")
    fields = _HEADER[bits].unpack_from(data)
    machine, entry, phoff, shoff = fields[2], fields[4], fields[5], fields[6]
    phentsize, phnum, shentsize, shnum, shstrndx = fields[9:14]
    segments = _segments(data, bits, phoff, phentsize, phnum, where)
    table = _section(data, bits, (shoff, shentsize, shnum, shstrndx), b".resource_table", where)
    return Elf(bits, machine, entry, segments, table)


def _segments(
    data: bytes, bits: int, phoff: int, phentsize: int, phnum: int, where: str
) -> list[Segment]:
    layout = _PROGRAM[bits]
    if phnum and (phentsize != layout.size or phoff + phnum * layout.size > len(data)):
        raise BundleError(f"{where} is truncated: its program headers lie outside the file")
    segments = []
    for index in range(phnum):
        fields = layout.unpack_from(data, phoff + index * layout.size)
        if bits == 32:
            kind, offset, virtual, address, filesz, memsz, flags, _ = fields
        else:
            kind, flags, offset, virtual, address, filesz, memsz, _ = fields
        if kind != PT_LOAD or not memsz:
            continue
        if filesz > memsz:
            raise BundleError(
                f"{where}: segment {index} has more bytes in the file ({filesz}) than in"
                f" memory ({memsz})"
            )
        if offset + filesz > len(data):
            raise BundleError(
                f"{where} is truncated: segment {index} ends at byte {offset + filesz},"
                f" the file at {len(data)}"
            )
        segments.append(Segment(index, address, virtual, memsz, flags))
    if not segments:
        raise BundleError(f"{where} has nothing to load (no PT_LOAD segment)")
    return segments


def _section(
    data: bytes, bits: int, header: tuple[int, int, int, int], wanted: bytes, where: str
) -> bytes | None:
    shoff, shentsize, shnum, shstrndx = header
    layout = _SECTION[bits]
    if not shnum:
        return None
    if shentsize != layout.size or shoff + shnum * layout.size > len(data):
        raise BundleError(f"{where} is truncated: its section headers lie outside the file")
    if shstrndx >= shnum:
        raise BundleError(f"{where} names section {shstrndx} for section names, it has {shnum}")
    rows = [layout.unpack_from(data, shoff + n * layout.size) for n in range(shnum)]
    names = rows[shstrndx][4]
    for row in rows:
        at = names + row[0]
        if data[at : at + len(wanted) + 1] != wanted + b"\0":
            continue
        if row[4] + row[5] > len(data):
            raise BundleError(f"{where} is truncated: {wanted.decode()} ends outside the file")
        return data[row[4] : row[4] + row[5]]
    return None
