# SPDX-License-Identifier: MIT
"""Slots whose interrupt belongs to domains, as dom0 sees them under Xen."""

import struct
from pathlib import Path

import pytest

from hetoci import assign
from hetoci.backends import fpga
from hetoci.errors import PolicyDenied
from hetoci.fabric import Fabric
from hetoci.host import Host
from hetoci.workloads import AcceleratorRequest

TREE = "sys/firmware/devicetree/base"


def node(root: Path, path: str, **properties: bytes) -> Path:
    place = root / TREE / path
    place.mkdir(parents=True, exist_ok=True)
    for name, value in properties.items():
        (place / name.replace("__", ",")).write_bytes(value)
    return place


@pytest.fixture
def fabrics(tmp_path: Path) -> list[Fabric]:
    """A region with slot0 for dom0, slot2 for domains, slot3 on a board that says nothing."""
    node(tmp_path, "pl-slot@0", phandle=struct.pack(">I", 10))
    node(tmp_path, "pl-slot@2", phandle=struct.pack(">I", 12), status=b"disabled\0")
    region = node(tmp_path, "fpga-region")
    places = [region]
    for name, phandle in (("slot0", 10), ("slot2", 12)):
        cell = struct.pack(">I", phandle)
        places.append(node(tmp_path, f"fpga-region/{name}", hetoci__resources=cell))
    places.append(node(tmp_path, "fpga-region/slot3"))
    for number, place in enumerate(places):
        device = tmp_path / f"sys/class/fpga_region/region{number}"
        device.mkdir(parents=True)
        (device / "of_node").symlink_to(f"../../../../{place.relative_to(tmp_path)}")
    (tmp_path / "sys/class/fpga_manager/fpga0").mkdir(parents=True)
    (tmp_path / "sys/kernel/config/device-tree/overlays").mkdir(parents=True)
    return fpga.discover(Host(root=str(tmp_path)))


def place(fabrics: list[Fabric], slot: str, *, domain: bool) -> str:
    request = AcceleratorRequest("sum", "/x.bit.bin", partial=True, slot=slot)
    placed = assign.place([request], fabrics, lambda path: True, domain=domain)
    return placed.chosen["sum"].name


def test_the_tree_says_which_slots_are_for_domains(fabrics: list[Fabric]) -> None:
    found = {fabric.name: fabric.for_domains for fabric in fabrics}
    assert found == {"fpga-region": False, "slot0": False, "slot2": True, "slot3": False}
    assert [fabric.to_json()["forDomains"] for fabric in fabrics] == list(found.values())


def test_a_container_gets_no_slot_of_the_domains(fabrics: list[Fabric]) -> None:
    assert place(fabrics, "*", domain=False) == "slot0"
    with pytest.raises(PolicyDenied, match="slot2 is for Xen domains: its interrupt"):
        place(fabrics, "slot2", domain=False)


def test_a_domain_gets_no_slot_of_dom0(fabrics: list[Fabric]) -> None:
    assert place(fabrics, "*", domain=True) == "slot2"
    with pytest.raises(PolicyDenied, match="slot0 is for this system: Xen gives"):
        place(fabrics, "slot0", domain=True)
