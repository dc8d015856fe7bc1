# SPDX-License-Identifier: MIT
"""A board in a directory: remoteproc's sysfs, debugfs and character devices, acted out.

The files below the root are what the code under test reads. What it writes goes to threads
of this process by way of a socket, because a write to sysfs is a call and not data; an open
/dev/remoteprocN is a connection, so that the death of its holder is noticed as the kernel
would notice it. `BoardHost` is the Host that does so.

The behaviour is that of Linux 6.12, drivers/remoteproc: remoteproc_{core,sysfs,cdev}.c.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

from hetoci import elf, rsctable
from hetoci.host import Host

OWN_PREFIX = ("/sys/class/remoteproc/", "/sys/module/firmware_class/", "/sys/class/fpga_manager/")
OVERLAYS = "/sys/kernel/config/device-tree/overlays/"


class Rproc:
    """One core: struct rproc, as far as user space can tell."""

    def __init__(self, kernel: FakeKernel, instance: str) -> None:
        self.kernel = kernel
        self.instance = instance
        self.base = kernel.root / "sys/class/remoteproc" / instance
        self.debug = kernel.root / "sys/kernel/debug/remoteproc" / instance
        self.lock = threading.RLock()
        self.state = "offline"
        self.power = 0
        self.firmware = "rproc-default-fw"
        self.recovery = "enabled"
        self.put_on_release = False
        self.starts = 0
        self.run = 0
        self.traces: dict[str, str] = {}
        self.fail_stop = 0
        self.fail_start = 0

    def show(self) -> None:
        for name in ("state", "firmware", "recovery"):
            put(self.base / name, f"{getattr(self, name)}\n")

    def poke(self, name: str, value: str) -> int:
        with self.lock:
            if name == "state":
                return {"start": self.boot, "stop": self.shutdown}.get(
                    value, lambda: errno.EINVAL
                )()
            if name == "firmware":
                if self.state != "offline":
                    return errno.EBUSY
                if not value:
                    return errno.EINVAL
                self.firmware = value
            elif name == "recovery":
                self.recovery = value
            self.show()
            return 0

    def boot(self) -> int:
        with self.lock:
            if self.fail_start:
                return self.fail_start
            self.power += 1
            if self.power > 1:
                return 0
            image = self.kernel.find_firmware(self.firmware)
            if image is None:
                self.power -= 1
                return errno.ENOENT
            try:
                parsed = elf.parse(image, "fw")
                traces = rsctable.parse(parsed.resource_table or b"", "fw").traces()
            except Exception:
                self.power -= 1
                return errno.EINVAL
            for number in range(len(traces)):
                put(self.debug / f"trace{number}", "")
            self.traces = dict.fromkeys((f"trace{n}" for n in range(len(traces))), "")
            self.state = "running"
            self.starts += 1
            self.run += 1
            self.show()
            script = image[52 + 32 * len(parsed.segments) :].split(b"\0")[0].decode()
            script = script[: parsed.segments[0].memory_size]
            threading.Thread(target=self.execute, args=(script, self.run), daemon=True).start()
            return 0

    def shutdown(self) -> int:
        with self.lock:
            if self.state not in ("running", "attached", "crashed"):
                return errno.EINVAL
            if self.fail_stop:
                return self.fail_stop
            self.power -= 1
            if self.power:
                return 0
            self.run += 1
            for name in self.traces:
                (self.debug / name).unlink()
            self.traces = {}
            self.state = "offline"
            self.show()
            return 0

    def release(self) -> None:
        """rproc_cdev_release()."""
        with self.lock:
            if self.put_on_release and self.state == "running":
                self.shutdown()

    def crash(self) -> None:
        with self.lock:
            if self.state == "running":
                self.state = "crashed"
                self.show()

    def say(self, number: int, text: str, run: int) -> bool:
        name = f"trace{number}"
        with self.lock:
            if self.run != run or name not in self.traces:
                return False
            self.traces[name] += text
            put(self.debug / name, self.traces[name])
            return True

    def execute(self, script: str, run: int) -> None:
        """The firmware: one command a line; at the end it idles until it is stopped."""
        for line in script.splitlines():
            word, _, rest = line.partition(" ")
            if word == "say":
                self.say(0, rest + "\n", run)
            elif word == "flood":
                self.say(0, "x" * int(rest), run)
            elif word == "sleep":
                time.sleep(float(rest))
            elif word in ("exit", "fault"):
                self.say(1, f"{word} {rest}\n", run)
            elif word == "crash" and self.run == run:
                self.crash()


def put(path: Path, text: str) -> None:
    """Replace the file's content at once, as a reader of sysfs would see it."""
    temporary = path.with_name(f".{path.name}.{threading.get_ident()}")
    temporary.write_text(text)
    temporary.rename(path)


