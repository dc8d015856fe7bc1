# SPDX-License-Identifier: MIT
"""Which slots the accelerators of a container get, and which shells are loaded for them."""

from __future__ import annotations

import os
import signal

import pytest

import accelerator as make
from hetoci import accelerate, contents, fdt, inventory
from hetoci.bundle import read_inside
from hetoci.config import Config
from hetoci.host import Host
from hetoci.workloads import AcceleratorRequest
from plboard import FULL, SHELL_ITEM, PlBoard, end, full, image, keys, running, shell_file, valid

# placement


def test_the_second_container_goes_to_the_second_slot(pl: PlBoard) -> None:
    running(pl, "a")
    running(pl, "b")
    assert pl.slots() == {"slot0": "a", "slot1": "b"}
    end(pl, "a")
    running(pl, "c")
    assert pl.slots() == {"slot0": "c", "slot1": "b"}


@pytest.mark.parametrize("name", ["slot2", "region3", "slot[2-9]"])
def test_a_slot_can_be_named(pl: PlBoard, name: str) -> None:
    running(pl, "c", keys(slot=name))
    assert pl.slots() == {"slot2": "c"}
    assert pl.description("c")["devices"][0]["bitstream"]["path"].endswith("slot2.bit.bin")


def test_two_accelerators_of_a_container_get_two_slots(pl: PlBoard) -> None:
    running(pl, "c", keys("a"), keys("b"))
    assert pl.slots() == {"slot0": "c", "slot1": "c"}
    description = pl.description("c")
    valid(description, "devices")
    assert [(d["name"], d["slot"]) for d in description["devices"]] == [
        ("a", "slot0"),
        ("b", "slot1"),
    ]
    end(pl, "c")
    assert pl.leftovers() == []


def test_accelerators_make_room_for_each_other(pl: PlBoard) -> None:
    # "a" comes first and could have slot0, the only one that "b" can use.
    running(pl, "c", keys("a"), keys("b", slot="slot0"))
    slots = {d["name"]: d["slot"] for d in pl.description("c")["devices"]}
    assert slots == {"a": "slot1", "b": "slot0"}


def test_a_busy_slot_names_its_holder(pl: PlBoard) -> None:
    running(pl, "first")
    result = pl.create("second", pl.accelerator(keys(slot="slot0")))
    assert (result.code, result.err) == (
        1,
        "hetoci: no slot is free for accelerator hash: slot slot0 is held by container first"
        f" (pid {pl.pid('first')})\n",
    )
    assert pl.slots() == {"slot0": "first"}


def test_when_all_slots_are_busy_all_holders_are_named(pl: PlBoard) -> None:
    for n in range(4):
        running(pl, f"c{n}")
    result = pl.create("one-more", pl.accelerator())
    assert result.code == 1
    for n in range(4):
        assert f"slot slot{n} is held by container c{n} (pid {pl.pid(f'c{n}')})" in result.err


def test_two_accelerators_for_one_slot_are_refused(pl: PlBoard) -> None:
    result = pl.create("c", pl.accelerator(keys("a", slot="slot1"), keys("b", slot="slot1")))
    assert result.code == 1
    assert "no slot is free for accelerator b: slot slot1 is needed for accelerator a" in result.err
    assert (pl.leftovers(), pl.fpga.loads) == ([], [])


def test_racing_containers_get_the_slots_that_there_are(pl: PlBoard) -> None:
    bundles = [pl.accelerator(keys(slot="slot[01]"), args=("true",)) for _ in range(5)]
    calls = []
    for n, bundle in enumerate(bundles):
        with (pl.root / f"c{n}.err").open("w") as error:
            calls.append(pl.start_hetoci("create", "--bundle", bundle, f"c{n}", stderr=error))
    codes = [call.wait() for call in calls]
    assert sorted(codes) == [0, 0, 1, 1, 1]
    winners = {f"c{n}" for n, code in enumerate(codes) if code == 0}
    assert set(pl.slots().values()) == winners
    for n, code in enumerate(codes):
        assert not code or "held by container c" in pl.errors(f"c{n}")


def test_a_slot_that_somebody_else_programmed_is_not_taken(pl: PlBoard) -> None:
    pl.fpga.mkdir("theirs")
    (pl.root / "lib/firmware/sha256-slot0.bit.bin").write_bytes(make.bitstream(0))
    pl.fpga.close("theirs", make.slot_overlay(0))
    result = pl.create("c", pl.accelerator(keys(slot="slot0")))
    assert "slot slot0 holds sha256-slot0.bit.bin, which no container put there" in result.err
    running(pl, "d")
    assert pl.slots() == {"slot0": "sha256-slot0.bit.bin", "slot1": "d"}
    pl.ok("reap")
    assert "theirs" in pl.overlays()


