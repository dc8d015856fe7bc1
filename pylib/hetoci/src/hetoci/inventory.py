# SPDX-License-Identifier: MIT
"""What the board has now, and who holds it."""

from __future__ import annotations

from . import backends, claims, devicetree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .domain.listing import Domain
    from .fabric import Fabric
    from .host import Host
    from .model import Core


def cores(host: Host, *, with_clocks: bool = False) -> list[Core]:
    """All remote cores with their holders, sorted by instance number.

    with_clocks: with what the tree says of their clocks, for which all of it is searched."""
    from .backends import remoteproc

    found = remoteproc.discover(host)
    tree = devicetree.LiveTree(host)
    for core in found:
        core.holder = claims.holder_of(host, core.key)
        if with_clocks and core.node.startswith(devicetree.BASE):
            core.clocks = tree.clock_rates(core.node[len(devicetree.BASE) :])
    return sorted(found, key=lambda core: (len(core.instance), core.instance))


def fabrics(host: Host, part: str = "") -> list[Fabric]:
    """All regions and slots with their holders, in the order of their backends.

    part: what the operator says the FPGA is, where the board does not tell."""
    found: list[Fabric] = []
    for _, backend in backends.fabrics(host):
        found += backend.discover(host, part)
    for fabric in found:
        fabric.holder = claims.holder_of(host, fabric.key)
    return found


def domains(host: Host) -> list[Domain]:
    """Xen's domains with their holders. Raises XenError."""
    if not host.exists("/proc/xen/capabilities"):
        return []
    from .domain import listing

    return listing.domains(host)
