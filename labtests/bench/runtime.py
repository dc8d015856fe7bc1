# SPDX-License-Identifier: MIT
"""On the board: what hetoci costs beside doing the same without it, as ratios of medians.

usage: runtime.py [ROUNDS]

verb.*, life: a plain container's verbs and whole life through hetoci, against the delegate alone.
program.N: create of a container with an accelerator less create of a plain one, against the bare
configfs sequence for the same bitstream of N KiB: the image's own, and the largest that a slot of
this board takes. program.N.step: only what create does about the hardware (look, check, claim,
program, await, clear), in an interpreter that has everything imported, against the same.
claim.N, look.N: claiming one of N slots of which all others are held, and looking at the board and
choosing one before, against one of one, in a simulated inventory of files. All variants take turns,
so that what disturbs one disturbs the others. Lines of JSON are measurements (hetoci-lab bench); a
ratio of 1 is no cost.
"""

import hashlib
import json
import os
import shutil
import struct
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
BITSTREAM = "accelerator/sha256-slot0.bit.bin"
SLOT_SIZE = 64 << 10
OVERLAYS = Path("/sys/kernel/config/device-tree/overlays")
ROOT = "/run/bench/root"
PROGRAM = ["/bin/sha256", "--forever"]
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
    bitstream = image / BITSTREAM
    name = f"program.{round(bitstream.stat().st_size / 1024)}"
    bare, ours, without, steps = [], [], [], []
    for number in range(ROUNDS):
        bare.append(bare_sequence(image))
        steps.append(step(where))
        for rows, place in ((ours, where), (without, plain_where)):
            container = f"p{number}"
            rows.append(timed("hetoci", "--root", ROOT, "create", "--bundle", place, container))
            call("hetoci", "--root", ROOT, "delete", "--force", container)
    extra = median(ours) - median(without)
    tell(name, "ratio", extra / median(bare))
    tell(f"{name}.step", "ratio", ratio(steps, bare))
    tell(f"{name}.bare", "s", median(bare))
    tell(f"{name}.create", "s", extra)


def bare_sequence(image: Path) -> float:
    """Program slot 0 with what the image has, as a shell script would; seconds until its
    device file is there."""
    firmware = Path("/lib/firmware/sha256-slot0.bit.bin")
    item = OVERLAYS / "bench"
    begun = time.monotonic()
    shutil.copy(image / BITSTREAM, firmware)
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


def step(where: str) -> float:
    """Seconds of what create does about the hardware."""
    from hetoci import accelerate, bundle, config
    from hetoci.host import Host
    from hetoci.model import Holder
    from hetoci.verbs import create

    host: Any = Host()
    settings: Any = config.load(host)
    found = bundle.load(host, where)
    workload: Any = create.workload_of(host, found, settings)
    me = Holder("bench", "", os.getpid(), host.start_time(os.getpid()) or "")
    begun = time.monotonic()
    prepared, taken = accelerate.prepare(
        host, found.rootfs or "", settings, workload.accelerators, me, lambda _held: None
    )
    took = time.monotonic() - begun
    accelerate.undo(host, [accelerate.facts(one.fabric) for one in prepared], taken)
    return took


def enlarge(image: Path, place: Path) -> Path:
    """A copy of the image whose bitstream for slot 0 fills the slot (docs/virtual-board.md,
    Bitstreams)."""
    shutil.copytree(image, place, symlinks=True)
    file = place / BITSTREAM
    old = file.read_bytes()
    head, body = old[:128], old[128:].ljust(SLOT_SIZE, b"\0")
    head = head[:24] + struct.pack("<I", len(body)) + head[28:]
    digest = hashlib.sha256(head[:32] + bytes(32) + head[64:] + body).digest()
    new = head[:32] + digest + head[64:] + body
    file.write_bytes(new)
    labels = place / ".hetoci/labels.json"
    names = [hashlib.sha256(data).hexdigest() for data in (old, new)]
    labels.write_text(labels.read_text().replace(*names))
    return place


