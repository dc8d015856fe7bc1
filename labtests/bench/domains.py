# SPDX-License-Identifier: MIT
# board file: Image
"""On the board, under Xen: what a container as a domain costs beside a bare domain.

usage: domains.py [ROUNDS]

Ratios are of medians of calls that take turns; 1 is no cost.

disk.start: create and start of a container with its own kernel, ramdisk and disk, against `xl
create` of the same kernel, ramdisk, memory and disk; both until the guest's first process has
said on the console what it read on the disk. disk.commands: the same until the commands return,
when neither guest may have said anything. disk.bare, disk.bare-command: seconds of the latter.

domain.start: create and start of a container on hetoci's kernel, until its program runs on a root
by 9P, against `xl create` of that kernel, ramdisk and memory, until the guest's first process says
in the Xen store that it is there: it has no root and no program. domain.bare: seconds of the
latter. domain.first-line: seconds until the first line of the container's program.

domains.N.*: with N domains of 32 MiB on hetoci's kernel, seconds to the first line of the last
one; MiB for each that Xen has less than before beyond those 32; MiB of dom0 (resident, shared
pages included) that each keeper takes. Lines of JSON are measurements (hetoci-lab bench).
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import mean, median
from typing import Any

sys.path.insert(0, "/usr/lib/hetoci")

from hetoci.backends import xen
from hetoci.domain.store import Store
from hetoci.host import Host

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 7
BASE = Path("/run/bench-domains")
ROOT = f"{BASE}/root"
IMAGE = BASE / "image"
BUSYBOX = Path("/bin/busybox")
MEMORY = 32
DISK_MEMORY = 64
CMDLINE = "console=hvc0 quiet"
WORD = b"from the disk"
INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
until [ -b /dev/xvda ]; do /bin/busybox sleep 0.01; done
read -r line < /dev/xvda
echo "$line"
exec /bin/busybox sleep 1000
"""
COUNTS = (1, 4, 16)
SECONDS = 60.0


def tell(name: str, unit: str, value: float) -> None:
    print(json.dumps({"name": name, "unit": unit, "value": round(value, 4)}), flush=True)


def call(*words: str, log: Path | None = None) -> None:
    output = log or BASE / "last.err"
    with output.open("wb") as out:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=SECONDS, check=False
        )
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {output.read_text()}")


def said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def bundle(folder: Path, root: Path, memory: int, **changes: Any) -> None:
    """`folder` becomes a bundle with the root file system `root` and a domain of `memory` MiB."""
    config: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "root": {"path": str(root)},
        "annotations": {"io.hetoci.workload": "domain"},
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"], "args": ["x"]},
        "linux": {
            "namespaces": [{"type": "network"}],
            "resources": {"memory": {"limit": memory << 20}},
        },
    }
    for key, value in changes.items():
        config[key].update(value)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))


def executable(place: Path, data: bytes) -> None:
    place.write_bytes(data)
    place.chmod(0o755)


def program() -> None:
    """BASE becomes a bundle whose program prints a line and stays."""
    root = BASE / "rootfs"
    (root / "bin").mkdir(parents=True)
    for name in ("busybox", "sh", "sleep", "echo"):
        executable(root / "bin" / name, BUSYBOX.read_bytes())
    bundle(BASE, root, MEMORY, process={"args": ["sh", "-c", "echo first; exec sleep 1000"]})


def own_kernel() -> Path:
    """IMAGE has a kernel, a ramdisk and a disk; its bundle."""
    IMAGE.mkdir()
    Path("/run/Image").rename(IMAGE / "Image")
    (IMAGE / "disk.img").write_bytes(WORD + b"\n" + bytes((8 << 20) - len(WORD) - 1))
    ram = BASE / "ram"
    for name in ("dev", "bin"):
        (ram / name).mkdir(parents=True)
    executable(ram / "init", INIT.encode())
    executable(ram / "bin/busybox", BUSYBOX.read_bytes())
    pack = [BUSYBOX, "cpio", "-o", "-H", "newc"]
    files = b"dev\nbin\ninit\nbin/busybox\n"
    packed = subprocess.run(pack, input=files, cwd=ram, capture_output=True, check=True)
    (IMAGE / "ramdisk").write_bytes(packed.stdout)
    keys = {"kernel": "/Image", "ramdisk": "/ramdisk", "disk": "/disk.img", "cmdline": CMDLINE}
    annotations = {f"io.hetoci.domain.{key}": value for key, value in keys.items()}
    bundle(BASE / "disk", IMAGE, DISK_MEMORY, annotations=annotations)
    return BASE / "disk"


