# SPDX-License-Identifier: MIT
"""Accelerators and other hardware of the board in domains, through containerd and by bundles."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import OVERLAYS, RUNTIME, Board
from hetoci_lab import run
from test_domain import DOMAIN, TOOL, domains, forget_all
from test_rtos import LINE, MEMORY, OVERLAY, SLOT, TREE, WINDOW

pytestmark = [pytest.mark.lg_feature("domains"), pytest.mark.lg_feature("containers")]

IMAGE = "/run/rtos-vadd"  # where the image is mounted
PLAIN = "/run/rtos-jitter"  # one with the same kernel and no accelerator
SETTINGS = "/etc/hetoci/hetoci.conf"
ALL_RIGHT = r"^vadd: \d+ jobs, \d+ elements, (\d+) interrupts, every sum right"
CALM = "period=20000 tasks=0 vadd=10"
SLOT2 = "--annotation io.hetoci.accelerator.vadd.slot=slot2"


def held(board: Board) -> dict[str, str]:
    """Slot -> container that holds it."""
    slots = [d for d in board.devices() if d.get("kind") == "slot" and d["holder"]]
    return {slot["name"]: slot["holder"]["container"] for slot in slots}


def leftovers(board: Board) -> list[str]:
    """What a domain with hardware could leave behind."""
    found = board.check(
        f"ls -d {OVERLAYS}/hetoci-* /run/hetoci/firmware/* /run/hetoci/containers/*/* 2>/dev/null"
        " || true"
    ).split()
    return found + domains(board) + list(held(board))


@pytest.fixture(scope="module")
def image(fabric: Board) -> Iterator[Board]:
    """The board with the files of rtos-vadd at IMAGE, and our program for bundles."""
    fabric.put(str(Path(__file__).parent / "target/domain.py"), "/run/domain.py")
    for place in (IMAGE, PLAIN):
        reference = fabric.import_image(Path(place).name)
        fabric.check(f"mkdir -p {place} && ctr image mount {reference} {place}")
    yield fabric
    fabric.check(f"ctr image unmount {IMAGE}; ctr image unmount {PLAIN}")


@pytest.fixture
def clean(image: Board) -> Iterator[Board]:
    """The board, held to this: whatever the test did, no domain and no slot is left."""
    yield image
    forget_all(image)
    assert leftovers(image) == []


def bundle(board: Board, name: str, files: str = IMAGE, **changes: Any) -> str:
    """A bundle of an image's files; what names it on a command line."""
    keys = {"kernel": "/boot/rtos.bin", "cmdline": CALM, "memory": "8M"}
    given = {f"io.hetoci.domain.{key}": value for key, value in keys.items()}
    annotations = {**given, **changes.pop("annotations", {})}
    resources = {"linux": {"resources": {"memory": {"limit": 8 << 20}}}}
    text = json.dumps({"annotations": annotations, **resources, **changes})
    board.check(f"{TOOL} bundle /run/{name} {files} {shlex.quote(text)}")
    return f"-b /run/{name} {name}"


def accelerator() -> dict[str, str]:
    """The keys of rtos-vadd's accelerator."""
    keys = {
        "bitstream": "/accelerator/vadd-{slot}.bit.bin",
        "overlay": "/accelerator/vadd-{slot}.dtbo",
        "flags": "partial",
        "shell": "0x48450001",
    }
    return {f"io.hetoci.accelerator.vadd.{key}": value for key, value in keys.items()}


@pytest.mark.smoke
def test_an_rtos_container_uses_its_accelerator_by_interrupt(clean: Board) -> None:
    started = clean.start("rtos", "rtos-vadd")
    assert started.status == 0, started.out
    found = re.search(ALL_RIGHT, clean.until("cat /run/rtos.log", ALL_RIGHT), re.MULTILINE)
    assert found
    assert int(found[1]) == 20
    assert held(clean) == {"slot2": "rtos"}
    assert re.search(r"rtos +- +domain +running +\d+ +hetoci-\w+, slot2", clean.check("hetoci ps"))
    clean.check("ctr task kill -s SIGKILL rtos")
    clean.until("ctr task ls", r"rtos +\d+ +STOPPED")
    assert held(clean) == {}
    assert clean.run(f"ls -d {OVERLAYS}/hetoci-*").status != 0


def test_an_unchanged_image_uses_its_accelerator_in_a_domain(clean: Board) -> None:
    reference = clean.import_image("pl-vadd")
    said = clean.check(f"ctr run --rm {RUNTIME} {DOMAIN} {reference} sum /bin/vadd --rounds 3", 120)
    assert "/dev/hetoci/vadd in slot2" in said
    assert "3 rounds, all of them right" in said
    assert leftovers(clean) == []


def test_a_plan_says_what_would_be_passed(clean: Board) -> None:
    bundle(clean, "planned", annotations=accelerator())
    told = json.loads(clean.check("hetoci plan --json /run/planned"))
    (build,) = (step for step in told["steps"] if step["op"] == "build")
    assert build["irqs"] == [32 + LINE]
    assert build["iomem"] == ["0x3f200,100@0x3f200", "0xfffc2,1@0xfffc2"]
    assert build["nodes"] == [f"/passthrough/vadd@{WINDOW:x}"]
    assert leftovers(clean) == []


