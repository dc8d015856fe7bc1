# SPDX-License-Identifier: MIT
"""Containers with accelerators: programmed at create, freed at delete, through containerd."""

import json
import re
import shlex
from collections.abc import Iterator

import pytest

from conftest import OVERLAYS, RUNTIME, Board
from test_firmware_container import started

pytestmark = [pytest.mark.lg_feature("pl"), pytest.mark.lg_feature("containers")]

SLOT = "--annotation io.hetoci.accelerator.{name}.slot={slot}"


@pytest.fixture
def slots(fabric: Board, clean_board: Board) -> Iterator[Board]:
    """A board on which afterwards every slot is empty and free."""
    yield clean_board
    for name in clean_board.check("ctr container ls -q").split():
        clean_board.remove(name)
    assert leftovers(clean_board) == []


def leftovers(board: Board) -> list[str]:
    """What a container could leave behind: overlays, staged files, records, held slots."""
    found = board.check(
        f"ls -d {OVERLAYS}/hetoci-* /run/hetoci/firmware/* /run/hetoci/containers/*/* 2>/dev/null"
        " || true"
    ).split()
    return found + [d["name"] for d in board.devices() if d["holder"]]


def running(board: Board, name: str, image: str, options: str = "") -> int:
    """Start a container that goes on for ever; return its pid once it has done a round."""
    reference = board.import_image(image)
    program = {"pl-vadd": "vadd", "pl-sha256": "sha256", "pl-both": "both"}[image]
    board.check(
        f"rm -f /run/{name}.log; ctr run -d {RUNTIME} --log-uri file:///run/{name}.log {options}"
        f" {reference} {name} /bin/{program} --forever",
        120,
    )
    board.until(f"cat /run/{name}.log", "^round 2: .*right")
    return int(board.check(f"ctr task ls | awk '$1 == \"{name}\" {{print $2}}'"))


def holders(board: Board) -> dict[str, str]:
    """Slot -> container that holds it."""
    return {d["name"]: d["holder"]["container"] for d in board.devices() if d["holder"]}


def test_the_program_computes_and_ends_by_itself(slots: Board) -> None:
    for image, rounds in (("pl-vadd", "all of them right"), ("pl-sha256", "all of them right")):
        reference = slots.import_image(image)
        said = slots.check(f"ctr run --rm {RUNTIME} {reference} once", 120)
        assert rounds in said
    assert leftovers(slots) == []


@pytest.mark.smoke
def test_life_from_create_to_removal(slots: Board) -> None:
    pid = running(slots, "life", "pl-sha256")
    assert holders(slots) == {"slot0": "life"}
    listed = slots.check("hetoci ps")
    assert re.search(r"life +- +accelerator +running +\d+ +slot0", listed)
    assert slots.check(f"ls /proc/{pid}/root/dev/hetoci") == "sha256"
    told = json.loads(slots.check(f"cat /proc/{pid}/root/run/hetoci/devices.json"))
    assert told["devices"][0]["slot"] == "slot0"
    assert slots.run(f"echo > /proc/{pid}/root/run/hetoci/devices.json").status != 0
    slots.check("ctr task kill -s SIGKILL life")
    slots.until("ctr task ls", r"life +\d+ +STOPPED")
    slots.run("ctr task rm life")
    slots.check("ctr container rm life")
    assert leftovers(slots) == []


def test_the_container_reaches_its_own_device_and_no_other(slots: Board) -> None:
    running(slots, "mine", "pl-vadd")
    other = running(slots, "other", "pl-sha256")
    major, minor = slots.check(f"stat -c '%Hr %Lr' /proc/{other}/root/dev/hetoci/sha256").split()
    slots.check(f"mknod -m 666 /dev/foreign c {major} {minor}")
    group = "cat /proc/$(ctr task ls | awk '$1 == \"mine\" {print $2}')/cgroup | cut -d: -f3"
    inside = f"sh -c 'echo $$ > /sys/fs/cgroup'$({group})'/cgroup.procs; : < /dev/foreign'"
    slots.fails(inside, "Operation not permitted")
    slots.check("rm /dev/foreign")


