# SPDX-License-Identifier: MIT
"""Flattened device trees, overlays and bitstreams that anybody may have made."""

from __future__ import annotations

import shutil
import string
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import accelerator as make
from hetoci import bitstream, fdt, overlay
from hetoci.errors import BundleError
from hetoci.fabric import SLOT, Fabric
from hetoci.model import MemoryRange

# The machine may be busy; what must not take long is measured below.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = st.text(string.ascii_letters + string.digits + "@,#-._+ ?", min_size=1, max_size=12)
PROPERTIES = st.dictionaries(NAMES, st.binary(max_size=20), max_size=4)


def node(name: str, properties: dict[str, bytes], children: dict[str, fdt.Node]) -> fdt.Node:
    made = fdt.Node(name, properties)
    for child_name, child in children.items():
        child.name = child_name
        made.children.append(child)
    return made


NODES = st.recursive(
    st.builds(lambda properties: fdt.Node("", properties), PROPERTIES),
    lambda below: st.builds(
        lambda properties, children: node("", properties, children),
        PROPERTIES,
        st.dictionaries(NAMES, below, max_size=3),
    ),
    max_leaves=12,
)


def plain(tree: fdt.Node) -> Any:
    return tree.name, tree.properties, [plain(child) for child in tree.children]


# fdt


@UNTIMED
@given(NODES)
def test_what_is_built_is_parsed_as_it_was(tree: fdt.Node) -> None:
    blob = fdt.build(tree)
    parsed = fdt.parse(blob, "x")
    assert plain(parsed) == plain(tree)
    assert fdt.build(parsed) == blob


@UNTIMED
@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(blob: bytes) -> None:
    with pytest.raises(BundleError, match="x is no device-tree blob: "):
        fdt.parse(blob, "x")


@UNTIMED
@given(st.binary(max_size=300), st.binary(max_size=60))
def test_no_structure_breaks_the_parser(structure: bytes, names: bytes) -> None:
    try:
        fdt.parse(blob_of(structure, names), "x")
    except BundleError:
        pass


TOKENS = st.sampled_from([1, 2, 3, 4, 9]).map(lambda token: struct.pack(">I", token))
PIECES = st.one_of(
    TOKENS,
    st.integers(0, 0xFFFFFFFF).map(lambda word: struct.pack(">I", word)),
    st.sampled_from([b"\0\0\0\0", b"abc\0", b"abcd\0\0\0\0", struct.pack(">3I", 3, 4, 0)]),
)


@UNTIMED
@given(st.lists(PIECES, max_size=40))
def test_no_order_of_tokens_breaks_the_parser(pieces: list[bytes]) -> None:
    try:
        fdt.parse(blob_of(b"".join(pieces), b"reg\0compatible\0"), "x")
    except BundleError:
        pass


def blob_of(structure: bytes, names: bytes = b"", **changes: int) -> bytes:
    """A blob with a good header around any structure block."""
    fields = {
        "magic": 0xD00DFEED,
        "total": 40 + len(structure) + len(names),
        "structure": 40,
        "names_at": 40 + len(structure),
        "reserved": 40,
        "version": 17,
        "compatible": 16,
        "cpu": 0,
        "names_size": len(names),
        "size": len(structure),
    }
    return struct.pack(">10I", *{**fields, **changes}.values()) + structure + names


