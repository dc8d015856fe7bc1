# SPDX-License-Identifier: MIT
"""Bad input of containers with accelerators: one sentence each, and nothing is touched."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import accelerator as make
from hetoci import fdt
from plboard import PlBoard, keys

BIT = "/accelerator/sha256-slot0.bit.bin"
DTBO = "/accelerator/sha256-slot0.dtbo"
SLOT0 = keys(slot="slot0")

Change = Callable[[PlBoard, Path], None]


def refused(pl: PlBoard, bundle: str) -> str:
    """Create must fail with one sentence and leave the board as it was; the sentence."""
    before = pl.snapshot()
    result = pl.hetoci("create", "--bundle", bundle, "c")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("hetoci: ")
    assert result.err.count("\n") == 1
    assert pl.snapshot() == before
    assert pl.fpga.loads == []
    return result.err


# files


def link(name: str, target: str) -> Change:
    def change(pl: PlBoard, rootfs: Path) -> None:
        (pl.root / "secret.bit").write_bytes(make.bitstream(0))
        (pl.root / "secret.dtbo").write_bytes(make.slot_overlay(0))
        (rootfs / name[1:]).unlink()
        (rootfs / name[1:]).symlink_to(target.format(root=pl.root))

    return change


def instead(name: str, make_it: Callable[[Path], object]) -> Change:
    def change(pl: PlBoard, rootfs: Path) -> None:
        (rootfs / name[1:]).unlink()
        make_it(rootfs / name[1:])

    return change


def sparse(size: int) -> Callable[[Path], None]:
    def make_it(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size)

    return make_it


def a_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's address has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def replaced(name: str, data: bytes) -> Change:
    return instead(name, lambda path: path.write_bytes(data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (link(BIT, "../../../secret.bit"), f"would take {BIT}, which does not exist in the image"),
        (link(BIT, "{root}/secret.bit"), f"would take {BIT}, which does not exist in the image"),
        (link(DTBO, "../../../secret.dtbo"), f"would take {DTBO}, which does not exist"),
        (link(BIT, "sha256-slot0.bit.bin"), "opened: Too many levels of symbolic links (ELOOP)"),
        (link(BIT, "sha256-slot1.bit.bin/x"), f"{BIT} in the image cannot be opened: Not a direc"),
        (instead(BIT, os.mkfifo), f"{BIT} in the image is a FIFO, a regular file is needed"),
        (instead(DTBO, os.mkfifo), f"{DTBO} in the image is a FIFO, a regular file is needed"),
        (instead(BIT, a_socket), f"{BIT} in the image is a socket, a regular file is needed"),
        (instead(BIT, os.mkdir), f"{BIT} in the image is a directory, a regular file is needed"),
        (
            instead(BIT, sparse(2 << 30)),
            f"{BIT} in the image has 2147483648 bytes, more than the 268435456 allowed",
        ),
        (
            instead(DTBO, sparse((1 << 20) + 1)),
            f"{DTBO} in the image has 1048577 bytes, more than the 1048576 allowed",
        ),
        (replaced(DTBO, b""), f"hash: overlay {DTBO} is no device-tree blob: it is shorter"),
        (replaced(DTBO, make.slot_overlay(0)[:300]), "its header says 496 bytes, the file has 300"),
        (replaced(DTBO, b"\x7fELF" * 100), "it begins with 0x7f454c46, not with 0xd00dfeed"),
    ],
)
def test_a_file_that(pl: PlBoard, change: Change, words: str) -> None:
    bundle = pl.accelerator(SLOT0)
    change(pl, pl.root / bundle[1:] / "rootfs")
    assert words in refused(pl, bundle)


def test_a_device_node_is_not_opened(pl: PlBoard) -> None:
    bundle = pl.accelerator(SLOT0)
    path = pl.root / bundle[1:] / "rootfs" / BIT[1:]
    path.unlink()
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero: endless
    except PermissionError:
        pytest.skip("making device nodes needs CAP_MKNOD")
    assert "is a character device, a regular file is needed" in refused(pl, bundle)


def test_the_operator_limits_the_size(pl: PlBoard) -> None:
    pl.settings("bitstream-max-size = 100\n")
    error = refused(pl, pl.accelerator(SLOT0))
    assert f"{BIT} in the image has 134 bytes, more than the 100 allowed" in error


@pytest.mark.parametrize(
    ("key", "value"),
    [("bitstream", "/../secret.bit"), ("bitstream", "a/../../b"), ("overlay", "..")],
)
def test_a_path_that_leads_out_of_the_image(pl: PlBoard, key: str, value: str) -> None:
    error = refused(pl, pl.accelerator(keys(**{key: value})))
    assert f"io.hetoci.accelerator.hash.{key}" in error
    assert "a path in the image without '..'" in error


@pytest.mark.parametrize("key", ["clocks", "shell", "flags", "timeout", "devices", "memory"])
def test_a_bad_value_names_its_key(pl: PlBoard, key: str) -> None:
    assert f"io.hetoci.accelerator.hash.{key}" in refused(pl, pl.accelerator(keys(**{key: "?!"})))


def test_digests_bind_files_to_the_labels(pl: PlBoard) -> None:
    bundle = pl.accelerator(keys(slot="slot0", digest="sha256:" + "0" * 64))
    error = refused(pl, bundle)
    for path in (BIT, DTBO):
        assert f"hash: {path} has the digest sha256:" in error
    assert "which is not among those of the metadata" in error


def test_faults_of_both_files_and_of_every_accelerator_come_at_once(pl: PlBoard) -> None:
    files = {BIT: make.bitstream(1), DTBO: make.slot_overlay(1)}
    error = refused(pl, pl.accelerator(SLOT0, keys("other", slot="slot1"), files={
        **files,
        BIT.replace("slot0", "slot1"): b"VBIT",
        DTBO.replace("slot0", "slot1"): b"",
    }))  # fmt: skip
    for words in (
        f"(1) hash: bitstream {BIT}: it was made for the slot slot1, slot0 has slot0",
        f"hash: overlay {DTBO}: its target is &slot1",
        "other: bitstream /accelerator/sha256-slot1.bit.bin: it has 4 bytes",
        "other: overlay /accelerator/sha256-slot1.dtbo is no device-tree blob",
    ):
        assert words in error


# bitstreams


def amd(*fields: tuple[bytes, bytes], data: bytes = b"1234", length: int | None = None) -> bytes:
    """A .bit file: its header's fields, and configuration data."""
    head = bytes.fromhex("00090ff00ff00ff00ff0000001")
    for key, value in fields:
        head += key + len(value).to_bytes(2, "big") + value
    return head + b"e" + (len(data) if length is None else length).to_bytes(4, "big") + data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            make.bitstream(0, part=0x1234),
            "it was made for the part 0x00001234, slot0 has 0x0e70c093",
        ),
        (
            make.bitstream(0, shell=0x1234),
            "it was made for the shell 0x00001234, slot0 has 0x48450001",
        ),
        (make.bitstream(1), "it was made for the slot slot1, slot0 has slot0"),
        (
            make.bitstream(0xFFFFFFFF, partial=False),
            "it is a full one, the key flags says partial",
        ),
        (
            make.bitstream(0)[:-1] + b"?",
            "the checksum in its header is not that of its content",
        ),
        (make.bitstream(0)[:-1], "its header says 134 bytes, it has 133"),
        (make.bitstream(0) + b"x", "its header says 134 bytes, it has 135"),
        (make.bitstream(0)[:100], "it has 100 bytes, its header alone has 128"),
        (amd((b"a", b"top\0"), (b"b", b"xczu9eg\0")), "it is a full one, the key flags says"),
        (
            amd((b"a", b"top;PARTIAL=TRUE\0"), (b"b", b"xczu9eg\0")),
            "it was made for the part xczu9eg, slot0 has 0x0e70c093",
        ),
        (amd((b"a", b"t;PARTIAL=TRUE\0"), length=5), "says 5 bytes of data, 4 follow"),
        (amd((b"a", b"t;PARTIAL=TRUE\0"))[:20], "its header does not come to an end"),
    ],
)
def test_a_bitstream_that_does_not_fit(pl: PlBoard, data: bytes, words: str) -> None:
    bundle = pl.accelerator(SLOT0)
    pl.file(bundle, BIT, data)
    assert f"hash: bitstream {BIT}: " in (error := refused(pl, bundle))
    assert words in error


