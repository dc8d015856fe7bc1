# SPDX-License-Identifier: MIT
"""The root file system that an image's layers make, in memory.

Layers are laid over each other as image-spec says (layer.md, "Applying Changesets"); paths are
looked up by docs/spec/layout.md, 2. Names and links of an image never meet a file system here, so
they cannot lead out of the image.
"""

from __future__ import annotations

import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

LINKS_LIMIT = 40
#: Components of a path: more than any engine can unpack.
DEPTH_LIMIT = 256
#: Files and directories, also those that no entry names but as a part of its path.
NODES_LIMIT = 200_000
#: Characters of all names and links.
NAMES_LIMIT = 64 << 20
#: Names looked up and hidden. 200,000 files, 20 directories deep, need half of them.
STEPS_LIMIT = 8_000_000
#: limits.h: NAME_MAX, PATH_MAX
_NAME_LIMIT, _PATH_LIMIT = 255, 4095

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


class TooMuch(Exception):
    """Layers beyond what is read; the message follows the layer's name in a sentence."""


class Node:
    """One thing in the file system. layer: index of the last that touched it; content: of a
    regular file, as whoever applied its layer keeps it; target: of a link."""

    __slots__ = ("children", "content", "kind", "layer", "mode", "size", "target")

    def __init__(self, kind: str, layer: int, mode: int = 0o755) -> None:
        self.kind = kind
        self.layer = layer
        self.mode = mode
        self.size = 0
        self.content: Any = None
        self.target = ""
        self.children: dict[str, Node] = {}


def components(path: str) -> list[str]:
    """The names in a path; empty ones and `.` do not count."""
    return [part for part in path.split("/") if part not in ("", ".")]


