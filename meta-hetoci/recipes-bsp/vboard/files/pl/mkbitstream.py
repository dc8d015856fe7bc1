#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes and inspects the virtual board's bitstreams (docs/virtual-board.md, "Bitstreams").

make     wraps a linked program into a bitstream. Where the program is linked decides what it
         is: at the shell's address a full bitstream, at a slot's a partial one for that slot.
inspect  prints a bitstream's header and checks what the EL3 firmware checks of a file alone.

Exit status: 0; 1 with one sentence on stderr for a bad file; 2 for wrong usage.
"""

import argparse
import hashlib
import json
import re
import struct
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

MAGIC = b"VBIT"
FORMAT_VERSION = 1
HEADER = struct.Struct("<4sHHIIIIII32s32sI28s")
DIGEST_OFFSET = 32
FLAG_PARTIAL = 1
NO_SLOT = 0xFFFFFFFF
EM_ARM = 40
PT_LOAD = 1
MAX_SPAN = 1 << 20  # more than any program memory of the board
INCLUDE = Path(__file__).resolve().parent.parent / "include"


class BitstreamError(Exception):
    """What is wrong with a file, where, and what would be right: one sentence."""


@dataclass(frozen=True)
class Board:
    """The addresses and sizes (bytes) of vboard.h that a bitstream depends on."""

    idcode: int
    shell_base: int
    shell_size: int
    slot_base: int
    slot_size: int
    slots: int

    @classmethod
    def from_header(cls, path: Path) -> "Board":
        """Reads vboard.h; BitstreamError if it cannot be read or lacks a number."""
        try:
            text = path.read_text(encoding="ascii")
        except OSError as error:
            raise BitstreamError(f"{path}: {error.strerror}") from error
        found = dict(re.findall(r"^#define\s+(VB_\w+)\s+(0x[0-9a-f]+|\d+)\b", text, re.MULTILINE))
        names = (
            "PL_IDCODE",
            "SHELL_CODE_BASE",
            "SHELL_CODE_SIZE",
            "SLOT_CODE_BASE",
            "SLOT_CODE_SIZE",
            "NUM_SLOTS",
        )
        missing = [f"VB_{name}" for name in names if f"VB_{name}" not in found]
        if missing:
            raise BitstreamError(f"{path}: does not define {', '.join(missing)}")
        return cls(*(int(found[f"VB_{name}"], 0) for name in names))


@dataclass(frozen=True)
class Program:
    """A linked program as it lies in memory: `image` at `base`, entered at `entry`."""

    base: int
    image: bytes
    entry: int


@dataclass(frozen=True)
class Header:
    """A bitstream's header; slot is None in a full bitstream."""

    name: str
    design_version: int
    idcode: int
    slot: int | None
    shell_id: int
    length: int
    entry: int

    @property
    def partial(self) -> bool:
        return self.slot is not None

    def pack(self, digest: bytes) -> bytes:
        slot = NO_SLOT if self.slot is None else self.slot
        flags = FLAG_PARTIAL if self.partial else 0
        return HEADER.pack(
            MAGIC,
            FORMAT_VERSION,
            HEADER.size,
            self.idcode,
            flags,
            slot,
            self.shell_id,
            self.length,
            self.entry,
            digest,
            self.name.encode("ascii"),
            self.design_version,
            bytes(28),
        )


def read_elf(data: bytes, where: str) -> Program:
    """The loadable segments of a 32-bit little-endian Arm executable, as one image."""
    if len(data) < 52 or data[:7] != b"\x7fELF\x01\x01\x01":
        raise BitstreamError(f"{where}: not a 32-bit little-endian ELF file")
    kind, machine = struct.unpack_from("<HH", data, 16)
    entry, offset = struct.unpack_from("<II", data, 24)
    size, count = struct.unpack_from("<HH", data, 42)
    if (kind, machine) != (2, EM_ARM):
        raise BitstreamError(f"{where}: not an Arm executable (type {kind}, machine {machine})")
    segments = []
    for i in range(count):
        if offset + (i + 1) * size > len(data):
            raise BitstreamError(f"{where}: truncated: program header {i} is missing")
        fields = struct.unpack_from("<IIIIII", data, offset + i * size)
        p_type, p_offset, _, address, file_size, _ = fields
        if p_type == PT_LOAD and file_size > 0:
            if p_offset + file_size > len(data):
                raise BitstreamError(f"{where}: truncated: segment {i} is not all there")
            segments.append((address, data[p_offset : p_offset + file_size]))
    if not segments:
        raise BitstreamError(f"{where}: nothing to load in it")
    base = min(address for address, _ in segments)
    span = max(address + len(part) for address, part in segments) - base
    if span > MAX_SPAN:
        raise BitstreamError(f"{where}: its segments spread over {span} bytes")
    image = bytearray(span)
    for address, part in segments:
        image[address - base : address - base + len(part)] = part
    image += bytes(-len(image) % 4)
    return Program(base, bytes(image), entry)


def place(program: Program, board: Board, where: str) -> int | None:
    """The slot a program is linked for, None for the shell; BitstreamError if for neither."""
    if program.base == board.shell_base:
        slot, room = None, board.shell_size
    else:
        slot, rest = divmod(program.base - board.slot_base, board.slot_size)
        room = board.slot_size
        if rest != 0 or not 0 <= slot < board.slots:
            raise BitstreamError(
                f"{where}: linked at {program.base:#x}; a shell belongs at {board.shell_base:#x}, "
                f"a design for slot n at {board.slot_base:#x} + n * {board.slot_size:#x}"
            )
    if len(program.image) > room:
        raise BitstreamError(f"{where}: {len(program.image)} bytes do not fit the {room} there are")
    return slot


