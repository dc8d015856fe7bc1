# SPDX-License-Identifier: MIT
"""The bitstream tool of the virtual board (meta-hetoci, vboard/files/pl/mkbitstream.py)."""

import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hetoci_lab import paths

VBOARD = paths.tree() / "meta-hetoci/recipes-bsp/vboard/files"
TOOL = VBOARD / "pl/mkbitstream.py"
SHELL = 0x1A0000
SLOT_2 = 0x1E0000
CODE = bytes(range(64))


def elf(base: int, code: bytes = CODE, entry: int = 8, machine: int = 40, kind: int = 2) -> bytes:
    """Return a minimal ARM executable of one segment, as the linker scripts give."""
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    header = struct.pack(
        "<HHIIIIIHHHHHH", kind, machine, 1, base + entry, 52, 0, 0, 52, 32, 1, 0, 0, 0
    )
    segment = struct.pack("<IIIIIIII", 1, 84, base, base, len(code), len(code), 7, 4)
    return ident + header + segment + code


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, TOOL, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def make(folder: Path, program: bytes, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "in.elf").write_bytes(program)
    options = more or ("--name", "vadd", "--version", "1.2", "--shell-id", "0x48450001")
    return run("make", folder / "in.elf", "-o", folder / "out.bit.bin", *options)


def made(folder: Path, program: bytes) -> bytes:
    result = make(folder, program)
    assert result.returncode == 0, result.stderr
    return (folder / "out.bit.bin").read_bytes()


def test_a_program_at_a_slots_address_becomes_a_partial_bitstream(tmp_path: Path) -> None:
    data = made(tmp_path, elf(SLOT_2))
    assert struct.unpack_from("<4sHHIIIIII", data) == (
        b"VBIT", 1, 128, 0x0E70C093, 1, 2, 0x48450001, 64, 8,
    )  # fmt: skip
    assert data[64:96] == b"vadd".ljust(32, b"\0")
    assert struct.unpack_from("<I", data, 96) == (0x10002,)
    assert data[100:128] == bytes(28)
    assert data[128:] == CODE


def test_a_program_at_the_shells_address_becomes_a_full_bitstream(tmp_path: Path) -> None:
    data = made(tmp_path, elf(SHELL))
    assert struct.unpack_from("<II", data, 12) == (0, 0xFFFFFFFF)


def test_the_digest_covers_header_and_program(tmp_path: Path) -> None:
    data = made(tmp_path, elf(SLOT_2))
    assert data[32:64] == hashlib.sha256(data[:32] + bytes(32) + data[64:]).digest()


def test_the_program_is_padded_to_words(tmp_path: Path) -> None:
    data = made(tmp_path, elf(SLOT_2, CODE[:-1]))
    assert data[128:] == CODE[:-1] + b"\0"


def test_inspect_reads_back_what_make_wrote(tmp_path: Path) -> None:
    made(tmp_path, elf(SLOT_2))
    result = run("inspect", "--json", tmp_path / "out.bit.bin")
    assert json.loads(result.stdout) == {
        "name": "vadd",
        "design_version": 0x10002,
        "idcode": 0x0E70C093,
        "slot": 2,
        "shell_id": 0x48450001,
        "length": 64,
        "entry": 8,
    }
    assert "partial, slot 2" in run("inspect", tmp_path / "out.bit.bin").stdout


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (b"no ELF at all", "not a 32-bit little-endian ELF file"),
        (elf(SLOT_2, machine=183), "not an Arm executable (type 2, machine 183)"),
        (elf(SLOT_2, kind=1), "not an Arm executable (type 1, machine 40)"),
        (elf(SLOT_2)[:60], "truncated: program header 0 is missing"),
        (elf(SLOT_2)[:-4], "truncated: segment 0 is not all there"),
        (elf(SLOT_2, b""), "nothing to load"),
        (elf(0x1E0004), "linked at 0x1e0004; a shell belongs at 0x1a0000"),
        (elf(0x200000), "linked at 0x200000"),
        (elf(SLOT_2, bytes(0x10004)), "65540 bytes do not fit the 65536 there are"),
        (elf(SLOT_2, bytes(0x200000)), "spread over 2097152 bytes"),
        (elf(SLOT_2, entry=64), "entry point 0x1e0040 is not in the program"),
        (elf(SLOT_2, entry=6), "entry point 0x1e0006 is not in the program"),
    ],
)
def test_a_program_that_can_be_no_bitstream_is_refused_in_one_sentence(
    tmp_path: Path, program: bytes, reason: str
) -> None:
    result = make(tmp_path, program)
    assert result.returncode == 1
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out.bit.bin").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--name", "Vector Adder", "--version", "1.0", "--shell-id", "1"), "'Vector Adder'"),
        (("--name", "v" * 32, "--version", "1.0", "--shell-id", "1"), "1 to 31 of"),
        (("--name", "vadd", "--version", "1", "--shell-id", "1"), "'1' is not MAJOR.MINOR"),
        (("--name", "vadd", "--version", "1.65536", "--shell-id", "1"), "each below 65536"),
        (("--name", "vadd", "--version", "1.0"), "--shell-id"),
    ],
)
def test_wrong_usage_is_refused(tmp_path: Path, options: tuple[str, ...], reason: str) -> None:
    result = make(tmp_path, elf(SLOT_2), *options)
    assert result.returncode == 2
    assert reason in result.stderr


def put(offset: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """Return a function that changes a header field and makes the digest right again."""

    def spoil(data: bytes) -> bytes:
        changed = bytearray(data)
        struct.pack_into(form, changed, offset, value)
        changed[32:64] = bytes(32)
        changed[32:64] = hashlib.sha256(changed).digest()
        return bytes(changed)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: data[:100], "100 bytes, shorter than a header (128)"),
        (lambda data: b"XBIT" + data[4:], "not a bitstream"),
        (lambda data: data[:-4], "60 bytes follow the header, which says 64"),
        (lambda data: data + b"\0", "65 bytes follow the header, which says 64"),
        (lambda data: data[:-1] + b"\xff", "the digest does not match"),
        (put(4, "<H", 2), "format version 2"),
        (put(6, "<H", 132), "a header of 132 bytes"),
        (put(8, "<I", 0x14738093), "made for part 0x14738093, not 0x0e70c093"),
        (put(12, "<I", 0), "flags 0x0 and slot 0x2 do not go together"),
        (put(12, "<I", 3), "flags 0x3 and slot 0x2 do not go together"),
        (put(16, "<I", 4), "flags 0x1 and slot 0x4 do not go together"),
        (put(28, "<I", 64), "with its entry at 0x40"),
        (put(28, "<I", 2), "with its entry at 0x2"),
    ],
)
def test_inspect_says_what_is_wrong_with_a_file(
    tmp_path: Path, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    file = tmp_path / "spoiled.bit.bin"
    file.write_bytes(spoil(made(tmp_path, elf(SLOT_2))))
    result = run("inspect", file)
    assert result.returncode == 1
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = run("inspect", tmp_path / "none.bit.bin")
    assert result.returncode == 1
    assert "none.bit.bin: No such file or directory" in result.stderr


def test_a_header_without_the_boards_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vboard.h").write_text("#define VB_NUM_SLOTS 4\n")
    (tmp_path / "in.elf").write_bytes(elf(SLOT_2))
    result = run("--include", tmp_path, "inspect", tmp_path / "in.elf")
    assert result.returncode == 1
    assert "does not define VB_PL_IDCODE, VB_SHELL_CODE_BASE" in result.stderr
