# SPDX-License-Identifier: MIT
"""On the board: what hetoci costs beside doing the same without it, as ratios of medians.

usage: runtime.py [ROUNDS]

verb.*, life: a plain container's verbs and whole life through hetoci, against the delegate alone.
program: create of a container with an accelerator less create of a plain one, against the bare
configfs sequence for the same bitstream. claim.N: claiming one of N slots, against one of one, on
a simulated board. All variants take turns, so that what disturbs one disturbs the others. Lines
of JSON are measurements (hetoci-lab bench); a ratio of 1 is no cost.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, "/usr/lib/hetoci")

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 15
IMAGES = "/usr/share/hetoci/images"
OVERLAYS = Path("/sys/kernel/config/device-tree/overlays")
ROOT = "/run/bench/root"
VERBS = ("create", "start", "state", "kill", "delete")


def tell(name: str, unit: str, value: float) -> None:
    print(json.dumps({"name": name, "unit": unit, "value": round(value, 4)}), flush=True)


def call(*words: str) -> None:
    null = subprocess.DEVNULL
    # A pipe would not end before the container does, which inherits it.
    with Path("/run/bench.err").open("w+") as errors:
        done = subprocess.run(words, stdin=null, stdout=null, stderr=errors, check=False)
        if done.returncode:
            errors.seek(0)
            sys.exit(f"{' '.join(words)}: {errors.read()}")


def timed(*words: str) -> float:
    begun = time.monotonic()
    call(*words)
    return time.monotonic() - begun


def rootfs(image: str, place: Path) -> Path:
    """Unpack an image that came with the board, by containerd."""
    call("ctr", "image", "import", f"{IMAGES}/{image}.oci.tar")
    mounted = place.with_name(f"{place.name}.mounted")
    mounted.mkdir(parents=True)
    call("ctr", "image", "mount", f"localhost/{image}:latest", str(mounted))
    shutil.copytree(mounted, place, symlinks=True)  # the delegate makes mount points in it
    return place


def bundle(place: Path, root: Path, args: list[str]) -> str:
    """A bundle with containerd's default specification."""
    text = subprocess.run(["ctr", "oci", "spec"], capture_output=True, check=True).stdout
    config: dict[str, Any] = json.loads(text)
    config["root"] = {"path": str(root)}
    config["process"]["args"] = args
    config["linux"]["cgroupsPath"] = f"/bench/{place.name}"
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(config))
    return str(place)


# plain containers


def life(runtime: str, where: str, name: str) -> dict[str, float]:
    """Seconds of each verb of one container's life."""
    words = {
        "create": ["create", "--bundle", where, name],
        "start": ["start", name],
        "state": ["state", name],
        "kill": ["kill", name, "KILL"],
        "delete": ["delete", "--force", name],
    }
    return {verb: timed(runtime, "--root", ROOT, *words[verb]) for verb in VERBS}


def plain(where: str) -> None:
    found: dict[str, list[dict[str, float]]] = {"hetoci": [], "crun": []}
    for number in range(ROUNDS):
        for runtime, rows in found.items():
            rows.append(life(runtime, where, f"{runtime}{number}"))
    for verb in VERBS:
        tell(
            f"verb.{verb}",
            "ratio",
            ratio([r[verb] for r in found["hetoci"]], [r[verb] for r in found["crun"]]),
        )
    whole = {runtime: [sum(row.values()) for row in rows] for runtime, rows in found.items()}
    tell("life", "ratio", ratio(whole["hetoci"], whole["crun"]))
    tell("life.crun", "s", median(whole["crun"]))


def ratio(ours: list[float], theirs: list[float]) -> float:
    return median(ours) / median(theirs)


# programming


def program(where: str, plain_where: str, image: Path) -> None:
    bare, ours, without = [], [], []
    for number in range(ROUNDS):
        bare.append(bare_sequence(image))
        for rows, place in ((ours, where), (without, plain_where)):
            name = f"p{number}"
            rows.append(timed("hetoci", "--root", ROOT, "create", "--bundle", place, name))
            call("hetoci", "--root", ROOT, "delete", "--force", name)
    extra = median(ours) - median(without)
    tell("program", "ratio", extra / median(bare))
    tell("program.bare", "s", median(bare))
    tell("program.create", "s", extra)
    tell("program.interpreter", "s", median([timed("python3", "-IS", "-c", "pass") for _ in bare]))


def bare_sequence(image: Path) -> float:
    """Program slot 0 with what the image has, as a shell script would; seconds until its
    device file is there."""
    firmware = Path("/lib/firmware/sha256-slot0.bit.bin")
    item = OVERLAYS / "bench"
    begun = time.monotonic()
    shutil.copy(image / "accelerator/sha256-slot0.bit.bin", firmware)
    item.mkdir()
    (item / "dtbo").write_bytes((image / "accelerator/sha256-slot0.dtbo").read_bytes())
    if (item / "status").read_text().strip() != "applied":
        sys.exit("the overlay of the bare sequence was not applied")
    device = Path("/sys/bus/platform/devices/fffc0000.sha256/uio")
    while not device.exists():
        time.sleep(0.001)
    took = time.monotonic() - begun
    item.rmdir()
    return took


# claims


def claims() -> None:
    from hetoci import claims as module
    from hetoci.host import Host
    from hetoci.model import Holder

    host_of: dict[int, Any] = {}
    for count in (1, 8, 64):
        folder = tempfile.mkdtemp(prefix=f"claims{count}-", dir="/run/bench")
        host_of[count] = Host(folder)
        me = Holder("bench", "", os.getpid(), host_of[count].start_time(os.getpid()) or "")
        for slot in range(count - 1):  # all but one are held, by this process
            module.acquire(host_of[count], f"fpga.slot{slot}", me)
    took: dict[int, list[float]] = {count: [] for count in host_of}

    def claim(count: int) -> Callable[[], None]:
        def act() -> None:
            module.acquire(host_of[count], f"fpga.slot{count - 1}", me).give_up()

        return act

    for _ in range(50 * ROUNDS):
        for count in host_of:
            begun = time.monotonic()
            claim(count)()
            took[count].append(time.monotonic() - begun)
    for count in (8, 64):
        tell(f"claim.{count}", "ratio", ratio(took[count], took[1]))
    tell("claim.1", "s", median(took[1]))


def main() -> None:
    base = Path("/run/bench")
    call("ctr", "version")
    hello = rootfs("hello", base / "hello")
    accelerated = rootfs("pl-sha256", base / "sha256")
    plain_bundle = bundle(base / "plain", hello, ["/bin/busybox", "sleep", "60"])
    accelerator = bundle(base / "accelerator", accelerated, ["/bin/sha256", "--forever"])
    call("hetoci", "--root", ROOT, "create", "--bundle", accelerator, "warm")  # loads the shell
    call("hetoci", "--root", ROOT, "delete", "--force", "warm")
    plain(plain_bundle)
    program(accelerator, plain_bundle, accelerated)
    claims()


main()
