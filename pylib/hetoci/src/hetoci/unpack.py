# SPDX-License-Identifier: MIT
"""An OCI image on disk as a bundle, for `hetoci plan IMAGE`.

Image layouts (image-spec, image-layout.md), as a directory or in a tar archive as `buildah push
oci-archive:` and `ctr image export` write it. Nothing that an image says meets the host's file
system: what its layers make of each other is found out in memory (`layers`), contents lie in files
whose names are numbers, and the result is written to an empty directory in the end, each directory
before what is in it.
"""

from __future__ import annotations

import os
import platform
import stat
from contextlib import contextmanager

from . import SPEC_VERSION, fastjson, imagejson, layers, tarball
from .bundle import STORE_FILE, Bundle, open_inside
from .errors import BundleError
from .host import explain
from .layers import Layers, TooMuch
from .tarball import Damaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from tarfile import TarInfo
    from typing import IO, Any, Protocol

    from .host import Host

    class Source(Protocol):
        """The files of an image layout."""

        def open(self, name: str) -> IO[bytes]:
            """A file to read. Raises Damaged if there is none or it is no regular file."""


_DOCUMENT_LIMIT = 4 << 20
_UNPACKED_LIMIT = 2 << 30
_LAYERS_LIMIT = 128
_CHUNK = 1 << 16
_TEMPORARY = "/tmp"  # noqa: S108 - what is made there gets a name of its own
_PREFIX = "hetoci-plan-"
_ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64", "armv7l": "arm", "riscv64": "riscv64"}
#: What stands for special files, so that they are found and refused. No driver has the number 0.
_MARKS = {
    "character device": stat.S_IFCHR,
    "block device": stat.S_IFBLK,
    "FIFO": stat.S_IFIFO,
}


@contextmanager
def bundle_of(host: Host, path: str) -> Iterator[Bundle]:
    """The image at `path` unpacked: a bundle as an engine with a store would make it. It is
    removed afterwards, also if the process is told to end; if it is killed, by the next one.
    Raises BundleError."""
    _remove_abandoned(host)
    with _folder(host) as folder:
        try:
            made = _bundle(host, path, folder)
        except (Damaged, TooMuch) as error:
            raise _bad(path, f"it {error}") from error
        except (OSError, ValueError) as error:
            reason = explain(error) if isinstance(error, OSError) else str(error)
            raise BundleError(f"{path} cannot be unpacked to {folder}: {reason}") from error
        yield made


