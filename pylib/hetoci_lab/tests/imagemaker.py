# SPDX-License-Identifier: MIT
"""Makes images for tests: layers, layouts and archives, good and bad, and files to put in."""

import gzip
import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hetoci import fdt

TAR = "application/vnd.oci.image.layer.v1.tar"
PART, SHELL = 0x0E70C093, 0x48450001
Entry = tuple[str, str | bytes, str]
"""Name, content (of a link: its target) and kind of an entry of a layer."""

TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hard": tarfile.LNKTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def file(name: str, content: bytes | str = b"") -> Entry:
    return (name, content, "file")


def layer(entries: Iterable[Entry]) -> bytes:
    """A layer as a plain tar archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, kind in entries:
            member = tarfile.TarInfo(name)
            member.type = TYPES[kind]
            data = content.encode() if isinstance(content, str) else content
            if kind in ("link", "hard"):
                member.linkname = data.decode()
                archive.addfile(member)
            else:
                member.size = len(data) if kind == "file" else 0
                archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Layout:
    """An OCI image layout being made in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, data: bytes, media_type: str = "") -> dict[str, Any]:
        """Store a blob; return its descriptor."""
        (self.folder / "blobs" / digest(data).replace(":", "/")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def json(self, value: object, media_type: str = "") -> dict[str, Any]:
        return self.blob(json.dumps(value).encode(), media_type)

    def image(
        self,
        layers: Sequence[bytes],
        labels: Mapping[str, str] | None = None,
        *,
        annotations: Mapping[str, str] | None = None,
        packed: bool = False,
        **config: Any,
    ) -> dict[str, Any]:
        """Store an image; return the descriptor of its manifest. config: of its process."""
        stored = [gzip.compress(data, mtime=0) if packed else data for data in layers]
        inner = {"Labels": dict(labels or {}), **config}
        document = {
            "os": "linux",
            "architecture": "arm64",
            "config": inner,
            "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]},
        }
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "config": self.json(document),
            "layers": [self.blob(data, TAR) for data in stored],
        }
        if annotations:
            manifest["annotations"] = dict(annotations)
        return self.json(manifest)

    def index(self, *manifests: Mapping[str, Any]) -> Path:
        """Write the index; return the folder."""
        document = {"schemaVersion": 2, "manifests": list(manifests)}
        (self.folder / "index.json").write_text(json.dumps(document))
        return self.folder


def layout(
    folder: Path, layers: Sequence[bytes], labels: Mapping[str, str] | None = None, **options: Any
) -> Path:
    """A layout with one image."""
    made = Layout(folder)
    return made.index(made.image(layers, labels, **options))


def archive(folder: Path, path: Path) -> Path:
    """A layout's folder as an archive."""
    with tarfile.open(path, "w") as packed:
        for name in sorted(folder.rglob("*")):
            packed.add(name, str(name.relative_to(folder)), recursive=False)
    return path


def vbit(slot: int = 0, *, part: int = PART, shell_id: int = SHELL, partial: bool = True) -> bytes:
    """A bitstream of the virtual board (docs/virtual-board.md)."""
    program = bytes(range(64))
    number = slot if partial else 0xFFFFFFFF
    head = struct.pack("<4sHHIIIIII", b"VBIT", 1, 128, part, int(partial), number, shell_id, 64, 0)
    tail = struct.pack("<32sI28s", b"test", 0x10000, b"")
    total = hashlib.sha256(head + bytes(32) + tail + program).digest()
    return head + total + tail + program


def overlay(target: str = "slot0", *nodes: str, **region: bytes) -> bytes:
    """An overlay with nodes that have a compatible."""
    root = fdt.Node("")
    fragment = root.add("fragment@0", {"target": fdt.from_cells(0xFFFFFFFF)})
    body = fragment.add("__overlay__", {"firmware-name": fdt.from_strings("x"), **region})
    for node in nodes or ("vadd@fffc0000",):
        body.add(node, {"compatible": fdt.from_strings("hetoci,vadd", "generic-uio")})
    root.add("__fixups__", {target: fdt.from_strings("/fragment@0:target:0")})
    return fdt.build(root)


def elf(*, machine: int = 40, flags: int = 5, entry: int = 0) -> bytes:
    """A 32-bit firmware of one segment at 0."""
    header = struct.pack(
        "<16sHHIIIIIHHHHHH",
        b"\x7fELF\x01\x01\x01".ljust(16, b"\0"),
        *(2, machine, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0),
    )
    return header + struct.pack("<8I", 1, 84, 0, 0, 16, 16, flags, 4) + bytes(16)