def cells(*words: int) -> bytes:
    return struct.pack(f">{len(words)}I", *words)


class FakeKernel:
    """The board's kernel; `close` when done."""

    def __init__(self, root: Path, cores: int = 1) -> None:
        self.root = root
        self.cores: dict[str, Rproc] = {}
        self.fpga: Any = None  # a FakeFpga, where the board has one
        for directory in (
            "sys/class/remoteproc",
            "dev",
            "run",
            "etc",
            "tmp",
            "sys/bus/rpmsg/devices",
        ):
            (root / directory).mkdir(parents=True, exist_ok=True)
        firmware_class = root / "sys/module/firmware_class/parameters"
        firmware_class.mkdir(parents=True)
        (firmware_class / "path").write_text("\n")
        self._device_tree(cores)
        for number in range(cores):
            self._add_core(number)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(os.fspath(root / "kernel.sock"))
        self._server.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _device_tree(self, cores: int) -> None:
        base = self.root / "sys/firmware/devicetree/base"
        reserved = base / "reserved-memory"
        cluster = base / "remoteproc"
        for node in (reserved, cluster):
            node.mkdir(parents=True)
            (node / "#address-cells").write_bytes(cells(2))
            (node / "#size-cells").write_bytes(cells(2))
        for name, phandle, address, size in (
            ("rproc-0-fw-image@3ed00000", 0x11, 0x3ED00000, 0x40000),
            ("vdev0vring0@3ed40000", 0x12, 0x3ED40000, 0x4000),
            ("vdev0vring1@3ed44000", 0x13, 0x3ED44000, 0x4000),
            ("vdev0buffer@3ed48000", 0x14, 0x3ED48000, 0x100000),
        ):
            node = reserved / name
            node.mkdir()
            (node / "phandle").write_bytes(cells(phandle))
            (node / "reg").write_bytes(cells(0, address, 0, size))
        for number in range(cores):
            node = cluster / f"r5f@{number}"
            node.mkdir()
            (node / "compatible").write_bytes(b"xlnx,zynqmp-r5f\0")
            (node / "reg").write_bytes(cells(number, 0, 0, 0x10000, number, 0x20000, 0, 0x10000))
            (node / "reg-names").write_bytes(b"atcm0\0btcm0\0")
            (node / "memory-region").write_bytes(cells(0x11, 0x12, 0x13, 0x14))

    def _add_core(self, number: int) -> None:
        core = Rproc(self, f"remoteproc{number}")
        core.base.mkdir()
        core.debug.mkdir(parents=True)
        device = self.root / f"sys/devices/platform/r5f{number}"
        device.mkdir(parents=True)
        (device / "of_node").symlink_to(
            f"../../../firmware/devicetree/base/remoteproc/r5f@{number}"
        )
        (core.base / "device").symlink_to(f"../../../devices/platform/r5f{number}")
        (core.base / "name").write_text(f"r5f_{number}\n")
        (self.root / f"dev/remoteproc{number}").touch()
        core.show()
        self.cores[core.instance] = core

    def find_firmware(self, name: str) -> bytes | None:
        custom = (self.root / "sys/module/firmware_class/parameters/path").read_text().strip()
        for directory in (custom, "/lib/firmware"):
            path = self.root / directory.lstrip("/") / name
            if directory and path.is_file():
                return path.read_bytes()
        return None

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        opened: list[Rproc] = []
        try:
            with connection, connection.makefile("rw", encoding="utf-8") as stream:
                for line in stream:
                    result = self._do(line.rstrip("\n").split(" ", 2), opened)
                    stream.write(f"{result}\n")
                    stream.flush()
        except OSError:  # the caller was killed
            pass
        for core in opened:
            core.release()

    def _do(self, words: list[str], opened: list[Rproc]) -> int:
        """One request; `opened` has the core whose device the connection is, if any."""
        if words[0] == "open":
            opened.append(self.cores[words[1]])
        elif words[0] == "poke":
            return self._poke(words[1], words[2])
        elif words[0] == "mkdir":
            return int(self.fpga.mkdir(words[1]))
        elif words[0] == "rmdir":
            return int(self.fpga.rmdir(words[1]))
        elif words[0] == "close":
            self.fpga.close(words[1], bytes.fromhex(words[2]))
        elif words[0] == "ioctl":
            opened[0].put_on_release = words[1] == "1"
        elif words[0] == "start":
            return opened[0].boot()
        return 0

    def _poke(self, path: str, value: str) -> int:
        parts = path.split("/")
        if path.startswith(OWN_PREFIX[0]):
            return self.cores[parts[4]].poke(parts[5], value)
        if path.startswith(OWN_PREFIX[2]):
            return int(self.fpga.poke(parts[5], value))
        put(self.root / path.lstrip("/"), value + "\n")
        return 0


