# SPDX-License-Identifier: MIT
"""Core dumps of crashed domains, in the operator's directory (io.hetoci.domain.on-crash)."""

from __future__ import annotations

from ..backends import xen
from ..errors import BundleError, HetociError, PolicyDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..host import Host

#: A container that crashes again and again must not fill the disk: the oldest go.
MOST = 8


def directory(host: Host, settings: Config) -> str:
    """Where dumps go. Raises PolicyDenied if the operator has named no directory, BundleError if
    it is none."""
    place: str = settings.domain_dumps
    if not place:
        raise PolicyDenied(
            "io.hetoci.domain.on-crash=coredump",
            ["this machine keeps no core dumps: domain-dumps in hetoci.conf names no directory"],
        )
    if not host.is_directory(place):
        raise BundleError(f"domain-dumps of hetoci.conf, {place}, is no directory")
    return place


def write(host: Host, place: str, name: str) -> str:
    """Dump domain `name`, which has crashed; what to say about it, also of a failure."""
    try:
        own = sorted(
            (host.modified(f"{place}/{file}"), file)
            for file in host.listing(place)
            if file.startswith(xen.PREFIX) and file.endswith(".core")
        )
        for _time, file in own[: len(own) - MOST + 1]:
            host.remove(f"{place}/{file}")
        path = f"{place}/{name}.core"
        xen.xl(host, ["dump-core", name, host.path(path)])
    except (OSError, HetociError) as error:
        return f"; its core was not dumped: {error}"
    return f"; its core is in {path}"