def test_a_partial_bitstream_for_a_region_is_refused(pl: PlBoard) -> None:
    wanted = keys(bitstream="/full.bit", overlay=None, flags=None)
    bundle = pl.accelerator(wanted, files={"/full.bit": make.bitstream(0)})
    assert "region fpga-region holds pl-shell.bit.bin" in refused(pl, bundle)


# overlays


def build(**options: Any) -> bytes:
    """The overlay of slot0's design, with changes.

    node: properties of its node; region: of the region; target; the rest as for make.overlay.
    """
    body = make.design(0)
    body.children[0].properties.update(options.pop("node", {}))
    body.properties.update(options.pop("region", {}))
    if "children" in options:
        for name, properties in options.pop("children").items():
            body.add(name, properties)
    return fdt.build(make.overlay(options.pop("target", "slot0"), body, **options))


def fragments(count: int) -> bytes:
    root = fdt.Node("")
    for n in range(count):
        other = make.overlay("slot0", make.design(0))
        fragment = other.children[0]
        fragment.name = f"fragment@{n}"
        root.children.append(fragment)
    root.add("__fixups__", {
        "slot0": fdt.from_strings(*(f"/fragment@{n}:target:0" for n in range(count)))
    })  # fmt: skip
    return fdt.build(root)


def reg(first: int, size: int) -> dict[str, bytes]:
    return {"reg": fdt.from_cells(first >> 32, first & 0xFFFFFFFF, size >> 32, size & 0xFFFFFFFF)}


