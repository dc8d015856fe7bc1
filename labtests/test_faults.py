# SPDX-License-Identifier: MIT
"""SIGKILL of each process at each stage: no core keeps running, no claim stays."""

import pytest

from conftest import Board
from test_firmware_container import free, started

# What is killed here does not know of the hypervisor: once is enough.
pytestmark = [pytest.mark.lg_feature("amp"), pytest.mark.lg_feature("faults")]

BUNDLE = "/run/bundle"
ROOT = "--root /run/faults"
KILL_SHIM = "pkill -9 -f '[c]ontainerd-shim.* -id fw'"
KILL_CONTAINERD = "systemctl kill --kill-whom=main -s KILL containerd"


def until_free(board: Board) -> None:
    """The kernel stops the core; the next command finds nothing held."""
    board.until("cat /sys/class/remoteproc/remoteproc0/state", "^offline$")
    board.check("hetoci reap")
    assert free(board)


@pytest.fixture
def bundle(clean_board: Board) -> Board:
    """A bundle made of the fw-echo image, for driving the runtime without an engine."""
    reference = clean_board.import_image("fw-echo")
    config = (
        '{"ociVersion": "1.0.2", "root": {"path": "rootfs"}, '
        '"process": {"args": ["/firmware/echo.elf"], "cwd": "/"}, "linux": {}}'
    )
    clean_board.check(
        f"mkdir -p {BUNDLE}/rootfs && {{ mountpoint -q {BUNDLE}/rootfs || "
        f"ctr image mount {reference} {BUNDLE}/rootfs; }} && echo '{config}' > {BUNDLE}/config.json"
    )
    return clean_board


def create(board: Board, name: str) -> int:
    """`hetoci create`; return the keeper's pid."""
    pid = f"/run/{name}.pid"
    board.check(
        f"hetoci {ROOT} create --bundle {BUNDLE} --pid-file {pid} {name} "
        f"> /run/{name}.log 2>&1 < /dev/null || {{ cat /run/{name}.log; exit 1; }}"
    )
    return int(board.check(f"cat {pid}"))


def test_the_keeper_killed_before_start(bundle: Board) -> None:
    pid = create(bundle, "k1")
    bundle.check(f"kill -9 {pid}")
    until_free(bundle)
    bundle.fails(f"hetoci {ROOT} start k1", "k1")
    bundle.check(f"hetoci {ROOT} delete --force k1")
    create(bundle, "k2")
    bundle.check(f"hetoci {ROOT} delete --force k2")


def test_the_keeper_killed_while_the_firmware_runs(bundle: Board) -> None:
    pid = create(bundle, "k3")
    bundle.check(f"hetoci {ROOT} start k3")
    assert bundle.core_state() == "running"
    bundle.check(f"kill -9 {pid}")
    until_free(bundle)
    bundle.check(f"hetoci {ROOT} delete --force k3")


@pytest.mark.parametrize("verb", ["create", "start", "kill", "delete"])
@pytest.mark.parametrize("milliseconds", [50, 150, 300, 600])
def test_a_verb_killed_on_its_way(bundle: Board, verb: str, milliseconds: int) -> None:
    before = {"create": [], "start": ["create"], "kill": ["create", "start"]}
    before["delete"] = ["create", "start", "kill"]
    words = {
        "create": f"create --bundle {BUNDLE} --pid-file /run/v.pid v",
        "start": "start v",
        "kill": "kill v KILL",
        "delete": "delete --force v",
    }
    for earlier in before[verb]:
        bundle.check(f"hetoci {ROOT} {words[earlier]} > /run/v.log 2>&1 < /dev/null")
    bundle.run(
        f"timeout -s KILL {milliseconds / 1000} hetoci {ROOT} {words[verb]} "
        "> /run/v.log 2>&1 < /dev/null"
    )
    bundle.check(f"hetoci {ROOT} delete --force v; hetoci reap")
    until_free(bundle)
    create(bundle, "after")
    bundle.check(f"hetoci {ROOT} start after && hetoci {ROOT} delete --force after")


@pytest.mark.smoke
def test_the_keeper_killed_under_containerd(clean_board: Board) -> None:
    pid = started(clean_board, "fw")
    clean_board.check(f"kill -9 {pid}")
    clean_board.until("ctr task ls", r"fw +\d+ +STOPPED")
    until_free(clean_board)


def test_the_shim_killed(clean_board: Board) -> None:
    started(clean_board, "fw")
    clean_board.check(KILL_SHIM)
    until_free(clean_board)


def test_containerd_killed_and_back_again(clean_board: Board) -> None:
    board = clean_board
    started(board, "fw")
    board.check(f"{KILL_CONTAINERD}; systemctl reset-failed containerd || true")
    board.start_containerd()
    board.until("ctr task ls", r"fw +\d+ +RUNNING")
    assert board.core_state() == "running"
    board.check("ctr task kill -s SIGKILL fw")
    board.until("ctr task ls", r"fw +\d+ +STOPPED")
    until_free(board)


def test_containerd_and_the_shim_killed(clean_board: Board) -> None:
    board = clean_board
    started(board, "fw")
    board.check(f"{KILL_SHIM}; {KILL_CONTAINERD}")
    board.start_containerd()
    board.until("hetoci reap; cat /sys/class/remoteproc/remoteproc0/state", "^offline$")
    until_free(board)
