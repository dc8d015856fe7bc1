# SPDX-License-Identifier: MIT
"""The real-time core through the kernel's own interface, without any container."""

import time
from collections.abc import Callable, Iterator

import pytest

from conftest import CORE, Board

DEBUG = "/sys/kernel/debug/remoteproc/remoteproc0"
pytestmark = pytest.mark.lg_feature("amp")


@pytest.fixture
def core(board: Board) -> Iterator[Board]:
    """The board with the images' firmware in /lib/firmware, the core stopped."""
    for name in ("echo", "crash"):
        reference = board.import_image(f"fw-{name}")
        place = f"/run/image-{name}"
        board.check(
            f"[ -e /lib/firmware/{name}.elf ] || {{ mkdir -p {place} && "
            f"ctr image mount {reference} {place} && cp {place}/firmware/{name}.elf /lib/firmware/ "
            f"&& ctr image unmount --rm {place}; }}"
        )
    yield board
    board.run(f"echo stop > {CORE}/state")
    board.run(f"echo disabled > {CORE}/recovery")
    assert board.core_state() == "offline"


def start(board: Board, name: str) -> None:
    board.check(f"echo {name}.elf > {CORE}/firmware && echo start > {CORE}/state")
    assert board.core_state() == "running"


def test_firmware_starts_prints_and_stops_again_and_again(core: Board) -> None:
    for _ in range(3):
        start(core, "echo")
        core.until(f"cat {DEBUG}/trace0", "(?i)cortex-r5")
        core.check(f"echo stop > {CORE}/state")
        assert core.core_state() == "offline"


def test_the_core_runs_on_its_own(core: Board) -> None:
    start(core, "echo")
    core.until(f"cat {DEBUG}/trace0", "(?i)cortex-r5")
    first = core.check(f"cat {DEBUG}/trace0 | wc -c")
    core.until(f"[ $(cat {DEBUG}/trace0 | wc -c) != {first} ] && echo grown", "grown", 30)


def test_stop_of_a_stopped_core_is_refused(core: Board) -> None:
    core.fails(f"echo stop | tee {CORE}/state", "Invalid argument")


def test_a_file_that_is_no_elf_is_refused(core: Board) -> None:
    core.check(f"echo nonsense > /lib/firmware/none.elf; echo none.elf > {CORE}/firmware")
    core.fails(f"echo start | tee {CORE}/state", "Invalid argument")
    assert core.core_state() == "offline"


def test_an_injected_crash_without_recovery_leaves_it_crashed(core: Board) -> None:
    core.check(f"echo disabled > {CORE}/recovery")
    start(core, "echo")
    core.check(f"echo 1 > {DEBUG}/crash")
    core.until(f"cat {CORE}/state", "^crashed$")


def test_an_injected_crash_with_recovery_starts_it_again(core: Board) -> None:
    core.check(f"echo enabled > {CORE}/recovery")
    start(core, "echo")
    core.until(f"cat {DEBUG}/trace0", "(?i)cortex-r5")
    core.check(f"echo 1 > {DEBUG}/crash")
    time.sleep(1)
    core.until(f"cat {CORE}/state", "^running$")
    core.until(f"cat {DEBUG}/trace0", "(?i)cortex-r5")


def test_a_fault_in_the_firmware_is_in_its_exit_record(core: Board) -> None:
    start(core, "crash")
    core.until("ls /dev/rpmsg[0-9]*", "/dev/rpmsg")
    core.check("printf data-abort > $(ls /dev/rpmsg[0-9]* | head -n 1)")
    core.until(f"cat {DEBUG}/trace1", r"^fault .*pc=0x")


@pytest.mark.smoke
def test_rpmsg_echoes_1000_messages_of_1_to_496_bytes(
    core: Board, measure: Callable[..., None]
) -> None:
    start(core, "echo")
    device = core.until("ls /dev/rpmsg[0-9]*", "/dev/rpmsg").split()[0]
    core.put("labtests/target/rpmsg_echo.py", "/run/rpmsg_echo.py")
    count, seconds = core.check(f"python3 /run/rpmsg_echo.py {device} 1000", 300).split()
    assert count == "1000"
    measure("rpmsg-echo", int(count) / float(seconds), "messages/s")


def test_both_sides_kick_each_other(core: Board) -> None:
    start(core, "echo")
    device = core.until("ls /dev/rpmsg[0-9]*", "/dev/rpmsg").split()[0]
    interrupts = "awk '/zynqmp-ipi|mailbox/ {print $2}' /proc/interrupts"
    before = int(core.check(interrupts))
    core.put("labtests/target/rpmsg_echo.py", "/run/rpmsg_echo.py")
    core.check(f"python3 /run/rpmsg_echo.py {device} 20")
    assert int(core.check(interrupts)) > before
