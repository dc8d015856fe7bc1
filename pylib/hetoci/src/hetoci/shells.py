# SPDX-License-Identifier: MIT
"""The operator's shells: overlays of static designs that hetoci may load for a container.

hetoci.conf's `shells` lists them; without it a missing or foreign shell is a reason to refuse.
A shell's overlay has the region as its target, `hetoci,shell` or `hetoci,shell-id`, and a node
for each slot. It is the operator's: applied as it is, and left in place.
"""

from __future__ import annotations

import sys
import time

from . import backends, claims, fdt, inventory
from .assign import occupied
from .errors import BundleError, DeviceBusy, HetociError, PolicyDenied
from .fabric import REGION, SLOT, Fabric
from .host import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .config import Config
    from .contents import Images
    from .host import Host
    from .model import Holder
    from .workloads import AcceleratorRequest

_LIMIT = 1 << 20

#: How long another container may take to load a shell, s.
_PATIENCE = 10.0
_POLL = 0.05


class Shell:
    """One of the operator's shells. region: label or path of its target; slots: labels or
    names of its slots."""

    __slots__ = ("blob", "id", "path", "region", "slots")

    def __init__(self, path: str, blob: bytes) -> None:
        from . import overlay

        self.path = path
        self.blob = blob
        parsed = overlay.parse(blob, path)
        self.region = parsed.label or parsed.path
        self.id = ""
        properties = parsed.body.properties
        name = fdt.strings(properties.get("hetoci,shell", b""))
        number = fdt.cells(properties.get("hetoci,shell-id", b""))
        if name or number:
            self.id = name[0] if name else f"0x{number[0]:08x}"
        self.slots = tuple(
            (fdt.strings(node.properties.get("label", b"")) or (node.name,))[0]
            for node in parsed.body.children
            if "fpga-region" in fdt.strings(node.properties.get("compatible", b""))
        )

    def slots_in(self, region: Fabric) -> list[Fabric]:
        """Its slots, as far as they are known before it is in `region`."""
        found = [Fabric(region.backend, "", SLOT, name, "") for name in self.slots]
        for slot in found:
            slot.shell, slot.part = self.id, region.part
        return found


def read(host: Host, settings: Config) -> list[Shell]:
    """The operator's shells. Raises BundleError naming a file that cannot be used."""
    found = []
    for path in settings.shells:
        try:
            blob = host.read(path, _LIMIT)
        except OSError as error:
            raise BundleError(
                f"cannot read the shell {path}: {explain(error)}",
                hint="hetoci.conf's shells lists overlay files",
            ) from error
        found.append(Shell(path, blob))
    return found


def needed(
    images: Images, requests: Sequence[AcceleratorRequest], fabrics: Sequence[Fabric]
) -> tuple[Shell, Fabric] | None:
    """The shell that has to be loaded for `requests`, by their keys or their bitstreams' headers,
    and where; None if none has to be, or if none of the operator's would help (then placing gives
    the reasons).

    Raises PolicyDenied if the region cannot be reloaded now.
    """
    host = images.host
    wanted = [request for request in requests if request.partial]

    def serve(slots: Iterable[Fabric]) -> bool:
        return any(all(images.fits_shell(request, slot) for request in wanted) for slot in slots)

    if not wanted or serve(fabric for fabric in fabrics if fabric.kind == SLOT):
        return None
    for shell in read(host, images.settings):
        region = _region(host, shell, fabrics)
        if region is None or not serve(shell.slots_in(region)):
            continue
        reasons = _obstacles(host, region, fabrics)
        if reasons:
            raise PolicyDenied(f"shell {shell.path} cannot be loaded", reasons)
        return shell, region
    return None


def _obstacles(host: Host, region: Fabric, fabrics: Sequence[Fabric]) -> list[str]:
    """Why the shell in `region` has to stay: every reason."""
    if region.blocker:
        return [f"region {region.name} {region.blocker}"]
    reasons = [
        f"slot {fabric.name} {why}"
        for fabric in fabrics
        if fabric.parent == region.place and (why := occupied(fabric))
    ]
    why = occupied(region)
    loaded = backends.load(host, region.backend).shell_of_ours(host, region)
    if why and (region.holder or not loaded):
        reasons.append(f"region {region.name} {why}")
    return reasons


def _region(host: Host, shell: Shell, fabrics: Sequence[Fabric]) -> Fabric | None:
    from .devicetree import LiveTree

    tree = LiveTree(host)
    place = shell.region if shell.region.startswith("/") else tree.label(shell.region)
    return next((f for f in fabrics if f.kind == REGION and f.place == place), None)


def ensure(images: Images, requests: Sequence[AcceleratorRequest], holder: Holder) -> list[Fabric]:
    """Load the shell that `requests` need, if the operator has one and it is not there yet;
    the board's regions and slots as they are then.

    Raises PolicyDenied or DeviceBusy if the region is in use, FpgaError if it does not load.
    """
    host, settings = images.host, images.settings
    deadline = time.monotonic() + _PATIENCE
    while True:
        fabrics = inventory.fabrics(host, settings.part)
        try:
            found = needed(images, requests, fabrics)
            if found is None:
                return fabrics
            _load(images, requests, holder, *found)
            return inventory.fabrics(host, settings.part)
        except (DeviceBusy, PolicyDenied):
            if time.monotonic() > deadline or not _being_loaded(host, fabrics):
                raise
            time.sleep(_POLL)


def _being_loaded(host: Host, fabrics: Sequence[Fabric]) -> bool:
    """True if another container is being created that has a region's claim: it may be loading
    the shell that this one needs too."""
    holders = [claims.holder_of(host, f.key) for f in fabrics if f.kind == REGION]
    return any(holder is not None and not holder.group for holder in holders)


def _load(
    images: Images,
    requests: Sequence[AcceleratorRequest],
    holder: Holder,
    shell: Shell,
    region: Fabric,
) -> None:
    host, settings = images.host, images.settings
    backend = backends.load(host, region.backend)
    within = [f for f in inventory.fabrics(host) if f.parent == region.place]
    taken = claims.acquire_all(host, [region.key, *(f.key for f in within)], holder)
    try:
        now = inventory.fabrics(host, settings.part)  # rule C3
        for fabric in now:
            if fabric.holder and fabric.holder.pid == holder.pid:
                fabric.holder = None
        if needed(images, requests, now) is None:
            return
        if {f.key for f in now if f.parent == region.place} != {f.key for f in within}:
            raise DeviceBusy(f"region {region.name} changed while it was claimed")
        for fabric in [*within, region]:
            backend.clear(host, fabric.key)
        if backend.shell_of_ours(host, region):
            backend.unload_shell(host, region)
        host.checkpoint("create:shell")
        backend.load_shell(host, region, shell.blob)
        _offer(host, settings)
    finally:
        for claim in taken:
            claim.give_up()


def _offer(host: Host, settings: Config) -> None:
    """Have CDI devices for the slots that there are now. They are an offer: the container does
    not depend on them."""
    from . import cdi

    try:
        cdi.refresh(host, settings)
    except HetociError as error:
        sys.stderr.write(f"hetoci: {error}\n")
