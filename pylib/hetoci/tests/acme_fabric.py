# SPDX-License-Identifier: MIT
"""A backend of another vendor's, as a distribution of its own would bring it: one region,
programmed by writing a file (see test_backends.py)."""

from __future__ import annotations

from collections.abc import Sequence

from hetoci.designs import DesignNode, DeviceFile
from hetoci.fabric import REGION, Fabric, Programming
from hetoci.host import Host

DESIGN = "/dev/acme.design"
KEY = "fpga.acme0"


def discover(host: Host, part: str = "") -> list[Fabric]:
    fabric = Fabric("acme", "acme0", REGION, "acme", "/acme0")
    fabric.part = part or "ac-1"
    fabric.state = "operating" if host.exists(DESIGN) else "empty"
    fabric.design = "an acme design" if host.exists(DESIGN) else ""
    fabric.ours = bool(fabric.design)
    return [fabric]


def unchanged(host: Host, fabric: Fabric) -> bool:
    return discover(host, fabric.part)[0].shell == fabric.shell


def program(host: Host, fabric: Fabric, programming: Programming) -> None:
    host.put(DESIGN, programming.bitstream)


def design_nodes(host: Host, fabric: Fabric) -> list[DesignNode]:
    file = DeviceFile("c", 99, 7, "acme", "/dev/acme0", "")
    return [DesignNode("engine@0", ["acme,engine"], [], 0, [file])]


def scrub(host: Host, fabric: Fabric, nodes: Sequence[DesignNode]) -> None:
    pass


def clear(host: Host, key: str) -> None:
    host.remove(DESIGN)


def leftovers(host: Host) -> list[str]:
    return [KEY] if host.exists(DESIGN) else []


def shell_of_ours(host: Host, region: Fabric) -> bool:
    return False
