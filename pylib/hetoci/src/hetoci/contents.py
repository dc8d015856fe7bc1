# SPDX-License-Identifier: MIT
"""The files of an image's accelerators: read, and checked against where they would go."""

from __future__ import annotations

from . import assign, bitstream, digest, overlay
from .bundle import exists_inside, read_inside
from .devicetree import LiveTree
from .errors import BundleError
from .fabric import Programming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .bitstream import Header
    from .config import Config
    from .fabric import Fabric
    from .host import Host
    from .workloads import AcceleratorRequest

#: Largest overlay (docs/spec/layout.md, 3), bytes.
OVERLAY_LIMIT = 1 << 20

#: Files that are kept while slots are tried: a bitstream may be large.
_KEPT = 2


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


class File:
    """A file of the image, read; header: of a bitstream, once `check` has asked for it."""

    __slots__ = ("data", "digest", "header")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.digest = digest.name(data)
        self.header: Header | None = None


class Images:
    """The files of one image, as the checks need them; those read last are kept."""

    __slots__ = ("_files", "_missing", "host", "rootfs", "settings")

    def __init__(self, host: Host, rootfs: str, settings: Config) -> None:
        self.host = host
        self.rootfs = rootfs
        self.settings = settings
        self._files: dict[str, File] = {}
        self._missing: set[str] = set()

    def has(self, path: str) -> bool:
        """True if something is at `path`; what it is, the reading checks."""
        try:
            found = exists_inside(self.host, self.rootfs, path)
        except BundleError:
            return True
        if not found:
            self._missing.add(path)
        return found

    def bitstream(self, path: str) -> File | None:
        """The bitstream at `path`, None if `has` found nothing there. Raises BundleError."""
        file = self._read(path, self.settings.bitstream_max_size)
        if file and file.header is None:
            file.header = bitstream.read(file.data)
        return file

    def overlay(self, path: str) -> File | None:
        """As `bitstream`, for an overlay."""
        return self._read(path, OVERLAY_LIMIT)

    def fits_shell(self, request: AcceleratorRequest, slot: Fabric) -> bool:
        """False if keys, or else the header of the bitstream for `slot`, want another shell than
        it has; what else there is to say, `check` says."""
        if request.shells or not slot.shell:
            return bitstream.any_id(request.shells, slot.shell)
        path = assign.expand(request.bitstream, slot) or ""
        try:
            file = self.bitstream(path) if path and self.has(path) else None
        except BundleError:
            return True
        wanted = file.header.shell if file and file.header else ""
        return not wanted or bitstream.same_id(wanted, slot.shell)

    def _read(self, path: str, limit: int) -> File | None:
        if not path or path in self._missing:
            return None
        if path not in self._files:
            try:
                data = read_inside(self.host, self.rootfs, path, limit)
            except FileNotFoundError:
                raise BundleError(f"{path} does not exist in the image any more") from None
            while len(self._files) >= _KEPT:
                del self._files[next(iter(self._files))]
            self._files[path] = File(data)
        return self._files[path]


def check(
    images: Images, request: AcceleratorRequest, fabric: Fabric
) -> tuple[Content | None, list[str]]:
    """What the files of `request` for `fabric` are, and every reason against them; None if
    there is one, or a file that is not there."""
    path = assign.expand(request.bitstream, fabric) or ""
    overlay_path = assign.expand(request.overlay, fabric) or ""
    reasons: list[str] = []
    file = blob = None
    main_nodes: Sequence[str] = request.nodes
    try:
        file = images.bitstream(path)
        if file:
            reasons += _digest(file, path, request)
            faults = _header(file.header, request, fabric)
            reasons += [f"bitstream {path}: {fault}" for fault in faults]
    except BundleError as error:
        reasons.append(str(error))
    try:
        blob = images.overlay(overlay_path)
        if blob:
            reasons += _digest(blob, overlay_path, request)
            faults, main_nodes = _overlay(images, blob.data, overlay_path, request, fabric)
            reasons += faults
    except BundleError as error:
        reasons.append(str(error))
    if reasons or file is None or (request.overlay and blob is None):
        return None, reasons
    programming = Programming(
        file.data,
        blob.data if blob else b"",
        partial=request.partial,
        encrypted=request.encrypted,
    )
    content = Content(programming, path, file.digest)
    content.main_nodes = tuple(main_nodes)
    return content, []


def _digest(file: File, path: str, request: AcceleratorRequest) -> list[str]:
    if not request.digests or file.digest in request.digests:
        return []
    return [f"{path} has the digest {file.digest}, which is not among those of the metadata"]


def _overlay(
    images: Images, blob: bytes, path: str, request: AcceleratorRequest, fabric: Fabric
) -> tuple[list[str], Sequence[str]]:
    """What is wrong with an overlay, and the nodes that the container gets the devices of."""
    parsed = overlay.parse(blob, path)
    globs = images.settings.overlay_compatibles
    reasons = overlay.objections(parsed, fabric, LiveTree(images.host), globs)
    found = parsed.main_nodes()
    return reasons + _nodes(request, found, path), request.nodes or found


def _header(header: Header | None, request: AcceleratorRequest, fabric: Fabric) -> list[str]:
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
