# SPDX-License-Identifier: MIT
"""Accelerators of a container: from its metadata to programmed slots, and back.

`place` and `plan` read and check and change nothing; `prepare` claims and programs, all or nothing;
`give_back` undoes it, by whichever process, as often as it likes.
"""

from __future__ import annotations

import time

from . import assign, backends, claims, contents, designs, inventory, shells
from .devicetree import ReadOnce
from .errors import (
    BackendTimeout,
    DeviceBusy,
    FpgaError,
    HetociError,
    PolicyDenied,
)
from .fabric import REGION, xen_number
from .model import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .assign import Placement
    from .claims import Claim
    from .config import Config
    from .contents import Content, Images
    from .designs import DesignNode
    from .endpoints import Found
    from .fabric import Fabric
    from .host import Host
    from .model import Holder
    from .workloads import AcceleratorRequest

#: How often a container's devices are looked for while they appear, s: first and longest pause.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.1


class Prepared:
    """An accelerator that is there: its fabric and the nodes whose devices it has, the main
    one first."""

    __slots__ = ("content", "fabric", "nodes", "request")

    def __init__(
        self,
        request: AcceleratorRequest,
        fabric: Fabric,
        content: Content,
        nodes: Sequence[DesignNode],
    ) -> None:
        self.request = request
        self.fabric = fabric
        self.content = content
        self.nodes = tuple(nodes)


# looking


def place(
    images: Images,
    requests: Sequence[AcceleratorRequest],
    fabrics: Sequence[Fabric],
    *,
    domain: bool = False,
    thorough: bool = False,
) -> tuple[Placement, dict[str, Content]]:
    """Where each of `requests` goes among `fabrics`, and its content, checked. Changes nothing.

    images: where their files are. domain: for a Xen domain. thorough: also look at the files for
    slots that are not chosen. Raises DeviceNotFound, DeviceBusy, PolicyDenied with all reasons.
    """
    kept: dict[str, tuple[str, Content]] = {}  # the last one of each, because of their size

    def faults(request: AcceleratorRequest, fabric: Fabric) -> list[str]:
        content, reasons = contents.check(images, request, fabric)
        if content:
            kept[request.name] = (fabric.place, content)
        return reasons

    allowed = images.settings.slots
    with ReadOnce(images.host):
        placement = assign.place(
            requests, fabrics, images.has, allowed, faults, domain=domain, thorough=thorough
        )
        for request in requests:
            fabric = placement.chosen[request.name]
            if kept[request.name][0] != fabric.place and (reasons := faults(request, fabric)):
                raise PolicyDenied("the image's files changed", reasons)
    return placement, {name: content for name, (_, content) in kept.items()}


def plan(
    host: Host,
    rootfs: str,
    settings: Config,
    requests: Sequence[AcceleratorRequest],
    *,
    accept: Callable[[Placement, dict[str, Content]], None] | None = None,
    domain: bool = False,
) -> tuple[dict[str, Any], list[Step], bool]:
    """What each of `requests` can get, the steps of `prepare`, and whether these end with the
    load of a shell. Changes nothing; raises as `place`. accept, domain: as in `prepare`."""
    if not requests:
        return {}, [], False
    fabrics = inventory.fabrics(host, settings.part)
    images = contents.Images(host, rootfs, settings)
    load = shells.needed(images, requests, fabrics)
    if load is None:
        placement, files = place(images, requests, fabrics, domain=domain, thorough=not domain)
        if accept:
            accept(placement, files)
        return placement.to_json(), placement.steps(), False
    shell, region = load
    slots = {"candidates": list(shell.slots), "refused": []}
    steps = [Step("claim", region.name), Step("load", region.name, shell=shell.path)]
    return {request.name: dict(slots) for request in requests}, steps, True


# doing


def prepare(
    host: Host,
    rootfs: str,
    settings: Config,
    requests: Sequence[AcceleratorRequest],
    holder: Holder,
    note: Callable[[list[dict[str, Any]]], None],
    *,
    endpoints: Sequence[Found] = (),
    others: Sequence[str] = (),
    accept: Callable[[Placement, dict[str, Content]], None] | None = None,
    domain: bool = False,
) -> tuple[list[Prepared], list[Claim]]:
    """Claim a slot for each of `requests` and program it; (what there is now, claims).

    note: called with what `give_back` needs, once claimed and before anything changes.
    endpoints: claimed and opened as well; others: further claims. accept: called with what was
    placed, before anything changes; it may refuse. domain: for a Xen domain, so Linux here does
    not drive the devices and only the logic is programmed. Raises HetociError; then nothing is
    claimed and nothing of it is left.
    """
    keys = [*others, *(endpoint.key for endpoint in endpoints)]
    placement, files, taken = _claim(
        contents.Images(host, rootfs, settings), requests, holder, keys, domain
    )
    held = [facts(fabric) for fabric in placement.chosen.values()]
    held += [endpoint.facts() for endpoint in endpoints]
    try:
        host.checkpoint("create:claimed")
        if accept:
            accept(placement, files)
        note(held)
        done = []
        for request in requests:
            fabric = placement.chosen[request.name]
            done.append(_program(host, request, fabric, files[request.name], domain))
            host.checkpoint("create:programmed")
        for endpoint in endpoints:
            endpoint.open(host)
    except BaseException:
        undo(host, held, taken)
        raise
    return done, taken