def test_slots_that_the_operator_does_not_give_are_not_taken(pl: PlBoard) -> None:
    pl.settings("slots = slot2 slot3\n")
    running(pl, "c")
    assert pl.slots() == {"slot2": "c"}
    result = pl.create("d", pl.accelerator(keys(slot="slot0")))
    assert "slot slot0 is not among the slots that containers may use (slot2 slot3)" in result.err


def test_all_reasons_come_at_once(pl: PlBoard) -> None:
    wanted = keys(
        slot="slot0", part="0xdeadbeef", shell="0x1", memory="2M", clocks="200M", overlay="/no.dtbo"
    )
    result = pl.create("c", pl.accelerator(wanted, keys("other", slot="slot9")))
    assert result.code == 1
    for words in (
        "this board cannot take the accelerators: (1) hash: slot slot0 has the part 0x0e70c093,"
        " not 0xdeadbeef",
        "hash: slot slot0 has the shell 0x48450001, not 0x1",
        "hash: slot slot0 has 1048576 bytes of DMA memory, 2097152 are needed",
        "hash: slot slot0 has the clock aclk at 125000000 Hz, ",
        "hash: slot slot0 would take /no.dtbo, which does not exist in the image",
        "other: no slot is named 'slot9', there are slot0 (region1), slot1 (region2)",
    ):
        assert words in result.err
    assert result.err.count("\n") == 1


def test_ids_are_numbers_however_they_are_written(pl: PlBoard) -> None:
    running(pl, "c", keys(part="0xE70C093", shell="0x48450001", clocks="aclk=100M-130M"))


# what the files say


def test_a_bitstream_goes_to_the_slot_that_its_header_names(pl: PlBoard) -> None:
    wanted = keys(bitstream="/sum.bit", overlay="/sum.dtbo")
    files = {"/sum.bit": make.bitstream(2), "/sum.dtbo": make.slot_overlay(2)}
    running(pl, "c", wanted, files=files)
    assert pl.slots() == {"slot2": "c"}


def test_a_slot_whose_files_do_not_fit_is_passed_over(pl: PlBoard) -> None:
    files = {
        **image(),
        "/accelerator/sha256-slot0.bit.bin": make.bitstream(1),
        "/accelerator/sha256-slot1.dtbo": make.slot_overlay(0),
    }
    running(pl, "c", files=files)
    assert pl.slots() == {"slot2": "c"}


def test_files_that_do_not_fit_make_accelerators_change_places(pl: PlBoard) -> None:
    files = {
        **image(),
        "/one.bit": make.bitstream(0),
        "/one.dtbo": make.slot_overlay(0),
        "/accelerator/sha256-slot1.bit.bin": make.bitstream(3),
    }
    wanted = keys("b", bitstream="/one.bit", overlay="/one.dtbo")
    running(pl, "c", keys("a"), wanted, files=files)
    slots = {d["name"]: d["slot"] for d in pl.description("c")["devices"]}
    assert slots == {"a": "slot2", "b": "slot0"}


def placed(pl: PlBoard, bundle: str, *, thorough: bool = False) -> list[str]:
    """The files that are read to place an accelerator with templates."""
    read = []

    def reading(host: Host, rootfs: str, path: str, limit: int) -> bytes:
        read.append(path)
        return read_inside(host, rootfs, path, limit)

    request = AcceleratorRequest(
        "hash",
        "/accelerator/sha256-{slot}.bit.bin",
        overlay="/accelerator/sha256-{slot}.dtbo",
        partial=True,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "read_inside", reading)
        found = inventory.fabrics(pl.host)
        images = contents.Images(pl.host, f"{bundle}/rootfs", Config({}))
        accelerate.place(images, [request], found, thorough=thorough)
    return read


def test_only_the_files_for_slots_that_are_tried_are_read(pl: PlBoard) -> None:
    bundle = pl.accelerator()
    both = ["/accelerator/sha256-slot{}.bit.bin", "/accelerator/sha256-slot{}.dtbo"]
    assert placed(pl, bundle) == [path.format(0) for path in both]
    pl.file(bundle, "/accelerator/sha256-slot0.dtbo", make.slot_overlay(1))
    assert placed(pl, bundle) == [path.format(slot) for slot in (0, 1) for path in both]


def test_a_plan_looks_at_the_files_for_every_slot(pl: PlBoard) -> None:
    files = {**image(), "/accelerator/sha256-slot3.bit.bin": make.bitstream(1)}
    bundle = pl.accelerator(files=files)
    found = pl.ok("plan", "--json", bundle).json()["devices"]["hash"]
    assert found["candidates"] == ["slot0", "slot1", "slot2"]
    (refused,) = found["refused"]
    assert refused["device"] == "slot3"
    assert "it was made for the slot slot1, slot3 has slot3" in refused["reasons"][0]
    assert len(placed(pl, bundle, thorough=True)) == 10  # the chosen slot's once more at the end