def digest_of(bitstream: bytes) -> bytes:
    """SHA-256 of a whole bitstream, the digest's own bytes taken as zero."""
    end = DIGEST_OFFSET + hashlib.sha256().digest_size
    zeroed = bitstream[:DIGEST_OFFSET] + bytes(end - DIGEST_OFFSET) + bitstream[end:]
    return hashlib.sha256(zeroed).digest()


def build(program: Program, header: Header) -> bytes:
    return header.pack(digest_of(header.pack(bytes(32)) + program.image)) + program.image


def parse(data: bytes, board: Board, where: str) -> Header:
    """Checks a bitstream file and returns its header; BitstreamError says what is wrong."""
    if len(data) < HEADER.size:
        raise BitstreamError(f"{where}: {len(data)} bytes, shorter than a header ({HEADER.size})")
    (
        magic,
        version,
        header_length,
        idcode,
        flags,
        slot,
        shell_id,
        length,
        entry,
        digest,
        name,
        design_version,
        _,
    ) = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise BitstreamError(f"{where}: not a bitstream: it begins with {magic!r}, not {MAGIC!r}")
    if (version, header_length) != (FORMAT_VERSION, HEADER.size):
        raise BitstreamError(
            f"{where}: format version {version} with a header of {header_length} "
            f"bytes; known is {FORMAT_VERSION} with {HEADER.size}"
        )
    if length != len(data) - HEADER.size:
        raise BitstreamError(
            f"{where}: {len(data) - HEADER.size} bytes follow the header, which says {length}"
        )
    if digest != digest_of(data):
        raise BitstreamError(f"{where}: the digest does not match the contents")
    partial = bool(flags & FLAG_PARTIAL)
    room = board.slot_size if partial else board.shell_size
    if flags & ~FLAG_PARTIAL or (slot >= board.slots if partial else slot != NO_SLOT):
        raise BitstreamError(f"{where}: flags {flags:#x} and slot {slot:#x} do not go together")
    if length == 0 or length % 4 or length > room or entry % 4 or entry >= length:
        raise BitstreamError(
            f"{where}: a program of {length} bytes with its entry at {entry:#x}; "
            f"room is for {room} bytes, both in multiples of 4"
        )
    if idcode != board.idcode:
        raise BitstreamError(f"{where}: made for part {idcode:#010x}, not {board.idcode:#010x}")
    return Header(
        name=name.rstrip(b"\0").decode("ascii", "replace"),
        design_version=design_version,
        idcode=idcode,
        slot=slot if partial else None,
        shell_id=shell_id,
        length=length,
        entry=entry,
    )


def version_number(text: str) -> int:
    """MAJOR.MINOR, each below 65536, as the header's number."""
    match = re.fullmatch(r"(\d{1,5})\.(\d{1,5})", text)
    if not match or max(int(part) for part in match.groups()) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"{text!r} is not MAJOR.MINOR, each below 65536")
    return int(match[1]) << 16 | int(match[2])


def design_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not 1 to 31 of a-z, 0-9 and '-', the first no '-'"
        )
    return text


def number(text: str) -> int:
    return int(text, 0)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BitstreamError(f"{path}: {error.strerror}") from error


def make(options: argparse.Namespace) -> None:
    board = Board.from_header(options.include / "vboard.h")
    program = read_elf(read(options.elf), str(options.elf))
    slot = place(program, board, str(options.elf))
    entry = program.entry - program.base
    if entry % 4 or not 0 <= entry < len(program.image):
        raise BitstreamError(f"{options.elf}: entry point {program.entry:#x} is not in the program")
    header = Header(
        options.name,
        options.version,
        board.idcode,
        slot,
        options.shell_id,
        len(program.image),
        entry,
    )
    try:
        options.output.write_bytes(build(program, header))
    except OSError as error:
        raise BitstreamError(f"{options.output}: {error.strerror}") from error


def inspect(options: argparse.Namespace) -> None:
    board = Board.from_header(options.include / "vboard.h")
    header = parse(read(options.bitstream), board, str(options.bitstream))
    if options.json:
        print(json.dumps(asdict(header)))
        return
    print(f"design    {header.name} {header.design_version >> 16}.{header.design_version & 0xFFFF}")
    print(f"kind      {'full' if header.slot is None else f'partial, slot {header.slot}'}")
    print(f"part      {header.idcode:#010x}")
    print(f"shell     {header.shell_id:#010x}")
    print(f"program   {header.length} bytes, entry at {header.entry:#x}")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="mkbitstream.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--include", type=Path, default=INCLUDE, help="folder of vboard.h")
    commands = top.add_subparsers(required=True)
    sub = commands.add_parser("make", help="make a bitstream from a linked program")
    sub.add_argument("elf", type=Path)
    sub.add_argument("-o", "--output", type=Path, required=True)
    sub.add_argument("--name", type=design_name, required=True)
    sub.add_argument("--version", type=version_number, required=True, metavar="MAJOR.MINOR")
    sub.add_argument(
        "--shell-id",
        type=number,
        required=True,
        help="the shell's own id, or that of the shell the design is built for",
    )
    sub.set_defaults(run=make)
    sub = commands.add_parser("inspect", help="print and check a bitstream")
    sub.add_argument("bitstream", type=Path)
    sub.add_argument("--json", action="store_true")
    sub.set_defaults(run=inspect)
    return top


def main() -> int:
    options = parser().parse_args()
    try:
        options.run(options)
    except BitstreamError as error:
        print(f"mkbitstream: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
