# SPDX-License-Identifier: MIT
"""On the board, under Xen: what a container as a domain costs beside a bare domain.

usage: domains.py [ROUNDS]

domain.start: create and start of a container, until its program runs, against `xl create` of the
same configuration (kernel, ramdisk, memory) until the guest's first process says in the Xen store
that it is there; medians, in turns. domain.bare and domain.first-line: seconds of the latter, and
until the first line of the container's program. domains.N.*: with N domains of 32 MiB, seconds to
the first line of the last one; MiB for each that Xen has less than before beyond those 32; MiB of
dom0 (resident, shared pages included) that each keeper takes. Lines of JSON are measurements
(hetoci-lab bench); a ratio of 1 is no cost.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

sys.path.insert(0, "/usr/lib/hetoci")

from hetoci.domain.store import Store
from hetoci.host import Host

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 7
BASE = Path("/run/bench-domains")
ROOT = f"{BASE}/root"
MEMORY = 32
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


def bundle() -> None:
    """BASE becomes a bundle whose program prints a line and stays."""
    root = BASE / "rootfs"
    (root / "bin").mkdir(parents=True)
    for name in ("busybox", "sh", "sleep", "echo"):
        (root / "bin" / name).write_bytes(Path("/bin/busybox").read_bytes())
        (root / "bin" / name).chmod(0o755)
    config: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "root": {"path": str(root)},
        "annotations": {"io.hetoci.workload": "domain"},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "env": ["PATH=/bin"],
            "args": ["sh", "-c", "echo first; exec sleep 1000"],
        },
        "linux": {
            "namespaces": [{"type": "network"}],
            "resources": {"memory": {"limit": MEMORY << 20}},
        },
    }
    (BASE / "config.json").write_text(json.dumps(config))


def wait(ready: Any, what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not ready():
        if time.monotonic() > deadline:
            sys.exit(f"waited {SECONDS:g} s for {what}")
        time.sleep(0.005)


def container(name: str) -> tuple[float, float]:
    """Start a container; seconds until it runs and until its first line."""
    log = BASE / f"{name}.log"
    begun = time.monotonic()
    call("hetoci", "--root", ROOT, "create", "--bundle", str(BASE), name, log=log)
    call("hetoci", "--root", ROOT, "start", name)
    runs = time.monotonic() - begun
    wait(lambda: b"first" in log.read_bytes(), f"the first line of {name}")
    return runs, time.monotonic() - begun


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


def bare(file: Path, store: Store) -> float:
    """Seconds from `xl create` to the guest's first word."""
    begun = time.monotonic()
    call("xl", "create", "-q", "-e", str(file))
    number = said("xl", "domid", "bare").strip()
    wait(lambda: store.read(f"/local/domain/{number}/data/hetoci/ring-ref0"), "the bare guest")
    took = time.monotonic() - begun
    call("xl", "destroy", "bare")
    return took


def free() -> int:
    """MiB that Xen has left."""
    found = re.search(r"^free_memory\s*:\s*(\d+)", said("xl", "info"), re.MULTILINE)
    return int(found.group(1)) if found else 0


def share(name: str) -> float:
    """MiB of dom0 that a container's keeper takes."""
    pid = json.loads(said("hetoci", "--root", ROOT, "state", name))["pid"]
    found = re.search(r"^VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found.group(1)) / 1024 if found else 0.0


def starts(store: Store) -> None:
    container("model")
    file = configuration("model")
    remove("model")
    ours, theirs = [], []
    for number in range(ROUNDS):
        theirs.append(bare(file, store))
        ours.append(container(f"d{number}"))
        remove(f"d{number}")
    runs = median(row[0] for row in ours)
    tell("domain.start", "ratio", runs / median(theirs))
    tell("domain.bare", "s", median(theirs))
    tell("domain.first-line", "s", median(row[1] for row in ours))


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
    bundle()
    store = Store(Host())
    try:
        starts(store)
    finally:
        store.close()
    many()


main()