NODE = "/sha256@fffc0000"
OPEN = {"clocks": fdt.from_cells(0xFFFFFFFF)}


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (
            build(target="uart0"),
            "its target is &uart0, it has to be its region /fpga-region/slot0@",
        ),
        (build(target="slot1"), "its target is &slot1, it has to be its region"),
        (build(target="fpga_full"), "its target is &fpga_full, it has to be its region"),
        (build(target="/uart@ff000000"), "its target is /uart@ff000000, it has to be"),
        (build(target="/"), "its target is /, it has to be its region"),
        (build(target="nowhere"), "its target &nowhere does not exist on this board"),
        (build(target=""), "its target is missing, it has to be its region"),
        (fragments(0), "has 0 fragments, one is needed, for its region"),
        (fragments(2), "has 2 fragments, one is needed, for its region"),
        (
            build(node={"compatible": fdt.from_strings("arm,pl011", "generic-uio")}),
            "node sha256@fffc0000: compatible 'arm,pl011' is not among those allowed"
            " (hetoci,* generic-uio)",
        ),
        (build(node=reg(0xFFFC1000, 0x1000)), "reg 0xfffc1000 with 0x1000 bytes lies outside of"),
        (build(node=reg(0xFFFC0000, 0x1001)), "reg 0xfffc0000 with 0x1001 bytes lies outside of"),
        (build(node=reg(0xFFFBFFFF, 0x1000)), "reg 0xfffbffff with 0x1000 bytes lies outside of"),
        (build(node=reg(0xFFFC0000, 0)), "reg 0xfffc0000 with 0x0 bytes lies outside of slot0"),
        (build(node=reg(0x1_FFFC0000, 0x10)), "reg 0x1fffc0000 with 0x10 bytes lies outside of"),
        (build(node=reg(0xFFFC0000, 1 << 63)), "with 0x8000000000000000 bytes lies outside of"),
        (build(node=reg(0x3F100000, 0x1000)), "reg 0x3f100000 with 0x1000 bytes lies outside of"),
        (build(node={"reg": fdt.from_cells(0, 1, 2)}), "reg has 3 cells, 2 + 2 each are needed"),
        (
            build(region={"#address-cells": fdt.from_cells(1)}),
            "reg has 8 cells, 1 + 2 each are needed",
        ),
        (
            build(region={"#size-cells": fdt.from_cells(0)}),
            "reg has 8 cells, 2 + 0 each are needed",
        ),
        (build(node={"interrupts": make.line(1)}), "interrupt (0, 61, 1) is not one of slot0"),
        (build(node={"interrupts": make.line(0) + b"\0\0\0\0"}), "interrupt (0,) is not one of"),
        (
            build(node={"interrupt-parent": fdt.from_cells(1)}),
            "interrupt-parent is not a label; leave it out, slot0 has its own",
        ),
        (
            build(
                node={"interrupt-parent": fdt.from_cells(0xFFFFFFFF)},
                fixups={"uart0": [f"{NODE}:interrupt-parent:0"]},
            ),
            "interrupt-parent is &uart0; leave it out, slot0 has its own",
        ),
        (
            build(region={"fpga-bridges": fdt.from_cells(1)}),
            "it sets fpga-bridges of the region, which is not an accelerator's to set",
        ),
        (build(region={"fpga-mgr": fdt.from_cells(1)}), "it sets fpga-mgr of the region"),
        (build(region={"external-fpga-config": b""}), "it sets external-fpga-config of the region"),
        (build(region={"ranges": b""}), "it sets ranges of the region"),
        (build(node={"memory-region": fdt.from_cells(1)}), "property memory-region is not one"),
        (build(node={"iommus": fdt.from_cells(1)}), "property iommus is not one that an"),
        (build(node={"ranges": make.window(0)}), "ranges has to be empty"),
        (
            build(fixups={"gic": [f"{NODE}:reg:4"]}),
            "it refers to another node in /fragment@0/__overlay__/sha256@fffc0000:reg, offset 4",
        ),
        (build(local={NODE: {"reg": [4]}}), "__overlay__/sha256@fffc0000:reg, offset 4"),
        (build(fixups={"gic": [":#address-cells:0"]}), "it refers to another node in /fragment@0/"),
        (build(fixups={"gic": [f"{NODE}:clocks:0"]}), "sha256@fffc0000:clocks, offset 0"),
        (build(node=OPEN, fixups={"pl_clk": [f"{NODE}:clocks:2"]}), ":clocks, offset 2"),
        (build(node=OPEN, fixups={"pl_clk": [f"{NODE}:clocks:4"]}), ":clocks, offset 4"),
        (build(fixups={"gic": ["/elsewhere:reg:0"]}), "__overlay__/elsewhere:reg, offset 0"),
        (build(fixups={"gic": [f"{NODE}:reg:x"]}), "has the fixup '/fragment@0/__overlay__/sha256"),
        (build(fixups={"gic": [f"{NODE}:reg:9999999999"]}), "has the fixup '/fragment@0/__"),
        (build(fixups={"gic": ["no colon"]}), "has the fixup '/fragment@0/__overlay__no colon'"),
        (build(node=OPEN), "clocks refers to no label at cell 0"),
        (
            build(node=OPEN, fixups={"uart0": [f"{NODE}:clocks:0"]}),
            "clock &uart0 is not one of slot0",
        ),
        (
            build(node=OPEN, fixups={"no_such": [f"{NODE}:clocks:0"]}),
            "clocks refers to &no_such at cell 0",
        ),
        (build(children={f"n{n}": {} for n in range(1100)}), "more than 1024 nodes or 16 levels"),
        (
            build(children={"dma@0": {"compatible": fdt.from_strings("hetoci,dma")}}),
            "has 2 nodes with a compatible; the key devices says which",
        ),
        (
            build(node={"compatible": b""}),
            "has 0 nodes with a compatible; the key devices says which",
        ),
        (
            build(
                node={"clocks": fdt.from_cells(0xFFFFFFFF, 0)},
                fixups={
                    "clk_mux": [f"{NODE}:clocks:0"],
                    "pl_clk": [f"{NODE}:clocks:4"],
                },
            ),
            "clocks has a reference in an argument, at cell 1",
        ),
    ],
)
def test_an_overlay_that_says_more_than_its_accelerator(
    pl: PlBoard, blob: bytes, words: str
) -> None:
    bundle = pl.accelerator(SLOT0)
    pl.file(bundle, DTBO, blob)
    assert f"overlay {DTBO}" in (error := refused(pl, bundle))
    assert words in error


