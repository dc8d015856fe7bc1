# SPDX-License-Identifier: MIT
"""The virtual board's QEMU: its arguments, its scratch disk, its threads."""

import os
import socket
import subprocess
import time
from pathlib import Path

from hetoci_lab import memmap, run
from hetoci_lab.errors import LabError

VARIANTS = ("linux", "xen")
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")
"""Prefix that ends QEMU when whoever started it dies, also by SIGKILL (prctl(2)). SIGTERM would
wait for a reader of its console, who may just have died."""
RESET_STATUS = 64
"""Exit status of QEMU when the board asked for a reset (PSCI SYSTEM_RESET)."""
DATA_BYTES = 4 << 30


def arguments(board: Path, variant: str, data: Path, forwards: list[str]) -> list[str]:
    """Return QEMU's arguments without machine, memory, display and serial ports.

    `board` is the build's folder, `data` the scratch disk, `forwards` QEMU hostfwd rules.
    """
    if variant not in VARIANTS:
        raise LabError(f"There is no variant {variant} of the board; it is linux or xen.")
    kernel = board / ("xen" if variant == "xen" else "Image")
    images = [
        ("el3.elf", None),
        (kernel.name, memmap.value("VB_KERNEL_BASE")),
        (f"{variant}.dtb", memmap.value("VB_DTB_BASE")),
    ]
    if variant == "xen":
        images.append(("Image", memmap.value("VB_DOM0_KERNEL_BASE")))
    words = ["-semihosting-config", "enable=on,target=native"]
    words += ["-name", "vboard,debug-threads=on"]
    entry = branch(0, memmap.value("VB_EL3_BASE"))
    words += ["-device", f"loader,addr=0x0,data={entry:#x},data-len=4"]
    for name, address in images:
        place = f",addr={address:#x},force-raw=on" if address is not None else ""
        words += ["-device", f"loader,file={board / name}{place}"]
    for number, (disk, readonly) in enumerate(
        [(board / "root.sqfs", "on"), (board / "parts.sqfs", "on"), (data, "off")]
    ):
        words += ["-drive", f"if=none,id=d{number},file={disk},format=raw,readonly={readonly}"]
        # Linux numbers disks in the order of QEMU's tree, which begins with the highest bus.
        words += ["-device", f"virtio-blk-device,drive=d{number},bus=virtio-mmio-bus.{7 - number}"]
    # The machine always has two GEMs, and QEMU warns about those without a peer.
    words += ["-nic", "user,restrict=on", "-nic", "user,restrict=on"]
    net = ",".join(["user,id=n0", *(f"hostfwd={rule}" for rule in forwards)])
    words += ["-netdev", net, "-device", "virtio-net-device,netdev=n0,bus=virtio-mmio-bus.3"]
    words += ["-device", "virtio-rng-device,bus=virtio-mmio-bus.4"]
    return words


def branch(at: int, target: int) -> int:
    """Return the A64 `B` instruction at `at` that goes to `target` (Arm ARM, C6.2.27)."""
    return int(0x14000000 | (((target - at) >> 2) & 0x3FFFFFF))


def make_data_disk(file: Path) -> None:
    """Create the scratch disk: a sparse file with an empty ext4."""
    with file.open("wb") as disk:
        disk.truncate(DATA_BYTES)
    options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
    run.output(["/sbin/mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", options, file])


def free_port() -> int:
    """Return a TCP port on loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def calm_real_time_cores(pid: int) -> None:
    """Lower the host priority of QEMU's Cortex-R5 threads (CPU 2 and 3).

    An R5 of this model has no interrupt to wait for: it polls, and would take host time from
    the application core. Needs `-name debug-threads=on`; silently nothing if QEMU is gone.
    """
    deadline = time.monotonic() + 5
    wanted = {"CPU 2/TCG", "CPU 3/TCG"}
    while wanted and time.monotonic() < deadline:
        for task in Path(f"/proc/{pid}/task").glob("*"):
            try:
                name = (task / "comm").read_text().strip()
                if name in wanted:
                    # LAVA's worker starts QEMU with a lower priority of its own.
                    level = min(19, os.getpriority(os.PRIO_PROCESS, pid) + 10)
                    os.setpriority(os.PRIO_PROCESS, int(task.name), level)
                    wanted.discard(name)
            except (FileNotFoundError, ProcessLookupError):
                continue
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.05)


def quit_politely(child: "subprocess.Popen[bytes]") -> None:
    """End a QEMU: SIGTERM, and SIGKILL if it is still there after five seconds."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def using(file: Path) -> list[int]:
    """Return the ids of the QEMU processes of this host that have `file` on their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if words.startswith(b"qemu-system") or b"/qemu-system" in words.split(b"\0")[0]:
            found += [int(process.name)] if str(file).encode() in words else []
    return found
