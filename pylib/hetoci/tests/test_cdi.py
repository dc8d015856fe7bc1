# SPDX-License-Identifier: MIT
"""CDI devices: requests for slots and cores, and what is there already."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import accelerator as make
from conftest import Board
from hetoci import cdi, config
from hetoci.bundle import Bundle
from hetoci.errors import MetadataError, UsageError
from hetoci.host import Host
from plboard import PlBoard, running, shell_file, valid

SUM = "io.hetoci.accelerator.sum"
HASH = "io.hetoci.accelerator.hash"
IMAGE = (f"{SUM}.bitstream", f"{HASH}.bitstream", "io.hetoci.workload")


def mount(kind: str, name: str) -> dict[str, Any]:
    return {"source": f"/run/hetoci/cdi/{kind}/{name}.json", "destination": f"/x/{name}"}


def test_each_core_becomes_a_device_that_is_a_mount(board: Board) -> None:
    assert cdi.refresh(board.host, config.Config({})) == ["hetoci.io/core=r5f_0"]
    spec = json.loads((board.root / "var/run/cdi/hetoci.io-core.json").read_text())
    assert spec["kind"] == "hetoci.io/core"
    (device,) = spec["devices"]
    (edit,) = device["containerEdits"]["mounts"]
    assert list(device["containerEdits"]) == ["mounts"]
    assert (board.root / edit["hostPath"].lstrip("/")).exists()
    assert not (board.root / "var/run/cdi/hetoci.io-slot.json").exists()


def test_a_device_that_is_not_there_any_more_loses_its_files(board: Board) -> None:
    cdi.refresh(board.host, config.Config({}))
    assert cdi.refresh(board.host, config.Config({"cores": "other"})) == []
    assert not (board.root / "var/run/cdi/hetoci.io-core.json").exists()
    assert list((board.root / "run/hetoci/cdi/core").iterdir()) == []


def test_a_core_asked_for_by_device_is_the_one_the_firmware_gets(two_cores: Board) -> None:
    board = two_cores
    board.ok("reap")
    path = board.bundle(mounts=[mount("core", "r5f_1")])
    plan = board.ok("plan", "--json", path).json()
    assert plan["cores"] == ["remoteproc1"]


def test_requests_are_found_by_their_source_alone(tmp_path: Path) -> None:
    files = tmp_path / "run/hetoci/cdi/slot"
    files.mkdir(parents=True)
    for name in ("slot1", "slot0"):
        (files / f"{name}.json").write_text(json.dumps({"name": name}))
    mounts = [
        mount("slot", "slot1"),
        {"source": "/etc", "destination": "/e"},
        mount("slot", "slot0"),
    ]
    found = cdi.requests(Host(str(tmp_path)), Bundle("/b", {"mounts": mounts}))
    assert found == {"slot": ["slot0", "slot1"]}


def test_a_request_without_its_file_is_refused(tmp_path: Path) -> None:
    bundle = Bundle("/b", {"mounts": [mount("slot", "slot7")]})
    with pytest.raises(MetadataError, match=r"slot7\.json is for a device that this board has not"):
        cdi.requests(Host(str(tmp_path)), bundle)


def test_slots_go_to_the_accelerators_in_order() -> None:
    keys = cdi.as_keys({"slot": ["slot1", "slot3"]}, {}, IMAGE)
    assert keys == {f"{HASH}.slot": "slot1", f"{SUM}.slot": "slot3"}


def test_a_slot_of_the_users_choice_is_not_asked_for_twice() -> None:
    keys = cdi.as_keys({"slot": ["slot1", "slot3"]}, {f"{HASH}.slot": "slot3"}, IMAGE)
    assert keys == {f"{SUM}.slot": "slot1"}


@pytest.mark.parametrize(
    ("asked", "user", "sentence"),
    [
        ({"slot": ["a", "b", "c"]}, {}, "request for slot c is left over"),
        ({"core": ["r5f_0"]}, {"io.hetoci.firmware.core": "r5f_1"}, "core r5f_0 contradicts"),
        ({"core": ["r5f_0", "r5f_1"]}, {}, "core r5f_1 contradicts"),
    ],
)
def test_what_does_not_go_together_is_refused(
    asked: dict[str, list[str]], user: dict[str, str], sentence: str
) -> None:
    with pytest.raises(MetadataError, match=sentence):
        cdi.as_keys(asked, user, IMAGE)


# files that cannot be written


def no_directory(board: Board) -> None:
    """/var/run/cdi is something else."""
    (board.root / "var/run").mkdir(parents=True, exist_ok=True)
    (board.root / "var/run/cdi").write_text("")


def test_a_shell_is_loaded_and_used_though_its_slots_cannot_be_offered(bare_pl: PlBoard) -> None:
    bare_pl.settings(f"shells = {shell_file(bare_pl)}\n")
    no_directory(bare_pl)
    result = bare_pl.create("c", bare_pl.accelerator())
    assert result.code == 0
    assert re.fullmatch(
        r"hetoci: cannot bring CDI devices up to date \(.*/cdi.*\): Not a directory \(ENOTDIR\)\n",
        result.err,
    )
    assert bare_pl.slots() == {"slot0": "c"}


def test_reap_gives_back_first_and_then_says_that_cdi_files_cannot_be_written(pl: PlBoard) -> None:
    no_directory(pl)
    pl.create("c", pl.accelerator(), die_at="create:programmed")
    result = pl.hetoci("reap")
    assert (result.code, result.out) == (1, "forgot container c, which nobody owns\n")
    assert result.err.startswith("hetoci: cannot bring CDI devices up to date (")
    assert result.err.count("\n") == 1
    assert pl.leftovers() == []


def test_reap_says_what_it_could_not_free_and_that_cdi_files_cannot_be_written(
    board: Board,
) -> None:
    no_directory(board)
    pid = board.running("c")
    board.core.fail_stop = 5
    os.kill(pid, signal.SIGKILL)
    board.exit_code("c")
    result = board.hetoci("reap")
    assert result.code == 1
    assert "(1) cannot stop core remoteproc0" in result.err
    assert "(2) cannot bring CDI devices up to date" in result.err


def test_a_firmware_is_deleted_though_its_services_files_cannot_be(board: Board) -> None:
    board.running("fw", annotations=ENDPOINTS)
    no_directory(board)
    board.ok("kill", "fw", "KILL")
    board.exit_code("fw")
    result = board.hetoci("delete", "fw")
    assert result.code == 1
    assert "could not give everything back: cannot bring CDI devices up to date" in result.err
    assert board.leftovers() == []


# what is there already

ENDPOINTS = {"io.hetoci.workload": "firmware", "io.hetoci.firmware.endpoints": "rpmsg-raw,other"}
SPEC = "var/run/cdi/hetoci.io-endpoint-r5f_0.json"


def channel(board: Board, service: str, minor: int | None = None) -> None:
    """Announce a service of the firmware on core 0; with `minor`, a driver has bound it."""
    name = f"virtio0.{service}.-1.1024"
    device = board.root / f"sys/devices/platform/remoteproc0/virtio0/{name}"
    device.mkdir(parents=True)
    (device / "name").write_text(f"{service}\n")
    (device / "dst").write_text("0x400\n")
    (board.root / f"sys/bus/rpmsg/devices/{name}").symlink_to(device)
    if minor is not None:
        bound = device / f"rpmsg/rpmsg{minor}"
        bound.mkdir(parents=True)
        (bound / "dev").write_text(f"242:{minor}\n")
        (bound / "uevent").write_text(f"DEVNAME=rpmsg{minor}\n")
        (board.root / "sys/class/rpmsg").mkdir(exist_ok=True)
        (bound / "subsystem").symlink_to(board.root / "sys/class/rpmsg")


def within(seconds: float, true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def description(board: Board, device: Any, kind: str) -> Any:
    """The only entry of the description that a CDI device mounts."""
    (mount,) = device["containerEdits"]["mounts"]
    assert mount["containerPath"] == f"/run/hetoci/devices.d/{kind}-{device['name']}.json"
    text = json.loads((board.root / mount["hostPath"][1:]).read_text())
    valid(text, "devices")
    (entry,) = text["devices"]
    return entry


def test_a_service_that_others_may_use_is_a_device_while_the_firmware_runs(board: Board) -> None:
    board.running("fw", annotations=ENDPOINTS)
    channel(board, "rpmsg-raw", 3)
    channel(board, "other")  # no driver has made a device of it
    channel(board, "private", 4)
    spec = board.root / SPEC
    assert within(10, spec.exists)
    value = json.loads(spec.read_text())
    assert value["kind"] == "hetoci.io/endpoint"
    (device,) = value["devices"]
    assert device["name"] == "r5f_0.rpmsg-raw"
    assert device["containerEdits"]["deviceNodes"] == [
        {
            "path": "/dev/hetoci/r5f_0.rpmsg-raw",
            "type": "c",
            "major": 242,
            "minor": 3,
            "permissions": "rw",
        }
    ]
    entry = description(board, device, "endpoint")
    assert (entry["service"], entry["core"]) == ("rpmsg-raw", "r5f_0")
    shutil.rmtree(board.root / "sys/bus/rpmsg/devices")
    board.ok("kill", "fw", "KILL")
    board.exit_code("fw")
    assert not spec.exists()


def test_a_service_goes_with_a_firmware_whose_keeper_was_killed(board: Board) -> None:
    pid = board.running("fw", annotations=ENDPOINTS)
    channel(board, "rpmsg-raw", 3)
    spec = board.root / SPEC
    assert within(10, spec.exists)
    os.kill(pid, signal.SIGKILL)
    board.exit_code("fw")
    board.ok("delete", "fw")
    assert not spec.exists()
    assert list((board.root / "run/hetoci/cdi/endpoint-r5f_0").iterdir()) == []


def test_the_console_of_the_firmware_is_nobody_elses(board: Board) -> None:
    both = {**ENDPOINTS, "io.hetoci.firmware.endpoints": "rpmsg-tty,rpmsg-raw"}
    board.running("fw", annotations=both)
    channel(board, "rpmsg-tty", 5)
    channel(board, "rpmsg-raw", 3)
    assert within(10, (board.root / SPEC).exists)
    names = cdi.refresh_endpoints(board.host, "remoteproc0", "r5f_0")
    assert names == ["hetoci.io/endpoint=r5f_0.rpmsg-raw"]


def programmed(pl: PlBoard, slot: int) -> None:
    """Program a slot as an operator does, without hetoci."""
    pl.fpga.mkdir("theirs")
    (pl.root / f"lib/firmware/sha256-slot{slot}.bit.bin").write_bytes(make.bitstream(slot))
    pl.fpga.close("theirs", make.slot_overlay(slot))


def test_what_the_operator_programmed_is_a_device_by_its_name(pl: PlBoard) -> None:
    pl.settings("prepared = hash=slot1 gone=slot2 nowhere=slot9\n")
    programmed(pl, 1)
    pl.ok("reap")
    value = json.loads((pl.root / "var/run/cdi/hetoci.io-accelerator.json").read_text())
    (device,) = value["devices"]
    assert device["name"] == "hash"
    (node,) = device["containerEdits"]["deviceNodes"]
    assert (node["path"], node["permissions"]) == ("/dev/hetoci/hash", "rw")
    entry = description(pl, device, "accelerator")
    assert (entry["slot"], entry["nodes"][0]["class"]) == ("slot1", "uio")
    assert "bitstream" not in entry
    pl.settings("")
    pl.ok("reap")
    assert not (pl.root / "var/run/cdi/hetoci.io-accelerator.json").exists()


def test_what_a_container_has_is_not_offered(pl: PlBoard) -> None:
    pl.settings("prepared = hash=slot0\n")
    running(pl, "c")
    pl.ok("reap")
    assert pl.slots() == {"slot0": "c"}
    assert not (pl.root / "var/run/cdi/hetoci.io-accelerator.json").exists()


@pytest.mark.parametrize("value", ["hash", "hash=", "=slot1", "Hash=slot1", "a=slot1 b"])
def test_a_prepared_accelerator_needs_a_name_and_a_place(value: str) -> None:
    with pytest.raises(UsageError, match=r"prepared = .* is no name with a slot; write for inst"):
        config.parse(f"prepared = {value}\n")
