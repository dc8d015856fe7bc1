# SPDX-License-Identifier: MIT
"""The life of a container with accelerators as an engine sees it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from typing import Any

import pytest
from test_cdi import ENDPOINTS, channel

import accelerator as make
from conftest import Board, until
from hetoci import claims, fdt
from hetoci.model import Holder
from plboard import FULL, PlBoard, end, full, keys, running, shell_file, valid

# one container


def test_a_container_lives_from_create_to_delete(pl: PlBoard) -> None:
    assert pl.create("c", pl.accelerator()).code == 0
    assert pl.status("c") == "created"
    assert [(name, flags) for name, flags, _ in pl.fpga.loads] == [
        ("hetoci-fpga.fpga-region+slot0@fffc0000.bit", 1)
    ]
    pl.ok("start", "c")
    assert pl.status("c") == "running"
    assert pl.slots() == {"slot0": "c"}
    pl.ok("kill", "c", "TERM")
    assert pl.exit_code("c") == -signal.SIGTERM
    assert pl.status("c") == "stopped"
    pl.ok("delete", "c")
    assert (pl.leftovers(), pl.slots()) == ([], {})
    assert pl.hetoci("state", "c").code == 1


def test_the_board_is_as_before_afterwards(pl: PlBoard) -> None:
    def board() -> dict[str, str]:
        files = pl.snapshot().items()
        return {path: text for path, text in files if "/sys/" in path or "/dev/" in path}

    before = board()
    running(pl, "c")
    assert board() != before
    end(pl, "c")
    after = board()
    for path in ("sys/devices/platform/firmware:zynqmp-firmware:pcap/fpga_manager/fpga0/state",
                 "sys/module/firmware_class/parameters/path"):  # fmt: skip
        before.pop(f"{pl.root}/{path}"), after.pop(f"{pl.root}/{path}")
    assert after == before


def test_create_is_silent(pl: PlBoard) -> None:
    result = pl.create("c", pl.accelerator())
    assert (result.code, result.out, result.err) == (0, "", "")


def test_the_program_runs_with_the_containers_streams_and_exit_code(pl: PlBoard) -> None:
    running(pl, "c", args=("sh", "-c", "echo out; echo err >&2; exit 7"))
    assert pl.exit_code("c") == 7
    assert (pl.log("c"), pl.errors("c")) == ("out\n", "err\n")


def test_state_shows_the_engines_bundle(pl: PlBoard) -> None:
    bundle = running(pl, "c")
    state = pl.ok("state", "c").json()
    assert (state["id"], state["bundle"], state["status"]) == ("c", bundle, "running")
    assert state["pid"] == pl.pid("c")


def test_every_list_of_containers_has_it_once_with_the_engines_bundle(pl: PlBoard) -> None:
    bundle = running(pl, "c")
    (ours,) = pl.ok("list", "--format", "json").json()
    assert (ours["id"], ours["status"], ours["bundle"]) == ("c", "running", bundle)
    assert pl.ok("list", "--quiet").out == "c\n"
    (ours,) = pl.ok("ps", "--json").json()
    assert (ours["kind"], ours["status"], ours["devices"]) == ("accelerator", "running", ["slot0"])


def test_run_waits_and_gives_everything_back(pl: PlBoard) -> None:
    bundle = pl.accelerator(args=("sh", "-c", "echo out; exit 7"))
    result = pl.hetoci("run", "--bundle", bundle, "c")
    assert (result.code, result.out, result.err) == (7, "out\n", "")
    assert pl.leftovers() == []


def test_run_with_detach_leaves_the_container_to_its_engine(pl: PlBoard) -> None:
    bundle = pl.accelerator()
    pl.ok("run", "--detach", "--bundle", bundle, "--pid-file", "/c.pid", "c")
    assert (pl.status("c"), pl.slots()) == ("running", {"slot0": "c"})
    end(pl, "c")
    assert pl.leftovers() == []


def test_without_a_pid_file_the_delegate_is_asked_for_the_pid(pl: PlBoard) -> None:
    pl.ok("run", "--detach", "--bundle", pl.accelerator(), "c")
    pid = pl.ok("state", "c").json()["pid"]
    (slot,) = [d for d in pl.ok("devices", "--json").json() if d["holder"]]
    assert slot["holder"]["pid"] == pid


def test_a_running_container_is_not_deleted_without_force(pl: PlBoard) -> None:
    running(pl, "c")
    result = pl.hetoci("delete", "c")
    assert result.code == 1
    assert "cannot delete container c that is not stopped" in result.err
    assert (pl.status("c"), pl.slots()) == ("running", {"slot0": "c"})
    pl.ok("delete", "--force", "c")
    assert pl.leftovers() == []


def test_a_taken_id_is_refused_and_the_container_lives_on(pl: PlBoard) -> None:
    bundle = running(pl, "c")
    result = pl.hetoci("create", "--bundle", bundle, "c")
    assert (result.code, result.err) == (1, "hetoci: container with id c already exists\n")
    assert (pl.status("c"), pl.slots()) == ("running", {"slot0": "c"})
    assert len(pl.overlays()) == 2


def test_containers_of_two_engines_may_have_the_same_id(pl: PlBoard) -> None:
    bundle = pl.accelerator()
    assert pl.create("c", bundle).code == 0
    assert pl.create("c", bundle, before=("--root", "/run/other")).code == 0
    assert pl.slots() == {"slot0": "c", "slot1": "c"}
    pl.ok("--root", "/run/other", "delete", "--force", "c")
    assert pl.slots() == {"slot0": "c"}


# what the delegate gets


def test_the_delegate_gets_the_device_with_exact_numbers_and_rules(pl: PlBoard) -> None:
    running(pl, "c")
    linux = pl.config("c")["linux"]
    numbers = {"type": "c", "major": 241, "minor": 0}
    assert linux["devices"] == [
        {"path": "/dev/hetoci/hash", **numbers, "fileMode": 0o660, "uid": 1000, "gid": 100}
    ]
    assert linux["resources"]["devices"] == [
        {"allow": False, "access": "rwm"},
        {"allow": True, **numbers, "access": "rw"},
    ]


def test_what_the_bundle_has_of_its_own_is_kept(pl: PlBoard) -> None:
    null = {"path": "/dev/null", "type": "c", "major": 1, "minor": 3}
    deny = {"allow": False, "access": "rwm"}
    allow = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}
    mounts = [
        {"destination": "/data", "type": "bind", "source": "data", "options": ["rbind", "ro"]},
        {"destination": "/host", "type": "bind", "source": "/srv", "options": ["bind"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
    ]
    linux = {
        "devices": [null],
        "resources": {"devices": [deny, allow], "pids": {"limit": 5}},
        "namespaces": [{"type": "pid"}],
    }
    bundle = running(pl, "c", mounts=mounts, linux=linux, hostname="h", root={"path": "rootfs"})
    found = pl.config("c")
    assert found["hostname"] == "h"
    assert found["root"] == {"path": f"{bundle}/rootfs"}
    assert found["mounts"][0]["source"] == f"{bundle}/data"
    assert found["mounts"][1:3] == mounts[1:]
    assert found["linux"]["namespaces"] == linux["namespaces"]
    assert found["linux"]["devices"][0] == null
    assert found["linux"]["resources"]["pids"] == {"limit": 5}
    rules = found["linux"]["resources"]["devices"]
    assert rules[:2] == [deny, allow]
    assert rules[2]["major"] == 241
    assert len(rules) == 3


def test_a_mount_of_type_bind_without_options_is_relative_to_the_bundle_too(pl: PlBoard) -> None:
    bundle = running(pl, "c", mounts=[{"destination": "/d", "type": "bind", "source": "d"}])
    assert pl.config("c")["mounts"][0]["source"] == f"{bundle}/d"


def test_the_bundles_own_config_is_not_changed(pl: PlBoard) -> None:
    bundle = pl.accelerator()
    file = pl.root / bundle[1:] / "config.json"
    before = file.read_bytes()
    pl.create("c", bundle)
    assert file.read_bytes() == before


def test_the_description_is_valid_and_says_where_it_is(pl: PlBoard) -> None:
    running(pl, "c")
    description = pl.description("c")
    valid(description, "devices")
    (device,) = description["devices"]
    digest = device["bitstream"].pop("digest")
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest)
    assert device == {
        "name": "hash",
        "kind": "accelerator",
        "slot": "slot0",
        "shell": "0x48450001",
        "part": "0x0e70c093",
        "bitstream": {"path": "/accelerator/sha256-slot0.bit.bin"},
        "clocks": {"aclk": 125_000_000},
        "nodes": [
            {
                "node": "sha256",
                "path": "/dev/hetoci/hash",
                "type": "c",
                "major": 241,
                "minor": 0,
                "access": "rw",
                "class": "uio",
                "compatible": ["hetoci,sha256", "generic-uio"],
                "windows": [
                    {"address": "0xfffc0000", "size": 4096},
                    {"address": "0x3f000000", "size": 1 << 20},
                ],
                "interrupts": 1,
            }
        ],
    }


def test_the_description_is_mounted_read_only(pl: PlBoard) -> None:
    running(pl, "c")
    mount = pl.config("c")["mounts"][-1]
    assert {"bind", "ro", "nosuid", "nodev", "noexec"} == set(mount["options"])
    assert (pl.root / mount["source"][1:]).stat().st_mode & 0o777 == 0o444


def test_the_inventory_is_valid(pl: PlBoard) -> None:
    running(pl, "c")
    valid(pl.ok("devices", "--json").json(), "inventory")


def test_dma_memory_is_cleared_before_the_container_gets_it(pl: PlBoard) -> None:
    running(pl, "c")
    content = (pl.root / "dev/uio0").read_bytes()
    assert content[:4096] == b"\xff" * 4096  # registers are not memory
    assert content[4096:] == bytes(make.DMA_SIZE)


# several nodes and device files


def two_nodes(**second: bytes) -> dict[str, bytes]:
    body = make.design(0)
    body.children[0].properties["reg"] = make.window(0)
    properties = {
        "compatible": fdt.from_strings("hetoci,dma", "generic-uio"),
        "reg": make.memory(0),
        **second,
    }
    body.add("dma@3f000000", properties)
    return {
        "/accelerator/sha256-slot0.bit.bin": make.bitstream(0),
        "/accelerator/sha256-slot0.dtbo": fdt.build(make.overlay("slot0", body)),
    }


def test_the_key_devices_says_which_nodes_and_in_which_order(pl: PlBoard) -> None:
    running(pl, "c", keys(devices="dma,sha256"), files=two_nodes())
    paths = [device["path"] for device in pl.config("c")["linux"]["devices"]]
    assert paths == ["/dev/hetoci/hash", "/dev/hetoci/hash.sha256"]
    nodes = pl.description("c")["devices"][0]["nodes"]
    assert [node["node"] for node in nodes] == ["dma", "sha256"]
    valid(pl.description("c"), "devices")


def test_a_second_device_file_of_a_node_is_named_by_its_class(pl: PlBoard) -> None:
    pl.fpga.class_files = ["misc", "uio"]
    running(pl, "c")
    devices = {d["path"]: d["major"] for d in pl.config("c")["linux"]["devices"]}
    assert devices == {"/dev/hetoci/hash": 241, "/dev/hetoci/hash.misc": 242}
    valid(pl.description("c"), "devices")


def test_two_device_files_of_one_class_are_refused(pl: PlBoard) -> None:
    pl.fpga.class_files = ["uio", "uio"]
    result = pl.create("c", pl.accelerator())
    assert result.code == 1
    assert "node sha256@fffc0000 has two device files of class uio" in result.err
    assert pl.leftovers() == []


# failures


def test_what_the_delegate_says_at_a_failed_create_is_passed_on(pl: PlBoard) -> None:
    (pl.root / "delegate-fails").write_text("42 no such cgroup\n")
    result = pl.create("c", pl.accelerator())
    assert (result.code, result.err) == (42, "no such cgroup\n")
    assert len(pl.fpga.loads) == 1
    assert pl.leftovers() == []


def test_what_the_delegate_says_at_a_failed_run_is_passed_on(pl: PlBoard) -> None:
    (pl.root / "delegate-fails").write_text("3 no\n")
    result = pl.hetoci("run", "--bundle", pl.accelerator(), "c")
    assert (result.code, result.err) == (3, "no\n")
    assert pl.leftovers() == []


def test_a_missing_delegate_is_named_and_leaves_nothing(pl: PlBoard) -> None:
    (pl.root / "usr/bin/crun").unlink()
    result = pl.create("c", pl.accelerator())
    assert result.code == 1
    assert "neither crun nor runc is installed" in result.err
    assert (pl.leftovers(), pl.fpga.loads) == ([], [])


def test_a_container_whose_pid_cannot_be_found_out_is_taken_back(pl: PlBoard) -> None:
    bundle = pl.accelerator()
    crun = pl.root / "usr/bin/crun"
    text = crun.read_text().replace('"pid": container.pid,', "")
    crun.write_text(text.replace('if options.get("pid-file"):', "if False:"))
    result = pl.hetoci("create", "--bundle", bundle, "c")
    assert result.code == 1
    assert "cannot find out the process of container c" in result.err
    assert pl.leftovers() == []


def test_devices_may_take_their_time(pl: PlBoard) -> None:
    pl.fpga.delay = 0.3
    running(pl, "c")
    assert pl.slots() == {"slot0": "c"}


def test_devices_that_do_not_appear_are_named(pl: PlBoard) -> None:
    pl.fpga.drivers.clear()
    result = pl.create("c", pl.accelerator(keys(timeout="0.2")))
    assert result.code == 1
    assert result.err == (
        "hetoci: no device file for sha256 of slot slot0 after 0.2 s;"
        " the kernel needs a driver for its compatible, UIO for instance\n"
    )
    assert pl.leftovers() == []


def test_only_the_missing_device_is_named(pl: PlBoard) -> None:
    pl.fpga.drivers = {"hetoci,sha256"}
    result = pl.create(
        "c", pl.accelerator(keys(devices="sha256,dma", timeout="0.2"), files=two_nodes())
    )
    assert "no device file for dma of slot slot0 after 0.2 s" in result.err
    assert pl.leftovers() == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (301, "slot slot0 could not be programmed ({item}): status 301 of the platform;"),
        (22, "slot slot0 could not be programmed ({item}): Invalid argument (EINVAL);"),
        (12, "slot slot0 could not be programmed ({item}): Cannot allocate memory (ENOMEM);"),
    ],
)
def test_what_the_kernel_says_to_a_bitstream_is_reported(
    pl: PlBoard, status: int, words: str
) -> None:
    pl.fpga.status = status
    result = pl.create("c", pl.accelerator())
    item = "/sys/kernel/config/device-tree/overlays/hetoci-fpga-region+slot0@fffc0000"
    assert result.code == 1
    assert result.err.startswith("hetoci: " + words.format(item=item))
    assert pl.leftovers() == []
    pl.fpga.status = 0
    running(pl, "next")


def test_a_failure_of_the_second_accelerator_empties_the_first(pl: PlBoard) -> None:
    load, calls = pl.fpga._load, []

    def second_fails(name: str, flags: int) -> None:
        calls.append(name)
        pl.fpga.status = 2001 * (len(calls) > 1)
        load(name, flags)

    pl.fpga._load = second_fails  # type: ignore[method-assign]
    result = pl.create("c", pl.accelerator(keys("a"), keys("b")))
    assert "slot slot1 could not be programmed" in result.err
    assert "status 2001 of the platform" in result.err
    assert (pl.leftovers(), pl.slots()) == ([], {})


# reap


def test_a_dead_containers_slot_is_given_back_by_the_next_create(pl: PlBoard) -> None:
    running(pl, "c")
    os.kill(pl.pid("c"), signal.SIGKILL)
    pl.exit_code("c")
    running(pl, "d", keys(slot="slot0"))
    assert pl.slots() == {"slot0": "d"}
    pl.ok("delete", "c")
    assert pl.slots() == {"slot0": "d"}
    assert pl.status("d") == "running"


def test_reap_empties_a_dead_containers_slot_and_leaves_it_to_its_engine(pl: PlBoard) -> None:
    running(pl, "c", args=("true",))
    assert pl.exit_code("c") == 0
    pl.ok("reap")
    assert (pl.slots(), pl.overlays()) == ({}, ["pl-shell"])
    assert pl.status("c") == "stopped"
    pl.ok("delete", "c")
    assert pl.leftovers() == []


def test_reap_forgets_a_container_whose_bundle_is_gone(pl: PlBoard) -> None:
    bundle = running(pl, "c", args=("true",))
    pl.exit_code("c")
    (pl.root / bundle[1:]).rename(pl.root / "gone")
    assert "forgot container c, which nobody owns\n" in pl.ok("reap").out
    assert pl.leftovers() == []
    assert pl.ok("reap").out == ""


def test_reap_leaves_living_containers_alone(pl: PlBoard) -> None:
    running(pl, "c")
    assert pl.ok("reap").out == ""
    assert (pl.status("c"), pl.slots()) == ("running", {"slot0": "c"})


def test_reap_ends_a_program_whose_engine_has_forgotten_it(pl: PlBoard) -> None:
    bundle = running(pl, "c")
    (pl.root / bundle[1:]).rename(pl.root / "gone")
    assert pl.ok("reap").out == "forgot container c, which nobody owns\n"
    assert pl.exit_code("c") == -signal.SIGKILL
    assert pl.leftovers() == []


def test_reap_says_what_it_could_not_give_back(pl: PlBoard) -> None:
    running(pl, "c", args=("true",))
    pl.exit_code("c")
    rmdir = pl.fpga.rmdir
    pl.fpga.rmdir = lambda name: 16  # type: ignore[method-assign]
    result = pl.hetoci("reap")
    assert result.code == 1
    assert "could not give everything back: " in result.err
    assert "hetoci-fpga-region+slot0@fffc0000 cannot be removed: Device or resource" in result.err
    pl.fpga.rmdir = rmdir  # type: ignore[method-assign]
    pl.ok("reap")
    pl.ok("delete", "c")
    assert pl.leftovers() == []


def leave_overlay(pl: PlBoard, *, applied: bool) -> None:
    """What a process killed in the middle leaves in slot0."""
    item = "hetoci-fpga-region+slot0@fffc0000"
    pl.fpga.mkdir(item)
    if applied:
        (pl.root / "lib/firmware/sha256-slot0.bit.bin").write_bytes(make.bitstream(0))
        pl.fpga.close(item, make.slot_overlay(0))
    (pl.root / "run/hetoci/firmware").mkdir(parents=True)
    staged = "hetoci-fpga.fpga-region+slot0@fffc0000.bit"
    (pl.root / "run/hetoci/firmware" / staged).write_bytes(b"half")
    (pl.root / f"run/hetoci/firmware/{staged}.4711.tmp").write_bytes(b"half")


@pytest.mark.parametrize("applied", [True, False])
def test_a_leftover_overlay_does_not_block_the_next_container(pl: PlBoard, applied: bool) -> None:
    leave_overlay(pl, applied=applied)
    running(pl, "c", keys(slot="slot0"))
    end(pl, "c")
    assert pl.leftovers() == []


@pytest.mark.parametrize("applied", [True, False])
def test_a_leftover_overlay_is_reaped(pl: PlBoard, applied: bool) -> None:
    leave_overlay(pl, applied=applied)
    assert pl.ok("reap").out == "freed fpga-region+slot0@fffc0000\n"
    assert pl.leftovers() == []


def test_an_overlay_that_stays_blocks_only_its_own_slot(pl: PlBoard) -> None:
    leave_overlay(pl, applied=True)
    rmdir = pl.fpga.rmdir
    pl.fpga.rmdir = lambda name: 16 if "slot0" in name else rmdir(name)  # type: ignore
    result = pl.create("c", pl.accelerator(keys(slot="slot0")))
    assert "cannot be removed: Device or resource busy (EBUSY)" in result.err
    running(pl, "d", keys(slot="slot1"))


# without configfs


def static_node(pl: PlBoard) -> None:
    pl.fpga.tree.add(
        "/fpga-region/sha256@fffc0000",
        compatible=fdt.from_strings("hetoci,sha256", "generic-uio"),
        reg=make.window(0),
    )
    pl.fpga._device("/fpga-region/sha256@fffc0000", pl.fpga._device_of("/fpga-region"))


PLAIN = keys(bitstream="/full.bit", overlay=None, flags=None)


@pytest.mark.parametrize(("flags", "number"), [(None, 0), ("encrypted", 4)])
def test_linux_xlnx_is_programmed_by_attributes_of_the_manager(
    xlnx_pl: PlBoard, flags: str | None, number: int
) -> None:
    static_node(xlnx_pl)
    wanted = keys(bitstream="/full.bit", overlay=None, flags=flags)
    running(xlnx_pl, "c", wanted, files=full())
    ((name, written, data),) = xlnx_pl.fpga.loads
    assert (name, written) == ("hetoci-fpga.fpga-region.bit", number)
    assert data == full()["/full.bit"]
    (device,) = xlnx_pl.config("c")["linux"]["devices"]
    assert (device["path"], device["major"]) == ("/dev/hetoci/hash", 241)
    valid(xlnx_pl.description("c"), "devices")
    end(xlnx_pl, "c")
    assert [left for left in xlnx_pl.leftovers() if left != "device uio0"] == []
    running(xlnx_pl, "d", PLAIN, files=full())


def test_without_configfs_an_overlay_is_refused(xlnx_pl: PlBoard) -> None:
    result = xlnx_pl.create("c", xlnx_pl.accelerator(FULL, files=full()))
    assert "region fpga-region takes no device-tree overlay on this kernel" in result.err
    assert xlnx_pl.fpga.loads == []


def test_a_bitstream_that_the_manager_refuses_leaves_nothing(xlnx_pl: PlBoard) -> None:
    xlnx_pl.fpga.status = 22
    result = xlnx_pl.create("c", xlnx_pl.accelerator(PLAIN, files=full()))
    assert (
        "region fpga-region could not be programmed (/sys/class/fpga_manager/fpga0/firmware):"
        " Invalid argument (EINVAL)" in result.err
    )
    assert xlnx_pl.leftovers() == []


def test_a_kernel_that_offers_neither_interface_is_named(xlnx_pl: PlBoard) -> None:
    (xlnx_pl.root / "sys/class/fpga_manager/fpga0/firmware").unlink()
    result = xlnx_pl.create("c", xlnx_pl.accelerator(PLAIN, files=full()))
    assert "region fpga-region cannot be programmed from user space: the kernel" in result.err


# plan


def test_plan_says_what_would_be_done_and_touches_nothing(pl: PlBoard) -> None:
    running(pl, "c")
    bundle = pl.accelerator()
    before = pl.snapshot()
    plan = pl.ok("plan", "--json", bundle).json()
    assert pl.snapshot() == before
    valid(plan, "plan")
    assert plan["devices"]["hash"]["candidates"] == ["slot1", "slot2", "slot3"]
    (refused,) = plan["devices"]["hash"]["refused"]
    assert refused["device"] == "slot0"
    assert "is held by container c" in refused["reasons"][0]
    assert [step["op"] for step in plan["steps"]] == [
        "claim", "verify", "prepare", "apply", "await", "hand-over", "start",
    ]  # fmt: skip
    words = pl.ok("plan", bundle).out
    assert words.startswith("a Linux program with accelerators hash\n  1. claim slot1\n")


def test_plan_has_the_shell_that_would_be_loaded(bare_pl: PlBoard) -> None:
    bare_pl.settings(f"shells = {shell_file(bare_pl)}\n")
    plan = bare_pl.ok("plan", "--json", bare_pl.accelerator()).json()
    valid(plan, "plan")
    assert [step["op"] for step in plan["steps"]] == ["claim", "load", "start"]
    assert plan["devices"]["hash"]["candidates"] == ["slot0", "slot1", "slot2", "slot3"]
    assert bare_pl.fpga.loads == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"linux": {"namespaces": [{"type": "user"}]}}, "with a user namespace of its own"),
        ({"mounts": [{"destination": "/dev/hetoci"}]}, "the container has a mount at /dev/hetoci"),
    ],
)
def test_plan_refuses_a_container_that_create_would_refuse(
    pl: PlBoard, config: dict[str, Any], words: str
) -> None:
    bundle = pl.accelerator(**config)
    planned, created = pl.hetoci("plan", bundle), pl.create("c", bundle)
    assert (planned.code, planned.err) == (1, created.err)
    assert words in planned.err


ECHO = {
    "io.hetoci.workload": "accelerator",
    "io.hetoci.endpoint.echo.service": "rpmsg-raw",
    "io.hetoci.endpoint.echo.timeout": "60",
}


def with_delegate(board: Board) -> Board:
    crun = board.root / "usr/bin/crun"
    crun.parent.mkdir(parents=True)
    crun.write_text("#!/bin/false\n")
    crun.chmod(0o755)
    return board


def test_plan_has_the_endpoints_and_does_not_wait_for_them(board: Board) -> None:
    bundle = with_delegate(board).bundle(annotations=ECHO)
    board.running("fw", annotations=ENDPOINTS)
    begin = time.monotonic()
    result = board.hetoci("plan", bundle)
    assert time.monotonic() - begin < 30
    assert (result.code, result.err) == (
        1,
        "hetoci: endpoint echo: no firmware offers the service rpmsg-raw now; start the"
        " firmware's container first\n",
    )
    channel(board, "rpmsg-raw", 3)
    plan = board.ok("plan", "--json", bundle).json()
    valid(plan, "plan")
    assert plan["devices"] == {"echo": {"candidates": ["r5f_0.rpmsg-raw"], "refused": []}}
    assert [(step["op"], step["device"]) for step in plan["steps"]] == [
        ("await", "r5f_0.rpmsg-raw"),
        ("claim", "r5f_0.rpmsg-raw"),
        ("hand-over", "r5f_0.rpmsg-raw"),
        ("start", "delegate"),
    ]
    words = board.ok("plan", bundle).out
    assert words.startswith("a Linux program with endpoints echo\n  1. await r5f_0.rpmsg-raw\n")
    assert "hand-over r5f_0.rpmsg-raw (path /dev/hetoci/echo)\n" in words


def test_plan_names_who_has_an_endpoint(board: Board) -> None:
    bundle = with_delegate(board).bundle(annotations=ECHO)
    board.running("fw", annotations=ENDPOINTS)
    channel(board, "rpmsg-raw", 3)
    start = board.host.start_time(os.getpid()) or ""
    held = claims.acquire(
        board.host, "endpoint.remoteproc0.rpmsg-raw", Holder("other", "", os.getpid(), start)
    )
    words = "endpoint echo: the service r5f_0.rpmsg-raw is held by container other (pid "
    assert words in board.hetoci("plan", bundle).err
    held.give_up()


@pytest.mark.parametrize("verb", ["plan", "create"])
def test_reasons_against_endpoints_and_accelerators_come_together(pl: PlBoard, verb: str) -> None:
    echo = {**ECHO, "io.hetoci.endpoint.echo.timeout": "0.1"}
    bundle = pl.accelerator(echo, keys(slot="no-such-slot"))
    words = [bundle] if verb == "plan" else ["--bundle", bundle, "c"]
    result = pl.hetoci(verb, *words)
    assert (result.code, result.err.count("\n")) == (1, 1)
    both = r"hetoci: endpoint echo: the board has no remote core named '\*'; and .*no-such-slot"
    assert re.match(both, result.err), result.err
    assert pl.leftovers() == []
    alone = pl.hetoci("plan", pl.accelerator(echo, keys())).err
    assert alone == "hetoci: endpoint echo: the board has no remote core named '*'\n"


# a board without programmable logic


def test_a_board_without_programmable_logic_is_named(pl: PlBoard) -> None:
    shutil.rmtree(pl.root / "sys/class/fpga_region")
    result = pl.create("c", pl.accelerator())
    assert "the board has no programmable logic (/sys/class/fpga_region is empty)" in result.err


def test_waiting_ends_soon_after_the_device_is_there(pl: PlBoard) -> None:
    begin = time.monotonic()
    running(pl, "c", keys(timeout="60"))
    assert time.monotonic() - begin < 20
    until(lambda: pl.status("c") == "running")
