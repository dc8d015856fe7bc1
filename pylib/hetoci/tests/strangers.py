# SPDX-License-Identifier: MIT
"""Layers as strangers may write them, and a machine that they may not touch."""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from test_unpack import Layout

from hetoci import unpack
from hetoci.bundle import read_inside
from hetoci.host import Host

Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, to: str = "") -> Entry:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member, data


def link(name: str, to: str) -> Entry:
    return entry(name, kind=tarfile.SYMTYPE, to=to)


def hard(name: str, to: str) -> Entry:
    return entry(name, kind=tarfile.LNKTYPE, to=to)


def folder(name: str) -> Entry:
    return entry(name, kind=tarfile.DIRTYPE)


class Place:
    """A machine with a file beside the temporary folder that no image may touch."""

    def __init__(self, root: Path) -> None:
        self.host = Host(os.fspath(root))
        self.image = root / "image"
        self.secret = root / "outside/secret"
        self.secret.parent.mkdir(parents=True)
        self.secret.write_text("secret")
        self.temporary = root / "tmp"
        self.temporary.mkdir()

    @contextlib.contextmanager
    def unpacked(self, *packed: bytes) -> Iterator[str]:
        """The root file system of an image of these layers."""
        Layout(self.image, *packed)
        with self.opened() as rootfs:
            yield rootfs

    @contextlib.contextmanager
    def opened(self) -> Iterator[str]:
        try:
            with unpack.bundle_of(self.host, "/image") as bundle:
                assert bundle.rootfs
                yield bundle.rootfs
        finally:
            assert self.secret.read_text() == "secret"
            assert [path.name for path in self.secret.parent.iterdir()] == ["secret"]
            assert self.secret.stat().st_nlink == 1
            assert list(self.temporary.iterdir()) == []

    def read(self, rootfs: str, path: str) -> bytes | None:
        """A file of the image as a plan reads it, None if it is not there."""
        with contextlib.suppress(FileNotFoundError):
            return read_inside(self.host, rootfs, path, 1 << 20)
        return None
