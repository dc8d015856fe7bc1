# SPDX-License-Identifier: MIT
"""What the board has now, and who holds it."""

from __future__ import annotations

from . import backends, claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .fabric import Fabric
    from .host import Host
    from .model import Core


def cores(host: Host) -> list[Core]:
    """All remote cores with their holders, sorted by instance number."""
    from .backends import remoteproc

    found = remoteproc.discover(host)
    for core in found:
        core.holder = claims.holder_of(host, core.key)
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
