# SPDX-License-Identifier: MIT
"""An image's root file system, as its layers make it, without unpacking it to disk.

The rules are the runtime's (`hetoci.layers`), so that both see the same files. Contents stay in the
layers and are read when asked for.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from hetoci import tarball
from hetoci.layers import DEPTH_LIMIT, FILE, Layers, Node, NotThere, TooMuch, components
from hetoci_lab.errors import LabError
from hetoci_lab.image import source

__all__ = ["DEPTH_LIMIT", "FILE", "Node", "NotThere", "Tree", "components"]


@dataclass(frozen=True)
class _Content:
    """Where a regular file's content is."""

    layer: IO[bytes]
    offset: int
    sparse: bool


class Tree(Layers):
    """The file system, with the contents of its files."""

    def __init__(self) -> None:
        super().__init__()
        self._entries = 0

    def apply(self, layer: IO[bytes], where: str) -> None:
        """Lay a layer, a plain tar archive in a seekable file, over what is there. Raises
        LabError."""

        def keep(member: tarfile.TarInfo) -> _Content:
            return _Content(layer, member.offset_data, member.issparse())

        def counted() -> Iterator[tarfile.TarInfo]:
            for member in source.members(layer, where, source.ENTRIES_LIMIT - self._entries):
                self._entries += 1
                yield member

        try:
            self.lay(counted(), where, keep)
        except TooMuch as error:
            raise LabError(f"{where} {error}.") from error

    def find(self, path: str) -> Node:
        """The regular file that `path` means, links followed. Raises NotThere."""
        found = self.walk(path)
        if found.kind != FILE:
            raise NotThere(f"is a {found.kind}, a regular file is needed")
        return found

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
        if node.content.sparse:
            raise NotThere("is stored as a sparse file, which engines do not unpack alike")
        return tarball.part(node.content.layer, node.content.offset, node.size)
