# SPDX-License-Identifier: MIT
"""The bundle: config.json, and files inside the image's root file system.

config.json comes from the engine and is trusted; the root file system comes from an image
and is not: a path in it never leads out of it, and only regular files of bounded size are
read.
"""

from __future__ import annotations

import errno
import os
import stat

from . import fastjson
from .errors import BundleError
from .host import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Host

#: Where an image's author puts metadata that every engine must bring along, because
#: engines drop image labels: a flat JSON object of strings (docs/decisions/0003).
LABELS_FILE = "/.hetoci/labels.json"

#: Beside config.json: what the engine's side found in its store of the image's labels and
#: manifest annotations (docs/spec/carriers.md, 1; docs/decisions/0202).
STORE_FILE = "hetoci-image.json"

#: Largest config.json, labels file and store file we read, in bytes.
CONFIG_LIMIT = 16 << 20
LABELS_LIMIT = 64 << 10
STORE_LIMIT = 1 << 20

#: As the kernel's own limit for one path (MAXSYMLINKS).
_MAX_LINKS = 40

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISSOCK, "a socket"),
)


class Bundle:
    """A bundle's directory and its parsed config.json."""

    __slots__ = ("config", "path", "rootfs")

    def __init__(self, path: str, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        root = config.get("root")
        rootfs = root.get("path") if isinstance(root, dict) else None
        self.rootfs = os.path.join(path, rootfs) if isinstance(rootfs, str) and rootfs else None

    @property
    def annotations(self) -> dict[str, Any]:
        """The annotations object of config.json; empty if there is none."""
        found = self.config.get("annotations")
        return found if isinstance(found, dict) else {}

    def section(self, *names: str) -> Any:
        """config.json's value at names[0].names[1]..., None where the way ends."""
        value: Any = self.config
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value


def load(host: Host, path: str) -> Bundle:
    """Read <path>/config.json. Raises BundleError if it is missing or no JSON object."""
    where = f"{path}/config.json"
    try:
        raw = host.read(where, CONFIG_LIMIT + 1)
    except OSError as error:
        raise BundleError(
            f"cannot read {where}: {explain(error)}",
            hint="--bundle must name a directory with an OCI config.json",
        ) from error
    if len(raw) > CONFIG_LIMIT:
        raise BundleError(f"{where} is larger than {CONFIG_LIMIT >> 20} MiB")
    try:
        config = fastjson.loads(raw.decode())
    except (ValueError, UnicodeDecodeError) as error:
        raise BundleError(f"{where} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise BundleError(f"{where} is not a JSON object")
    return Bundle(path, config)


def open_inside(host: Host, rootfs: str, path: str) -> int:
    """A descriptor to read the regular file `path` of the image unpacked at `rootfs`.

    Symbolic links are followed as a process inside the container would see them. Raises
    FileNotFoundError if there is no such file, BundleError for anything that is not a
    regular file or leads nowhere.
    """
    found = _walk(host.path(rootfs), path)
    try:
        mode = os.fstat(found).st_mode
        if not stat.S_ISREG(mode):
            kind = next((name for test, name in _KINDS if test(mode)), "no regular file")
            raise BundleError(f"{path} in the image is {kind}, a regular file is needed")
        # An O_PATH descriptor opens nothing; this does, and only a regular file gets here.
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(found)


def read_inside(host: Host, rootfs: str, path: str, limit: int) -> bytes:
    """The content of a file as `open_inside` opens it. Raises BundleError for more than `limit`
    bytes as well."""
    with os.fdopen(open_inside(host, rootfs, path), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise BundleError(
                f"{path} in the image has {size} bytes, more than the {limit} allowed"
            )
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise BundleError(f"{path} in the image has more than the {limit} bytes allowed")
    return data


def exists_inside(host: Host, rootfs: str, path: str) -> bool:
    """True if there is something at `path` of the image unpacked at `rootfs`."""
    try:
        os.close(_walk(host.path(rootfs), path))
    except FileNotFoundError:
        return False
    return True


def meaning(host: Host, rootfs: str, path: str) -> str:
    """What `path` means in the image unpacked at `rootfs`: its links are followed as in the
    container, also where they lead to nothing. Raises BundleError for too many."""
    done: list[str] = []
    todo = path.split("/")
    links = 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            del done[-1:]
        elif part not in ("", "."):
            try:  # no component of `done` is a link
                target = os.readlink(host.path("/".join([rootfs, *done, part])))
            except OSError:
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise BundleError(f"{path} in the image follows more than {_MAX_LINKS} links")
            todo[:0] = target.split("/")
            if target.startswith("/"):
                done.clear()
    return "/" + "/".join(done)


def _walk(rootfs: str, path: str) -> int:
    """An O_PATH descriptor of what `path` means below `rootfs`, every component looked up
    without following links, so that no link and no `..` can lead out."""
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        stack = [os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    except OSError as error:
        raise BundleError(f"cannot open the image at {rootfs}: {explain(error)}") from error
    todo = [part for part in path.split("/") if part and part != "."]
    links = 0
    try:
        while todo:
            part = todo.pop(0)
            if part == "..":
                if len(stack) > 1:
                    os.close(stack.pop())
                continue
            child = os.open(part, flags, dir_fd=stack[-1])
            if not stat.S_ISLNK(os.fstat(child).st_mode):
                stack.append(child)
                continue
            try:
                target = os.readlink("", dir_fd=child)
            finally:
                os.close(child)
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            todo[:0] = [name for name in target.split("/") if name and name != "."]
            if target.startswith("/"):
                while len(stack) > 1:
                    os.close(stack.pop())
        return stack.pop()
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise FileNotFoundError(errno.ENOENT, "not in the image", path) from None
        raise BundleError(f"{path} in the image cannot be opened: {explain(error)}") from error
    finally:
        for descriptor in stack:
            os.close(descriptor)


def stored_keys(host: Host, bundle: Bundle) -> tuple[dict[str, str], dict[str, str]]:
    """Labels and manifest annotations of the image by the engine's store; both empty if the
    engine left none.

    Raises BundleError if what it left is not as docs/spec/schema/image-metadata.schema.json says.
    """
    where = f"{bundle.path}/{STORE_FILE}"
    try:
        raw = host.read(where, STORE_LIMIT + 1)
    except FileNotFoundError:
        return {}, {}
    except OSError as error:
        raise BundleError(f"cannot read {where}: {explain(error)}") from error
    from . import store

    if len(raw) > STORE_LIMIT:
        raise BundleError(f"{where} is larger than {STORE_LIMIT >> 20} MiB")
    return store.parse(raw, where)


def image_labels(host: Host, bundle: Bundle) -> dict[str, Any]:
    """The labels file of the image; empty if it has none. Values are not checked here.

    Raises BundleError if the file is no JSON object, has a member twice or is too large.
    """
    if bundle.rootfs is None:
        return {}
    try:
        raw = read_inside(host, bundle.rootfs, LABELS_FILE, LABELS_LIMIT)
    except FileNotFoundError:
        return {}
    try:
        labels = fastjson.loads(raw.decode(), unique=True)
    except (ValueError, UnicodeDecodeError) as error:
        raise BundleError(f"{LABELS_FILE} in the image is not JSON: {error}") from error
    if not isinstance(labels, dict):
        raise BundleError(f"{LABELS_FILE} in the image is not a JSON object")
    return labels