@pytest.mark.parametrize(
    "blob",
    [
        build(target="/fpga-region/slot0@fffc0000"),
        build(node=OPEN, fixups={"pl_clk": [f"{NODE}:clocks:0"]}),
        build(
            node={"interrupt-parent": fdt.from_cells(0xFFFFFFFF)},
            fixups={"gic": [f"{NODE}:interrupt-parent:0"]},
        ),
        build(
            node={"clocks": fdt.from_cells(7)},
            children={"clk": {"phandle": fdt.from_cells(7), "#clock-cells": fdt.from_cells(0)}},
            local={NODE: {"clocks": [0]}},
        ),
        build(node={"hetoci,lanes": fdt.from_cells(4)}),
        build(node=reg(0xFFFC0800, 0x800)),
        build(region={"config-complete-timeout-us": fdt.from_cells(1000)}),
    ],
)
def test_an_overlay_may_say(pl: PlBoard, blob: bytes) -> None:
    bundle = pl.accelerator(SLOT0)
    pl.file(bundle, DTBO, blob)
    result = pl.create("c", bundle)
    assert (result.code, result.err) == (0, "")
    pl.ok("delete", "--force", "c")
    assert pl.leftovers() == []


def test_references_of_an_overlay_reach_the_kernel(pl: PlBoard) -> None:
    blob = build(
        node={"clocks": fdt.from_cells(0xFFFFFFFF, 7)},
        children={"clk": {"phandle": fdt.from_cells(7), "#clock-cells": fdt.from_cells(0)}},
        fixups={"pl_clk": [f"{NODE}:clocks:0"]},
        local={NODE: {"clocks": [4]}},
    )
    bundle = pl.accelerator(SLOT0)
    pl.file(bundle, DTBO, blob)
    assert pl.create("c", bundle).code == 0
    tree, place = pl.fpga.tree, "/fpga-region/slot0@fffc0000"
    assert tree.cells(f"{place}{NODE}", "clocks") == (
        *tree.cells("/clk125", "phandle"),
        *tree.cells(f"{place}/clk", "phandle"),
    )


