# SPDX-License-Identifier: MIT
"""Which firmware's RPMsg service a container gets (docs/spec/devices.md, D9 to D13)."""

from __future__ import annotations

import time

from . import claims, inventory, state
from .backends import rpmsg
from .errors import BackendTimeout, DeviceBusy, DeviceNotFound, HetociError, PolicyDenied
from .metadata import matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .designs import DeviceFile
    from .host import Host
    from .model import Core
    from .workloads import EndpointRequest

_PAUSE = 0.05

#: Annotations in which engines say to which pod a container belongs.
PODS = (
    "io.kubernetes.cri.sandbox-id",
    "io.kubernetes.cri-o.SandboxID",
)


class Found:
    """An endpoint's channel, on a core that a container of ours has. file: its device file,
    once opened."""

    __slots__ = ("channel", "core", "file", "request")

    def __init__(self, request: EndpointRequest, core: Core, channel: rpmsg.Channel) -> None:
        self.request = request
        self.core = core
        self.channel = channel
        self.file: DeviceFile | None = None

    @property
    def key(self) -> str:
        """Name of the claim."""
        return rpmsg.key_of(self.core.instance, self.channel.service)

    @property
    def device(self) -> str:
        """What a plan calls it, as CDI does."""
        return f"{self.core.name}.{self.channel.service}"

    def facts(self) -> dict[str, Any]:
        """What a record has to hold of it to give it back."""
        name = f"{self.channel.service} of {self.core.name}"
        return {"backend": "rpmsg", "key": self.key, "name": name}

    def open(self, host: Host) -> None:
        """Have a device file for it. Raises BackendError."""
        files = self.channel.files
        self.file = (
            files[0] if files else rpmsg.open_endpoint(host, self.core.instance, self.channel)
        )

    def describe(self) -> dict[str, Any]:
        """The entry in the container's description, but for the node."""
        return {
            "name": self.request.name,
            "kind": "endpoint",
            "service": self.channel.service,
            "core": self.core.name,
        }


def find(
    host: Host, requests: Sequence[EndpointRequest], annotations: Mapping[str, Any]
) -> list[Found]:
    """The channels of `requests`, waiting for each up to its timeout. Changes nothing.

    annotations: of the container that asks. Raises DeviceNotFound, PolicyDenied for services
    that it may not use, BackendTimeout for those that do not appear.
    """
    return [_find(host, request, annotations) for request in requests]


def look(
    host: Host, requests: Sequence[EndpointRequest], annotations: Mapping[str, Any]
) -> list[Found]:
    """The channels of `requests` now, for a plan. As `find`, but without waiting; raises
    DeviceBusy too for one that is in use."""
    found = [_find(host, request, annotations, wait=False) for request in requests]
    for one in found:
        holder = claims.holder_of(host, one.key)
        if holder is not None:
            raise DeviceBusy(
                f"endpoint {one.request.name}: the service {one.device} is held by {holder}"
            )
    return found


def _find(
    host: Host, request: EndpointRequest, annotations: Mapping[str, Any], *, wait: bool = True
) -> Found:
    deadline = time.monotonic() + request.timeout
    while True:
        cores = [c for c in inventory.cores(host) if _named(c, request.core)]
        if not cores:
            raise DeviceNotFound(
                f"endpoint {request.name}: the board has no remote core named {request.core!r}"
            )
        refused = []
        for core in cores:
            reason = _objection(host, core, request.service, annotations)
            for channel in () if reason else rpmsg.channels(host, core.instance):
                if channel.service == request.service:
                    return Found(request, core, channel)
            if reason:
                refused.append(f"core {core.name} {reason}")
        if len(refused) == len(cores) and not any(core.holder is None for core in cores):
            raise PolicyDenied(f"endpoint {request.name} cannot be had", refused)
        if not wait or time.monotonic() > deadline:
            after = f"after {request.timeout:g} s" if wait else "now"
            raise BackendTimeout(
                f"endpoint {request.name}: no firmware offers the service {request.service}"
                f" {after}" + (f" ({'; '.join(refused)})" if refused else ""),
                op="await",
                hint="start the firmware's container first",
            )
        time.sleep(_PAUSE)


def _named(core: Core, glob: str) -> bool:
    return any(matches(name, (glob,)) for name in core.names())


def _objection(host: Host, core: Core, service: str, annotations: Mapping[str, Any]) -> str:
    """Why the container may not use `service` of `core` now, "" if it may."""
    if core.holder is None:
        return "runs no container's firmware"
    try:
        record = state.load(host, core.holder.root, core.holder.container)
    except HetociError:
        return "has just lost its container"
    if service == "rpmsg-tty" and service in record.data["consoles"]:
        return f"has rpmsg-tty as the console of container {record.id}"
    theirs, ours = record.data["annotations"], annotations
    if any(ours.get(key) and ours.get(key) == theirs.get(key) for key in PODS):
        return ""
    if service in record.data["endpoints"]:
        return ""
    return (
        f"has firmware of container {record.id}, which is in no pod with this one and does not"
        f" list {service} in io.hetoci.firmware.endpoints"
    )
