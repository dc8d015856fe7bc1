# SPDX-License-Identifier: MIT
"""One virtual board's QEMU: its files, its ports and its process, for whoever runs a board."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import IO, Any

from hetoci_lab import qemu
from hetoci_lab.devicetree import MACHINE, MEMORY, QEMU
from hetoci_lab.errors import LabError

NEEDED = ("el3.elf", "Image", "root.sqfs", "parts.sqfs", "id_ed25519")
ARM64_MAGIC = (0x38, b"ARM\x64")
"""Offset and bytes that mark an arm64 Image (Linux, Documentation/arch/arm64/booting.rst)."""


class Machine:
    """A board that can be switched on again and again, each time with an empty scratch disk.

    `ssh_port` and `uart1_port` are ports on loopback: ssh, and the console of the EL3 firmware
    and the Cortex-R5 as a raw TCP stream for one reader; the file `uart1` has all of it. A
    context manager that leaves no process and no file behind.
    """

    def __init__(self, board: Path, variant: str) -> None:
        check_files(board, variant)
        self.board = board
        self.variant = variant
        self.ssh_port = qemu.free_port()
        self.uart1_port = qemu.free_port()
        self._folder = TemporaryDirectory(prefix="hetoci-vboard-")
        self.folder = Path(self._folder.name)
        self.data = self.folder / "data.img"
        self.uart1 = self.folder / "uart1.log"
        self.child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Machine":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def arguments(self) -> list[str]:
        """Return QEMU's words up to the serial ports: program, machine, memory, devices."""
        forward = f"tcp:127.0.0.1:{self.ssh_port}-10.0.2.15:22"
        words = [*qemu.DIE_WITH_PARENT, QEMU, "-M", MACHINE, "-m", MEMORY, "-display", "none"]
        return words + qemu.arguments(self.board, self.variant, self.data, [forward])

    def second_uart(self) -> list[str]:
        """Return the words that make UART1 a TCP stream; they must follow those of UART0."""
        place = f"host=127.0.0.1,port={self.uart1_port}"
        chardev = f"socket,id=uart1,{place},server=on,wait=off,logfile={self.uart1}"
        return ["-chardev", chardev, "-serial", "chardev:uart1"]

    def command(self, uart0: str, uart1: str | None = None) -> list[str]:
        """Return the whole command line.

        `uart0` is QEMU's name for the console's other end; `uart1` the second one's, instead of
        `uart1_port`.
        """
        second = ["-serial", uart1] if uart1 else self.second_uart()
        return [*self.arguments(), "-serial", uart0, *second]

    def fresh_disk(self) -> None:
        """Empty the scratch disk, as each power-on does."""
        qemu.make_data_disk(self.data)

    def on(
        self,
        uart0: str,
        uart1: str | None = None,
        *,
        stdin: int | IO[Any] | None = None,
        reset: bool = False,
    ) -> "subprocess.Popen[bytes]":
        """Switch the board on and return its process; after a `reset` the disk is as it was."""
        if self.child and self.child.poll() is None:
            return self.child
        if not reset:
            self.fresh_disk()
        self.child = subprocess.Popen(self.command(uart0, uart1), stdin=stdin)
        qemu.calm_real_time_cores(self.child.pid)
        return self.child

    def off(self) -> None:
        """Cut the power; nothing if the board is off."""
        if self.child:
            qemu.quit_politely(self.child)
            self.child = None

    def close(self) -> None:
        """Switch off and remove the board's files."""
        try:
            self.off()
        finally:
            self._folder.cleanup()


def check_files(board: Path, variant: str) -> None:
    """Raise LabError unless `board` has what `variant` boots from, made for this machine."""
    if variant not in qemu.VARIANTS:
        raise LabError(f"There is no variant {variant} of the board; it is linux or xen.")
    needed = [*NEEDED, f"{variant}.dtb", *(["xen"] if variant == "xen" else [])]
    missing = [name for name in needed if not (board / name).exists()]
    if missing:
        raise LabError(
            f"{board} is not a built virtual board: {', '.join(missing)} is missing.",
            hint="`hetoci-lab build` makes it.",
        )
    check_kernel(board / "Image")


def check_kernel(image: Path) -> None:
    """Raise LabError unless the file is an uncompressed arm64 kernel."""
    offset, magic = ARM64_MAGIC
    with image.open("rb") as file:
        head = file.read(offset + len(magic))
    if head[offset:] != magic:
        raise LabError(
            f"{image} is the wrong image for this board: it is no arm64 Linux Image "
            f"(bytes {offset:#x} to {offset + 3:#x} are {head[offset:].hex() or 'missing'}, "
            f"not {magic.hex()}).",
            hint="`file` tells what it is; `hetoci-lab build` makes the right one.",
        )


def ssh_command(address: str, port: int, key: Path, *words: str) -> list[str]:
    """Return the ssh command line for a board; no file of the user is read or changed."""
    options = [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "IdentitiesOnly=yes",
        "ConnectTimeout=20",
    ]
    command = ["ssh", "-F", "/dev/null", "-i", str(key), "-p", str(port)]
    for option in options:
        command += ["-o", option]
    return [*command, f"root@{address}", *words]


def last_words(text: Sequence[str], count: int = 12) -> str:
    """Return the last `count` lines, indented, for a message about a silent board."""
    return "\n".join(f"  {line}" for line in text[-count:]) or "  (the console is empty)"
