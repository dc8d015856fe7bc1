# SPDX-License-Identifier: MIT
"""The programmable logic: shell, slots and accelerators through unmodified drivers."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import Board
from hetoci_lab import build, run

OVERLAYS = "/sys/kernel/config/device-tree/overlays"
MANAGER = "/sys/class/fpga_manager/fpga0"
UPDATES = "/lib/firmware/updates"
DEAD = "0xdec0dead"
pytestmark = pytest.mark.lg_feature("pl")


def unit(slot: int) -> str:
    return f"{0xFFFC0000 + slot * 0x1000:x}"


def apply(board: Board, name: str) -> None:
    board.check(f"mkdir {OVERLAYS}/{name} && echo {name}.dtbo > {OVERLAYS}/{name}/path")
    assert board.check(f"cat {OVERLAYS}/{name}/status") == "applied"


def remove(board: Board, name: str) -> None:
    board.check(f"rmdir {OVERLAYS}/{name}")


def accelerator(board: Board, words: str) -> str:
    return board.check(f"python3 /run/accelerator.py {words}", 120)


@pytest.fixture(scope="module")
def shell(board: Board) -> Iterator[Board]:
    """The board with the shell loaded."""
    board.put("labtests/target/accelerator.py", "/run/accelerator.py")
    apply(board, "pl-shell")
    yield board
    remove(board, "pl-shell")


@pytest.fixture
def slots(shell: Board) -> Iterator[Board]:
    """The board with the shell; afterwards every slot is empty again."""
    yield shell
    shell.run(f"cd {OVERLAYS} && for o in *-slot*; do [ ! -d $o ] || rmdir $o; done")
    shell.run(f"rm -rf {UPDATES}")


@pytest.mark.fresh
def test_a_partial_bitstream_without_its_shell_is_refused(board: Board, tmp_path: Path) -> None:
    # The logic keeps a shell whose overlay is gone. Without its overlay the slots' regions are
    # missing, so the board's own region is asked.
    source = tmp_path / "early.dts"
    source.write_text(
        '/dts-v1/; /plugin/; &fpga_full { firmware-name = "vadd-slot0.bit.bin"; '
        "partial-fpga-config; };"
    )
    run.output(["dtc", "-q", "-O", "dtb", "-o", tmp_path / "early.dtbo", source])
    board.put(str(tmp_path / "early.dtbo"), "/lib/firmware/early.dtbo")
    board.check(f"mkdir {OVERLAYS}/early")
    try:
        board.fails(f"echo early.dtbo | tee {OVERLAYS}/early/path", f"error {CONFLICT}$")
    finally:
        board.check(f"rmdir {OVERLAYS}/early")


def test_the_shell_brings_a_region_a_slot(shell: Board) -> None:
    assert shell.check(f"cat {MANAGER}/state") == "operating"
    bridges = shell.check("cat /sys/class/fpga_bridge/*/name").split("\n")
    assert bridges == ["Xilinx PR Decoupler"] * 4
    # the board's own region, and one a slot
    assert len(shell.check("ls /sys/class/fpga_region").split()) == 5


def test_vector_addition_in_each_slot_is_right(slots: Board) -> None:
    # Under Xen slots 2 and 3 are for domains: test_rtos.py.
    for slot in slots.own_slots():
        apply(slots, f"vadd-slot{slot}")
        accelerator(slots, f"vadd vadd@{unit(slot)} 1 2 100 5000")


def test_sha256_is_right_around_its_block_boundaries(slots: Board) -> None:
    apply(slots, "sha256-slot0")
    accelerator(slots, f"sha256 sha256@{unit(0)} 0 1 3 55 56 63 64 65 119 120 1000 65536")


@pytest.mark.smoke
def test_another_bitstream_in_a_slot_is_another_accelerator(slots: Board) -> None:
    found = []
    for design in ("vadd", "sha256", "vadd"):
        apply(slots, f"{design}-slot1")
        found.append(accelerator(slots, f"id {design}@{unit(1)}"))
        remove(slots, f"{design}-slot1")
    assert found[0] == found[2] != found[1]
    assert DEAD not in found


def test_two_slots_work_side_by_side_through_a_neighbours_change(slots: Board) -> None:
    apply(slots, "vadd-slot0")
    apply(slots, "sha256-slot1")
    slots.check(
        f"(while [ ! -e /run/stop ]; do python3 /run/accelerator.py vadd vadd@{unit(0)} 100 1000 "
        "|| exit 1; echo round; done) > /run/vadd.log 2>&1 & echo $! > /run/vadd.pid"
    )
    for _ in range(3):
        accelerator(slots, f"sha256 sha256@{unit(1)} 100")
        remove(slots, "sha256-slot1")
        apply(slots, "sha256-slot1")
    slots.check("touch /run/stop; tail --pid=$(cat /run/vadd.pid) -f /dev/null; rm /run/stop")
    rounds = slots.check("cat /run/vadd.log").split("\n")
    assert set(rounds) == {"all right", "round"}


def test_an_unloaded_slot_is_dead(slots: Board) -> None:
    apply(slots, "vadd-slot0")
    accelerator(slots, f"vadd vadd@{unit(0)} 10")
    remove(slots, "vadd-slot0")
    word = "python3 -c \"import mmap,os; f=os.open('/dev/mem', os.O_RDWR|os.O_SYNC); "
    word += "m=memoryview(mmap.mmap(f, 4096, offset=0xfffc0000)).cast('I'); "
    slots.until(f'{word} print(hex(m[0]))"', DEAD)
    slots.check(f'{word} m[2] = 1"')
    slots.until(f'{word} print(hex(m[2]))"', DEAD)


def test_jobs_beyond_the_slots_memory_are_refused(slots: Board) -> None:
    apply(slots, "vadd-slot1")
    accelerator(slots, f"refuse vadd@{unit(1)}")
    accelerator(slots, f"vadd vadd@{unit(1)} 10")


def seal(data: bytearray) -> bytes:
    """Put a right digest over a changed bitstream, so that only the change is wrong."""
    data[32:64] = bytes(32)
    data[32:64] = hashlib.sha256(data).digest()
    return bytes(data)


def changed(offset: int, value: int, size: int = 4) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        new = bytearray(data)
        new[offset : offset + size] = value.to_bytes(size, "little")
        return seal(new)

    return change


def flip(data: bytes) -> bytes:
    return data[:200] + bytes([data[200] ^ 1]) + data[201:]


# EEMI statuses; mainline's zynqmp_pm_fpga_load() hands them on as they are, negated.
INVALID_CRC, INTERNAL, CONFLICT, INVALID_NODE = 301, 2000, 2001, 2003
REFUSED = {
    "a flipped bit": (flip, INVALID_CRC),
    "a truncated file": (lambda data: data[: len(data) // 2], INVALID_CRC),
    "a header only": (lambda data: data[:128], INVALID_CRC),
    "less than a header": (lambda data: data[:100], INVALID_CRC),
    "another magic": (changed(0, 0x41414141), INTERNAL),
    "a later version": (changed(4, 2, 2), INTERNAL),
    "a foreign part": (changed(8, 0x04738093), INVALID_NODE),
    "another shell": (changed(20, 0x12345678), CONFLICT),
    "a slot that does not exist": (changed(16, 4), INTERNAL),
    "the neighbour's slot": (changed(16, 1), CONFLICT),
    "a full flag on a partial overlay": (changed(12, 0), INTERNAL),
    "a length that is too large": (changed(24, 0x00FFFFFC), INVALID_CRC),
    "a length that wraps around": (changed(24, 0xFFFFFFFC), INVALID_CRC),
    "an entry outside the program": (changed(28, 0x00100000), INTERNAL),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_bitstream_is_refused_and_nothing_changes(
    slots: Board, tmp_path: Path, what: str
) -> None:
    change, status = REFUSED[what]
    apply(slots, "vadd-slot1")
    bad = tmp_path / "bad"
    bad.write_bytes(change(slots_file("vadd-slot0.bit.bin")))
    slots.check(f"mkdir -p {UPDATES}")
    slots.put(str(bad), f"{UPDATES}/vadd-slot0.bit.bin")
    slots.check(f"dmesg -C; mkdir {OVERLAYS}/vadd-slot0")
    slots.fails(f"echo vadd-slot0.dtbo | tee {OVERLAYS}/vadd-slot0/path", f"error {status}$")
    assert "Error while writing image data to FPGA" in slots.check("dmesg")
    slots.check(f"rmdir {OVERLAYS}/vadd-slot0; rm -r {UPDATES}")
    accelerator(slots, f"vadd vadd@{unit(1)} 50")
    apply(slots, "vadd-slot0")
    accelerator(slots, f"vadd vadd@{unit(0)} 50")


def slots_file(name: str) -> bytes:
    """Return a built bitstream."""
    return (build.board_folder() / "bitstreams" / name).read_bytes()
