# SPDX-License-Identifier: MIT
"""What the board has now, and who holds it."""

from __future__ import annotations

from . import claims
from .backends import remoteproc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .host import Host
    from .model import Core


def cores(host: Host) -> list[Core]:
    """All remote cores with their holders, sorted by instance number."""
    found = remoteproc.discover(host)
    for core in found:
        core.holder = claims.holder_of(host, core.key)
    return sorted(found, key=lambda core: (len(core.instance), core.instance))