def test_reasons_of_keys_files_and_holders_come_at_once(pl: PlBoard) -> None:
    running(pl, "x", keys(slot="slot0"))
    files = {**image(), "/accelerator/sha256-slot0.dtbo": make.slot_overlay(1)}
    a, b = keys("a", slot="slot0", part="0x1"), keys("b", slot="slot0")
    result = pl.create("c", pl.accelerator(a, b, files=files))
    assert result.code == 1
    for words in (
        "(1) a: slot slot0 has the part 0x0e70c093, not 0x1; ",
        f"a: slot slot0 is held by container x (pid {pl.pid('x')})",
        "a: overlay /accelerator/sha256-slot0.dtbo: its target is &slot1",
        f"b: slot slot0 is held by container x (pid {pl.pid('x')})",
        "b: overlay /accelerator/sha256-slot0.dtbo: its target is &slot1",
        "b: slot slot0 is needed for accelerator a",
    ):
        assert words in result.err
    assert result.err.count("\n") == 1


def test_a_busy_slot_does_not_hide_that_the_bitstream_is_for_another(pl: PlBoard) -> None:
    running(pl, "x", keys(slot="slot0"))
    wanted = keys(slot="slot0", bitstream="/accelerator/sha256-slot1.bit.bin")
    error = pl.create("c", pl.accelerator(wanted)).err
    assert "slot slot0 is held by container x" in error
    assert "it was made for the slot slot1, slot0 has slot0" in error


def test_a_fault_of_the_file_itself_is_said_once(pl: PlBoard) -> None:
    wanted = keys(bitstream="/x.bit", overlay=None)
    error = pl.create("c", pl.accelerator(wanted, files={"/x.bit": b"VBIT"})).err
    assert error.count("/x.bit") == 1


# a full bitstream


def region_ranges(pl: PlBoard) -> None:
    """Say which addresses belong to the region, as a board without a shell has to."""
    words = (*fdt.cells(make.window(0))[:2], *fdt.cells(make.window(0))[:2], 0, make.REGS_SIZE)
    memory = (*fdt.cells(make.memory(0))[:2], *fdt.cells(make.memory(0))[:2], 0, make.DMA_SIZE)
    pl.fpga.tree.write("/fpga-region", {
        "ranges": fdt.from_cells(*words, *memory), "interrupts": make.line(0),
    })  # fmt: skip


def test_a_full_bitstream_goes_to_the_region(bare_pl: PlBoard) -> None:
    region_ranges(bare_pl)
    running(bare_pl, "c", FULL, files=full())
    (region,) = bare_pl.ok("devices", "--json").json()
    assert (region["holder"]["container"], region["state"]) == ("c", "operating")
    assert [flags for _, flags, _ in bare_pl.fpga.loads] == [0]
    end(bare_pl, "c")
    assert bare_pl.leftovers() == []


def test_a_full_bitstream_does_not_take_the_place_of_a_shell(pl: PlBoard) -> None:
    result = pl.create("c", pl.accelerator(FULL, files=full()))
    assert result.code == 1
    assert "region fpga-region holds pl-shell.bit.bin, which no container put there" in result.err
    assert (pl.fpga.loads, pl.leftovers()) == ([], [])


# shells


def test_without_a_shell_there_is_no_slot(bare_pl: PlBoard) -> None:
    result = bare_pl.create("c", bare_pl.accelerator())
    assert result.code == 1
    assert "hash: the board has no slot now: no shell is loaded" in result.err


def test_a_shell_of_the_operators_is_loaded_and_stays(bare_pl: PlBoard) -> None:
    bare_pl.settings(f"shells = {shell_file(bare_pl)}\n")
    running(bare_pl, "c")
    assert [name.partition("-")[0] for name, _, _ in bare_pl.fpga.loads] == ["pl", "hetoci"]
    assert bare_pl.slots() == {"slot0": "c"}
    end(bare_pl, "c")
    assert bare_pl.overlays() == [SHELL_ITEM]
    assert bare_pl.leftovers() == []
    running(bare_pl, "d")
    assert len(bare_pl.fpga.loads) == 3


