# SPDX-License-Identifier: MIT
"""Devices that are there already and that any container may have, under any runtime
(docs/spec/devices.md, 6): services of running firmware, and accelerators of the operator's."""

from __future__ import annotations

from . import backends, claims, describe, inventory, state
from .backends import rpmsg
from .cdi import safe_name
from .errors import HetociError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .config import Config
    from .fabric import Fabric
    from .host import Host
    from .inject import Device


class Offer:
    """A device by its name: `devices` as a container sees them; `entry`: what its description
    says of it (docs/spec/schema/devices.schema.json)."""

    __slots__ = ("devices", "entry", "name")

    def __init__(self, name: str, devices: Sequence[Device], entry: dict[str, Any]) -> None:
        self.name = name
        self.devices = tuple(devices)
        self.entry = entry


def endpoints(host: Host, instance: str, core: str) -> list[Offer]:
    """The services of the firmware on core `instance` (`core` by name) that have a device file
    and that its container lets others use; not its console."""
    holder = claims.holder_of(host, f"remoteproc.{instance}")
    if holder is None:
        return []
    try:
        record = state.load(host, holder.root, holder.container)
    except HetociError:  # its create has just begun, or its delete ended
        return []
    allowed = set(record.data["endpoints"]) - ({"rpmsg-tty"} & set(record.data["consoles"]))
    found = []
    for channel in rpmsg.channels(host, instance):
        if channel.service not in allowed or not channel.files:
            continue
        name = safe_name(f"{core}.{channel.service}")
        devices, node = describe.service(name, channel.service, channel.files[0])
        entry = {"name": name, "kind": "endpoint", "service": channel.service, "core": core}
        found.append(Offer(name, devices, {**entry, "nodes": [node]}))
    return found


def prepared(host: Host, settings: Config) -> list[Offer]:
    """The accelerators that hetoci.conf names: designs that the operator put into a slot or a
    region by other means, as far as they have device files now."""
    found = []
    fabrics = inventory.fabrics(host, settings.part) if settings.prepared else []
    for name, place in settings.prepared:
        fabric = next((f for f in fabrics if place in f.names()), None)
        if fabric is None or fabric.ours or fabric.holder or not fabric.design:
            continue
        try:
            offer = _prepared(host, name, fabric)
        except HetociError:  # its device files cannot be told apart
            continue
        if offer is not None:
            found.append(offer)
    return found


def _prepared(host: Host, name: str, fabric: Fabric) -> Offer | None:
    nodes = backends.load(host, fabric.backend).design_nodes(host, fabric)
    devices, entries = describe.nodes(name, [node for node in nodes if node.files])
    if not devices:
        return None
    entry = {"name": name, "kind": "accelerator", **describe.place(fabric), "nodes": entries}
    return Offer(name, devices, entry)