def words(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


EMPTY = words(1, 0, 2, 9)


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"", "it is shorter than a header"),
        (blob_of(EMPTY, magic=1), "it begins with 0x00000001, not with 0xd00dfeed"),
        (blob_of(EMPTY, total=1000), "its header says 1000 bytes, the file has 56"),
        (blob_of(EMPTY, version=16), "its format version is 16, 17 is needed"),
        (blob_of(EMPTY, compatible=18), "its format version is 17, 17 is needed"),
        (blob_of(EMPTY, size=1000), "its structure block leads out of the file"),
        (blob_of(EMPTY, names_at=1000), "its strings block leads out of the file"),
        (blob_of(b""), "its structure block ends too early"),
        (blob_of(words(2)), "its structure block does not begin with a node"),
        (blob_of(words(1, 0, 7)), "its structure block has the token 7"),
        (blob_of(words(1, 0, 2, 1)), "its structure block goes on after the root node"),
        (blob_of(words(1, 0x61000000, 2, 9)), "its root node has a name"),
        (blob_of(words(1, 0x61616161)), "the name of a node leads out of its block"),
        (blob_of(words(1, 0, 1, 0xFF000000, 2, 2, 9)), "the name of a node is not ASCII"),
        (blob_of(words(1, 0, 1, 0x612F6200, 2, 2, 9)), "a node has the name 'a/b'"),
        (blob_of(words(1, 0, 1, 0x611B6200, 2, 2, 9)), r"a node has the name 'a\\x1bb'"),
        (
            blob_of(words(1, 0, 1, 0x61000000, 2, 1, 0x61000000, 2, 2, 9)),
            "node / has two children 'a'",
        ),
        (blob_of(words(1, 0, 3, 0, 0)), "the name of a property leads out of its block"),
        (blob_of(words(1, 0, 3, 0, 0xFFFFFFFF)), "the name of a property leads out of its block"),
        (blob_of(words(1, 0, 3, 0xFFFFFFFF, 0), b"a\0"), "property 'a' leads out of the struct"),
        (blob_of(words(1, 0, 3, 0, 0, 3, 0, 0), b"a\0"), "node / has property 'a' twice"),
        (blob_of(words(1, 0, 3, 0, 0), b"\0"), "node / has property '' twice"),
        (blob_of(words(1, 0) * 20), "more than 1024 nodes or 16 levels are not taken"),
    ],
)
def test_a_bad_blob_says_what_is_wrong(blob: bytes, reason: str) -> None:
    with pytest.raises(BundleError) as caught:
        fdt.parse(blob, "x")
    assert reason.replace("\\\\", "\\") in str(caught.value)


MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    "blob",
    [
        blob_of(words(4) * (MEGABYTE // 4)),
        blob_of(words(1, 0) * (MEGABYTE // 8)),
        blob_of(words(1, 0) + words(1, 0x61000000, 2) * (MEGABYTE // 12)),
        blob_of(words(1, 0) + words(3, 0, 0) * (MEGABYTE // 12), b"a\0"),
        blob_of(
            words(1, 0) + b"".join(words(3, 0, n) for n in range(8000)) + words(2, 9),
            b"a" * 8000 + b"\0",
        ),
        blob_of(words(1, 0, 3, MEGABYTE, 0) + bytes(MEGABYTE) + words(2, 9), b"__fixups__\0"),
    ],
)
def test_a_hostile_blob_is_refused_soon(blob: bytes) -> None:
    begin = time.process_time()
    try:
        overlay.parse(blob, "x")
    except BundleError:
        pass
    assert time.process_time() - begin < 5


@pytest.mark.skipif(not shutil.which("dtc"), reason="the device-tree compiler is not installed")
def test_blobs_of_the_device_tree_compiler_are_read(tmp_path: Path) -> None:
    source = """/dts-v1/; /plugin/;
        &slot0 { firmware-name = "x"; own: a@1 { reg = <1 2>; clocks = <&clk 3>; };
                 b { interrupt-parent = <&own>; }; };"""
    (tmp_path / "x.dts").write_text(source)
    command = ["dtc", "-@", "-q", "-I", "dts", "-O", "dtb", "-o", "x.dtbo", "x.dts"]
    subprocess.run(command, cwd=tmp_path, check=True)
    blob = (tmp_path / "x.dtbo").read_bytes()
    parsed = overlay.parse(blob, "x")
    assert (parsed.label, parsed.path) == ("slot0", "")
    assert [path for path, _ in parsed.nodes()] == ["/a@1", "/b"]
    body = f"/{parsed.fragment}/__overlay__"
    assert parsed.outside == {(f"{body}/a@1", "clocks", 0): "clk"}
    assert parsed.local == {(f"{body}/b", "interrupt-parent", 0)}
    (tmp_path / "again.dtbo").write_bytes(fdt.build(fdt.parse(blob, "x")))
    for name in ("x", "again"):
        command = ["dtc", "-q", "-I", "dtb", "-O", "dts", "-o", f"{name}.out", f"{name}.dtbo"]
        subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "again.out").read_text() == (tmp_path / "x.out").read_text()


# overlays


class Tree:
    """A LiveTree with the nodes of the virtual board that matter."""

    def label(self, name: str) -> str | None:
        labels = {"slot0": "/region/slot0", "gic": "/gic", "pl_clk": "/clk", "uart0": "/uart"}
        return labels.get(name)

    def cells(self, path: str, name: str) -> tuple[int, ...]:
        return {
            ("/gic", "#interrupt-cells"): (3,),
            ("/region/slot0", "#address-cells"): (2,),
            ("/region/slot0", "#size-cells"): (2,),
        }.get((path, name), ())

    def interrupt_parent(self, path: str) -> str:
        return "/gic"

    def clocks(self, path: str) -> list[tuple[str, tuple[int, ...]]]:
        return [("/clk", ())]


def slot() -> Fabric:
    made = Fabric("fpga", "region1", SLOT, "slot0", "/region/slot0")
    made.windows = (MemoryRange("registers", make.REGS, make.REGS_SIZE),)
    made.memory = (MemoryRange("dma", make.DMA, make.DMA_SIZE),)
    made.interrupts = ((0, 60, 1),)
    return made


GLOBS = ("hetoci,*", "generic-uio")


def check(blob: bytes) -> bytes | None:
    """What the kernel would get of an image's overlay; None if it is refused."""
    parsed = overlay.parse(blob, "x")
    fabric = slot()
    if overlay.objections(parsed, fabric, Tree(), GLOBS):  # type: ignore[arg-type]
        return None
    return overlay.bind(parsed, fabric.place, "staged", partial=True, encrypted=False)


def obeys(blob: bytes) -> None:
    """The overlay for the kernel keeps to rule S7, read anew and without the code's own eyes."""
    root = fdt.parse(blob, "bound")
    fragments = [child for child in root.children if not child.name.startswith("__")]
    assert [fragment.properties for fragment in fragments] == [{"target-path": b"/region/slot0\0"}]
    assert not root.child("__symbols__")
    (body,) = fragments[0].children
    assert set(body.properties) <= overlay.REGION_PROPERTIES
    assert body.properties["firmware-name"] == b"staged\0"
    assert "partial-fpga-config" in body.properties
    assert "encrypted-fpga-config" not in body.properties
    nodes = dict(body.walk())
    for path, found in nodes.items():
        if not path:
            continue
        for word in fdt.strings(found.properties.get("compatible", b"")):
            assert word.startswith("hetoci,") or word == "generic-uio"
        parent = nodes[path.rpartition("/")[0]]
        if path.count("/") == 1 or "ranges" in parent.properties:
            counts = [
                (fdt.cells(parent.properties.get(f"#{what}-cells", b"")) or (default,))[0]
                for what, default in (("address", 2), ("size", 1))
            ]
            inside(fdt.cells(found.properties.get("reg", b"")), *counts)
        lines = fdt.cells(found.properties.get("interrupts", b""))
        assert lines[:2] in ((), (0, 60))
        assert len(lines) in (0, 3) or lines[3:5] == (0, 60)


def inside(cells: tuple[int, ...], address_cells: int, size_cells: int) -> None:
    width = address_cells + size_cells
    for at in range(0, len(cells), width):
        first = size = 0
        for word in cells[at : at + address_cells]:
            first = first << 32 | word
        for word in cells[at + address_cells : at + width]:
            size = size << 32 | word
        end = first + size
        assert (make.REGS <= first < end <= make.REGS + make.REGS_SIZE) or (
            make.DMA <= first < end <= make.DMA + make.DMA_SIZE
        )


GOOD = make.slot_overlay(0)


def test_a_good_overlay_reaches_the_kernel_as_rule_s7_wants_it() -> None:
    bound = check(GOOD)
    assert bound
    obeys(bound)


def test_a_hostile_overlay_is_refused_soon() -> None:
    body = make.design(0)
    paths = [f"/n{number}" for number in range(500)]
    for path in paths:
        body.add(path[1:], {"clocks": bytes(400)})
    fixups = {"gic": [f"{path}:reg:{4 * n}" for path in paths for n in range(20)]}
    local = {path: {"clocks": range(0, 400, 4)} for path in paths}
    blob = fdt.build(make.overlay("slot0", body, fixups, local))
    assert len(blob) > MEGABYTE // 2
    begin = time.process_time()
    assert check(blob) is None
    assert time.process_time() - begin < 5


@UNTIMED
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=4))
def test_no_change_of_bytes_gets_past_the_checks(changes: list[tuple[int, int]]) -> None:
    blob = bytearray(GOOD)
    for at, value in changes:
        blob[at] = value
    try:
        bound = check(bytes(blob))
    except BundleError:
        return
    if bound:
        obeys(bound)


CELLS = st.sampled_from(
    [0, 1, 2, 3, 60, 61, 0x1000, 0xFFFC0000, 0xFFFC1000, 0x3F000000, 0x3F100000, 0x100000]
)
VALUES = st.one_of(
    st.lists(CELLS, max_size=8).map(lambda found: fdt.from_cells(*found)),
    st.sampled_from([b"", b"hetoci,x\0", b"generic-uio\0", b"arm,pl011\0", b"a\0b\0"]),
)
INNER_NAMES = st.sampled_from(sorted(overlay.NODE_PROPERTIES | {"iommus", "x,y", "fpga-mgr"}))
INNER = st.recursive(
    st.dictionaries(INNER_NAMES, VALUES, max_size=3).map(lambda found: fdt.Node("", found)),
    lambda below: st.builds(
        lambda properties, children: node("", properties, children),
        st.dictionaries(INNER_NAMES, VALUES, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b@1", "c"]), below, max_size=2),
    ),
    max_leaves=5,
)
PLACES = st.sampled_from(
    [
        "/a:clocks:0",
        "/a:clocks:4",
        "/a:reg:4",
        ":#size-cells:0",
        "/b@1:interrupt-parent:0",
        "/c:x:0",
    ]
)


@settings(UNTIMED, max_examples=200)
@given(
    INNER,
    st.dictionaries(
        st.sampled_from(["gic", "pl_clk", "uart0", "no"]), st.lists(PLACES), max_size=2
    ),
    st.dictionaries(
        st.sampled_from(["", "/a", "/b@1"]),
        st.dictionaries(
            st.sampled_from(["clocks", "reg", "interrupt-parent"]),
            st.lists(st.sampled_from([0, 4, 8, 3]), max_size=2),
            max_size=2,
        ),
        max_size=2,
    ),
)
def test_no_overlay_gets_past_the_checks(
    body: fdt.Node, fixups: dict[str, list[str]], local: dict[str, dict[str, list[int]]]
) -> None:
    for name in set(body.properties) - overlay.REGION_PROPERTIES:
        del body.properties[name]
    try:
        bound = check(fdt.build(make.overlay("slot0", body, fixups, local)))
    except BundleError:
        return
    if bound:
        obeys(bound)


# bitstreams


@given(st.binary(max_size=200), st.sampled_from([b"", b"VBIT", make.bitstream(0)[:32]]))
def test_no_bytes_break_the_reader_of_headers(data: bytes, head: bytes) -> None:
    header = bitstream.read(head + data)
    assert header is None or header.format in ("VBIT", "BIT")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_amds_headers(data: bytes) -> None:
    header = bitstream.read(bytes.fromhex("00090ff00ff00ff00ff0000001") + data)
    assert header is not None
    assert header.format == "BIT"


@given(st.integers(0, 133), st.integers(1, 255))
def test_every_changed_byte_of_a_bitstream_is_noticed(at: int, change: int) -> None:
    data = bytearray(make.bitstream(0))
    data[at] ^= change
    header = bitstream.read(bytes(data))
    assert header is None or header.faults


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ("0x0e70c093", "0xE70C093", True),
        ("0x1", "0x2", False),
        ("XCK26", "xck26", True),
        ("0xzz", "0xzz", False),
        ("xck26", "0x1", False),
    ],
)
def test_ids_are_compared_as_what_they_are(wanted: str, found: str, same: bool) -> None:
    assert bitstream.same_id(wanted, found) is same