def test_containers_that_need_the_same_shell_at_once_all_get_it(bare_pl: PlBoard) -> None:
    bare_pl.settings(f"shells = {shell_file(bare_pl)}\n")
    calls = []
    for number in range(3):
        with (bare_pl.root / f"c{number}.err").open("w") as error:
            call = bare_pl.start_hetoci(
                "create", "--bundle", bare_pl.accelerator(), f"c{number}", stderr=error
            )
            calls.append(call)
    codes = [call.wait() for call in calls]
    assert [bare_pl.errors(f"c{number}") for number in range(3)] == [""] * 3
    assert codes == [0, 0, 0]
    assert sorted(bare_pl.slots()) == ["slot0", "slot1", "slot2"]
    assert [name.partition("-")[0] for name, _, _ in bare_pl.fpga.loads].count("pl") == 1


def test_a_foreign_shell_is_refused(pl: PlBoard) -> None:
    result = pl.create("c", pl.accelerator(keys(shell="0x12345678")))
    assert result.code == 1
    for n in range(4):
        assert f"slot slot{n} has the shell 0x48450001, not 0x12345678" in result.err


def test_a_shell_that_somebody_else_loaded_is_not_replaced(pl: PlBoard) -> None:
    pl.settings(f"shells = {shell_file(pl, 0x12345678)}\n")
    result = pl.create("c", pl.accelerator(keys(shell="0x12345678")))
    assert result.code == 1
    assert (
        "shell /etc/hetoci/12345678.dtbo cannot be loaded: region fpga-region holds"
        " pl-shell.bit.bin, which no container put there" in result.err
    )
    assert pl.fpga.loads == []


def other_shell_image(slots: int = 1) -> dict[str, bytes]:
    """An image whose bitstreams for the first slots are for another shell."""
    return image() | {
        f"/accelerator/sha256-slot{slot}.bit.bin": make.bitstream(slot, shell=0x12345678)
        for slot in range(slots)
    }


def test_a_shell_of_ours_is_replaced_when_no_slot_has_a_holder(bare_pl: PlBoard) -> None:
    pl = bare_pl
    pl.settings(f"shells = {shell_file(pl)} {shell_file(pl, 0x12345678)}\n")
    running(pl, "c", keys(shell="0x48450001"))
    second = pl.accelerator(keys(shell="0x12345678"), files=other_shell_image())
    result = pl.create("d", second)
    assert result.code == 1
    assert f"slot slot0 is held by container c (pid {pl.pid('c')})" in result.err
    end(pl, "c")
    assert pl.create("d", second).code == 0
    pl.ok("start", "d")
    assert pl.description("d")["devices"][0]["shell"] == "0x12345678"
    end(pl, "d")
    assert pl.leftovers() == []


def test_headers_choose_the_shell_where_no_key_does(bare_pl: PlBoard) -> None:
    pl = bare_pl
    pl.settings(f"shells = {shell_file(pl)} {shell_file(pl, 0x12345678)}\n")
    other = pl.accelerator(files=other_shell_image(make.SLOTS))
    load = {"op": "load", "device": "fpga-region", "shell": "/etc/hetoci/12345678.dtbo"}
    assert load in pl.ok("plan", "--json", other).json()["steps"]
    assert pl.create("c", other).code == 0
    pl.ok("start", "c")
    assert pl.description("c")["devices"][0]["shell"] == "0x12345678"
    assert [name.partition("-")[0] for name, _, _ in pl.fpga.loads].count("pl") == 1
    end(pl, "c")
    running(pl, "d")
    assert pl.description("d")["devices"][0]["shell"] == "0x48450001"


def test_a_dead_containers_slot_does_not_keep_a_shell(bare_pl: PlBoard) -> None:
    pl = bare_pl
    pl.settings(f"shells = {shell_file(pl)} {shell_file(pl, 0x12345678)}\n")
    running(pl, "c", keys(shell="0x48450001"))
    os.kill(pl.pid("c"), signal.SIGKILL)
    pl.exit_code("c")
    running(pl, "d", keys(shell="0x12345678"), files=other_shell_image())
    assert pl.slots() == {"slot0": "d"}
    pl.ok("delete", "c")
    assert pl.slots() == {"slot0": "d"}


def test_a_shell_that_does_not_load_leaves_nothing(bare_pl: PlBoard) -> None:
    bare_pl.settings(f"shells = {shell_file(bare_pl)}\n")
    bare_pl.fpga.status = 2002
    result = bare_pl.create("c", bare_pl.accelerator())
    assert "region fpga-region could not be programmed" in result.err
    assert "status 2002 of the platform" in result.err
    assert (bare_pl.overlays(), bare_pl.leftovers()) == ([], [])


def test_a_missing_shell_file_is_named(bare_pl: PlBoard) -> None:
    bare_pl.settings("shells = /no/such.dtbo\n")
    result = bare_pl.create("c", bare_pl.accelerator())
    assert "cannot read the shell /no/such.dtbo: No such file or directory (ENOENT)" in result.err
