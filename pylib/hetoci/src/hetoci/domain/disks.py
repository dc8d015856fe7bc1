# SPDX-License-Identifier: MIT
"""A domain's disk: a raw image in a file, which dom0's kernel serves (loop, xen-blkback).

Nothing of it outlives its users: the loop device goes by itself when neither the keeper nor the
back end has it open, and the lock on the file with the loop device.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time

from ..backends import xen
from ..errors import BundleError, DeviceBusy, XenError
from ..host import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host
    from .store import Store

#: /dev/xvda: block device major 202 of Xen's, minor 0 (xen, docs/man/xen-vbd-interface.7).
XVDA = 202 << 8

SECTOR = 512

# linux/loop.h
_CONFIGURE, _GET_FREE = 0x4C0A, 0x4C82
_READ_ONLY, _AUTOCLEAR = 1, 4
#: struct loop_config: file, block size; of loop_info64 the flags and a name, the rest is zero.
_CONFIG = struct.Struct("=II52xI64s176x")

#: Loop devices that others take before us.
_TRIES = 64

#: How long dom0's kernel may take to open the disk, s.
_PATIENCE = 10.0


class Disk:
    """A disk image that was opened and checked. descriptor: to read the file; name: for messages;
    read_only: whether the domain may write it."""

    __slots__ = ("descriptor", "name", "read_only")

    def __init__(self, descriptor: int, name: str, *, read_only: bool) -> None:
        self.descriptor = descriptor
        self.name = name
        self.read_only = read_only

    def close(self) -> None:
        """Give up the descriptor; safe to repeat."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def of_host(host: Host, path: str, limit: int, *, read_only: bool) -> Disk:
    """The disk image at `path` of the host, which `vm` names. Raises BundleError."""
    where = f"vm.image.path in config.json: {path}"
    try:
        descriptor = host.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise BundleError(f"{where}: {explain(error)}") from error
    disk = Disk(descriptor, where, read_only=read_only)
    check(disk, limit)
    return disk


def check(disk: Disk, limit: int) -> None:
    """Raises BundleError for what is no disk image of at most `limit` bytes, and closes it."""
    found = os.fstat(disk.descriptor)
    size = found.st_size
    words = ""
    if not stat.S_ISREG(found.st_mode):
        words = "is no regular file"
    elif not size or size % SECTOR:
        words = f"has {size} bytes, a raw disk image has a multiple of {SECTOR}"
    elif size > limit:
        words = f"has {size} bytes, more than the {limit} allowed"
    if words:
        disk.close()
        raise BundleError(f"{disk.name} {words}")


def attach(host: Host, store: Store, domain: int, name: str, disk: Disk) -> int:
    """Make `disk` the first block device of `domain`, which has the name `name` and must not have
    begun to run; a descriptor that holds it as long as this process lives. Raises XenError or
    DeviceBusy."""
    device, place = _loop(host, _reopened(disk), name, disk)
    _offer(store, domain, name, os.fstat(device).st_rdev, read_only=disk.read_only)
    served = f"{xen.BACK_END_DEVICES}/vbd-{domain}-{XVDA}/physical_device"
    deadline = time.monotonic() + _PATIENCE
    while not host.exists(served):
        if time.monotonic() > deadline:
            raise XenError(
                f"dom0's kernel has not opened {place} for domain {name} within {_PATIENCE:g} s",
                hint="it needs xen-blkback (CONFIG_XEN_BLKDEV_BACKEND)",
            )
        time.sleep(0.005)
    host.checkpoint("keeper:disk")
    return device


def _reopened(disk: Disk) -> int:
    """The file as the loop device has it, locked: one writer, or readers. On an overlay file
    system a file of the image is copied up here."""
    flags = os.O_RDONLY if disk.read_only else os.O_RDWR
    try:
        file = os.open(f"/proc/self/fd/{disk.descriptor}", flags | os.O_CLOEXEC)
    except OSError as error:
        raise XenError(
            f"{disk.name} cannot be opened to write it: {explain(error)}",
            hint="a container with root.readonly has its disk read-only",
        ) from error
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if disk.read_only else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise DeviceBusy(
            f"{disk.name} is the disk of another domain", hint="a disk has one writer"
        ) from None
    return file


def _loop(host: Host, file: int, name: str, disk: Disk) -> tuple[int, str]:
    """A new loop device of `file`, which is closed: an open descriptor of it, and its path."""
    flags = _AUTOCLEAR | (_READ_ONLY if disk.read_only else 0)
    ask = _CONFIG.pack(file, SECTOR, flags, name.encode())
    mode = os.O_RDONLY if disk.read_only else os.O_RDWR
    try:
        control = host.open("/dev/loop-control", os.O_RDWR)
        try:
            for _ in range(_TRIES):
                path = f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
                device = host.open(path, mode)
                try:
                    fcntl.ioctl(device, _CONFIGURE, ask)
                except OSError as error:
                    os.close(device)
                    if error.errno != errno.EBUSY:
                        raise
                else:
                    return device, path
        finally:
            os.close(control)
    except OSError as error:
        raise XenError(
            f"{disk.name} cannot be made a block device: {explain(error)}",
            hint="dom0's kernel needs loop devices (CONFIG_BLK_DEV_LOOP, from 5.8 on)",
        ) from error
    finally:
        os.close(file)
    raise XenError(f"{disk.name} cannot be made a block device: others take each loop device")


def _offer(store: Store, domain: int, name: str, device: int, *, read_only: bool) -> None:
    """Both nodes that `xl` would make, without its script. The back end's says whose it is
    (`xen.destroy` looks there)."""
    back = f"{xen.VBDS}/{domain}/{XVDA}"
    front = f"/local/domain/{domain}/device/vbd/{XVDA}"
    backs = {
        "domain": name,
        "online": "1",
        "removable": "0",
        "dev": "xvda",
        "type": "phy",
        "mode": "r" if read_only else "w",
        "device-type": "disk",
        "physical-device": f"{os.major(device):x}:{os.minor(device):x}",
        "state": "1",
    }
    fronts = {"virtual-device": str(XVDA), "device-type": "disk", "state": "1"}
    store.add_device(domain, back, backs, front, fronts)
