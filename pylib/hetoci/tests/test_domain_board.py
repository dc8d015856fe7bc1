# SPDX-License-Identifier: MIT
"""What of the board a user may give a domain: nothing that the host's device tree has in use."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from hetoci.config import Config
from hetoci.domain import board, hardware
from hetoci.errors import PolicyDenied
from hetoci.host import Host
from hetoci.workloads import PageRange, VmConfig

EVERYTHING = {"domain-iomem": "0-0xffffffffff", "domain-irqs": "32-1019"}
TWO = struct.pack(">I", 2)


def node(root: Path, path: str, *reg: tuple[int, int], **more: bytes) -> None:
    """A node of the tree, whose addresses and sizes have two cells each."""
    folder = root / f"sys/firmware/devicetree/base{path}"
    folder.mkdir(parents=True)
    properties = {"#address-cells": TWO, "#size-cells": TWO, **more}
    if reg:
        properties["reg"] = b"".join(struct.pack(">QQ", *pair) for pair in reg)
    for name, value in properties.items():
        (folder / name).write_bytes(value)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A board as Xen shows it to dom0: two slots of which one is for domains, no shell."""
    node(tmp_path, "")
    node(tmp_path, "/memory@40000000", (0x40000000, 0x10000000))
    node(tmp_path, "/reserved-memory", ranges=b"")
    node(tmp_path, "/reserved-memory/firmware@0", (0, 0x200000))
    node(tmp_path, "/reserved-memory/dma@3f000000", (0x3F000000, 0x200000))
    node(tmp_path, "/interrupt-controller@f9000000", (0xF9000000, 0x10000))
    node(tmp_path, "/bus@a0000000", ranges=struct.pack(">QQQ", 0, 0xA0000000, 0x10000))
    node(tmp_path, "/bus@a0000000/uart@1000", (0x1000, 0x100))
    node(tmp_path, "/bus@a0000000/timer@2000", (0x2000, 0x100), status=b"disabled\0")
    node(tmp_path, "/bus@a0000000/watchdog@2800", (0x2800, 0x100))
    node(tmp_path, "/slot@fffc0000", (0xFFFC0000, 0x1000), (0x3F000000, 0x100000))
    node(tmp_path, "/slot@fffc1000", (0xFFFC1000, 0x1000), (0x3F100000, 0x100000),
         status=b"disabled\0")  # fmt: skip
    return Host(str(tmp_path))


def vm(first: int, count: int = 1, **more: Any) -> VmConfig:
    found = VmConfig()
    found.iomems = (PageRange(first, count, first),)
    for name, value in more.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(
    ("first", "count", "path"),
    [
        (0x40000, 1, "/memory@40000000"),
        (0x180, 2, "/reserved-memory/firmware@0"),
        (0x3F0FF, 2, "/reserved-memory/dma@3f000000"),
        (0x3F0FF, 2, "/slot@fffc0000"),
        (0xF9000, 1, "/interrupt-controller@f9000000"),
        (0xFFFC0, 2, "/slot@fffc0000"),
        (0xA0001, 1, "/bus@a0000000/uart@1000"),
        (0xA0002, 1, "/bus@a0000000/watchdog@2800"),
    ],
)
def test_what_the_hosts_tree_has_in_use_is_refused_though_it_is_listed(
    host: Host, first: int, count: int, path: str
) -> None:
    with pytest.raises(PolicyDenied, match=f"is in use: {path} of dom0's device tree"):
        hardware.of_vm(host, Config(EVERYTHING), vm(first, count))


@pytest.mark.parametrize("page", [0xFFFC1, 0x3F100, 0x3F180, 0x3F1FF])
def test_a_part_of_a_slot_claims_the_slot_before_its_shell_is_there(host: Host, page: int) -> None:
    wanted = vm(page)
    found = hardware.of_vm(host, Config(EVERYTHING), wanted)
    keys = hardware.claims_of(host, wanted, found)
    # accelerate._keys: whoever gets the slot claims the first page of its window.
    assert {f"iomem.{page:#x}", "iomem.0xfffc1"} <= set(keys)


def test_what_no_node_has_is_xens_to_judge(host: Host) -> None:
    told = board.look(host, [PageRange(0x90000, 2, 0x90000)])
    assert (told.reasons, told.whole, told.memory) == ([], set(), set())


def test_a_slots_memory_is_to_be_cleared_and_its_window_is_not(host: Host) -> None:
    wanted = vm(0x3F1FE, 2)
    wanted.iomems += (PageRange(0xFFFC1, 1, 0xFFFC1), PageRange(0x3F100, 1, 0x3F100))
    found = hardware.of_vm(host, Config(EVERYTHING), wanted)
    pieces = [(memory.first, memory.end) for memory in found.memory]
    assert pieces == [(0x3F100000, 0x3F101000), (0x3F1FE000, 0x3F200000)]


def test_devices_behind_an_iommu_are_the_operators_to_list(host: Host) -> None:
    wanted = vm(0xFFFC1, dtdevs=("/slot@fffc1000",))
    with pytest.raises(PolicyDenied, match="device /slot@fffc1000 is not in the operator's"):
        hardware.of_vm(host, Config(EVERYTHING), wanted)
    listed = Config({**EVERYTHING, "domain-dtdevs": "/slot@fffc1000"})
    assert hardware.of_vm(host, listed, wanted).dtdevs == ("/slot@fffc1000",)
