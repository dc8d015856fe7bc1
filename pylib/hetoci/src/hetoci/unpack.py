# SPDX-License-Identifier: MIT
"""An OCI image on disk as a bundle, for `hetoci plan IMAGE`.

Image layouts (image-spec, image-layout.md), as a directory or in a tar archive as `buildah push
oci-archive:` and `ctr image export` write it. Of a layer, regular files and links are unpacked;
devices, FIFOs and whatever would lead out of the directory are refused.
"""

from __future__ import annotations

import os
import platform
import shutil
import tarfile
import tempfile
import zlib
from contextlib import contextmanager

from . import SPEC_VERSION, fastjson
from .bundle import STORE_FILE, Bundle
from .errors import BundleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any

    from .host import Host

_DOCUMENT_LIMIT = 4 << 20
_UNPACKED_LIMIT = 2 << 30
#: tarfile reads what a header announces at once; no name and no extension is longer.
_READ_LIMIT = 4 << 20
#: What tarfile and the decompressor raise for archives that are none, or are damaged.
_BROKEN = (
    OSError,
    EOFError,
    OverflowError,
    RecursionError,
    ValueError,
    tarfile.TarError,
    zlib.error,
)
_ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64", "armv7l": "arm", "riscv64": "riscv64"}
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


@contextmanager
def bundle_of(host: Host, path: str) -> Iterator[Bundle]:
    """The image at `path` unpacked: a bundle as an engine with a store would make it. It is
    removed afterwards. Raises BundleError."""
    place = host.path("/tmp")  # noqa: S108 - the directory made there has a name of its own
    with tempfile.TemporaryDirectory(prefix="hetoci-plan-", dir=place) as folder:
        layout = _layout(path, folder)
        manifest = _manifest(layout, path)
        config = _json(layout, _digest(manifest.get("config"), path), path)
        rootfs = f"{folder}/rootfs"
        os.mkdir(rootfs)
        left = _UNPACKED_LIMIT
        for layer in manifest.get("layers") or []:
            left = _unpack(layout, _digest(layer, path), rootfs, left, path)
        settings = config.get("config") or {}
        args = [*(settings.get("Entrypoint") or []), *(settings.get("Cmd") or [])]
        process = {
            "args": args,
            "cwd": settings.get("WorkingDir") or "/",
            "env": settings.get("Env") or [],
        }
        made = Bundle(
            f"/tmp/{os.path.basename(folder)}",  # noqa: S108 - as `host` sees it
            {"root": {"path": "rootfs"}, "process": process, "annotations": {}},
        )
        _write_store(host, made, path, settings.get("Labels"), manifest.get("annotations"))
        yield made


def _write_store(host: Host, bundle: Bundle, path: str, labels: Any, annotations: Any) -> None:
    """What the shim would leave in the bundle (docs/spec/carriers.md, 1)."""
    from json import dumps

    from .metadata import concerns_us

    found = {
        name: {key: value for key, value in (keys or {}).items() if concerns_us(key)}
        for name, keys in (("labels", labels), ("annotations", annotations))
    }
    if any(found.values()):
        stored = {"specVersion": SPEC_VERSION, "source": "layout", "name": path, **found}
        host.put(f"{bundle.path}/{STORE_FILE}", dumps(stored).encode())


def _bad(path: str, reason: str) -> BundleError:
    return BundleError(
        f"{path} is no image that can be read: {reason}",
        hint="give a bundle, an OCI image layout, or an archive of one",
    )


def _layout(path: str, folder: str) -> str:
    """The directory of the image layout, unpacked into `folder` if `path` is an archive."""
    if os.path.isdir(path):
        return path
    layout = f"{folder}/layout"
    os.mkdir(layout)
    left = _UNPACKED_LIMIT
    try:
        with _archive(path) as archive:
            for member in _members(archive):
                name = member.name.removeprefix("./")
                wanted = name in ("index.json", "oci-layout") or name.startswith("blobs/")
                if wanted and member.isreg():
                    left = _less(left, member, path)
                    archive.extract(member, layout, filter="data")
    except tarfile.ReadError as error:
        raise _bad(path, "it is no tar archive") from error
    except _BROKEN as error:
        raise _bad(path, str(error)) from error
    return layout


