# SPDX-License-Identifier: MIT
"""Xen's domains as devices of the board: what there is, and whose it is."""

from __future__ import annotations

from .. import state
from ..backends import xen
from ..model import Holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Host


class Domain:
    """A domain. name: the container's where it is one's, else Xen's; size: bytes of memory."""

    __slots__ = ("holder", "id", "instance", "name", "size", "state", "vcpus")

    def __init__(self, found: xen.Listed, holder: Holder | None) -> None:
        self.instance = found.name
        self.name = holder.container if holder else found.name
        self.id = found.id
        self.size = found.memory << 20
        self.vcpus = found.vcpus
        self.state = found.state
        self.holder = holder

    def to_json(self) -> dict[str, Any]:
        """For `hetoci devices --json`."""
        return {
            "device": self.instance,
            "backend": "xen",
            "name": self.name,
            "type": "domain",
            "kind": "domain",
            "state": self.state,
            "domain": self.id,
            "size": self.size,
            "vcpus": self.vcpus,
            "memory": None,
            "holder": None if self.holder is None else self.holder.to_json(),
        }


def domains(host: Host) -> list[Domain]:
    """All domains, dom0 first; empty where this Linux cannot make any. Raises XenError."""
    if not xen.in_control(host):
        return []
    holders = {r.data["domain"]: r for r in state.records(host) if r.kind == "domain"}
    found = []
    for one in xen.listed(host):
        record = holders.get(one.name)
        pid, start = (record.data["keeper"] if record else None) or (0, "")
        holder = Holder(record.id, str(record.data["root"]), pid, start) if record else None
        found.append(Domain(one, holder))
    return sorted(found, key=lambda domain: domain.id)
