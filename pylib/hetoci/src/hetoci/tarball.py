# SPDX-License-Identifier: MIT
"""Tar archives from strangers: their entries one after the other, bounded, and nothing is
extracted. tarfile's own extraction is not used: its filters came after Python 3.11.0, and follow
hard links out of the folder.

Entries come in the order of the archive and nothing is read twice, so that a stream out of a
decompressor serves.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

#: Entries of an archive, or of all layers of an image.
ENTRIES_LIMIT = 200_000
#: What stands before an entry's content: names, links, maps of sparse files.
HEADER_LIMIT = 1 << 20
#: What tarfile and the decompressor raise for archives that are none, or are damaged.
BROKEN = (
    OSError,
    EOFError,
    OverflowError,
    RecursionError,
    ValueError,
    tarfile.TarError,
    zlib.error,
)
#: Python before 3.11.10 takes quadratic time for them.
_DIGITS = re.compile(rb"[0-9]{256}")
_COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
}


class Damaged(Exception):
    """An archive that cannot be read; the message follows its name in a sentence."""


def compression(head: bytes) -> str:
    """How a file that begins with `head` (6 bytes) is compressed, "" if it is not."""
    return next((name for magic, name in _COMPRESSIONS.items() if head.startswith(magic)), "")


class _Ignored(dict[str, str]):
    """tarfile's headers that hold for all entries to come. Engines ignore them as well."""

    def __setitem__(self, key: str, value: str) -> None:
        pass


class _Guard:
    """A file for tarfile, which reads at once what a header announces. It reads headers only."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell
        self.left = HEADER_LIMIT
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self.left:
            raise tarfile.ReadError(f"a header announces {size} bytes")
        self.left -= size
        self.last = self._stream.read(size)
        if _DIGITS.search(self.last):
            raise tarfile.ReadError("a header has a number without end")
        return self.last


def members(
    stream: IO[bytes], size: int, entries: int = ENTRIES_LIMIT
) -> Iterator[tarfile.TarInfo]:
    """The entries of the plain archive `stream`, which is where the archive begins.

    An entry's content is at its `offset_data` and may be read before the next entry is asked for.
    Raises Damaged, also for more than `entries`, or more than `size` bytes.
    """
    guard = _Guard(stream)
    last, count = -1, 0
    try:
        with tarfile.open(fileobj=guard, mode="r:", pax_headers=_Ignored()) as archive:  # type: ignore[call-overload]
            while (member := archive.next()) is not None:
                archive.members = []  # it would keep all of them
                count += 1
                if count > entries:
                    raise Damaged(f"has more than {entries} entries")
                # An extension can move the next entry back, which would never end.
                if min(member.size, member.offset_data) < 0 or member.offset <= last:
                    raise tarfile.ReadError(f"an entry has the size {member.size}")
                if max(archive.offset, member.size) > size:
                    raise Damaged(f"has more than {size >> 20} MiB unpacked")
                last = member.offset
                yield member
                guard.left = HEADER_LIMIT
            if guard.last.strip(b"\0"):  # tarfile takes it for the end
                raise tarfile.ReadError("an entry has no sound header")
    except BROKEN as error:
        raise Damaged(f"is no tar archive, or is damaged: {error}") from error


def pieces(member: tarfile.TarInfo) -> list[tuple[int, int]]:
    """Offset and size of what the archive holds of a regular file, in the archive's order; the
    rest is zeros. Raises Damaged."""
    found: list[tuple[int, int]] | None = member.sparse  # type: ignore[assignment]
    if found is None:
        return [(0, member.size)]
    if any(min(piece) < 0 or sum(piece) > member.size for piece in found):
        raise Damaged("is damaged: a sparse file has no sound map")
    return found


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
