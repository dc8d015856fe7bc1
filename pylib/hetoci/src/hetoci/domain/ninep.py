# SPDX-License-Identifier: MIT
"""A file server for a domain: 9P2000.L (kernel, net/9p and fs/9p) over files of dom0.

The client is a guest with an image's program in it, so nothing it says is believed. Every file is
known by a descriptor that was opened, one name at a time, below the directory that is served,
without following links: no path of the guest's reaches the kernel, and `..` is no name. Only
directories and regular files are ever opened, so that no device, FIFO or socket of dom0 is touched.
Who may do what is checked in the guest; what may not be changed at all is checked here.
"""

from __future__ import annotations

import os
import stat
import struct
from errno import EBADF, EINVAL, EIO, ENFILE, ENOENT, EOPNOTSUPP, EPERM, EROFS

from .ninep_parts import (
    ATIME,
    GID,
    LIST,
    MODE,
    MTIME,
    SIZE,
    UID,
    Refused,
    attributes,
    checked_name,
    entry_type,
    new_times,
    packed_entry,
    qid,
    strings,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Handler = Callable[["Server", bytes], bytes]

MSIZE = 32768
_MAX_FIDS = 1 << 16
_HEADER = struct.Struct("<IBH")

#: Flags of Tlopen and Tlcreate: Linux's numbers of most architectures, whatever ours are.
_ACCESS, _EXCL, _TRUNC = 0o3, 0o200, 0o1000

_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Fid:
    """A file as the guest refers to it. descriptor: O_PATH, -1 for the served tree's own root if
    that is a list of names; file: opened, or -1; user: who creates; fixed: may not be changed."""

    __slots__ = ("descriptor", "entries", "file", "fixed", "user")

    def __init__(self, descriptor: int, user: int, fixed: bool) -> None:
        self.descriptor = descriptor
        self.file = -1
        self.entries: list[bytes] = []
        self.user = user
        self.fixed = fixed

    def close(self) -> None:
        for descriptor in (self.descriptor, self.file):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self.file = -1


class Server:
    """Serves `root`, a directory, or, if it is a mapping, files and directories under names of
    ours. `fixed` (or the mapping's values' second part): may not be changed."""

    def __init__(self, root: str | Mapping[str, tuple[str, bool]], fixed: bool = False) -> None:
        self._root = root
        self._fixed = fixed
        self._fids: dict[int, Fid] = {}

    def close(self) -> None:
        """Give back every file."""
        for fid in self._fids.values():
            fid.close()
        self._fids.clear()

    def answer(self, message: bytes) -> bytes:
        """The reply to one whole message."""
        _size, kind, tag = _HEADER.unpack_from(message)
        handler = _HANDLERS.get(kind)
        try:
            if handler is None:
                raise Refused(EOPNOTSUPP)
            body = handler(self, message)
            kind += 1
        except Refused as refusal:
            kind, body = 7, struct.pack("<I", refusal.number)
        except OSError as error:
            kind, body = 7, struct.pack("<I", error.errno or EIO)
        except (struct.error, OverflowError, ValueError):
            kind, body = 7, struct.pack("<I", EINVAL)
        return _HEADER.pack(7 + len(body), kind, tag) + body

    # fids

    def _fid(self, message: bytes, at: int = 7) -> Fid:
        fid = self._fids.get(int.from_bytes(message[at : at + 4], "little"))
        if fid is None:
            raise Refused(EBADF)
        return fid

    def _add(self, number: int, fid: Fid) -> None:
        if number in self._fids or len(self._fids) >= _MAX_FIDS:
            fid.close()
            raise Refused(EBADF if number in self._fids else ENFILE)
        self._fids[number] = fid

    def _changeable(self, message: bytes, at: int = 7) -> Fid:
        fid = self._fid(message, at)
        if fid.fixed or fid.descriptor < 0:
            raise Refused(EROFS)
        return fid

    # session

    def version(self, message: bytes) -> bytes:
        (msize,) = struct.unpack_from("<I", message, 7)
        (name,), _ = strings(message, 11, 1)
        self.close()
        answer = b"9P2000.L" if name == b"9P2000.L" and msize >= 4096 else b"unknown"
        return struct.pack("<IH", min(msize, MSIZE), len(answer)) + answer

    def attach(self, message: bytes) -> bytes:
        number, _afid = struct.unpack_from("<II", message, 7)
        _words, at = strings(message, 15, 2)
        (user,) = struct.unpack_from("<I", message, at)
        user = 0 if user == 0xFFFFFFFF else user
        if not isinstance(self._root, str):
            self._add(number, Fid(-1, user, True))
            return qid(LIST)
        fid = Fid(os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), user, self._fixed)
        self._add(number, fid)
        return qid(os.fstat(fid.descriptor))

    def flush(self, message: bytes) -> bytes:
        return b""  # every request has been answered before the next is looked at

    def walk(self, message: bytes) -> bytes:
        _number, new, count = struct.unpack_from("<IIH", message, 7)
        fid = self._fid(message)
        names, _ = strings(message, 17, min(count, 16))
        here = Fid(os.dup(fid.descriptor) if fid.descriptor >= 0 else -1, fid.user, fid.fixed)
        qids = []
        try:
            for name in names:
                here = self._step(here, name)
                qids.append(qid(os.fstat(here.descriptor)))
        except (Refused, OSError):
            here.close()
            if not qids:
                raise
        else:
            if new == int.from_bytes(message[7:11], "little") and new in self._fids:
                self._fids.pop(new).close()
            self._add(new, here)
        return struct.pack("<H", len(qids)) + b"".join(qids)

    def _step(self, here: Fid, name: bytes) -> Fid:
        """`here` moved on to the file `name` below it."""
        if name in (b"", b".", b"..") or b"/" in name:
            raise Refused(ENOENT)
        if here.descriptor < 0:
            known = None if isinstance(self._root, str) else self._root.get(name.decode())
            if known is None:
                raise Refused(ENOENT)
            descriptor = os.open(known[0], os.O_PATH | os.O_CLOEXEC)
            return Fid(descriptor, here.user, known[1])
        descriptor = os.open(name, _PATH, dir_fd=here.descriptor)
        os.close(here.descriptor)
        here.descriptor = descriptor
        return here

    def clunk(self, message: bytes) -> bytes:
        fid = self._fid(message)
        del self._fids[int.from_bytes(message[7:11], "little")]
        fid.close()
        return b""

    # looking

    def getattr(self, message: bytes) -> bytes:
        fid = self._fid(message)
        return attributes(LIST if fid.descriptor < 0 else os.fstat(fid.descriptor))

    def statfs(self, message: bytes) -> bytes:
        fid = self._fid(message)
        found = os.statvfs("/" if fid.descriptor < 0 else fid.descriptor)
        return struct.pack(
            "<IIQQQQQQI",
            0x01021997,
            found.f_bsize,
            found.f_blocks,
            found.f_bfree,
            found.f_bavail,
            found.f_files,
            found.f_ffree,
            0,
            found.f_namemax,
        )

    def readlink(self, message: bytes) -> bytes:
        target = os.readlink(b"", dir_fd=self._fid(message).descriptor)
        return struct.pack("<H", len(target)) + target

    def open(self, message: bytes) -> bytes:
        fid = self._fid(message)
        (flags,) = struct.unpack_from("<I", message, 11)
        if fid.descriptor < 0:
            return qid(LIST) + bytes(4)
        return self._open(fid, flags)

    def _open(self, fid: Fid, flags: int) -> bytes:
        status = os.fstat(fid.descriptor)
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
            raise Refused(EPERM)
        if fid.fixed and flags & (_ACCESS | _TRUNC):
            raise Refused(EROFS)
        wanted = (flags & _ACCESS) | (os.O_TRUNC if flags & _TRUNC else 0)
        if fid.file >= 0:
            os.close(fid.file)
            fid.file = -1
        # the link in /proc is followed to the file that was just looked at, and no further
        fid.file = os.open(f"/proc/self/fd/{fid.descriptor}", wanted | (_SAFE & ~os.O_NOFOLLOW))
        return qid(status) + bytes(4)

    def read(self, message: bytes) -> bytes:
        fid = self._fid(message)
        offset, count = struct.unpack_from("<QI", message, 11)
        if fid.file < 0:
            raise Refused(EBADF)
        data = os.pread(fid.file, min(count, MSIZE - 11), offset)
        return struct.pack("<I", len(data)) + data

    def readdir(self, message: bytes) -> bytes:
        fid = self._fid(message)
        offset, count = struct.unpack_from("<QI", message, 11)
        if offset == 0:
            fid.entries = self._entries(fid)
        room = min(count, MSIZE - 11)
        parts: list[bytes] = []
        for entry in fid.entries[offset:]:
            if room < len(entry):
                break
            room -= len(entry)
            parts.append(entry)
        data = b"".join(parts)
        return struct.pack("<I", len(data)) + data

    def _entries(self, fid: Fid) -> list[bytes]:
        """What readdir sends, one a name."""
        found: list[tuple[bytes, int, int]] = [(b".", 4, 1), (b"..", 4, 1)]
        if fid.descriptor < 0:
            names = () if isinstance(self._root, str) else self._root
            found += [(name.encode(), 0, 1) for name in names]
        elif fid.file < 0:
            raise Refused(EBADF)
        else:
            with os.scandir(fid.file) as listing:
                found += [(os.fsencode(e.name), entry_type(e), e.inode()) for e in listing]
        return [packed_entry(place, *known) for place, known in enumerate(found, 1)]

    # changing

    def write(self, message: bytes) -> bytes:
        fid = self._fid(message)
        offset, count = struct.unpack_from("<QI", message, 11)
        if fid.file < 0 or fid.fixed:
            raise Refused(EBADF)
        return struct.pack("<I", os.pwrite(fid.file, message[23 : 23 + count], offset))

    def create(self, message: bytes) -> bytes:
        fid = self._changeable(message)
        name, at = checked_name(message, 11)
        flags, mode, group = struct.unpack_from("<III", message, at)
        wanted = (flags & _ACCESS) | os.O_CREAT | os.O_EXCL | _SAFE
        try:
            file = os.open(name, wanted, 0o600, dir_fd=fid.descriptor)
        except FileExistsError:
            if flags & _EXCL:
                raise
            self._step(fid, name)
            return self._open(fid, flags)
        os.fchown(file, fid.user, group)
        os.fchmod(file, mode & 0o7777)
        os.close(fid.descriptor)
        fid.descriptor = os.open(f"/proc/self/fd/{file}", os.O_PATH | os.O_CLOEXEC)
        fid.file = file
        return qid(os.fstat(file)) + bytes(4)

    def _own(self, fid: Fid, name: bytes, group: int, mode: int | None) -> bytes:
        """Give a new file its owner and mode; its qid."""
        os.chown(name, fid.user, group, dir_fd=fid.descriptor, follow_symlinks=False)
        if mode is not None:
            made = os.open(name, _PATH, dir_fd=fid.descriptor)
            try:
                os.chmod(f"/proc/self/fd/{made}", mode & 0o7777)
            finally:
                os.close(made)
        return qid(os.stat(name, dir_fd=fid.descriptor, follow_symlinks=False))

    def mkdir(self, message: bytes) -> bytes:
        fid = self._changeable(message)
        name, at = checked_name(message, 11)
        mode, group = struct.unpack_from("<II", message, at)
        os.mkdir(name, 0o700, dir_fd=fid.descriptor)
        return self._own(fid, name, group, mode)

    def symlink(self, message: bytes) -> bytes:
        fid = self._changeable(message)
        name, at = checked_name(message, 11)
        (target,), at = strings(message, at, 1)
        (group,) = struct.unpack_from("<I", message, at)
        os.symlink(target, name, dir_fd=fid.descriptor)
        return self._own(fid, name, group, None)

    def mknod(self, message: bytes) -> bytes:
        fid = self._changeable(message)
        name, at = checked_name(message, 11)
        mode, _major, _minor, group = struct.unpack_from("<IIII", message, at)
        kind = stat.S_IFMT(mode)
        if kind not in (0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK):
            raise Refused(EPERM)  # a device that another program of dom0 might open
        os.mknod(name, kind | 0o600, dir_fd=fid.descriptor)
        return self._own(fid, name, group, mode)

    def link(self, message: bytes) -> bytes:
        directory = self._changeable(message)
        old = self._changeable(message, 11)
        name, _ = checked_name(message, 15)
        os.link(f"/proc/self/fd/{old.descriptor}", name, dst_dir_fd=directory.descriptor,
                follow_symlinks=True)  # fmt: skip
        return b""

    def rename(self, message: bytes) -> bytes:
        old = self._changeable(message)
        name, at = checked_name(message, 11)
        new = self._changeable(message, at)
        target, _ = checked_name(message, at + 4)
        os.rename(name, target, src_dir_fd=old.descriptor, dst_dir_fd=new.descriptor)
        return b""

    def unlink(self, message: bytes) -> bytes:
        fid = self._changeable(message)
        name, at = checked_name(message, 11)
        (flags,) = struct.unpack_from("<I", message, at)
        if flags & 0x200:  # AT_REMOVEDIR
            os.rmdir(name, dir_fd=fid.descriptor)
        else:
            os.unlink(name, dir_fd=fid.descriptor)
        return b""

    def setattr(self, message: bytes) -> bytes:
        fid = self._changeable(message)
        valid, mode, user, group, size, *times = struct.unpack_from("<IIIIQQQQQ", message, 11)
        status = os.fstat(fid.descriptor)
        path = f"/proc/self/fd/{fid.descriptor}"
        if valid & (UID | GID):
            os.chown(path, user if valid & UID else -1, group if valid & GID else -1)
        if valid & MODE and not stat.S_ISLNK(status.st_mode):
            os.chmod(path, mode & 0o7777)
        if valid & SIZE:
            if not stat.S_ISREG(status.st_mode):
                raise Refused(EINVAL)
            os.truncate(path, size)
        if valid & (ATIME | MTIME):
            os.utime(path, ns=new_times(valid, times, os.fstat(fid.descriptor)))
        return b""

    def fsync(self, message: bytes) -> bytes:
        fid = self._fid(message)
        if fid.file >= 0:
            os.fsync(fid.file)
        return b""

    # locks: there is one client, whose kernel knows of all of them

    def lock(self, message: bytes) -> bytes:
        self._fid(message)
        return b"\0"

    def getlock(self, message: bytes) -> bytes:
        self._fid(message)
        return b"\2" + message[12:]


_HANDLERS: dict[int, Handler] = {
    8: Server.statfs,
    12: Server.open,
    14: Server.create,
    16: Server.symlink,
    18: Server.mknod,
    22: Server.readlink,
    24: Server.getattr,
    26: Server.setattr,
    40: Server.readdir,
    50: Server.fsync,
    52: Server.lock,
    54: Server.getlock,
    70: Server.link,
    72: Server.mkdir,
    74: Server.rename,
    76: Server.unlink,
    100: Server.version,
    104: Server.attach,
    108: Server.flush,
    110: Server.walk,
    116: Server.read,
    118: Server.write,
    120: Server.clunk,
}