def wait(ready: Any, what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not ready():
        if time.monotonic() > deadline:
            sys.exit(f"waited {SECONDS:g} s for {what}")
        time.sleep(0.005)


def container(name: str, folder: Path = BASE, word: bytes = b"first") -> tuple[float, float]:
    """Start a container; seconds until both commands have returned, and until its output has
    `word`."""
    log = BASE / f"{name}.log"
    begun = time.monotonic()
    call("hetoci", "--root", ROOT, "create", "--bundle", str(folder), name, log=log)
    call("hetoci", "--root", ROOT, "start", name)
    returned = time.monotonic() - begun
    wait(lambda: word in log.read_bytes(), f"the first line of {name}")
    return returned, time.monotonic() - begun


def remove(name: str) -> None:
    call("hetoci", "--root", ROOT, "delete", "--force", name)


def configuration(name: str) -> Path:
    """What hetoci gave to xl for a container, for a domain of another name."""
    (file,) = Path("/run/hetoci/containers").glob(f"*/{name}/xl.cfg")
    text = re.sub(r"^name=.*$", 'name="bare"', file.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^uuid=.*\n", "", text, flags=re.MULTILINE)
    place = BASE / "bare.cfg"
    place.write_text(text)
    return place


def with_disk() -> Path:
    """What xl.cfg(5) and xl-disk-configuration(5) have one write for such a domain."""
    (BASE / "bare.img").write_bytes((IMAGE / "disk.img").read_bytes())
    place = BASE / "bare-disk.cfg"
    place.write_text(
        f'name = "bare"\nkernel = "{IMAGE}/Image"\nramdisk = "{IMAGE}/ramdisk"\n'
        f'cmdline = "{CMDLINE}"\nmemory = {DISK_MEMORY}\nvcpus = 1\n'
        f'disk = [ "{BASE}/bare.img,raw,xvda,rw" ]\n'
    )
    return place


def bare(file: Path, store: Store, spoke: Any) -> tuple[float, float]:
    """Seconds until `xl create` has returned, and until `spoke` finds the domain's first word."""
    begun = time.monotonic()
    call("xl", "create", "-q", "-e", str(file))
    returned = time.monotonic() - begun
    spoke(store, f"/local/domain/{xen.find(store, 'bare')}")
    took = time.monotonic() - begun
    call("xl", "destroy", "bare")
    return returned, took


def in_store(store: Store, domain: str) -> None:
    wait(lambda: store.read(f"{domain}/data/hetoci/ring-ref0"), "the bare guest")


def on_console(store: Store, domain: str) -> None:
    wait(lambda: store.read(f"{domain}/console/tty"), "the bare guest's console")
    flags = os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK
    terminal = os.open(store.read(f"{domain}/console/tty") or "", flags)
    text = b""

    def read() -> bool:
        nonlocal text
        with suppress(BlockingIOError):
            text += os.read(terminal, 4096)
        return WORD in text

    wait(read, "the bare guest's word")
    os.close(terminal)


def free() -> int:
    """MiB that Xen has left."""
    found = re.search(r"^free_memory\s*:\s*(\d+)", said("xl", "info"), re.MULTILINE)
    return int(found.group(1)) if found else 0


def share(name: str) -> float:
    """MiB of dom0 that a container's keeper takes."""
    pid = json.loads(said("hetoci", "--root", ROOT, "state", name))["pid"]
    found = re.search(r"^VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found.group(1)) / 1024 if found else 0.0


def turns(kind: str, folder: Path, word: bytes, peer: Callable[[], tuple[float, float]]) -> Any:
    """Median seconds of containers and of bare domains, each [returned, spoke]."""
    ours, theirs = [], []
    for number in range(ROUNDS):
        theirs.append(peer())
        ours.append(container(f"{kind}{number}", folder, word))
        remove(f"{kind}{number}")
    return [[median(row[which] for row in rows) for which in (0, 1)] for rows in (ours, theirs)]


def root_by_9p(store: Store) -> None:
    container("model")
    file = configuration("model")
    remove("model")
    ours, theirs = turns("r", BASE, b"first", lambda: bare(file, store, in_store))
    tell("domain.start", "ratio", ours[0] / theirs[1])
    tell("domain.bare", "s", theirs[1])
    tell("domain.first-line", "s", ours[1])


def own_kernel_and_disk(store: Store) -> None:
    folder = own_kernel()
    file = with_disk()
    container("model", folder, WORD)
    remove("model")
    ours, theirs = turns("k", folder, WORD, lambda: bare(file, store, on_console))
    tell("disk.start", "ratio", ours[1] / theirs[1])
    tell("disk.bare", "s", theirs[1])
    tell("disk.commands", "ratio", ours[0] / theirs[0])
    tell("disk.bare-command", "s", theirs[0])


def many() -> None:
    before = free()
    names: list[str] = []
    for count in COUNTS:
        if before - (count + 1) * (MEMORY + 4) < 0:
            break
        while len(names) < count:
            names.append(f"m{len(names)}")
            _, first = container(names[-1])
        tell(f"domains.{count}.first-line", "s", first)
        tell(f"domains.{count}.memory", "MiB", (before - free()) / count - MEMORY)
        tell(f"domains.{count}.keeper", "MiB", mean(share(name) for name in names))
    for name in names:
        remove(name)


def main() -> None:
    BASE.mkdir()
    program()
    store = Store(Host())
    try:
        own_kernel_and_disk(store)
        root_by_9p(store)
    finally:
        store.close()
    many()


main()
