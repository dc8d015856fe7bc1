# SPDX-License-Identifier: MIT
"""Accelerators of a container: from its metadata to programmed slots, and back.

`plan` reads and checks and changes nothing; `prepare` claims and programs, all or nothing;
`give_back` undoes it, by whichever process, as often as it likes.
"""

from __future__ import annotations

import time

from . import assign, backends, bitstream, claims, designs, digest, inventory, overlay, shells
from .bundle import exists_inside, read_inside
from .devicetree import LiveTree, ReadOnce
from .errors import (
    BackendTimeout,
    BundleError,
    DeviceBusy,
    FpgaError,
    HetociError,
    PolicyDenied,
)
from .fabric import REGION, Programming, xen_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .assign import Placement
    from .claims import Claim
    from .config import Config
    from .designs import DesignNode
    from .endpoints import Found
    from .fabric import Fabric
    from .host import Host
    from .model import Holder
    from .workloads import AcceleratorRequest

#: Largest overlay (docs/spec/layout.md, 3), bytes.
OVERLAY_LIMIT = 1 << 20

#: How often a container's devices are looked for while they appear, s: first and longest pause.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.1


class Content:
    """What an accelerator's files are: checked, and read once. Paths in the image."""

    __slots__ = ("bitstream_digest", "bitstream_path", "main_nodes", "programming")

    def __init__(self, programming: Programming, path: str, bitstream_digest: str) -> None:
        self.programming = programming
        self.bitstream_path = path
        self.bitstream_digest = bitstream_digest
        self.main_nodes: tuple[str, ...] = ()

    def forget_files(self) -> None:
        """Give back the memory of bitstream and overlay, which are where they belong."""
        flags = {"partial": self.programming.partial, "encrypted": self.programming.encrypted}
        self.programming = Programming(b"", b"", **flags)


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


class Images:
    """The files of one image, as the checks need them."""

    __slots__ = ("host", "rootfs", "settings")

    def __init__(self, host: Host, rootfs: str, settings: Config) -> None:
        self.host = host
        self.rootfs = rootfs
        self.settings = settings

    def has(self, path: str) -> bool:
        """True if something is at `path`; what it is, the reading checks."""
        return exists_inside(self.host, self.rootfs, path)

    def read(self, path: str, limit: int, digests: Sequence[str]) -> tuple[bytes, str]:
        """The file and its digest. Raises BundleError, also for a digest that is not listed."""
        data = read_inside(self.host, self.rootfs, path, limit)
        found = digest.name(data)
        if digests and found not in digests:
            raise BundleError(
                f"{path} has the digest {found}, which is not among those of the metadata"
            )
        return data, found


def place(
    host: Host,
    rootfs: str,
    settings: Config,
    requests: Sequence[AcceleratorRequest],
    fabrics: Sequence[Fabric],
    *,
    domain: bool = False,
) -> tuple[Placement, dict[str, Content]]:
    """Where each of `requests` goes among `fabrics`, and its content, checked. Changes nothing.

    domain: for a Xen domain. Raises DeviceNotFound, DeviceBusy, PolicyDenied with all reasons,
    BundleError.
    """
    images = Images(host, rootfs, settings)
    placement = assign.place(requests, fabrics, images.has, settings.slots, domain=domain)
    reasons: list[str] = []
    contents = {}
    for request in requests:
        try:
            with ReadOnce(host):
                contents[request.name] = _content(images, request, placement.chosen[request.name])
        except PolicyDenied as error:
            reasons += [f"{request.name}: {reason}" for reason in error.reasons]
        except BundleError as error:
            reasons.append(f"{request.name}: {error}")
    if reasons:
        raise PolicyDenied("the image's accelerators cannot be used", reasons)
    return placement, contents