def test_flags_and_firmware_name_are_the_runtimes(pl: PlBoard) -> None:
    blob = build(region={
        "firmware-name": fdt.from_strings("../../etc/shadow"), "encrypted-fpga-config": b"",
    })  # fmt: skip
    bundle = pl.accelerator(SLOT0)
    pl.file(bundle, DTBO, blob)
    assert pl.create("c", bundle).code == 0
    ((name, flags, data),) = pl.fpga.loads
    assert (name, flags) == ("hetoci-fpga.fpga-region+slot0@fffc0000.bit", 1)
    assert data == make.bitstream(0)


def test_labels_of_an_overlay_do_not_get_into_the_tree(pl: PlBoard) -> None:
    root = make.overlay("slot0", make.design(0))
    place = fdt.from_strings("/fragment@0/__overlay__/sha256@fffc0000")
    root.add("__symbols__", {"slot1": place, "mine": place})
    bundle = pl.accelerator(SLOT0)
    pl.file(bundle, DTBO, fdt.build(root))
    assert pl.create("c", bundle).code == 0
    assert pl.fpga.tree.label("slot1").endswith("slot1@fffc1000")
    assert not (pl.fpga.tree.base / "__symbols__/mine").exists()


def test_thousands_of_faults_make_a_message_of_bearable_length(pl: PlBoard) -> None:
    bundle = pl.accelerator(SLOT0)
    pl.file(bundle, DTBO, build(node={f"fault{n}": b"" for n in range(5000)}))
    error = refused(pl, bundle)
    assert "property fault0 is not one that an accelerator may have" in error
    assert "and 4984 more" in error
    assert len(error) < 10_000


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        ("dma", "has no node dma, it has sha256"),
        ("sha256,dma,x", "has no node dma, x, it has sha256"),
    ],
)
def test_nodes_that_an_overlay_does_not_have(pl: PlBoard, devices: str, words: str) -> None:
    assert words in refused(pl, pl.accelerator(keys(slot="slot0", devices=devices)))


