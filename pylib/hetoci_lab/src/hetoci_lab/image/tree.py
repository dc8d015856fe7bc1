# SPDX-License-Identifier: MIT
"""An image's root file system, as its layers make it, without unpacking it to disk.

Layers are laid over each other as image-spec says (layer.md, "Applying Changesets"); paths are
looked up by docs/spec/layout.md, 2. Contents stay in the layers and are read when asked for.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import IO

from hetoci_lab.image import source

LINKS_LIMIT = 40
#: Components of a path: more than any engine can unpack.
DEPTH_LIMIT = 256
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_KINDS = {
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "FIFO",
}
FILE = "regular file"


class NotThere(Exception):
    """A path that leads to no regular file; the message follows the path in a sentence."""


@dataclass(slots=True)
class Node:
    """One thing in the file system. layer: index of the last that touched it; data, offset:
    layer and place of a file's content."""

    kind: str
    layer: int
    mode: int = 0o755
    size: int = 0
    data: int = 0
    offset: int = 0
    sparse: bool = False
    target: str = ""
    children: dict[str, "Node"] = field(default_factory=dict)


def components(path: str) -> list[str]:
    """The names in a path; empty ones and `.` do not count."""
    return [part for part in path.split("/") if part not in ("", ".")]


class Tree:
    """The file system. faults: what the layers hold that no engine would unpack: entry, reason."""

    def __init__(self) -> None:
        self.root = Node("directory", -1)
        self.faults: list[tuple[str, str]] = []
        self._layers: list[IO[bytes]] = []
        self._entries = 0

    def apply(self, layer: IO[bytes], where: str) -> None:
        """Lay a layer, a plain tar archive in a seekable file, over what is there."""
        index = len(self._layers)
        self._layers.append(layer)
        for member in source.members(layer, where, source.ENTRIES_LIMIT - self._entries):
            self._entries += 1
            parts = components(member.name)
            reason = _unfit(member, parts)
            if reason is None and parts:
                reason = self._add(member, parts, index)
            if reason and len(self.faults) < 20:
                self.faults.append((f"{_shown(member.name)} ({where})", reason))

    def _add(self, member: tarfile.TarInfo, parts: list[str], index: int) -> str | None:
        """Do what an entry says; the reason if it cannot be done."""
        try:
            parent = self._walk("/".join(parts[:-1]), make=index)
        except NotThere as error:
            return f"lies below something that {error}"
        if parent.kind != "directory":
            return f"lies below a {parent.kind}"
        name = parts[-1]
        if name == _OPAQUE:
            _clear(parent, index)
        elif name.startswith(_WHITEOUT):
            hidden = parent.children.get(name.removeprefix(_WHITEOUT))
            if hidden is not None and hidden.layer < index:
                del parent.children[name.removeprefix(_WHITEOUT)]
        elif member.islnk():
            return self._link(parent, name, member, index)
        else:
            _put(parent, name, member, index)
        return None

    def _link(self, parent: Node, name: str, member: tarfile.TarInfo, index: int) -> str | None:
        if ".." in components(member.linkname):
            return f"is a hard link to {_shown(member.linkname)}, out of the image"
        try:
            found = self._walk(member.linkname, follow_last=False)
        except NotThere as error:
            return f"is a hard link to {_shown(member.linkname)}, which {error}"
        if found.kind == "directory":
            return f"is a hard link to the directory {_shown(member.linkname)}"
        parent.children[name] = replace(found, layer=index)
        return None

    def find(self, path: str) -> Node:
        """The regular file that `path` means, links followed. Raises NotThere."""
        found = self._walk(path)
        if found.kind != FILE:
            raise NotThere(f"is a {found.kind}, a regular file is needed")
        return found

    def _walk(self, path: str, *, make: int | None = None, follow_last: bool = True) -> Node:
        """Look a path up as a process in the container would; `..` of the root is the root.

        make: the layer that touches the folders on the way; missing ones are made.
        """
        stack = [self.root]
        todo = components(path)[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                del stack[max(1, len(stack) - 1) :]
                continue
            if stack[-1].kind != "directory":
                raise NotThere(f"goes through a {stack[-1].kind}")
            child = stack[-1].children.get(part)
            if child is None:
                if make is None:
                    raise NotThere("is not in the image")
                child = stack[-1].children[part] = Node("directory", make)
            if child.kind == "link" and (todo or follow_last):
                links += 1
                todo += components(child.target)[::-1]
                if links > LINKS_LIMIT or len(todo) > 2 * DEPTH_LIMIT:
                    raise NotThere(f"follows more than {LINKS_LIMIT} links")
                if child.target.startswith("/"):
                    del stack[1:]
                continue
            stack.append(child)
            if make is not None:
                child.layer = make
        return stack[-1]

    def files(self) -> Iterator[tuple[str, Node]]:
        """Path and node of everything but directories, sorted."""
        todo = [("", self.root)]
        while todo:
            path, node = todo.pop()
            if node.kind != "directory":
                yield path, node
            for name in sorted(node.children, reverse=True):
                todo.append((f"{path}/{name}", node.children[name]))

    def read(self, node: Node, limit: int) -> bytes:
        """The content of a regular file. Raises NotThere if it is larger than `limit`."""
        if node.size > limit:
            raise NotThere(f"has {node.size} bytes, {limit} are allowed")
        return self._stream(node).read()

    def digest(self, node: Node) -> str:
        """The SHA-256 of a regular file of any size."""
        return source.digest_of(self._stream(node))

    def _stream(self, node: Node) -> IO[bytes]:
        if node.sparse:
            raise NotThere("is stored as a sparse file, which engines do not unpack alike")
        return source.part(self._layers[node.data], node.offset, node.size)


def _unfit(member: tarfile.TarInfo, parts: list[str]) -> str | None:
    if ".." in parts:
        return "leads out of the image"
    if len(parts) > DEPTH_LIMIT:
        return f"has more than {DEPTH_LIMIT} components"
    if "\0" in member.name or "\0" in member.linkname:
        return "has a NUL in its name"
    if not (member.isreg() or member.islnk() or member.type in _KINDS):
        return f"has the unknown type {member.type!r}"
    return None


def _put(parent: Node, name: str, member: tarfile.TarInfo, index: int) -> None:
    kind = FILE if member.isreg() else _KINDS[member.type]
    node = Node(kind, index, member.mode & 0o7777)
    if kind == FILE:
        node.size, node.data, node.offset = member.size, index, member.offset_data
        node.sparse = member.issparse()
    if kind == "link":
        node.target = member.linkname
    there = parent.children.get(name)
    if kind == "directory" and there is not None and there.kind == "directory":
        there.layer, there.mode = index, node.mode
        return
    parent.children[name] = node


def _clear(folder: Node, index: int) -> None:
    """Remove what lower layers put into a folder."""
    todo = [folder]
    while todo:
        node = todo.pop()
        node.children = {
            name: child for name, child in node.children.items() if child.layer >= index
        }
        todo += node.children.values()


def _shown(name: str) -> str:
    return repr(name if len(name) <= 100 else name[:97] + "...")