def _less(left: int, member: tarfile.TarInfo, path: str) -> int:
    if member.size > left:
        raise _bad(path, f"it unpacks to more than {_UNPACKED_LIMIT >> 30} GiB")
    return left - member.size


class _Bounded:
    """A file for tarfile, which reads at once what a header announces."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _READ_LIMIT:
            raise tarfile.ReadError(f"a header announces {size} bytes")
        return self._file.read(size)


@contextmanager
def _archive(path: str) -> Iterator[tarfile.TarFile]:
    """A tar archive from a stranger, plain or compressed with gzip."""
    import gzip

    if not os.path.isfile(path):  # a FIFO would keep us waiting
        raise FileNotFoundError(2, "No such file", path)
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    opening: Any = gzip.open if packed else open
    with opening(path, "rb") as opened, tarfile.open(fileobj=_Bounded(opened), mode="r:") as tar:  # type: ignore[call-overload]
        yield tar


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The entries. An extension can move the next one back, which would never end."""
    last = -1
    for member in tar:
        if member.size < 0 or member.offset <= last:
            raise tarfile.ReadError("an entry has no sound size")
        last = member.offset
        yield member


def _read(layout: str, name: str, path: str) -> dict[str, Any]:
    try:
        if not os.path.isfile(f"{layout}/{name}"):
            raise FileNotFoundError(2, "No such file")
        with open(f"{layout}/{name}", "rb") as file:
            value = fastjson.loads(file.read(_DOCUMENT_LIMIT).decode())
    except (OSError, ValueError) as error:
        raise _bad(path, f"{name}: {error}") from error
    if not isinstance(value, dict):
        raise _bad(path, f"{name} is not a JSON object")
    return value


def _json(layout: str, digest: str, path: str) -> dict[str, Any]:
    return _read(layout, _blob(digest), path)


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _digest(descriptor: Any, path: str) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    algorithm, _, digits = str(digest).partition(":")
    if algorithm not in ("sha256", "sha512") or not digits.isalnum():
        raise _bad(path, f"a descriptor has the digest {digest!r}")
    return f"{algorithm}:{digits}"


def _manifest(layout: str, path: str) -> dict[str, Any]:
    """The manifest for this machine."""
    found = _read(layout, "index.json", path)
    for _ in range(4):
        manifests = found.get("manifests")
        if not isinstance(manifests, list):
            return found
        chosen = next(filter(_fits, manifests), None)
        if chosen is None:
            raise _bad(path, "it has no manifest for this machine's platform")
        found = _json(layout, _digest(chosen, path), path)
    raise _bad(path, "its indexes are nested too deeply")


def _fits(descriptor: Any) -> bool:
    if not isinstance(descriptor, dict):
        return False
    wanted = descriptor.get("platform") or {}
    machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
    right = {"architecture": machine, "os": "linux"}
    return all(wanted.get(key, value) == value for key, value in right.items())


def _unpack(layout: str, digest: str, rootfs: str, left: int, path: str) -> int:
    """Apply one layer; returns how many bytes may still come."""
    try:
        with _archive(f"{layout}/{_blob(digest)}") as layer:
            for member in _members(layer):
                left = _less(left, member, path)
                _apply(layer, member, rootfs)
    except _BROKEN as error:
        raise _bad(path, f"layer {digest[:19]}: {error}") from error
    return left


def _apply(layer: tarfile.TarFile, member: tarfile.TarInfo, rootfs: str) -> None:
    """One entry of a layer, whiteouts among them (image-spec, layer.md, Whiteouts)."""
    directory, _, name = member.name.rpartition("/")
    if name.startswith(".wh."):
        victim = "" if name == ".wh..wh..opq" else name.removeprefix(".wh.")
        place = os.path.realpath(f"{rootfs}/{directory}")
        inside = f"{place}/".startswith(f"{os.path.realpath(rootfs)}/")
        if not inside or name in (".wh.", ".wh..", ".wh..."):
            raise tarfile.OutsideDestinationError(member, place)
        for entry in [victim] if victim else os.listdir(place):
            _remove(f"{place}/{entry}")
    elif not member.isdev():  # nothing that a plan looks at is a device
        layer.extract(member, rootfs, set_attrs=False, filter="tar")


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
