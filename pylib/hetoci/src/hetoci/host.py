# SPDX-License-Identifier: MIT
"""The only module that opens files of the host and looks at its processes.

`Host(root)` maps every absolute path below `root`, so that the whole runtime can work on a
tree that imitates sysfs. Processes are always the real ones of this machine.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: Where the state of everything that hetoci holds lies; lost at reboot, as the holds are.
RUN = "/run/hetoci"

#: linux/remoteproc_cdev.h: _IOW(0xB7, 1, __s32), the same number on every architecture
#: that uses asm-generic/ioctl.h (arm, arm64, riscv, x86).
RPROC_SET_SHUTDOWN_ON_RELEASE = 0x4004B701

#: linux/rpmsg.h: _IOW(0xb5, 1, struct rpmsg_endpoint_info) of 40 bytes, and _IO(0xb5, 2).
RPMSG_CREATE_EPT = 0x4028B501
RPMSG_DESTROY_EPT = 0xB502
_RPMSG_ADDR_ANY = 0xFFFFFFFF

#: linux/fpga-dfl.h: _IO(0xB6, 0x40) and _IO(0xB6, 0x80), struct dfl_fpga_fme_port_pr.
DFL_FPGA_PORT_RESET = 0xB640
DFL_FPGA_FME_PORT_PR = 0xB680
_PORT_PR = "=IIIIQ"

#: linux/sched.h
_CLONE_NEWNET = 0x40000000


class Host:
    """The machine we run on, seen below `root`.

    All paths given to methods are absolute paths of the target. Unless a method says
    otherwise, failures are OSError as the system call reports them.
    """

    def __init__(self, root: str = "/") -> None:
        self._prefix = root.rstrip("/")
        #: What modules found out and need not look up again while this process lives.
        self.memory: dict[object, Any] = {}

    # paths and files

    def path(self, path: str) -> str:
        """Where the target's absolute `path` really is."""
        return self._prefix + path if self._prefix else path

    def exists(self, path: str) -> bool:
        """True if `path` exists (symbolic links are followed)."""
        return os.path.exists(self.path(path))

    def is_directory(self, path: str) -> bool:
        """True if `path` is a directory (symbolic links are followed)."""
        return os.path.isdir(self.path(path))

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        """Open `path`; the descriptor is closed on exec."""
        return os.open(self.path(path), flags | os.O_CLOEXEC, mode)

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        """At most `limit` bytes from the start of `path`."""
        descriptor = self.open(path, os.O_RDONLY)
        try:
            parts = []
            while limit > 0:
                part = os.read(descriptor, min(limit, 1 << 16))
                if not part:
                    break
                parts.append(part)
                limit -= len(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def read_or_none(self, path: str, limit: int = 16 << 20) -> bytes | None:
        """As `read`, but None if the file cannot be read."""
        try:
            return self.read(path, limit)
        except OSError:
            return None

    def text(self, path: str, limit: int = 4096) -> str | None:
        """The stripped text of a sysfs-like attribute; None if it cannot be read."""
        value = self.read_or_none(path, limit)
        return None if value is None else value.decode("utf-8", "replace").strip("\0\n ")

    def poke(self, path: str, value: str) -> None:
        """Write `value` to an existing attribute in one system call; create nothing."""
        descriptor = self.open(path, os.O_WRONLY)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)

    def write_once(self, path: str, data: bytes) -> None:
        """Write `data` to an existing binary attribute, which acts when it is closed."""
        descriptor = self.open(path, os.O_WRONLY)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)

    def put(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Make `path` hold exactly `data`, atomically: readers see the old file or the new."""
        temporary = f"{path}.{os.getpid()}.tmp"
        descriptor = self.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fchmod(descriptor, mode)
        except OSError:
            os.unlink(self.path(temporary))
            raise
        finally:
            os.close(descriptor)
        os.rename(self.path(temporary), self.path(path))

    def being_put(self, name: str) -> bool:
        """True if the file name `name` is that of what a living process's `put` is writing."""
        words = name.rsplit(".", 2)
        if len(words) < 3 or words[2] != "tmp" or not words[1].isdecimal():
            return False
        return self.start_time(int(words[1])) is not None

    def listing(self, path: str) -> list[str]:
        """Sorted names in the directory `path`; empty if there is no such directory."""
        try:
            return sorted(os.listdir(self.path(path)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def modified(self, path: str) -> float:
        """When a file was last written, in seconds since 1970. Raises OSError."""
        return os.stat(self.path(path)).st_mtime

    def subdirectories(self, path: str) -> list[str]:
        """Sorted names of the directories in `path`, links not among them; empty if there is
        no such directory."""
        try:
            with os.scandir(self.path(path)) as entries:
                return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def resolve(self, path: str) -> str:
        """The target's path that `path` leads to after following symbolic links; one that leads
        nowhere is followed as far as it goes."""
        try:
            descriptor = self.open(path, os.O_PATH)
        except OSError:
            real = os.path.realpath(self.path(path))
        else:
            try:
                real = os.readlink(f"/proc/self/fd/{descriptor}")
            finally:
                os.close(descriptor)
        return (real[len(os.path.realpath(self._prefix)) :] if self._prefix else real) or "/"

    def make_directory(self, path: str, mode: int = 0o700) -> None:
        """Create `path` and what is missing above it."""
        os.makedirs(self.path(path), mode, exist_ok=True)

    def remove(self, path: str) -> None:
        """Remove the file `path`; that it is gone already is success."""
        try:
            os.unlink(self.path(path))
        except FileNotFoundError:
            pass

    def remove_directory(self, path: str) -> None:
        """Remove the directory `path` (rmdir); that it is gone already is success."""
        try:
            os.rmdir(self.path(path))
        except FileNotFoundError:
            pass

    def remove_tree(self, path: str) -> None:
        """Remove the directory `path` (two levels at most, as our state directories have);
        that it is gone already is success."""
        for name in self.listing(path):
            full = f"{path}/{name}"
            if os.path.isdir(self.path(full)) and not os.path.islink(self.path(full)):
                self.remove_tree(full)
            else:
                self.remove(full)
        self.remove_directory(path)

    # devices

    def shutdown_on_release(self, descriptor: int, on: bool) -> None:
        """Have the kernel stop the core when the remoteproc character device `descriptor`
        is closed, whichever way its holder ends (Documentation: uapi/linux/remoteproc_cdev.h)."""
        import fcntl
        import struct

        fcntl.ioctl(descriptor, RPROC_SET_SHUTDOWN_ON_RELEASE, struct.pack("=i", int(on)))

    def start_core(self, descriptor: int) -> None:
        """Have the remoteproc character device `descriptor` load its firmware and start."""
        os.write(descriptor, b"start")

    def create_endpoint(self, control: str, name: str, address: int) -> None:
        """Have the RPMsg control device `control` make a device called `name` that sends to
        `address`, and receives at an address of the kernel's choice (uapi/linux/rpmsg.h)."""
        import fcntl
        import struct

        info = struct.pack("=32sII", name.encode(), _RPMSG_ADDR_ANY, address)
        descriptor = self.open(control, os.O_RDWR)
        try:
            fcntl.ioctl(descriptor, RPMSG_CREATE_EPT, info)
        finally:
            os.close(descriptor)

    def destroy_endpoint(self, device: str) -> None:
        """Remove the RPMsg endpoint `device` that `create_endpoint` made."""
        import fcntl

        descriptor = self.open(device, os.O_RDWR)
        try:
            fcntl.ioctl(descriptor, RPMSG_DESTROY_EPT)
        finally:
            os.close(descriptor)

    def program_port(self, engine: str, port: int, data: bytes) -> None:
        """Have the DFL management engine `engine` (a device file) exchange the accelerator of
        its port number `port` (uapi/linux/fpga-dfl.h, DFL_FPGA_FME_PORT_PR)."""
        import ctypes
        import fcntl
        import struct

        address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
        size = struct.calcsize(_PORT_PR)
        descriptor = self.open(engine, os.O_RDWR)
        try:
            fcntl.ioctl(
                descriptor,
                DFL_FPGA_FME_PORT_PR,
                struct.pack(_PORT_PR, size, 0, port, len(data), address),
            )
        finally:
            os.close(descriptor)

    def reset_port(self, descriptor: int) -> None:
        """Reset the DFL port whose device `descriptor` is, and its accelerator."""
        import fcntl

        fcntl.ioctl(descriptor, DFL_FPGA_PORT_RESET)

    # processes

    def start_time(self, pid: int) -> str | None:
        """Start time of process `pid` in clock ticks since boot (proc(5), stat field 22), which
        together with the pid names a process for good; None if it is gone or a zombie."""
        fields = self._stat(pid)
        return None if not fields or fields[0] in (b"Z", b"X") else fields[19].decode()

    def parent(self, pid: int) -> int:
        """The parent of process `pid` (proc(5), stat field 4); 0 if there is none."""
        fields = self._stat(pid)
        return int(fields[1]) if fields else 0

    def _stat(self, pid: int) -> list[bytes]:
        """Fields 3 on of a process's stat (proc(5)), behind its name; none if it is gone."""
        try:
            with open(f"/proc/{pid}/stat", "rb") as stat:
                return stat.read().rpartition(b")")[2].split()
        except OSError:
            return []

    def arguments(self, pid: int) -> list[str]:
        """The command line of process `pid`; empty if there is none."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                return os.fsdecode(cmdline.read()).split("\0")[:-1]
        except OSError:
            return []

    def alive(self, pid: int, start: str) -> bool:
        """True if the process `pid` that started at `start` is still running."""
        return pid > 0 and self.start_time(pid) == start

    def set_process_name(self, name: str) -> None:
        """What ps(1) and top(1) show for this process; at most 15 characters (proc(5))."""
        with open("/proc/self/comm", "w", encoding="utf-8") as comm:
            comm.write(name)

    def set_oom_score(self, score: int) -> None:
        """Set this process's oom_score_adj; what the kernel does not allow is left."""
        try:
            with open("/proc/self/oom_score_adj", "w", encoding="utf-8") as file:
                file.write(str(score))
        except OSError:
            return

    def raise_file_limit(self) -> None:
        """Let this process have as many open files as it may (setrlimit(2), RLIMIT_NOFILE)."""
        import resource

        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def new_network_namespace(self) -> None:
        """Move this process into a new, empty network namespace (unshare(2))."""
        _namespaces("unshare", _CLONE_NEWNET)

    def enter_network_namespace(self, descriptor: int) -> None:
        """Move this process into the network namespace that is open as `descriptor` (setns(2))."""
        _namespaces("setns", descriptor, _CLONE_NEWNET)

    def has_network_devices(self) -> bool:
        """True if this process's network namespace has others than its loopback device."""
        with open("/proc/self/net/dev", encoding="utf-8") as lines:
            names = [line.partition(":")[0].strip() for line in lines if ":" in line]
        return names not in ([], ["lo"])

    def now(self) -> str:
        """The time in RFC 3339 form, UTC."""
        import time

        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def checkpoint(self, name: str) -> None:
        """Called at each step of a life cycle at which an untimely death must leave nothing
        behind; the fault tests override it."""


def _namespaces(name: str, *arguments: int) -> None:
    """unshare(2) or setns(2), which `os` has from Python 3.12 on."""
    function = getattr(os, name, None)
    if function is not None:
        function(*arguments)
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def explain(error: OSError) -> str:
    """The system's words for `error`, with the symbol that kernel documents use."""
    number = error.errno or 0
    symbol = errno.errorcode.get(number)
    words = os.strerror(number) if number else str(error)
    return f"{words} ({symbol})" if symbol else words


def quote_component(text: str) -> str:
    """`text` as one file name: '%' and '/' are percent-encoded, what is too long is hashed."""
    name = text.replace("%", "%25").replace("/", "%2F")
    if len(name) <= 200:
        return name
    from . import digest

    return "sha256-" + digest.sha256(text.encode()).hex()


def join_sentences(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]