def _content(images: Images, request: AcceleratorRequest, fabric: Fabric) -> Content:
    """The checked files of `request`. Raises PolicyDenied with every reason against them."""
    path = assign.expand(request.bitstream, fabric) or ""
    overlay_path = assign.expand(request.overlay, fabric) or ""
    reasons: list[str] = []
    data = blob = b""
    bitstream_digest = ""
    main_nodes: Sequence[str] = request.nodes
    try:
        limit = images.settings.bitstream_max_size
        data, bitstream_digest = images.read(path, limit, request.digests)
        reasons += [f"bitstream {path}: {fault}" for fault in _header(data, request, fabric)]
    except BundleError as error:
        reasons.append(str(error))
    if overlay_path:
        try:
            blob, _ = images.read(overlay_path, OVERLAY_LIMIT, request.digests)
            faults, main_nodes = _overlay(images, blob, overlay_path, request, fabric)
            reasons += faults
        except BundleError as error:
            reasons.append(str(error))
    if reasons:
        raise PolicyDenied("", reasons)
    programming = Programming(data, blob, partial=request.partial, encrypted=request.encrypted)
    content = Content(programming, path, bitstream_digest)
    content.main_nodes = tuple(main_nodes)
    return content


def _overlay(
    images: Images, blob: bytes, path: str, request: AcceleratorRequest, fabric: Fabric
) -> tuple[list[str], Sequence[str]]:
    """What is wrong with an overlay, and the nodes that the container gets the devices of."""
    parsed = overlay.parse(blob, path)
    globs = images.settings.overlay_compatibles
    reasons = overlay.objections(parsed, fabric, LiveTree(images.host), globs)
    found = parsed.main_nodes()
    return reasons + _nodes(request, found, path), request.nodes or found


def _header(data: bytes, request: AcceleratorRequest, fabric: Fabric) -> list[str]:
    header = bitstream.read(data)
    if header is None:
        return []
    reasons = list(header.faults)
    if header.partial is not None and header.partial != request.partial:
        words = ("partial", "full")
        reasons.append(
            f"it is a {words[not header.partial]} one, the key flags says"
            f" {words[not request.partial]}"
        )
    for what, found, right in (
        ("part", header.part, fabric.part),
        ("shell", header.shell if request.partial else "", fabric.shell),
        ("slot", header.slot, fabric.name if request.partial else ""),
    ):
        if found and right and not bitstream.same_id(found, right):
            reasons.append(f"it was made for the {what} {found}, {fabric.name} has {right}")
    return reasons


def _nodes(request: AcceleratorRequest, found: Sequence[str], path: str) -> list[str]:
    missing = [name for name in request.nodes if name not in found]
    if missing:
        return [f"overlay {path} has no node {', '.join(missing)}, it has {', '.join(found)}"]
    twice = [name for name in request.nodes if found.count(name) > 1]
    if twice:
        return [f"overlay {path} has several nodes {twice[0]}, which cannot be told apart"]
    if not request.nodes and len(found) != 1:
        return [
            f"overlay {path} has {len(found)} nodes with a compatible; the key devices says which"
        ]
    return []


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
    fabrics = shells.ensure(host, settings, requests, holder)
    keys = [*others, *(endpoint.key for endpoint in endpoints)]
    placement, contents, taken = _claim(
        host, rootfs, settings, requests, holder, keys, fabrics, domain
    )
    held = [facts(fabric) for fabric in placement.chosen.values()]
    held += [endpoint.facts() for endpoint in endpoints]
    try:
        host.checkpoint("create:claimed")
        if accept:
            accept(placement, contents)
        note(held)
        done = []
        for request in requests:
            fabric = placement.chosen[request.name]
            done.append(_program(host, request, fabric, contents[request.name], domain))
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
    host: Host,
    rootfs: str,
    settings: Config,
    requests: Sequence[AcceleratorRequest],
    holder: Holder,
    others: Sequence[str],
    fabrics: Sequence[Fabric],
    domain: bool,
) -> tuple[Placement, dict[str, Content], list[Claim]]:
    """Place and claim, with the claims `others`, all in one order (rule C2); once more if
    another container was quicker (rule C3). fabrics: as they have just been seen."""
    for last in (False, True):
        if last:
            fabrics = inventory.fabrics(host, settings.part)
        placement, contents = place(host, rootfs, settings, requests, fabrics, domain=domain)
        keys = {key for fabric in placement.chosen.values() for key in _keys(host, fabric)}
        try:
            taken = claims.acquire_all(host, list({*keys, *others}), holder)
        except DeviceBusy:
            if last:
                raise
            continue
        if _unchanged(host, placement):
            return placement, contents, taken
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