def test_two_accelerators_of_one_image(slots: Board) -> None:
    running(slots, "both", "pl-both")
    assert holders(slots) == {"slot0": "both", "slot1": "both"}


def test_slots_are_taken_in_order_and_the_last_refusal_names_every_holder(slots: Board) -> None:
    # Under Xen slots 2 and 3 are for domains.
    numbers = slots.own_slots()
    for number in numbers:
        running(slots, f"c{number}", "pl-vadd")
    assert holders(slots) == {f"slot{n}": f"c{n}" for n in numbers}
    reference = slots.import_image("pl-sha256")
    said = slots.fails(f"ctr run -d {RUNTIME} {reference} more", "no slot is free")
    assert all(f"container c{number}" in said for number in numbers)


def test_a_slot_that_is_named_and_taken_is_refused_with_its_holder(slots: Board) -> None:
    running(slots, "first", "pl-vadd", SLOT.format(name="vadd", slot="slot1"))
    assert holders(slots) == {"slot1": "first"}
    wish = SLOT.format(name="sha256", slot="slot1")
    reference = slots.import_image("pl-sha256")
    slots.fails(f"ctr run -d {RUNTIME} {wish} {reference} second", "slot1 is held by .*first")


@pytest.mark.lg_feature("xen")
def test_a_slot_of_the_domains_is_refused_to_a_container(slots: Board) -> None:
    reference = slots.import_image("pl-vadd")
    wish = SLOT.format(name="vadd", slot="slot2")
    slots.fails(f"ctr run -d {RUNTIME} {wish} {reference} wrong", "slot2 is for Xen domains")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("part", "0x04738093", "slot0 has the part 0x0e70c093, not 0x04738093"),
        ("shell", "0x48450002", "has the shell 0x48450001, not 0x48450002"),
        ("slot", "slot9", "no slot is named 'slot9', there are slot0"),
        ("bitstream", "/no/such-{slot}", "/no/such-slot0, which does not exist in the image"),
        ("digest", "sha256:" + 64 * "0", "not among those of the metadata"),
        ("memory", "2M", "has 1048576 bytes of DMA memory, 2097152 are needed"),
        ("clocks", "200M", "has the clock aclk at 125000000 Hz"),
        ("devices", "vadd", "has no node vadd, it has sha256"),
        ("flags", "encrypted", "no region|region fpga-region"),
        ("bitstrem", "/x", "did you mean"),
    ],
)
def test_a_wish_that_cannot_be_met_changes_nothing(
    slots: Board, key: str, value: str, sentence: str
) -> None:
    reference = slots.import_image("pl-sha256")
    if "shell 0x48450001" not in slots.check("hetoci devices"):
        slots.check(f"ctr run --rm {RUNTIME} {reference} loads-the-shell", 120)
    before = slots.check(f"ls {OVERLAYS}; cat /sys/class/fpga_manager/fpga0/state")
    wish = f"--annotation 'io.hetoci.accelerator.sha256.{key}={value}'"
    slots.fails(f"ctr run --rm {RUNTIME} {wish} {reference} bad", sentence)
    assert slots.check(f"ls {OVERLAYS}; cat /sys/class/fpga_manager/fpga0/state") == before
    assert leftovers(slots) == []


def test_removed_by_force_while_it_runs(slots: Board) -> None:
    running(slots, "forced", "pl-both")
    slots.check("ctr task rm -f forced; ctr container rm forced")
    assert leftovers(slots) == []


def test_a_program_that_died_does_not_keep_its_slot_from_the_next(slots: Board) -> None:
    pid = running(slots, "dead", "pl-vadd", SLOT.format(name="vadd", slot="slot0"))
    slots.check(f"kill -9 {pid}")
    slots.until("ctr task ls", r"dead +\d+ +STOPPED")
    running(slots, "next", "pl-vadd", SLOT.format(name="vadd", slot="slot0"))
    assert holders(slots) == {"slot0": "next"}


def test_the_shim_killed(slots: Board) -> None:
    running(slots, "orphan", "pl-vadd")
    slots.check("pkill -9 -f '[c]ontainerd-shim.* -id orphan'")
    slots.until("hetoci reap; hetoci devices --json", '"name": "slot0"')
    slots.until(f"hetoci reap; ls {OVERLAYS} | grep -c hetoci- || true", "^0$")