# claims


def simulated(count: int) -> str:
    """A root with the inventory of a board that has `count` slots."""
    root = Path(tempfile.mkdtemp(prefix=f"claims{count}-", dir="/run/bench"))
    node = root / "sys/firmware/devicetree/base/fpga-region"
    manager = root / "sys/class/fpga_manager/fpga0"
    (manager / "device/of_node").mkdir(parents=True)
    (manager / "device/of_node/phandle").write_bytes(struct.pack(">I", 1))
    (root / "sys/kernel/config/device-tree/overlays").mkdir(parents=True)
    places = [node, *(node / f"slot{number}@{number:x}" for number in range(count))]
    for number, place in enumerate(places):
        place.mkdir(parents=True)
        (place / "compatible").write_bytes(b"fpga-region\0")
        region = root / f"sys/class/fpga_region/region{number}"
        region.mkdir(parents=True)
        (region / "of_node").symlink_to(place)
    (node / "fpga-mgr").write_bytes(struct.pack(">I", 1))
    (node / "hetoci,shell").write_bytes(b"simulated\0")
    return str(root)


def look(host: Any) -> Any:
    """What create does to choose a slot."""
    from hetoci import assign, inventory
    from hetoci.workloads import AcceleratorRequest

    host.memory.clear()
    request = AcceleratorRequest("a", "/a.bit.bin", partial=True)
    return assign.place([request], inventory.fabrics(host), lambda _path: True).chosen["a"]


def claims() -> None:
    from hetoci import claims as module
    from hetoci.host import Host
    from hetoci.model import Holder

    host_of: dict[int, Any] = {}
    for count in (1, 8, 64):
        host_of[count] = Host(simulated(count))
        me = Holder("bench", "", os.getpid(), host_of[count].start_time(os.getpid()) or "")
        for slot in range(count - 1):  # all but one are held, by this process
            module.acquire(host_of[count], f"fpga.fpga-region+slot{slot}@{slot:x}", me)
    took: dict[int, list[float]] = {count: [] for count in host_of}
    looked: dict[int, list[float]] = {count: [] for count in host_of}

    def claim(count: int) -> Callable[[], None]:
        def act() -> None:
            module.acquire(host_of[count], chosen[count], me).give_up()

        return act

    chosen = {count: look(host).key for count, host in host_of.items()}
    for _ in range(ROUNDS):
        for count, host in host_of.items():
            begun = time.monotonic()
            look(host)
            looked[count].append(time.monotonic() - begun)

    for _ in range(50 * ROUNDS):
        for count in host_of:
            begun = time.monotonic()
            claim(count)()
            took[count].append(time.monotonic() - begun)
    for count in (8, 64):
        tell(f"claim.{count}", "ratio", ratio(took[count], took[1]))
        tell(f"look.{count}", "ratio", ratio(looked[count], looked[1]))
    tell("claim.1", "s", median(took[1]))
    tell("look.1", "s", median(looked[1]))


def main() -> None:
    base = Path("/run/bench")
    call("ctr", "version")
    hello = rootfs("hello", base / "hello")
    accelerated = rootfs("pl-sha256", base / "sha256")
    plain_bundle = bundle(base / "plain", hello, ["/bin/busybox", "sleep", "60"])
    accelerator = bundle(base / "accelerator", accelerated, PROGRAM)
    call("hetoci", "--root", ROOT, "create", "--bundle", accelerator, "warm")  # loads the shell
    call("hetoci", "--root", ROOT, "delete", "--force", "warm")
    plain(plain_bundle)
    program(accelerator, plain_bundle, accelerated)
    largest = enlarge(accelerated, base / "largest")
    program(bundle(base / "filled", largest, PROGRAM), plain_bundle, largest)
    tell("interpreter", "s", median([timed("python3", "-IS", "-c", "pass") for _ in range(ROUNDS)]))
    claims()


main()