class BoardHost(Host):
    """The Host of the fake board. die_at: name of the checkpoint at which the process that
    reaches it is killed as by SIGKILL; `change:N`: after its N-th change of a file, N from 0."""

    def __init__(self, root: str, die_at: str = "") -> None:
        super().__init__(root)
        self._die_at = die_at
        self._changes = int(die_at.removeprefix("change:")) if die_at[:7] == "change:" else -1
        self._changed()

    def _changed(self) -> None:
        if self._changes == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._changes -= 1

    def _connect(self) -> socket.socket:
        kernel = socket.socket(socket.AF_UNIX)
        kernel.connect(self.path("/kernel.sock"))
        return kernel

    @staticmethod
    def _call(descriptor: int, request: str) -> None:
        os.write(descriptor, request.encode() + b"\n")
        number = int(os.read(descriptor, 64))
        if number:
            raise OSError(number, os.strerror(number))

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        if path.startswith("/dev/remoteproc") and self.exists(path):
            descriptor = self._connect().detach()
            self._call(descriptor, "open " + path.rpartition("/")[2])
            return descriptor
        descriptor = super().open(path, flags, mode)
        if flags & (os.O_WRONLY | os.O_RDWR):
            self._changed()
        return descriptor

    def poke(self, path: str, value: str) -> None:
        if not path.startswith(OWN_PREFIX):
            super().poke(path, value)
            return
        self._ask(f"poke {path} {value}")

    def _ask(self, request: str) -> None:
        with self._connect() as kernel:
            self._call(kernel.fileno(), request)
        self._changed()

    def make_directory(self, path: str, mode: int = 0o700) -> None:
        if not path.startswith(OVERLAYS):
            super().make_directory(path, mode)
        elif not self.exists(path):
            self._ask(f"mkdir {path.removeprefix(OVERLAYS)}")
        self._changed()

    def write_once(self, path: str, data: bytes) -> None:
        if not path.startswith(OVERLAYS):
            super().write_once(path, data)
            return
        self._ask(f"close {path.removeprefix(OVERLAYS).partition('/')[0]} {data.hex()}")

    def remove_directory(self, path: str) -> None:
        if not path.startswith(OVERLAYS):
            super().remove_directory(path)
        elif self.exists(path):
            self._ask(f"rmdir {path.removeprefix(OVERLAYS)}")
        self._changed()

    def put(self, path: str, data: bytes, mode: int = 0o600) -> None:
        super().put(path, data, mode)
        self._changed()

    def remove(self, path: str) -> None:
        super().remove(path)
        self._changed()

    def shutdown_on_release(self, descriptor: int, on: bool) -> None:
        self._call(descriptor, f"ioctl {int(on)}")

    def start_core(self, descriptor: int) -> None:
        self._call(descriptor, "start")

    def checkpoint(self, name: str) -> None:
        if name == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)
