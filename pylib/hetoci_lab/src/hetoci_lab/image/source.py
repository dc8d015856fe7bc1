# SPDX-License-Identifier: MIT
"""Where an image's blobs are: an OCI image layout, or a tar archive of one or of `docker save`.

Names are looked up in one flat table; links are refused, so a name leads nowhere else.
"""

import gzip
import hashlib
import io
import os
import re
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from hetoci_lab.errors import LabError

CHUNK = 1 << 20
#: All that is unpacked of one image; it goes to a temporary file without a name.
UNPACKED_LIMIT = 4 << 30
#: Files in an archive, and entries in all layers of an image.
ENTRIES_LIMIT = 200_000
#: A tar header may announce an extension of any size; none that serves is larger.
HEADER_LIMIT = 4 << 20

_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")
_BROKEN = (
    tarfile.TarError,
    zlib.error,
    EOFError,
    OverflowError,
    RecursionError,
    UnicodeError,
    ValueError,
    OSError,
)
#: Beginnings of what no engine of today unpacks without being told, or we cannot.
_COMPRESSIONS = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}


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
        return part(self._stream, member.offset_data, member.size)


class _Part(io.RawIOBase):
    """A range of a file, as a file; several may be open at a time."""

    def __init__(self, stream: IO[bytes], offset: int, size: int) -> None:
        self._stream, self._offset, self._size, self._at = stream, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._stream.seek(self._offset + self._at)
        data = self._stream.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def part(stream: IO[bytes], offset: int, size: int) -> IO[bytes]:
    """A range of a seekable file, as a seekable file of its own."""
    return io.BufferedReader(_Part(stream, offset, size))


class _Guard:
    """A file for tarfile, which reads as much at once as a header announces."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= HEADER_LIMIT:
            raise tarfile.ReadError(f"a header announces {size} bytes")
        return self._stream.read(size)


def members(stream: IO[bytes], where: str, limit: int) -> Iterator[tarfile.TarInfo]:
    """The entries of a tar archive in a seekable file, one after the other.

    Raises LabError naming `where` if it is none, is damaged, or has more than `limit`.
    """
    last = -1
    count = 0
    try:
        stream.seek(0)
        with tarfile.open(fileobj=_Guard(stream), mode="r:") as archive:  # type: ignore[call-overload]
            while (member := archive.next()) is not None:
                archive.members = []  # it would keep all of them
                count += 1
                if count > limit:
                    raise LabError(f"{where} has more than {limit} entries.")
                if member.size < 0 or member.offset <= last:
                    raise LabError(f"{where} is damaged: an entry has the size {member.size}.")
                last = member.offset
                yield member
    except _BROKEN as error:
        raise LabError(
            f"{where} is no tar archive, or is damaged: {error}.",
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
    for magic, name in _COMPRESSIONS.items():
        if head.startswith(magic):
            raise LabError(
                f"{where} is compressed with {name}.", hint="Compress it with gzip, or not at all."
            )
    stream.seek(0)
    if not head.startswith(b"\x1f\x8b"):
        yield stream
        return
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
    except _BROKEN as error:
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
