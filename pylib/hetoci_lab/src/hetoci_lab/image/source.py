# SPDX-License-Identifier: MIT
"""Where an image's blobs are: an OCI image layout, or a tar archive of one or of `docker save`.

Names are looked up in one flat table; links are refused, so a name leads nowhere else.
"""

import gzip
import hashlib
import os
import re
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from hetoci import tarball
from hetoci_lab.errors import LabError

CHUNK = 1 << 20
#: All that is unpacked of one image; it goes to a temporary file without a name.
UNPACKED_LIMIT = 4 << 30
#: Files in an archive, and entries in all layers of an image.
ENTRIES_LIMIT = tarball.ENTRIES_LIMIT

_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")


class Source(Protocol):
    """The files of an image by name."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file. Raises LabError if there is none or it is no regular file."""

    def has(self, name: str) -> bool:
        """Whether there is a file `name`."""


class Layout:
    """An OCI image layout in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def open(self, name: str) -> IO[bytes]:
        path = self._folder / name
        if not path.parent.resolve().is_relative_to(self._folder.resolve()) or ".." in path.parts:
            raise LabError(f"{name} leads out of the layout {self._folder}.")
        try:
            # O_NONBLOCK: a FIFO must not stop us.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise LabError(f"{path} cannot be opened: {error.strerror}.") from error
        stream = os.fdopen(descriptor, "rb")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            stream.close()
            raise LabError(f"{path} is no regular file.")
        return stream


class Archive:
    """A tar archive, plain or compressed with gzip, of an OCI layout or of `docker save`."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path = path
        self._stream = stream
        self._members = {
            member.name.removeprefix("./"): member
            for member in members(stream, str(path), ENTRIES_LIMIT)
            if member.isreg()
        }

    def has(self, name: str) -> bool:
        return name in self._members

    def open(self, name: str) -> IO[bytes]:
        member = self._members.get(name)
        if member is None or member.issparse():
            raise LabError(f"{self._path} has no regular file {name}.")
        return tarball.part(self._stream, member.offset_data, member.size)


def members(stream: IO[bytes], where: str, limit: int) -> Iterator[tarfile.TarInfo]:
    """The entries of a tar archive in a seekable file, one after the other.

    Raises LabError naming `where` if it is none, is damaged, or has more than `limit`.
    """
    stream.seek(0)
    try:
        yield from tarball.members(stream, 1 << 62, limit)
    except tarball.Damaged as error:
        raise LabError(
            f"{where} {error}.",
            hint="It has to be an OCI image layout, an OCI archive, or what `docker save` writes.",
        ) from error


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """The image at `path`: a folder with an OCI layout, or an archive. Raises LabError."""
    if path.is_dir():
        yield Layout(path)
        return
    try:
        stream = path.open("rb")
    except OSError as error:
        raise LabError(f"{path} cannot be opened: {error.strerror}.") from error
    with stream:
        if not path.is_file():
            raise LabError(f"{path} is no regular file.")
        with spooled(stream, str(path), UNPACKED_LIMIT) as plain:
            yield Archive(path, plain)


@contextmanager
def spooled(stream: IO[bytes], where: str, limit: int) -> Iterator[IO[bytes]]:
    """`stream` itself, or what it is unpacked, at most `limit` bytes; both seekable."""
    head = stream.read(6)
    stream.seek(0)
    compression = tarball.compression(head)
    if not compression:
        yield stream
        return
    if compression != "gzip":
        raise LabError(
            f"{where} is compressed with {compression}.",
            hint="Compress it with gzip, or not at all.",
        )
    with tempfile.TemporaryFile() as plain:
        for data in _unpacked(stream, where, limit):
            plain.write(data)
        yield plain


def _unpacked(stream: IO[bytes], where: str, limit: int) -> Iterator[bytes]:
    total = 0
    try:
        with gzip.GzipFile(fileobj=stream) as packed:
            while data := packed.read(CHUNK):
                total += len(data)
                if total > limit:
                    raise LabError(f"{where} has more than {limit >> 20} MiB unpacked.")
                yield data
    except tarball.BROKEN as error:
        raise LabError(f"{where} is damaged: {error}.") from error


def printable(text: str) -> str:
    """Text of an image for a terminal or a log: one line, nothing in it acts there."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def blob_name(digest: str) -> str:
    """The blob's name in a layout. Raises LabError for what is no digest."""
    if not _DIGEST.fullmatch(digest):
        raise LabError(
            f"{digest[:80]!r} is no digest.", hint="Right would be sha256: and 64 hex digits."
        )
    return "blobs/" + digest.replace(":", "/")


def digest_of(stream: IO[bytes], algorithm: str = "sha256") -> str:
    """The digest of the rest of a file."""
    total = hashlib.new(algorithm)
    while data := stream.read(CHUNK):
        total.update(data)
    return f"{algorithm}:{total.hexdigest()}"