BUNDLE = "/run/pl-bundle"
SPEC = f"""
import json, sys
spec = json.load(sys.stdin)
spec["root"] = {{"path": "{BUNDLE}/root"}}
spec["process"]["args"] = ["/bin/sha256", "--forever"]
spec["linux"]["cgroupsPath"] = "/faults/v"
json.dump(spec, open("{BUNDLE}/config.json", "w"))
"""


@pytest.fixture
def bundle(slots: Board) -> Iterator[Board]:
    """A bundle made of the pl-sha256 image, for driving the runtime without an engine."""
    reference = slots.import_image("pl-sha256")
    slots.check(
        f"mkdir -p {BUNDLE}/image && ctr image mount {reference} {BUNDLE}/image &&"
        f" cp -a {BUNDLE}/image {BUNDLE}/root && ctr image unmount {BUNDLE}/image"
    )
    slots.check(f"ctr oci spec | python3 -c {shlex.quote(SPEC)}")
    yield slots
    slots.check(f"rm -rf {BUNDLE}")


# What is killed here does not know of the hypervisor: once is enough.
@pytest.mark.lg_feature("faults")
@pytest.mark.parametrize("verb", ["create", "start", "kill", "delete"])
def test_a_verb_killed_on_its_way(bundle: Board, verb: str) -> None:
    words = {
        "create": f"create --bundle {BUNDLE} v",
        "start": "start v",
        "kill": "kill v KILL",
        "delete": "delete --force v",
    }
    runtime = "hetoci --root /run/faults"
    quiet = "> /run/v.log 2>&1 < /dev/null"
    for milliseconds in (100, 200, 300, 400, 500, 600):
        for earlier in list(words)[: list(words).index(verb)]:
            bundle.check(f"{runtime} {words[earlier]} {quiet}")
        bundle.run(f"timeout -s KILL {milliseconds / 1000} {runtime} {words[verb]} {quiet}")
        bundle.check(f"{runtime} delete --force v; hetoci reap")
        assert leftovers(bundle) == []
        assert bundle.check("crun --root /run/faults list -q") == ""
    bundle.check(f"{runtime} {words['create']} {quiet} && {runtime} delete --force v")


def test_an_endpoint_of_firmware_that_shares_it(slots: Board) -> None:
    board = slots
    reference = board.import_image("pl-companion")
    soon = "--annotation io.hetoci.endpoint.echo.timeout=0.5"
    board.fails(f"ctr run --rm {RUNTIME} {soon} {reference} alone", "no firmware offers")
    started(board, "closed")
    said = board.fails(f"ctr run --rm {RUNTIME} {reference} stranger", "cannot be had")
    assert "container closed" in said
    board.remove("closed")
    board.check(
        f"ctr run -d {RUNTIME} --log-uri file:///run/fw.log"
        " --annotation io.hetoci.firmware.endpoints=rpmsg-raw localhost/fw-echo:latest open"
    )
    said = board.check(f"ctr run --rm {RUNTIME} {reference} companion", 120)
    assert "10 rounds, all of them right" in said


def test_an_endpoint_device_is_made_where_no_driver_has_the_service(slots: Board) -> None:
    board = slots
    reference = board.import_image("pl-companion")
    board.import_image("fw-echo")
    board.check(
        f"ctr run -d {RUNTIME} --log-uri file:///run/fw.log"
        " --annotation io.hetoci.firmware.endpoints=rpmsg-raw localhost/fw-echo:latest open"
    )
    driver = "/sys/bus/rpmsg/drivers/rpmsg_chrdev"
    board.until(f"ls {driver}", "rpmsg-raw")
    board.check(f"cd {driver} && echo $(basename $(ls -d *rpmsg-raw*)) > unbind")
    said = board.check(f"ctr run --rm {RUNTIME} {reference} companion", 120)
    assert "10 rounds, all of them right" in said
    assert "h!" not in board.check("cat /sys/class/rpmsg/*/name || true")
