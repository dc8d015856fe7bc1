# SPDX-License-Identifier: MIT
"""Firmware as a container: its whole life through containerd."""

import re

import pytest

from conftest import CORE, RUNTIME, Board

pytestmark = [pytest.mark.lg_feature("amp"), pytest.mark.lg_feature("containers")]


def started(board: Board, name: str, image: str = "fw-echo") -> int:
    """Start a container that must start; return the pid the engine watches."""
    done = board.start(name, image)
    assert done.status == 0, done.out
    board.until(f"cat /run/{name}.log", "(?i)cortex-r5")
    return int(board.check(f"ctr task ls | awk '$1 == \"{name}\" {{print $2}}'"))


def attached(board: Board, name: str, image: str) -> None:
    """`ctr run` in the background; log in /run/NAME.log, exit status in /run/NAME.status."""
    reference = board.import_image(image)
    board.check(
        f"rm -f /run/{name}.*; (ctr run --rm {RUNTIME} {reference} {name} > /run/{name}.log 2>&1; "
        f"echo $? > /run/{name}.status) > /dev/null 2>&1 &"
    )
    board.until(f"cat /run/{name}.log", "(?i)cortex-r5")


def tell(board: Board, words: str) -> None:
    """Send a command to the firmware over RPMsg."""
    device = board.until("ls /dev/rpmsg[0-9]*", "/dev/rpmsg").split()[0]
    board.check(f"printf '{words}' > {device}")


def free(board: Board) -> bool:
    """Whether the core is stopped and nobody holds it."""
    return board.core_state() == "offline" and not any(d.get("holder") for d in board.devices())


@pytest.mark.smoke
def test_life_from_start_to_removal(clean_board: Board) -> None:
    board = clean_board
    started(board, "fw")
    assert re.search(r"fw +\d+ +RUNNING", board.check("ctr task ls"))
    assert board.core_state() == "running"
    assert "fw" in str(board.devices()[0]["holder"])
    board.check("ctr task kill -s SIGTERM fw")
    board.until("ctr task ls", r"fw +\d+ +STOPPED")
    assert board.core_state() == "offline"
    assert "143" in board.run("ctr task rm fw").out
    board.check("ctr container rm fw")
    assert free(board)


def test_it_runs_beside_an_ordinary_container(clean_board: Board) -> None:
    board = clean_board
    started(board, "fw")
    assert board.start("linux", "hello").status == 0
    listed = board.check("ctr task ls")
    assert re.search(r"fw +\d+ +RUNNING", listed)
    assert re.search(r"linux +\d+ +RUNNING", listed)
    assert board.check("ctr task exec --exec-id e linux /bin/busybox echo inside") == "inside"
    board.until("cat /run/linux.log", "hello from Linux")


def test_the_program_decides_the_exit_status(clean_board: Board) -> None:
    attached(clean_board, "fw", "fw-crash")
    tell(clean_board, "exit 7")
    assert clean_board.until("cat /run/fw.status", r"^\d+$") == "7"
    assert free(clean_board)


@pytest.mark.parametrize("fault", ["data-abort", "prefetch-abort", "undefined", "svc"])
def test_a_fault_ends_the_container_with_139_and_says_where(clean_board: Board, fault: str) -> None:
    attached(clean_board, "fw", "fw-crash")
    tell(clean_board, fault)
    assert clean_board.until("cat /run/fw.status", r"^\d+$") == "139"
    assert re.search(rf"fault {fault}.* pc=0x", clean_board.check("cat /run/fw.log"))
    assert free(clean_board)


def test_firmware_that_hangs_can_be_stopped(clean_board: Board) -> None:
    board = clean_board
    started(board, "fw", "fw-crash")
    tell(board, "hang")
    board.check("ctr task kill -s SIGKILL fw")
    board.until("ctr task ls", r"fw +\d+ +STOPPED")
    board.run("ctr task rm fw; ctr container rm fw")
    assert free(board)


def test_a_crash_that_the_kernel_reports_ends_it(clean_board: Board) -> None:
    attached(clean_board, "fw", "fw-echo")
    clean_board.check("echo 1 > /sys/kernel/debug/remoteproc/remoteproc0/crash")
    assert clean_board.until("cat /run/fw.status", r"^\d+$") == "139"
    assert free(clean_board)


def test_the_core_stopped_by_somebody_else_ends_it(clean_board: Board) -> None:
    attached(clean_board, "fw", "fw-echo")
    clean_board.check(f"echo stop > {CORE}/state")
    assert clean_board.until("cat /run/fw.status", r"^\d+$") == "137"
    assert free(clean_board)


def test_the_container_talks_and_listens_on_rpmsg_tty(clean_board: Board) -> None:
    started(clean_board, "fw")
    clean_board.until("ls /dev/ttyRPMSG*", "/dev/ttyRPMSG")
    clean_board.until("cat /run/fw.log", "rpmsg-tty")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("ctr task exec --exec-id e fw /bin/true", "exec"),
        ("ctr task pause fw", "pause"),
    ],
)
def test_what_firmware_cannot_do_is_refused_in_a_sentence(
    clean_board: Board, command: str, sentence: str
) -> None:
    started(clean_board, "fw")
    clean_board.fails(command, f"(?i){sentence}")
    assert clean_board.core_state() == "running"


def test_of_two_containers_for_one_core_exactly_one_wins(clean_board: Board) -> None:
    board = clean_board
    board.import_image("fw-echo")
    runs = " ".join(
        f"(ctr run -d {RUNTIME} localhost/fw-echo:latest {name} > /run/{name}.out 2>&1; "
        f"echo $? > /run/{name}.rc) &"
        for name in ("one", "two")
    )
    board.check(f"rm -f /run/one.* /run/two.*; {runs} wait", 120)
    codes = {name: board.check(f"cat /run/{name}.rc") for name in ("one", "two")}
    losers = [name for name, code in codes.items() if code != "0"]
    assert len(losers) == 1, codes
    winner = "two" if losers == ["one"] else "one"
    assert winner in board.check(f"cat /run/{losers[0]}.out")
    assert board.core_state() == "running"


def test_an_image_without_its_firmware_is_refused_by_name(clean_board: Board) -> None:
    board = clean_board
    board.import_image("fw-echo")
    board.fails(
        f"ctr run -d {RUNTIME} --annotation io.hetoci.firmware=/no/such.elf "
        "localhost/fw-echo:latest fw",
        "/no/such.elf",
    )
    assert free(board)


def test_a_misspelt_key_is_refused_with_the_right_one(clean_board: Board) -> None:
    board = clean_board
    board.import_image("fw-echo")
    board.fails(
        f"ctr run -d {RUNTIME} --annotation io.hetoci.firmwear=/x localhost/fw-echo:latest fw",
        r"io\.hetoci\.firmware\b",
    )
    assert free(board)