class Layers:
    """The file system. faults: what the layers hold that no engine would unpack: entry, reason."""

    def __init__(self) -> None:
        self.root = Node("directory", -1)
        self.faults: list[tuple[str, str]] = []
        self._count = 0
        self._nodes = 0
        self._names = 0
        self._steps = 0

    def lay(
        self,
        members: Iterable[tarfile.TarInfo],
        where: str,
        keep: Callable[[tarfile.TarInfo], Any],
    ) -> None:
        """Lay a layer's entries over what is there. `keep` is called for each regular file that
        comes to lie in it, before the next entry is asked for; its result becomes the node's
        content. Raises TooMuch."""
        index = self._count
        self._count += 1
        for member in members:
            self._spend(names=len(member.name) + len(member.linkname))
            parts = components(member.name)
            reason = _unfit(member, parts)
            if reason is None and parts:
                reason = self._add(member, parts, index, keep)
            if reason and len(self.faults) < 20:
                self.faults.append((f"{_shown(member.name)} ({where})", reason))

    def _spend(self, *, nodes: int = 0, names: int = 0, steps: int = 0) -> None:
        self._nodes += nodes
        self._names += names
        self._steps += steps
        if self._nodes > NODES_LIMIT:
            raise TooMuch(f"has more than {NODES_LIMIT} files and directories with those below it")
        if self._names > NAMES_LIMIT or self._steps > STEPS_LIMIT:
            raise TooMuch("has more or longer names and links than any engine could unpack")

    def _add(
        self,
        member: tarfile.TarInfo,
        parts: list[str],
        index: int,
        keep: Callable[[tarfile.TarInfo], Any],
    ) -> str | None:
        """Do what an entry says; the reason if it cannot be done."""
        try:
            parent = self.walk("/".join(parts[:-1]), make=index)
        except NotThere as error:
            return f"lies below something that {error}"
        if parent.kind != "directory":
            return f"lies below a {parent.kind}"
        name = parts[-1]
        if name == _OPAQUE:
            self._clear(parent, index)
        elif name.startswith(_WHITEOUT):
            return self._hide(parent, name.removeprefix(_WHITEOUT), index)
        elif member.islnk():
            return self._link(parent, name, member, index)
        else:
            self._put(parent, name, member, index, keep)
        return None

    def _hide(self, parent: Node, name: str, index: int) -> str | None:
        """Remove what lower layers have of a name."""
        if name in ("", ".", ".."):
            return "hides no file of its directory"
        hidden = parent.children.get(name)
        if hidden is not None and hidden.layer < index:
            del parent.children[name]
        elif hidden is not None:
            self._clear(hidden, index)
        return None

    def _clear(self, folder: Node, index: int) -> None:
        """Remove what lower layers put into a folder."""
        todo = [folder]
        while todo:
            node = todo.pop()
            self._spend(steps=1 + len(node.children))
            node.children = {
                name: child for name, child in node.children.items() if child.layer >= index
            }
            todo += node.children.values()

    def _link(self, parent: Node, name: str, member: tarfile.TarInfo, index: int) -> str | None:
        if ".." in components(member.linkname):
            return f"is a hard link to {_shown(member.linkname)}, out of the image"
        try:
            found = self.walk(member.linkname, follow_last=False)
        except NotThere as error:
            return f"is a hard link to {_shown(member.linkname)}, which {error}"
        if found.kind == "directory":
            return f"is a hard link to the directory {_shown(member.linkname)}"
        self._spend(nodes=1)
        node = parent.children[name] = Node(found.kind, index, found.mode)
        node.size, node.content, node.target = found.size, found.content, found.target
        return None

    def _put(
        self,
        parent: Node,
        name: str,
        member: tarfile.TarInfo,
        index: int,
        keep: Callable[[tarfile.TarInfo], Any],
    ) -> None:
        self._spend(nodes=1)
        kind = FILE if member.isreg() else _KINDS[member.type]
        node = Node(kind, index, member.mode & 0o7777)
        if kind == FILE:
            node.size, node.content = member.size, keep(member)
        if kind == "link":
            node.target = member.linkname
        there = parent.children.get(name)
        if kind == "directory" and there is not None and there.kind == "directory":
            there.layer, there.mode = index, node.mode
            return
        parent.children[name] = node

    def walk(self, path: str, *, make: int | None = None, follow_last: bool = True) -> Node:
        """Look a path up as a process in the container would; `..` of the root is the root.

        make: the layer that touches the folders on the way; missing ones are made. Raises
        NotThere.
        """
        stack = [self.root]
        todo = components(path)[::-1]
        links = 0
        while todo:
            self._spend(steps=1)
            part = todo.pop()
            if part == "..":
                del stack[max(1, len(stack) - 1) :]
                continue
            if stack[-1].kind != "directory":
                raise NotThere(f"goes through a {stack[-1].kind}")
            child = stack[-1].children.get(part)
            if child is None:
                child = stack[-1].children[part] = self._made(make)
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
                if len(stack) > DEPTH_LIMIT:  # links can pile up what single entries cannot
                    raise NotThere(f"has more than {DEPTH_LIMIT} components")
        return stack[-1]

    def _made(self, make: int | None) -> Node:
        """A directory that no entry has named yet."""
        if make is None:
            raise NotThere("is not in the image")
        self._spend(nodes=1)
        return Node("directory", make)


def _unfit(member: tarfile.TarInfo, parts: list[str]) -> str | None:
    if ".." in parts:
        return "leads out of the image"
    if len(parts) > DEPTH_LIMIT:
        return f"has more than {DEPTH_LIMIT} components"
    if "\0" in member.name or "\0" in member.linkname:
        return "has a NUL in its name"
    if any(_length(part) > _NAME_LIMIT for part in (*parts, *components(member.linkname))):
        return f"has a name of more than {_NAME_LIMIT} bytes"
    if not (member.isreg() or member.islnk() or member.type in _KINDS):
        return f"has the unknown type {member.type!r}"
    if member.issym() and not 0 < _length(member.linkname) <= _PATH_LIMIT:
        return f"is a link to a path of {_length(member.linkname)} bytes"
    return None


def _length(name: str) -> int:
    return len(name.encode("utf-8", "surrogateescape"))


def _shown(name: str) -> str:
    return repr(name if len(name) <= 100 else name[:97] + "...")
