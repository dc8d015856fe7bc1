# SPDX-License-Identifier: MIT
"""Parts of 9P2000.L messages (kernel, include/net/9p/9p.h): names, qids, attributes, entries of
directories. What a guest sends is taken apart here and not believed."""

from __future__ import annotations

import os
import stat
import struct
from errno import EINVAL

# Tsetattr's valid bits
MODE, UID, GID, SIZE, ATIME, MTIME, _ATIME_SET, _MTIME_SET = 1, 2, 4, 8, 16, 32, 128, 256

_ATTRIBUTES = struct.Struct("<QBIQIIIQQQQQQQQQQQQQQQ")
_QID = struct.Struct("<BIQ")

#: A list of names of ours, as a directory.
LIST = os.stat_result((stat.S_IFDIR | 0o555, 1, 0, 2, 0, 0, 0, 0, 0, 0))


class Refused(Exception):
    """The answer is an error number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def strings(data: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """`count` strings from `at` on, and where they end."""
    found = []
    for _ in range(count):
        (size,) = struct.unpack_from("<H", data, at)
        at += 2
        if at + size > len(data):
            raise Refused(EINVAL)
        found.append(data[at : at + size])
        at += size
    return found, at


def checked_name(data: bytes, at: int) -> tuple[bytes, int]:
    """The name of a file in its directory, and where it ends."""
    (name,), at = strings(data, at, 1)
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise Refused(EINVAL)
    return name, at


def qid(status: os.stat_result) -> bytes:
    """Which file it is."""
    kind = 0x80 if stat.S_ISDIR(status.st_mode) else 0x02 if stat.S_ISLNK(status.st_mode) else 0
    # one number space for all file systems below the directory
    number = (status.st_ino ^ (status.st_dev << 40)) & 0xFFFFFFFFFFFFFFFF
    return _QID.pack(kind, 0, number)


def attributes(status: os.stat_result) -> bytes:
    """The body of Rgetattr."""
    kind, version, number = _QID.unpack(qid(status))
    device = getattr(status, "st_rdev", 0) or 0
    major, minor = os.major(device), os.minor(device)
    times = (getattr(status, "st_atime_ns", 0), getattr(status, "st_mtime_ns", 0),
             getattr(status, "st_ctime_ns", 0), 0)  # fmt: skip
    return _ATTRIBUTES.pack(
        0x7FF,
        kind,
        version,
        number,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_nlink,
        (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12),
        status.st_size,
        getattr(status, "st_blksize", 0) or 4096,
        getattr(status, "st_blocks", 0) or 0,
        *(part for time in times for part in divmod(time or 0, 1000000000)),
        0,
        0,
    )


def packed_entry(place: int, name: bytes, kind: int, number: int) -> bytes:
    """One name of Rreaddir, the `place`th of its directory. kind: dirent.h's DT_ number."""
    qid_type = {4: 0x80, 10: 2}.get(kind, 0)
    return _QID.pack(qid_type, 0, number) + struct.pack("<QBH", place, kind, len(name)) + name


def entry_type(entry: os.DirEntry[str]) -> int:
    """dirent.h's DT_ number, as far as it costs nothing."""
    if entry.is_symlink():
        return 10
    if entry.is_dir(follow_symlinks=False):
        return 4
    return 8 if entry.is_file(follow_symlinks=False) else 0


def new_times(valid: int, wanted: list[int], now: os.stat_result) -> tuple[int, int]:
    """Access and modification time, ns, as Tsetattr has them. wanted: s and ns of each."""
    import time

    result = []
    for at, bit, explicit, old in (
        (0, ATIME, _ATIME_SET, now.st_atime_ns),
        (2, MTIME, _MTIME_SET, now.st_mtime_ns),
    ):
        if not valid & bit:
            result.append(old)
        elif valid & explicit:
            result.append(wanted[at] * 1000000000 + wanted[at + 1])
        else:
            result.append(time.time_ns())
    return result[0], result[1]