def test_a_node_that_an_overlay_has_twice_cannot_be_named(pl: PlBoard) -> None:
    bundle = pl.accelerator(keys(slot="slot0", devices="sha256"))
    again = {"compatible": fdt.from_strings("generic-uio"), **reg(0xFFFC0800, 0x100)}
    pl.file(bundle, DTBO, build(children={"sha256@fffc0800": again}))
    assert "has several nodes sha256, which cannot be told apart" in refused(pl, bundle)


# config.json


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"linux": {"namespaces": [{"type": "user"}]}},
            "a container with a user namespace of its own cannot have accelerators; run it with",
        ),
        (
            {"mounts": [{"destination": "/dev", "type": "bind", "options": ["rbind"]}]},
            "the container's /dev is the host's: accelerators would show there",
        ),
        (
            {"mounts": [{"destination": "/dev/", "type": "bind", "source": "/dev"}]},
            "the container's /dev is the host's: accelerators would show there",
        ),
        (
            {"mounts": [{"destination": "/run/hetoci/devices.json", "type": "bind"}]},
            "the container has a mount at /run/hetoci/devices.json already",
        ),
        (
            {"mounts": [{"destination": "/dev/hetoci/hash", "type": "tmpfs"}]},
            "the container has something at /dev/hetoci/hash already",
        ),
        (
            {"linux": {"devices": [{"path": "/dev/hetoci/hash", "type": "c"}]}},
            "the container has something at /dev/hetoci/hash already",
        ),
        ({"mounts": ["x"]}, "mounts in config.json is no list of objects"),
        ({"mounts": {"x": 1}}, "mounts in config.json is no list of objects"),
        ({"mounts": 5}, "mounts in config.json is no list of objects"),
        (
            {"mounts": [{"destination": "/x", "options": 5}]},
            "mounts[0].options in config.json is no list of strings",
        ),
        (
            {"mounts": [{"destination": ["/x"]}]},
            "mounts[0].destination in config.json is no string",
        ),
        ({"process": 5}, "process in config.json is no object"),
        ({"process": {"user": [1]}}, "process.user in config.json is no object"),
        ({"process": {"user": {"uid": "root"}}}, "process.user.uid in config.json is no number"),
        ({"linux": [1]}, "linux in config.json is no object"),
        ({"linux": {"resources": "x"}}, "linux.resources in config.json is no object"),
        (
            {"linux": {"resources": {"devices": {"a": 1}}}},
            "linux.resources.devices in config.json is no list of objects",
        ),
        ({"linux": {"namespaces": 5}}, "linux.namespaces in config.json is no list of objects"),
        ({"linux": {"devices": "x"}}, "linux.devices in config.json is no list of objects"),
        (
            {"linux": {"devices": [{"path": ["/x"]}]}},
            "linux.devices[0].path in config.json is no string",
        ),
        (
            {"linux": {"devices": [{"path": "/x", "type": []}]}},
            "linux.devices[0].type in config.json is no string",
        ),
        (
            {"linux": {"devices": [{"path": "/x", "type": "c", "major": True}]}},
            "linux.devices[0].major in config.json is no number",
        ),
        ({"root": None}, "/config.json has no root.path"),
    ],
)
def test_a_container_that_cannot_have_accelerators(
    pl: PlBoard, config: dict[str, Any], words: str
) -> None:
    assert words in refused(pl, pl.accelerator(SLOT0, **config))


@pytest.mark.parametrize(
    "place",
    ["/dev/hetoci", "/dev/hetoci/", "//dev//hetoci", "/dev/x/../hetoci/.", "dev/hetoci"],
)
def test_device_files_are_not_made_in_a_directory_of_the_hosts(pl: PlBoard, place: str) -> None:
    mount = {"destination": place, "type": "bind", "source": "/etc", "options": ["bind"]}
    error = refused(pl, pl.accelerator(SLOT0, mounts=[mount]))
    assert "the container has a mount at /dev/hetoci, where /dev/hetoci/hash has to be" in error