def _remove_abandoned(host: Host) -> None:
    """Remove the folders of processes that are gone. Those of other users are theirs."""
    import shutil

    for name in host.listing(_TEMPORARY):
        pid, _, rest = name.removeprefix(_PREFIX).partition("-")
        if not name.startswith(_PREFIX) or not pid.isdecimal():
            continue
        path = host.path(f"{_TEMPORARY}/{name}")
        try:
            ours = os.lstat(path).st_uid == os.geteuid()
        except OSError:
            continue
        if ours and not host.alive(int(pid), rest.partition("-")[0]):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _folder(host: Host) -> Iterator[str]:
    """A temporary directory, named after this process. Signals that would leave it behind end the
    process by SystemExit."""
    import signal
    import tempfile

    def end(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    wanted = (signal.SIG_DFL, signal.default_int_handler)
    pid = os.getpid()
    name = f"{_PREFIX}{pid}-{host.start_time(pid)}-"
    before = {n: signal.signal(n, end) for n in numbers if signal.getsignal(n) in wanted}
    try:
        with tempfile.TemporaryDirectory(prefix=name, dir=host.path(_TEMPORARY)) as folder:
            try:
                yield folder
            finally:  # nothing may interrupt its removal
                for number in before:
                    signal.signal(number, signal.SIG_IGN)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bundle(host: Host, path: str, folder: str) -> Bundle:
    with _source(host, path, folder) as source:
        manifest = _manifest(source, path)
        config = _read(source, _blob(manifest.get("config"), path), path)
        for where, reason in imagejson.problems(manifest, config):
            raise _bad(path, f"{where} {reason}")
        rootfs = _root(source, manifest, path, folder)
        _plant(rootfs, f"{folder}/rootfs")
    settings = config.get("config") or {}
    process = {
        "args": [*(settings.get("Entrypoint") or []), *(settings.get("Cmd") or [])],
        "cwd": settings.get("WorkingDir") or "/",
        "env": settings.get("Env") or [],
    }
    made = Bundle(
        f"{_TEMPORARY}/{os.path.basename(folder)}",  # as `host` sees it
        {"root": {"path": "rootfs"}, "process": process, "annotations": {}},
    )
    _write_store(host, made, path, settings.get("Labels"), manifest.get("annotations"))
    return made


def _write_store(host: Host, bundle: Bundle, path: str, labels: Any, annotations: Any) -> None:
    """What the shim would leave in the bundle (docs/spec/carriers.md, 1)."""
    from .metadata import concerns_us

    found = {
        name: {key: value for key, value in (keys or {}).items() if concerns_us(key)}
        for name, keys in (("labels", labels), ("annotations", annotations))
    }
    if any(found.values()):
        stored = {"specVersion": SPEC_VERSION, "source": "layout", "name": path, **found}
        host.put(f"{bundle.path}/{STORE_FILE}", fastjson.dumps(stored).encode())


def _bad(path: str, reason: str) -> BundleError:
    return BundleError(
        f"{path} is no image that can be read: {reason}",
        hint="give a bundle, an OCI image layout, or an archive of one",
    )


class _Layout:
    """A layout in a directory. Links in it lead nowhere else."""

    def __init__(self, host: Host, path: str) -> None:
        self._host, self._path = host, path

    def open(self, name: str) -> IO[bytes]:
        try:
            return os.fdopen(open_inside(self._host, self._path, name), "rb")
        except FileNotFoundError:
            raise Damaged(f"has no {name}") from None


class _Archive:
    """A layout in a tar archive, a seekable file."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._files = {
            member.name.removeprefix("./"): (member.offset_data, member.size)
            for member in tarball.members(stream, 1 << 62)
            if member.isreg() and member.sparse is None
        }

    def open(self, name: str) -> IO[bytes]:
        if name not in self._files:
            raise Damaged(f"has no {name}")
        return tarball.part(self._stream, *self._files[name])


@contextmanager
def _source(host: Host, path: str, folder: str) -> Iterator[Source]:
    if host.is_directory(path):
        yield _Layout(host, path)
        return
    try:  # O_NONBLOCK: a FIFO would keep us waiting
        descriptor = host.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise _bad(path, explain(error)) from error
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Damaged("is no regular file")
        with _plain(opened) as stream:
            if stream is opened:
                yield _Archive(opened)
                return
            from tempfile import TemporaryFile

            with TemporaryFile(dir=folder) as copy:
                _spool(stream, copy)
                yield _Archive(copy)


@contextmanager
def _plain(opened: IO[bytes]) -> Iterator[IO[bytes]]:
    """`opened` itself, or what it is without its compression. Raises Damaged."""
    found = tarball.compression(opened.read(6))
    opened.seek(0)
    if not found:
        yield opened
    elif found == "gzip":
        import gzip

        with gzip.GzipFile(fileobj=opened) as stream:
            yield stream  # type: ignore[misc]
    else:
        raise Damaged(f"is compressed with {found}, of which only gzip is read here")


def _spool(stream: IO[bytes], copy: IO[bytes]) -> None:
    left = _UNPACKED_LIMIT
    try:
        while data := stream.read(_CHUNK):
            left -= len(data)
            if left < 0:
                raise Damaged(f"has more than {_UNPACKED_LIMIT >> 20} MiB unpacked")
            copy.write(data)
    except tarball.BROKEN as error:
        if isinstance(error, OSError) and error.errno:  # the disk, not the archive
            raise
        raise Damaged(f"is damaged: {error}") from error
    copy.seek(0)


def _read(source: Source, name: str, path: str) -> dict[str, Any]:
    with source.open(name) as file:
        raw = file.read(_DOCUMENT_LIMIT + 1)
    if len(raw) > _DOCUMENT_LIMIT:
        raise _bad(path, f"{name} has more than {_DOCUMENT_LIMIT >> 20} MiB")
    try:
        value = fastjson.loads(raw.decode())
    except ValueError as error:
        raise _bad(path, f"{name}: {error}") from error
    if not isinstance(value, dict):
        raise _bad(path, f"{name} is not a JSON object")
    return value


def _blob(descriptor: Any, path: str) -> str:
    """The name of the file that a descriptor means."""
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    algorithm, _, digits = str(digest).partition(":")
    if algorithm not in ("sha256", "sha512") or not (digits.isascii() and digits.isalnum()):
        raise _bad(path, f"a descriptor has the digest {str(digest)[:140]!r}")
    return f"blobs/{algorithm}/{digits}"


def _manifest(source: Source, path: str) -> dict[str, Any]:
    """The manifest for this machine."""
    name = "index.json"
    found = _read(source, name, path)
    for _ in range(4):
        if "manifests" not in found:
            return found
        manifests = found["manifests"]
        if not isinstance(manifests, list):
            raise _bad(path, f"{name}: manifests is no list of descriptors")
        chosen = next((entry for entry in manifests if _fits(entry, path, name)), None)
        if chosen is None:
            raise _bad(path, "it has no manifest for this machine's platform")
        name = _blob(chosen, path)
        found = _read(source, name, path)
    raise _bad(path, "its indexes are nested too deeply")


def _fits(descriptor: Any, path: str, name: str) -> bool:
    if not isinstance(descriptor, dict):
        return False
    wanted = descriptor.get("platform") or {}
    if not isinstance(wanted, dict):
        raise _bad(path, f"{name}: a manifest's platform is no object")
    machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
    right = {"architecture": machine, "os": "linux"}
    return all(wanted.get(key, value) == value for key, value in right.items())


def _root(source: Source, manifest: dict[str, Any], path: str, folder: str) -> Layers:
    """What the layers make, contents in files of `folder`."""
    found = manifest.get("layers") or []
    if len(found) > _LAYERS_LIMIT:
        raise Damaged(f"has {len(found)} layers, {_LAYERS_LIMIT} are allowed")
    contents = _Contents(f"{folder}/contents")
    tree = Layers()
    left = _UNPACKED_LIMIT
    for number, descriptor in enumerate(found, 1):
        where = f"layer {number}"
        try:
            with source.open(_blob(descriptor, path)) as opened, _plain(opened) as stream:
                contents.stream = stream
                tree.lay(tarball.members(stream, left), where, contents.keep)
                left -= stream.tell()
        except (Damaged, TooMuch) as error:
            raise _bad(path, f"{where} {error}") from error
        for entry, reason in tree.faults:
            raise _bad(path, f"{entry} {reason}")
    return tree


class _Contents:
    """Contents of regular files, in files of our own."""

    def __init__(self, folder: str) -> None:
        os.mkdir(folder, 0o700)
        self._folder = folder
        self._count = 0
        self.stream: Any = None

    def keep(self, member: TarInfo) -> str:
        """Write the content of an entry of `stream`; the file's path."""
        self._count += 1
        path = f"{self._folder}/{self._count}"
        if self.stream.tell() != member.offset_data:
            self.stream.seek(member.offset_data)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for offset, size in tarball.pieces(member):
                self._copy(descriptor, offset, size)
            os.ftruncate(descriptor, member.size)
        finally:
            os.close(descriptor)
        return path

    def _copy(self, descriptor: int, offset: int, size: int) -> None:
        while size > 0:
            try:
                data = self.stream.read(min(size, _CHUNK))
            except tarball.BROKEN as error:
                raise Damaged(f"is damaged: {error}") from error
            if not data:
                raise Damaged("is damaged: it ends within a file")
            if data.count(0) < len(data):  # zeros need no place
                _write_at(descriptor, data, offset)
            offset += len(data)
            size -= len(data)


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


def _plant(tree: Layers, rootfs: str) -> None:
    """Write the tree to `rootfs`, which does not exist yet. Every directory on the way to a file
    is one that was made here, so none is a link."""
    todo = [(tree.root, rootfs)]
    moved: dict[str, str] = {}
    while todo:
        node, path = todo.pop()
        if node.kind == "directory":
            os.mkdir(path, 0o700)
            todo += [(child, f"{path}/{name}") for name, child in node.children.items()]
        elif node.kind == layers.FILE:
            if node.content in moved:  # a hard link
                os.link(moved[node.content], path)
            else:
                os.rename(node.content, path)
                moved[node.content] = path
        elif node.kind == "link":
            os.symlink(node.target, path)
        else:
            _mark(path, _MARKS[node.kind])


def _mark(path: str, kind: int) -> None:
    try:
        os.mknod(path, kind, os.makedev(0, 0))
    except PermissionError:  # devices are root's to make
        os.mkfifo(path)
