# SPDX-License-Identifier: MIT
"""Firmware files: what is read, what is refused and in which words."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import firmware
from hetoci import elf, rsctable
from hetoci.errors import BundleError

GOOD = firmware.scripted("say hello")


def patched(image: bytes, at: int, layout: str, *values: int) -> bytes:
    data = bytearray(image)
    struct.pack_into(layout, data, at, *values)
    return bytes(data)


def test_a_good_file_is_read() -> None:
    parsed = elf.parse(GOOD, "x.elf")
    assert (parsed.bits, parsed.machine, parsed.entry) == (32, elf.EM_ARM, 0)
    assert [(s.index, s.address) for s in parsed.segments] == [(0, 0), (1, firmware.CARVEOUT)]
    assert parsed.resource_table is not None
    names = [entry.name for entry in rsctable.parse(parsed.resource_table, "x").traces()]
    assert names == ["log", "hetoci-exit"]


def test_a_64_bit_file_is_read() -> None:
    image = firmware.elf(
        [(0x80000000, b"code", 4, 5)],
        entry=0x80000000,
        machine=elf.EM_AARCH64,
        bits=64,
        resource_table=firmware.table([]),
    )
    parsed = elf.parse(image, "x.elf")
    assert (parsed.bits, parsed.segments[0].address, parsed.entry) == (64, 1 << 31, 1 << 31)
    assert parsed.resource_table == firmware.table([])


def test_a_file_without_resource_table_is_read() -> None:
    assert elf.parse(firmware.elf([(0, b"code", 4, 5)]), "x").resource_table is None


REFUSED = [
    (b"", "is no ELF file (it begins with nothing)"),
    (b"\x1f\x8b\x08\0", "is no ELF file (it begins with 1f 8b 08 00)"),
    (b"\x7fELF\x01\x01", "ends inside its ELF header"),
    (patched(GOOD, 4, "B", 9), "has the unknown ELF class 09"),
    (patched(GOOD, 5, "B", 2), "is big-endian"),
    (patched(GOOD, 28, "<I", 1 << 30), "its program headers lie outside the file"),
    (patched(GOOD, 42, "<H", 31), "its program headers lie outside the file"),
    (patched(GOOD, 44, "<H", 0), "has nothing to load"),
    (patched(GOOD, 52, "<I", 6), "is fine"),  # the first of two is no PT_LOAD
    (patched(GOOD, 52 + 4, "<I", 1 << 20), "is truncated: segment 0 ends at byte 1048585"),
    (patched(GOOD, 52 + 20, "<I", 3), "segment 0 has more bytes in the file (9) than in memory"),
    (patched(GOOD, 32, "<I", 1 << 30), "its section headers lie outside the file"),
    (patched(GOOD, 46, "<H", 39), "its section headers lie outside the file"),
    (patched(GOOD, 50, "<H", 77), "names section 77 for section names, it has 3"),
]


@pytest.mark.parametrize(("image", "words"), REFUSED)
def test_a_bad_file_is_refused_in_words(image: bytes, words: str) -> None:
    if words == "is fine":
        assert len(elf.parse(image, "x.elf").segments) == 1
        return
    with pytest.raises(BundleError) as caught:
        elf.parse(image, "/x.elf")
    assert "/x.elf" in str(caught.value)
    assert words in str(caught.value)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    for image in (data, b"\x7fELF\x01\x01" + data, b"\x7fELF\x02\x01" + data):
        try:
            elf.parse(image, "x")
        except BundleError:
            continue


@given(st.data())
@settings(max_examples=300)
def test_no_damage_breaks_the_parsers(data: st.DataObject) -> None:
    image = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 6))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = elf.parse(bytes(image[: data.draw(st.integers(0, len(image)))]), "x")
        if parsed.resource_table is not None:
            rsctable.parse(parsed.resource_table, "x")
    except BundleError:
        pass


@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFF0000), st.binary(max_size=64), st.integers(64, 4096)).map(
            lambda t: (t[0], t[1], t[2], 5)
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([32, 64]),
)
def test_what_was_written_is_read(segments: list[tuple[int, bytes, int, int]], bits: int) -> None:
    parsed = elf.parse(firmware.elf(segments, bits=bits), "x")
    assert [(s.address, s.memory_size) for s in parsed.segments] == [
        (address, size) for address, _, size, _ in segments
    ]


# resource tables

BAD_TABLES = [
    (b"", "too short (0 bytes)"),
    (firmware.table([], version=2), "version 2 is unknown"),
    (struct.pack("<IIII", 1, 0, 5, 0), "reserved words of the resource table are not zero"),
    (struct.pack("<IIII", 1, 9, 0, 0), "claims 9 entries and has 16 bytes"),
    (struct.pack("<IIII", 1, 1 << 31, 0, 0) + bytes(64), "claims 2147483648 entries"),
    (struct.pack("<IIIII", 1, 1, 0, 0, 4), "entry 0 lies at offset 4, outside the table"),
    (struct.pack("<IIIII", 1, 1, 0, 0, 17), "entry 0 lies at offset 17, outside the table"),
    (struct.pack("<IIIIII", 1, 1, 0, 0, 20, 2), "entry 0 (trace buffer) is truncated"),
    (struct.pack("<IIIIII", 1, 1, 0, 0, 20, 0), "entry 0 (carve-out) is truncated"),
    (firmware.table([firmware.trace("t", reserved=1)]), "entry 0 has reserved fields that are"),
    (firmware.table([firmware.vdev([(0, 4096, 256)] * 3)]), "has 3 vrings, Linux supports 2"),
    (firmware.table([firmware.vdev([(0, 4096, 0)])]), "vring 0 with 0 buffers aligned to 4096"),
    (firmware.table([firmware.vdev([(0, 4096, 24)])]), "both must be powers of two"),
    (firmware.table([firmware.vdev([(0, 0, 16)])]), "vring 0 with 16 buffers aligned to 0"),
    (firmware.table([firmware.vdev([], b"\1\0")]), "reserved fields that are not zero"),
    (firmware.table([firmware.vdev([(0, 4096, 16)])])[:-1], "entry 0 (vdev) is truncated"),
    (firmware.table([firmware.vdev([], config=64)])[:-1], "entry 0 (vdev) is truncated"),
]


@pytest.mark.parametrize(("table", "words"), BAD_TABLES)
def test_a_bad_table_is_refused_in_words(table: bytes, words: str) -> None:
    with pytest.raises(BundleError) as caught:
        rsctable.parse(table, "/x.elf")
    assert words in str(caught.value)


def test_vrings_have_the_size_linux_gives_them() -> None:
    table = rsctable.parse(firmware.table([firmware.vdev([(0x1000, 4096, 256)] * 2)]), "x")
    # include/uapi/linux/virtio_ring.h, vring_size(256, 4096), in whole pages
    assert [(e.address, e.size) for e in table.entries] == [(0x1000, 0x3000)] * 2


def test_entries_of_vendors_are_passed_over() -> None:
    vendor = struct.pack("<I", 128) + bytes(8)
    table = rsctable.parse(firmware.table([vendor, firmware.trace("log")]), "x")
    assert [entry.index for entry in table.entries] == [1]


@given(st.binary(max_size=200))
def test_no_bytes_break_the_table_parser(data: bytes) -> None:
    for table in (data, struct.pack("<IIIII", 1, 1, 0, 0, 20) + data):
        try:
            rsctable.parse(table, "x")
        except BundleError:
            continue