def undo(host: Host, held: Sequence[dict[str, Any]], taken: Sequence[Claim]) -> list[str]:
    """Empty the fabrics in `held`, then let go of their claims, which are ours; what failed,
    in sentences: it stays for reap."""
    failures = clear(host, held)
    for claim in taken:
        claim.give_up()
    return failures


def clear(host: Host, held: Sequence[dict[str, Any]]) -> list[str]:
    """Empty the fabrics in `held`, whose claims are ours, the last one first; what failed."""
    return [failure for entry in reversed(held) if (failure := _clear(host, entry))]


def facts(fabric: Fabric) -> dict[str, Any]:
    """What a record has to hold of `fabric` to give it back."""
    return {"backend": fabric.backend, "key": fabric.key, "name": fabric.name}


def _claim(
    images: Images,
    requests: Sequence[AcceleratorRequest],
    holder: Holder,
    others: Sequence[str],
    domain: bool,
) -> tuple[Placement, dict[str, Content], list[Claim]]:
    """Place and claim, with the claims `others`, all in one order (rule C2); once more if
    another container was quicker (rule C3). The shell is loaded first, if one has to be."""
    host = images.host
    fabrics = shells.ensure(images, requests, holder)
    for last in (False, True):
        if last:
            fabrics = inventory.fabrics(host, images.settings.part)
        placement, files = place(images, requests, fabrics, domain=domain)
        keys = {key for fabric in placement.chosen.values() for key in _keys(host, fabric)}
        try:
            taken = claims.acquire_all(host, list({*keys, *others}), holder)
        except DeviceBusy:
            if last:
                raise
            continue
        if _unchanged(host, placement):
            return placement, files, taken
        for claim in taken:
            claim.give_up()
    raise DeviceBusy("the slots changed while they were claimed", hint="try again")


def _keys(host: Host, fabric: Fabric) -> list[str]:
    """Claims that go with `fabric`: a region is taken with all slots in it, a slot for domains
    with what `vm` of config.json could name."""
    keys = [fabric.key]
    if fabric.for_domains:
        keys += [f"irq.{irq}" for line in fabric.interrupts or () if (irq := xen_number(line))]
        keys += [f"iomem.{window.first >> 12:#x}" for window in fabric.windows or ()]
    if fabric.kind == REGION:
        keys += [f.key for f in inventory.fabrics(host) if f.parent == fabric.place]
    return keys


def _unchanged(host: Host, placement: Placement) -> bool:
    return all(
        backends.load(host, fabric.backend).unchanged(host, fabric)
        for fabric in placement.chosen.values()
    )


def _program(
    host: Host, request: AcceleratorRequest, fabric: Fabric, content: Content, domain: bool
) -> Prepared:
    backend = backends.load(host, fabric.backend)
    backend.clear(host, fabric.key)  # what a container that died may have left
    if domain:
        designs.clear_memory(host, fabric.memory)
        backend.program(host, fabric, content.programming.without_nodes())
        return Prepared(request, fabric, content, ())
    backend.program(host, fabric, content.programming)
    nodes = _await_nodes(host, backend, request, fabric, content)
    backend.scrub(host, fabric, nodes)
    return Prepared(request, fabric, content, nodes)


def _await_nodes(
    host: Host, backend: Any, request: AcceleratorRequest, fabric: Fabric, content: Content
) -> list[DesignNode]:
    """The nodes that the container gets, once each has a device file."""
    deadline = time.monotonic() + request.timeout
    pause = _FIRST_PAUSE
    while True:
        nodes = {node.name: node for node in backend.design_nodes(host, fabric)}
        wanted = content.main_nodes or tuple(name for name, n in nodes.items() if n.files)
        missing = [name for name in wanted if name not in nodes or not nodes[name].files]
        if wanted and not missing:
            break
        if time.monotonic() > deadline:
            raise BackendTimeout(
                f"no device file for {', '.join(missing) or 'any node'} of {fabric.kind}"
                f" {fabric.name} after {request.timeout:g} s",
                op="await",
                device=fabric.instance,
                hint="the kernel needs a driver for its compatible, UIO for instance",
            )
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    if len(wanted) > 1 and not content.main_nodes:
        raise FpgaError(
            f"{fabric.kind} {fabric.name} has several nodes with devices ({', '.join(wanted)});"
            " the key devices says which",
            device=fabric.instance,
        )
    return [nodes[name] for name in wanted]


# giving back


def give_back(host: Host, held: Sequence[dict[str, Any]], container: str, root: str) -> list[str]:
    """Empty and free the fabrics in `held` (made by `facts`), last one first; what failed, in
    sentences. `container` of the engine's `root`, which had them, has ended. Safe to repeat."""
    failures = []
    for entry in reversed(held):
        try:
            claim = claims.take_back(host, entry["key"], container, root)
        except DeviceBusy:  # it has a new owner already
            continue
        failure = _clear(host, entry)
        if failure:
            failures.append(failure)
        claim.give_up()
    return failures


def _clear(host: Host, entry: dict[str, Any]) -> str:
    """Empty one fabric whose claim we hold; what failed, in a sentence, or ""."""
    try:
        backends.load(host, entry["backend"]).clear(host, entry["key"])
    except HetociError as error:
        return str(error)
    return ""