def test_a_slot_stays_held_while_a_domain_without_keeper_has_it(clean: Board) -> None:
    reference = clean.import_image("pl-vadd")
    log = "--log-uri file:///run/sum.log"
    clean.check(
        f"rm -f /run/sum.log; ctr run -d {RUNTIME} {DOMAIN} {log} {reference} sum"
        " /bin/vadd --forever",
        120,
    )
    clean.until("cat /run/sum.log", "^round 2: .*right")
    pid = clean.check("ctr task ls | awk '$1 == \"sum\" {print $2}'")
    clean.check(f"kill -9 {pid}")
    clean.until("ctr task ls", r"sum +\d+ +STOPPED")
    assert len(domains(clean)) == 1
    assert held(clean) == {"slot2": "sum"}
    # The next create destroys that domain, and only then takes the slot.
    other = clean.import_image("rtos-vadd")
    clean.check(f"rm -f /run/next.log; ctr run -d {RUNTIME} {SLOT2} "
                f"--log-uri file:///run/next.log {other} next", 120)  # fmt: skip
    clean.until("cat /run/next.log", ALL_RIGHT)
    assert len(domains(clean)) == 1
    assert held(clean) == {"slot2": "next"}
    clean.remove("sum")
    assert held(clean) == {"slot2": "next"}


@pytest.mark.parametrize(
    "step", ["create:programmed", "create:forked", "keeper:built", "keeper:committed"]
)
def test_death_at_a_step_leaves_no_slot_taken(clean: Board, step: str) -> None:
    words = bundle(clean, "f", annotations=accelerator())
    clean.run(f"{TOOL} die {step} create {words} > /dev/null 2>&1 < /dev/null", 90)
    clean.run("hetoci delete --force f")
    clean.check("hetoci reap")
    assert leftovers(clean) == []


@pytest.fixture
def by_hand(clean: Board, tmp_path: Path) -> Iterator[Board]:
    """vadd in a slot by an overlay of nobody's, its tree in /run, and the operator's leave."""
    for name, text in (("passed.dts", TREE), ("slot.dts", OVERLAY)):
        (tmp_path / name).write_text(text)
        run.output(["dtc", "-q", "-O", "dtb", "-o", tmp_path / "blob", tmp_path / name])
        clean.put(str(tmp_path / "blob"), f"/run/{name}")
    clean.check(f"cp {SETTINGS} /run/hetoci.conf; cp /run/slot.dts /lib/firmware/by-hand.dtbo")
    ranges = f"{WINDOW:#x}-{WINDOW + 0xFFF:#x} {MEMORY:#x}-{MEMORY + 0xFFFFF:#x}"
    lines = f"domain-iomem = {ranges}\ndomain-irqs = {32 + LINE} 92\n"
    clean.check(f"printf %s {shlex.quote(lines)} >> {SETTINGS}")
    item = f"{OVERLAYS}/by-hand"
    clean.check(
        f"[ -d {OVERLAYS}/hetoci.shell-* ] || {{ mkdir {OVERLAYS}/by-hand-shell &&"
        f" echo pl-shell.dtbo > {OVERLAYS}/by-hand-shell/path; }}"
    )
    clean.check(f"mkdir {item} && echo by-hand.dtbo > {item}/path")
    yield clean
    clean.run("hetoci delete --force vm")
    clean.check(f"rmdir {item}; cp /run/hetoci.conf {SETTINGS}")
    clean.run(f"rmdir {OVERLAYS}/by-hand-shell")


def vm(**changes: Any) -> dict[str, Any]:
    """`hwConfig` of `vm`: the slot's pages, its interrupt and the tree that tells of them."""
    pages = [(WINDOW >> 12, 1), (MEMORY >> 12, 256)]
    return {
        "iomems": [{"firstMFN": first, "nrMFNs": count} for first, count in pages],
        "irqs": [32 + LINE],
        "deviceTree": "/run/passed.dts",
        **changes,
    }


@pytest.mark.parametrize("spelling", ["hwConfig", "hwconfig"])
def test_hardware_that_the_user_assigns_works(by_hand: Board, spelling: str) -> None:
    words = bundle(by_hand, "vm", PLAIN, vm={spelling: vm()})
    by_hand.check(f"hetoci run --detach {words} > /run/vm.log 2>&1 < /dev/null", 90)
    found = re.search(ALL_RIGHT, by_hand.until("cat /run/vm.log", ALL_RIGHT), re.MULTILINE)
    assert found
    assert int(found[1]) == 10
    assert held(by_hand) == {f"slot{SLOT}": "vm"}


def test_hardware_that_xen_does_not_give_is_refused_with_nothing_left(by_hand: Board) -> None:
    words = bundle(by_hand, "vm", PLAIN, vm={"hwConfig": vm(irqs=[92])})
    by_hand.fails(f"hetoci run {words}", "irq")
    assert domains(by_hand) == []
    assert held(by_hand) == {}
