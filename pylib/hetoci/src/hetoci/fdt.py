# SPDX-License-Identifier: MIT
"""Flattened device trees: reading what an image brings, writing what the kernel gets.

Format: Devicetree Specification 0.4, chapter 5 (version 17). The reader trusts nothing: every
offset, length and name is checked, and depth and number of nodes are bounded.
"""

from __future__ import annotations

import struct

from .errors import BundleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = 0xD00DFEED
_BEGIN, _END, _PROPERTY, _NOP, _FINISH = 1, 2, 3, 4, 9
_HEADER = struct.Struct(">10I")
_WORD = struct.Struct(">I")

MAX_DEPTH = 16
MAX_NODES = 1024
MAX_PROPERTIES = 8192


class Node:
    """A node: `properties` by name, `children` in their order."""

    __slots__ = ("children", "name", "properties")

    def __init__(self, name: str, properties: dict[str, bytes] | None = None) -> None:
        self.name = name
        self.properties: dict[str, bytes] = properties or {}
        self.children: list[Node] = []

    def child(self, name: str) -> Node | None:
        """The child called `name`, None if there is none."""
        return next((child for child in self.children if child.name == name), None)

    def add(self, name: str, properties: dict[str, bytes] | None = None) -> Node:
        """A new last child."""
        node = Node(name, properties)
        self.children.append(node)
        return node

    def walk(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """This node and all below it, each with its path ("" for this one)."""
        yield path, self
        for child in self.children:
            yield from child.walk(f"{path}/{child.name}")


def cells(value: bytes) -> tuple[int, ...]:
    """The 32-bit cells of a property's value; bytes beyond the last whole one are ignored."""
    return struct.unpack(f">{len(value) // 4}I", value[: len(value) // 4 * 4])


def from_cells(*words: int) -> bytes:
    """A property's value made of 32-bit cells."""
    return struct.pack(f">{len(words)}I", *words)


def strings(value: bytes) -> tuple[str, ...]:
    """A <stringlist> value."""
    return tuple(part.decode("ascii", "replace") for part in value.split(b"\0") if part)


def from_strings(*words: str) -> bytes:
    """A <stringlist> value made of `words`."""
    return b"".join(word.encode("ascii", "replace") + b"\0" for word in words)


class _Reader:
    """One pass over the structure block."""

    def __init__(self, blob: bytes, where: str) -> None:
        self.where = where
        if len(blob) < _HEADER.size:
            raise self.bad("it is shorter than a header")
        header = _HEADER.unpack_from(blob)
        magic, total, structure, names, _, version, compatible, _, names_size, size = header
        if magic != _MAGIC:
            raise self.bad(f"it begins with 0x{magic:08x}, not with 0xd00dfeed")
        if total > len(blob):
            raise self.bad(f"its header says {total} bytes, the file has {len(blob)}")
        if version < 17 or compatible > 17:
            raise self.bad(f"its format version is {version}, 17 is needed")
        for name, start, length in (
            ("structure", structure, size),
            ("strings", names, names_size),
        ):
            if start + length > total:
                raise self.bad(f"its {name} block leads out of the file")
        self.block = blob[structure : structure + size]
        self.names = blob[names : names + names_size]
        self.at = 0
        self.nodes = 0
        self.properties = 0

    def bad(self, reason: str) -> BundleError:
        return BundleError(f"{self.where} is no device-tree blob: {reason}")

    def word(self) -> int:
        if self.at + 4 > len(self.block):
            raise self.bad("its structure block ends too early")
        (value,) = _WORD.unpack_from(self.block, self.at)
        self.at += 4
        return int(value)

    def token(self) -> int:
        while (token := self.word()) == _NOP:
            pass
        return token

    def text(self, block: bytes, start: int, what: str) -> str:
        end = block.find(b"\0", start)
        if start > len(block) or end < 0:
            raise self.bad(f"the name of a {what} leads out of its block")
        try:
            name = block[start:end].decode("ascii")
        except UnicodeDecodeError:
            raise self.bad(f"the name of a {what} is not ASCII") from None
        if len(name) > 255 or "/" in name or not (name.isprintable() or not name):
            raise self.bad(f"a {what} has the name {name[:64]!r}")
        return name

    def node(self, depth: int) -> Node:
        """The node whose FDT_BEGIN_NODE has been read."""
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise self.bad(f"more than {MAX_NODES} nodes or {MAX_DEPTH} levels are not taken")
        name = self.text(self.block, self.at, "node")
        self.at = (self.at + len(name) + 4) & ~3
        node = Node(name)
        while (token := self.token()) != _END:
            if token == _PROPERTY:
                self.property(node)
            elif token == _BEGIN:
                child = self.node(depth + 1)
                if node.child(child.name):
                    raise self.bad(f"node {name or '/'} has two children {child.name!r}")
                node.children.append(child)
            else:
                raise self.bad(f"its structure block has the token {token}")
        return node

    def property(self, node: Node) -> None:
        self.properties += 1
        length, offset = self.word(), self.word()
        name = self.text(self.names, offset, "property")
        if self.at + length > len(self.block):
            raise self.bad(f"property {name!r} leads out of the structure block")
        if self.properties > MAX_PROPERTIES:
            raise self.bad(f"more than {MAX_PROPERTIES} properties are not taken")
        if not name or name in node.properties:
            raise self.bad(f"node {node.name or '/'} has property {name!r} twice")
        node.properties[name] = self.block[self.at : self.at + length]
        self.at = (self.at + length + 3) & ~3


def parse(blob: bytes, where: str) -> Node:
    """The root node of the tree in `blob`. Raises BundleError naming `where` and the fault."""
    reader = _Reader(blob, where)
    if reader.token() != _BEGIN:
        raise reader.bad("its structure block does not begin with a node")
    root = reader.node(0)
    if root.name:
        raise reader.bad("its root node has a name")
    if reader.token() != _FINISH:
        raise reader.bad("its structure block goes on after the root node")
    return root


def build(root: Node) -> bytes:
    """The blob of the tree below `root`, without memory reservations."""
    names: dict[str, int] = {}
    strings_block = bytearray()
    out = bytearray()

    def text(name: str) -> int:
        if name not in names:
            names[name] = len(strings_block)
            strings_block.extend(name.encode("ascii") + b"\0")
        return names[name]

    def emit(node: Node) -> None:
        name = node.name.encode("ascii") + b"\0"
        out.extend(_WORD.pack(_BEGIN) + name + bytes(-len(name) % 4))
        for key, value in node.properties.items():
            out.extend(struct.pack(">3I", _PROPERTY, len(value), text(key)))
            out.extend(value + bytes(-len(value) % 4))
        for child in node.children:
            emit(child)
        out.extend(_WORD.pack(_END))

    emit(root)
    out.extend(_WORD.pack(_FINISH))
    reserved = bytes(16)
    structure = _HEADER.size + len(reserved)
    end = structure + len(out)
    header = _HEADER.pack(
        _MAGIC, end + len(strings_block), structure, end, _HEADER.size, 17, 16, 0,
        len(strings_block), len(out),
    )  # fmt: skip
    return header + reserved + bytes(out) + bytes(strings_block)