@pytest.mark.parametrize(
    ("links", "place"),
    [
        ({"data": "/dev/hetoci"}, "/data"),  # which the image need not have
        ({"data": "../../dev", "x": "data/hetoci"}, "/x/"),
        ({"data": "dev"}, "/data/hetoci"),
    ],
)
def test_an_image_does_not_lead_a_mount_to_where_device_files_are_made(
    pl: PlBoard, links: dict[str, str], place: str
) -> None:
    mount = {"destination": place, "type": "bind", "source": "/etc", "options": ["bind"]}
    bundle = pl.accelerator(SLOT0, mounts=[mount])
    for name, target in links.items():
        (pl.root / bundle[1:] / "rootfs" / name).symlink_to(target)
    assert "the container has a mount at /dev/hetoci, where" in refused(pl, bundle)


def test_links_that_never_end_are_refused(pl: PlBoard) -> None:
    bundle = pl.accelerator(SLOT0, mounts=[{"destination": "/data", "type": "tmpfs"}])
    (pl.root / bundle[1:] / "rootfs/data").symlink_to("data")
    assert "/data in the image follows more than 40 links" in refused(pl, bundle)


@pytest.mark.parametrize(
    "mount",
    [
        {"destination": "/dev/x/..", "options": ["rbind"]},
        {"destination": "//dev", "type": "devtmpfs", "source": "devtmpfs"},
        {"destination": "/", "type": "bind", "source": "/"},
    ],
)
def test_a_dev_of_the_hosts_is_seen_however_it_is_written(
    pl: PlBoard, mount: dict[str, Any]
) -> None:
    error = refused(pl, pl.accelerator(SLOT0, mounts=[mount]))
    assert "the container's /dev is the host's: accelerators would show there" in error


@pytest.mark.parametrize(
    "place", ["/dev/hetoci//hash", "/dev/hetoci/hash/x", "/dev/a/../hetoci/hash"]
)
def test_a_place_that_is_taken_is_seen_however_it_is_written(pl: PlBoard, place: str) -> None:
    error = refused(pl, pl.accelerator(SLOT0, mounts=[{"destination": place, "type": "tmpfs"}]))
    assert "the container has something at /dev/hetoci/hash already" in error


def test_mounts_beside_the_device_files_are_the_containers(pl: PlBoard) -> None:
    places = ("/dev", "/dev/hetoci-data", "/dev/hetoci/hash2", "/dev/shm")
    mounts = [{"destination": place, "type": "tmpfs", "source": "tmpfs"} for place in places]
    assert pl.create("c", pl.accelerator(SLOT0, mounts=mounts)).code == 0
    assert [m["destination"] for m in pl.config("c")["mounts"][:-1]] == list(places)


def test_a_device_number_that_the_container_has_already(pl: PlBoard) -> None:
    have = {"path": "/dev/x", "type": "c", "major": 241, "minor": 0}
    result = pl.create("c", pl.accelerator(SLOT0, linux={"devices": [have]}))
    assert result.code == 1
    assert (
        "the container has the device c 241:0, which belongs to /dev/hetoci/hash, already"
        in result.err
    )
    assert pl.leftovers() == []


def test_an_image_that_is_not_there(pl: PlBoard) -> None:
    error = refused(pl, pl.accelerator(SLOT0, root={"path": "nowhere"}))
    assert "/bundle0/nowhere: No such file or directory (ENOENT)" in error


@pytest.mark.parametrize("name", ["", "..", "a/b", "x" * 2000])
def test_a_bad_container_id(pl: PlBoard, name: str) -> None:
    before = pl.snapshot()
    result = pl.hetoci("create", "--bundle", pl.accelerator(), name)
    assert result.code == 1
    assert "invalid container id" in result.err
    assert pl.snapshot() == before
