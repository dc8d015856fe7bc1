# SPDX-License-Identifier: MIT
"""What a domain gets of the board: from overlays and config.json to pages, interrupts, a tree."""

from __future__ import annotations

import fcntl
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

import accelerator as make
from hetoci import accelerate, claims, designs, fdt
from hetoci.accelerate import Prepared
from hetoci.assign import Placement
from hetoci.config import Config
from hetoci.contents import Content
from hetoci.designs import DesignNode
from hetoci.domain import devices, hardware, life
from hetoci.domain.plan import Plan
from hetoci.errors import BundleError, DeviceBusy, HetociError, PolicyDenied, XenError
from hetoci.fabric import SLOT, Fabric, Programming
from hetoci.host import Host
from hetoci.model import DOMAIN, Holder, MemoryRange
from hetoci.workloads import AcceleratorRequest, PageRange
from plboard import PlBoard, image, keys, valid

REQUEST = AcceleratorRequest("sum", "/x.bit", overlay="/x.dtbo", partial=True)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A board whose tree has slot2, with cells of 64 bits."""
    place = tmp_path / "sys/firmware/devicetree/base/region/slot2"
    place.mkdir(parents=True)
    for name in ("#address-cells", "#size-cells"):
        (place / name).write_bytes(struct.pack(">I", 2))
    return Host(root=str(tmp_path))


def slot() -> Fabric:
    """slot2 of the virtual board."""
    fabric = Fabric("fpga", "region3", SLOT, "slot2", "/region/slot2")
    fabric.for_domains = True
    fabric.windows = (MemoryRange("registers", make.REGS + 0x2000, make.REGS_SIZE),)
    fabric.memory = (MemoryRange("pl-dma2", make.DMA + 0x200000, make.DMA_SIZE),)
    fabric.interrupts = ((0, 62, 1),)
    return fabric


def content(overlay: bytes, *nodes: str) -> Content:
    """What an image brings for a slot."""
    found = Content(Programming(b"", overlay, partial=True, encrypted=False), "/x.bit", "sha256:0")
    found.main_nodes = nodes or ("sha256",)
    return found


def add(host: Host, overlay: bytes, *nodes: str, linux: bool = True) -> hardware.Hardware:
    """The hardware of a domain with one accelerator in slot2."""
    found = hardware.Hardware()
    placement = Placement({}, {"sum": slot()})
    contents = {"sum": content(overlay, *nodes)}
    hardware.add(host, found, [REQUEST], placement, contents, linux=linux)
    return found


def plan(memory: int = 64) -> Plan:
    return Plan("hetoci-x", {"memory": memory}, 0.0)


def test_a_slot_becomes_pages_an_interrupt_and_a_tree(host: Host) -> None:
    found = add(host, make.slot_overlay(2, label=b"a\0", clock_names=b"aclk\0"))
    built = plan()
    hardware.settle(found, built)
    assert built.settings["iomem"] == ["0x3f200,100@0x3f200", "0xfffc2,1@0xfffc2"]
    assert built.settings["irqs"] == [94]
    tree = fdt.parse(built.files["device_tree"], "the tree")
    place = tree.child("passthrough")
    assert place
    assert fdt.strings(place.properties["compatible"]) == ("simple-bus",)
    (node,) = place.children
    assert node.name == "sha256@fffc2000"
    assert node.properties == {
        "compatible": fdt.from_strings("hetoci,sha256", "generic-uio"),
        "label": b"a\0",
        "reg": make.window(2) + make.memory(2),
        "interrupt-parent": fdt.from_cells(65000),
        "interrupts": make.line(2),
    }
    assert [n.full_name for n in found.nodes["sum"]] == ["sha256@fffc2000"]


def inner() -> bytes:
    body = make.design(2)
    body.children[0].add("port", {})
    return fdt.build(make.overlay("slot2", body))


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        (b"", "without an overlay"),
        (make.slot_overlay(2, compatible=b"hetoci,sha256\0"), "not compatible with generic-uio"),
        (make.slot_overlay(2, interrupts=fdt.from_cells(1, 7, 4)), r"\(1, 7, 4\).*no shared one"),
        (inner(), "has nodes below it"),
    ],
)
def test_what_a_guest_could_not_use_is_refused(host: Host, overlay: bytes, words: str) -> None:
    with pytest.raises(PolicyDenied, match=f"sum: .*{words}"):
        add(host, overlay)


def test_a_kernel_of_the_images_own_may_have_any_driver(host: Host) -> None:
    found = add(host, make.slot_overlay(2, compatible=b"hetoci,sha256\0"), linux=False)
    assert found.nodes["sum"][0].compatible == ("hetoci,sha256",)


def test_a_node_without_addresses_keeps_its_name(host: Host) -> None:
    body = make.design(2)
    body.properties["#address-cells"] = body.properties["#size-cells"] = fdt.from_cells(0)
    body.children[0].name = "sha256"
    del body.children[0].properties["reg"]
    found = add(host, fdt.build(make.overlay("slot2", body)))
    assert [node.full_name for node in found.nodes["sum"]] == ["sha256"]
    assert [(pages.first, pages.count) for pages in found.pages] == [(0x3F200, 256)]


def test_a_window_that_shares_a_page_is_refused(host: Host) -> None:
    fabric = slot()
    fabric.windows = (MemoryRange("registers", make.REGS + 0x2000, 0x800),)
    found = hardware.Hardware()
    small = make.slot_overlay(2, reg=fdt.from_cells(0, make.REGS + 0x2000, 0, 0x100))
    with pytest.raises(PolicyDenied, match="hold more than slot2 has"):
        hardware.add(
            host, found, [REQUEST], Placement({}, {"sum": fabric}), {"sum": content(small)},
            linux=True,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("pages", "irqs", "memory", "words"),
    [
        ([PageRange(1, 2, 0xFFFC2)], [], 64, "given twice"),
        ([PageRange(1, 2, 0x38000)], [], 64, "is taken"),
        ([PageRange(1, 2, 0x40000)], [], 64, "is taken"),
        ([], [], 3072, "is taken"),
        ([], [94], 64, "interrupt is given to the domain twice"),
    ],
)
def test_addresses_and_lines_are_one_things_only(
    host: Host, pages: list[PageRange], irqs: list[int], memory: int, words: str
) -> None:
    found = add(host, make.slot_overlay(2))
    found.pages += pages
    found.irqs += irqs
    with pytest.raises(BundleError, match=words):
        hardware.settle(found, plan(memory))


def test_a_users_tree_is_kept_and_added_to(host: Host) -> None:
    tree = fdt.Node("")
    cells = {"#address-cells": fdt.from_cells(1), "#size-cells": fdt.from_cells(1)}
    tree.add("passthrough", cells).add("other@1", {"reg": fdt.from_cells(1, 1)})
    found = hardware.Hardware()
    found.tree = tree
    hardware.add(
        host, found, [REQUEST], Placement({}, {"sum": slot()}),
        {"sum": content(make.slot_overlay(2))}, linux=True,
    )  # fmt: skip
    place = tree.child("passthrough")
    assert place
    assert [node.name for node in place.children] == ["other@1", "sha256@fffc2000"]
    assert fdt.cells(place.children[1].properties["reg"])[:2] == (0xFFFC2000, 0x1000)
    with pytest.raises(PolicyDenied, match="there is a node /passthrough/sha256@fffc2000 already"):
        hardware.add(
            host, found, [REQUEST], Placement({}, {"sum": slot()}),
            {"sum": content(make.slot_overlay(2))}, linux=True,
        )  # fmt: skip


def test_dma_memory_is_cleared_where_the_kernel_offers_it(tmp_path: Path) -> None:
    memory = [MemoryRange("dma", 0x1000, 0x2000)]
    designs.clear_memory(Host(root=str(tmp_path)), memory)  # no /dev/mem: nothing happens
    file = tmp_path / "dev/mem"
    file.parent.mkdir()
    file.write_bytes(b"x" * 0x4000)
    designs.clear_memory(Host(root=str(tmp_path)), memory)
    assert file.read_bytes() == b"x" * 0x1000 + bytes(0x2000) + b"x" * 0x1000


# device files of the guest


def equipped(tmp_path: Path) -> tuple[Host, Plan]:
    built = plan()
    node = DesignNode("sha256@fffc2000", ("generic-uio",), ((0xFFFC2000, 0x1000),), 1, ())
    built.accelerators = [Prepared(REQUEST, slot(), content(b""), [node])]
    built.owner = (5, 6)
    built.items = b""
    host = Host(root=str(tmp_path))
    (tmp_path / "run").mkdir()
    devices.offer(host, "/run", built)
    return host, built


def test_the_program_is_told_of_its_devices(tmp_path: Path) -> None:
    host, built = equipped(tmp_path)
    flags = str(1 | 2 | 4 | 8 | 4096).encode()
    fields = (b"bind", b"/mounts/devices", b"/run/hetoci/devices.json", flags, b"")
    assert built.items == b"v1\0m" + b"\1".join(fields) + b"\0"
    entries = (("sha256@fffc2000", "uio", "240", "0"), ("other", "uio", "240", "1"))
    files = devices.told("".join("\1".join(entry) + "\0" for entry in entries).encode())
    items = devices.tell(host, "/run", built, files)
    assert items == b"D" + b"\1".join([b"/dev/hetoci/sum", b"240", b"0", b"5", b"6"]) + b"\0"
    (told,) = json.loads((tmp_path / "run/devices.json").read_text())["devices"]
    assert told["slot"] == "slot2"
    assert told["nodes"][0]["windows"] == [{"address": "0xfffc2000", "size": 4096}]
    assert (told["nodes"][0]["major"], told["nodes"][0]["minor"]) == (240, 0)


def test_a_node_without_device_file_keeps_the_program_from_running(tmp_path: Path) -> None:
    host, built = equipped(tmp_path)
    with pytest.raises(XenError, match="no device file for node sha256@fffc2000"):
        devices.tell(host, "/run", built, [])


@pytest.mark.parametrize("body", [b"a\1b\0", b"a\1uio\1x\0011\0", "a\1uio\1\u0663\0011\0".encode()])
def test_a_list_that_no_agent_sends_is_refused(body: bytes) -> None:
    with pytest.raises(HetociError, match="list of devices"):
        devices.told(body)


# claims of a keeper that was killed


def test_what_a_domain_has_is_not_free_while_it_may_still_be_built(tmp_path: Path) -> None:
    host = Host(root=str(tmp_path))
    me: Any = (os.getpid(), host.start_time(os.getpid()) or "")
    former = Holder("old", "", 1 << 22, "0", DOMAIN)
    claims.acquire(host, "fpga.slot2", former).release()
    where = tmp_path / "run/hetoci/containers/@default/old"
    where.mkdir(parents=True)
    with (where / life.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as an xl whose keeper was killed
        with pytest.raises(DeviceBusy, match="held by container old"):
            claims.acquire(host, "fpga.slot2", Holder("new", "", *me))
        assert str(claims.holder_of(host, "fpga.slot2")) == f"container old (pid {1 << 22})"
    claims.acquire(host, "fpga.slot2", Holder("new", "", *me)).give_up()


# with a whole board


def for_domains(pl: PlBoard, number: int) -> None:
    """What Xen makes of a slot's node with xen,passthrough, and the region's way there."""
    tree = pl.root / "sys/firmware/devicetree/base"
    resources = tree / f"pl-slot@{number}"
    resources.mkdir()
    (resources / "phandle").write_bytes(struct.pack(">I", 0x700 + number))
    (resources / "status").write_bytes(b"disabled\0")
    (place,) = tree.rglob(f"slot{number}@*")
    (place / "hetoci,resources").write_bytes(struct.pack(">I", 0x700 + number))


def test_a_plan_shows_what_would_be_passed_and_touches_nothing(pl: PlBoard) -> None:
    for_domains(pl, 2)
    kernel = bytes(56) + b"ARM\x64" + bytes(8)
    mine = {"io.hetoci.workload": "domain", "io.hetoci.domain.kernel": "/kernel"}
    bundle = pl.accelerator(keys(), mine, files={**image(), "/kernel": kernel})
    before = pl.snapshot()
    plan = pl.ok("plan", "--json", bundle).json()
    assert pl.snapshot() == before
    valid(plan, "plan")
    assert plan["devices"]["hash"]["candidates"] == ["slot2"]
    assert [step["op"] for step in plan["steps"]] == [
        "claim", "verify", "prepare", "build", "start",
    ]  # fmt: skip
    build = plan["steps"][3]
    assert build["iomem"] == ["0x3f200,100@0x3f200", "0xfffc2,1@0xfffc2"]
    assert (build["irqs"], build["nodes"]) == ([94], ["/passthrough/sha256@fffc2000"])
    assert "build domain (kernel /kernel" in pl.ok("plan", bundle).out


def test_the_kernel_here_gets_no_nodes_of_a_domains_design(pl: PlBoard) -> None:
    for_domains(pl, 2)
    rootfs = os.fspath(Path(pl.accelerator()) / "rootfs")
    found = pl.host
    me = Holder("c", "", os.getpid(), found.start_time(os.getpid()) or "")
    held: list[dict[str, Any]] = []
    request = AcceleratorRequest(
        "hash", "/accelerator/sha256-{slot}.bit.bin", overlay="/accelerator/sha256-{slot}.dtbo",
        partial=True,
    )  # fmt: skip
    prepared, taken = accelerate.prepare(
        found, rootfs, Config({}), [request], me, held.extend, others=["irq.99"], domain=True
    )
    assert {"irq.94", "irq.99", "iomem.0xfffc2"} < {claim.key for claim in taken}
    assert prepared[0].nodes == ()
    assert len(pl.fpga.loads) == 1
    assert pl.slots() == {"slot2": "c"}
    assert not list((pl.root / "sys/class/uio").iterdir())
    assert accelerate.undo(found, held, taken) == []
    assert pl.leftovers() == []
