# SPDX-License-Identifier: MIT
"""The life of a firmware container as an engine sees it."""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import time
import tty
from pathlib import Path

import pytest

from conftest import Board, until

# create


def test_create_claims_the_core_and_leaves_it_off(board: Board) -> None:
    assert board.create("c", board.bundle()).code == 0
    assert board.core.state == "offline"
    (core,) = board.ok("devices", "--json").json()
    assert core["holder"] == {"container": "c", "root": "", "pid": board.pid("c")}
    assert board.status("c") == "created"


def test_the_pid_file_has_no_newline(board: Board) -> None:
    board.create("c", board.bundle())
    text = (board.root / "c.pid").read_text()
    assert text.isdecimal()


def test_create_is_silent(board: Board) -> None:
    result = board.create("c", board.bundle())
    assert (result.out, result.err) == ("", "")


def test_a_taken_id_is_refused_and_the_container_lives_on(two_cores: Board) -> None:
    bundle = two_cores.bundle()
    two_cores.create("c", bundle)
    output = two_cores.hetoci("create", "--bundle", bundle, "c")
    assert (output.code, output.err) == (1, "hetoci: container with id c already exists\n")
    assert two_cores.status("c") == "created"


def test_the_same_id_under_another_root_is_another_container(two_cores: Board) -> None:
    bundle = two_cores.bundle()
    two_cores.create("c", bundle)
    first = two_cores.pid("c")
    assert two_cores.create("c", bundle, before=("--root", "/run/other")).code == 0
    state = two_cores.ok("--root", "/run/other", "state", "c").json()
    assert state["pid"] == two_cores.pid("c") != first
    assert two_cores.ok("state", "c").json()["pid"] == first


def test_the_second_container_goes_to_the_second_core(two_cores: Board) -> None:
    two_cores.running("a")
    two_cores.running("b")
    assert [core.state for core in two_cores.kernel.cores.values()] == ["running"] * 2


def _create_in_background(board: Board, bundle: str, name: str) -> subprocess.Popen[str]:
    with (board.root / f"{name}.err").open("w") as error:
        return board.start_hetoci(
            "create", "--bundle", bundle, name, stdout=subprocess.DEVNULL, stderr=error
        )


def test_two_at_once_for_one_core_have_one_winner(board: Board) -> None:
    bundles = [board.bundle() for _ in range(4)]
    racing = [_create_in_background(board, bundle, f"c{n}") for n, bundle in enumerate(bundles)]
    codes = [process.wait(timeout=30) for process in racing]
    assert sorted(codes) == [0, 1, 1, 1]
    winner = codes.index(0)
    for n in set(range(4)) - {winner}:
        assert f"held by container c{winner}" in board.errors(f"c{n}")


def test_a_core_that_somebody_else_started_is_busy(board: Board) -> None:
    (board.root / "lib/firmware").mkdir(parents=True)
    (board.root / "lib/firmware/other.elf").write_bytes(
        (board.root / board.bundle()[1:] / "rootfs/x.elf").read_bytes()
    )
    board.core.poke("firmware", "other.elf")
    assert board.core.poke("state", "start") == 0
    result = board.create("c", board.bundle())
    assert result.code == 1
    assert "core r5f_0 is running (firmware other.elf), not started by a contain" in result.err
    assert board.core.state == "running"


def test_a_firmware_path_that_somebody_set_is_respected(board: Board) -> None:
    path = board.root / "sys/module/firmware_class/parameters/path"
    path.write_text("/opt/firmware\n")
    board.running("c")
    assert path.read_text() == "/opt/firmware\n"
    assert board.core.firmware == "hetoci/hetoci-remoteproc0.elf"
    board.ok("delete", "--force", "c")
    assert list((board.root / "opt/firmware/hetoci").iterdir()) == []


def test_an_unwritable_firmware_path_is_explained(board: Board) -> None:
    (board.root / "opt").write_text("a file, so no directory can be made in it")
    path = board.root / "sys/module/firmware_class/parameters/path"
    path.write_text("/opt\n")
    result = board.create("c", board.bundle())
    assert "cannot stage firmware in /opt/hetoci: Not a directory (ENOTDIR)" in result.err
    assert board.leftovers() == []


def test_a_failed_create_leaves_nothing(board: Board) -> None:
    bundle = board.bundle(process={"args": ["missing.elf"], "cwd": "/"})
    result = board.create("c", bundle)
    assert result.code == 1
    assert "firmware /missing.elf does not exist in the image" in result.err
    assert board.leftovers() == []


def test_an_unwritable_pid_file_leaves_nothing(board: Board) -> None:
    result = board.hetoci(
        "create", "--bundle", board.bundle(), "--pid-file", "/no/such/directory/pid", "c"
    )
    assert (result.code, board.leftovers()) == (1, [])
    assert "cannot write the pid file /no/such/directory/pid" in result.err


# start


def test_start_returns_when_the_core_runs(board: Board) -> None:
    board.running("c")
    assert board.core.state == "running"
    assert board.status("c") == "running"


def test_the_keepers_pid_is_the_containers(board: Board) -> None:
    pid = board.running("c")
    assert board.ok("state", "c").json()["pid"] == pid
    assert board.ok("ps", "--format", "json", "c").json() == [pid]
    assert f"{pid}" in board.ok("ps", "c").out
    assert Path(f"/proc/{pid}/comm").read_text() == "hetoci-keeper\n"


def test_a_second_start_is_refused(board: Board) -> None:
    board.running("c")
    result = board.hetoci("start", "c")
    assert result.code == 1
    assert "cannot start container c: it is running, not created" in result.err


def test_a_start_the_kernel_refuses_is_explained_and_ends_the_container(board: Board) -> None:
    board.create("c", board.bundle())
    board.core.fail_start = 22
    result = board.hetoci("start", "c")
    assert result.code == 1
    assert "cannot start core remoteproc0" in result.err
    assert "Invalid argument (EINVAL): the kernel refused the firmware's headers" in result.err
    assert board.exit_code("c") == 1
    assert board.status("c") == "stopped"
    board.ok("delete", "c")
    assert board.leftovers() == []
    assert (board.core.firmware, board.core.recovery) == ("rproc-default-fw", "enabled")


def test_a_core_that_was_started_meanwhile_is_not_shared(board: Board) -> None:
    (board.root / "lib/firmware").mkdir(parents=True)
    board.create("c", board.bundle())
    staged = board.root / "run/hetoci/firmware/hetoci-remoteproc0.elf"
    (board.root / "lib/firmware/other.elf").write_bytes(staged.read_bytes())
    board.core.poke("firmware", "other.elf")
    board.core.poke("state", "start")
    result = board.hetoci("start", "c")
    assert "core remoteproc0 is running, it must be offline before a start" in result.err
    assert (board.core.state, board.core.power) == ("running", 1)


# output and exit


def test_the_log_is_the_containers_output(board: Board) -> None:
    board.running("c", "say one\nsleep 0.3\nsay two\nexit 0")
    assert board.exit_code("c") == 0
    assert board.log("c") == "one\ntwo\n"


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_record_is_the_exit_code(board: Board, code: int) -> None:
    board.running("c", f"exit {code}")
    assert board.exit_code("c") == code
    assert board.core.state == "offline"
    assert board.status("c") == "stopped"


def test_a_fault_is_139_and_its_words_are_on_stderr(board: Board) -> None:
    board.running("c", "say before\nfault data-abort pc=0x1c")
    assert board.exit_code("c") == 139
    assert board.log("c") == "before\n"
    assert board.errors("c") == ("hetoci: firmware fault on core remoteproc0: data-abort pc=0x1c\n")
    assert board.core.state == "offline"


def test_a_crash_the_kernel_sees_is_139(board: Board) -> None:
    board.running("c", "say before\nsleep 0.1\ncrash")
    assert board.exit_code("c") == 139
    assert "the kernel reports that core remoteproc0 crashed" in board.errors("c")
    assert board.core.state == "offline"


def test_the_kernel_does_not_restart_what_crashed(board: Board) -> None:
    board.running("c")
    assert board.core.recovery == "disabled"
    board.ok("delete", "--force", "c")
    assert (board.core.recovery, board.core.starts) == ("enabled", 1)


def test_a_stop_from_outside_ends_the_container_with_137(board: Board) -> None:
    board.running("c")
    assert board.core.poke("state", "stop") == 0
    assert board.exit_code("c") == 137
    assert "was stopped from outside this container" in board.errors("c")


def test_only_the_chosen_consoles_are_logged(board: Board) -> None:
    annotations = {
        "io.hetoci.workload": "firmware",
        "io.hetoci.firmware.console": "rpmsg-tty",
    }
    board.running("c", "say unseen\nexit 3", annotations=annotations)
    assert (board.exit_code("c"), board.log("c")) == (3, "")


def test_a_reader_that_does_not_read_does_not_stop_the_keeper(board: Board) -> None:
    reading, writing = os.pipe()
    script = "flood 300000\nexit 4"
    process = board.start_hetoci(
        "create", "--bundle", board.bundle(script), "--pid-file", "/c.pid", "c",
        stdout=writing, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.wait(timeout=30) == 0
    os.close(writing)
    board.ok("start", "c")
    assert board.exit_code("c") == 4
    assert board.core.state == "offline"
    os.close(reading)


# kill


@pytest.mark.parametrize(
    ("name", "code"),
    [("TERM", 143), ("SIGKILL", 137), ("9", 137), ("INT", 130), ("KILL", 137), ("USR1", 138)],
)
def test_kill_stops_the_core_and_is_the_exit_code(board: Board, name: str, code: int) -> None:
    board.running("c")
    board.ok("kill", "c", name)
    assert board.core.state == "offline"
    assert board.exit_code("c") == code


def test_kill_loses_no_output(board: Board) -> None:
    board.running("c", "say one\nsleep 0.2\nsay two\nsleep 0.2\nsay three")
    until(lambda: "three" in board.core.traces.get("trace0", ""))
    board.ok("kill", "c", "KILL")
    board.exit_code("c")
    assert board.log("c") == "one\ntwo\nthree\n"


def test_kill_of_a_created_container_ends_it(board: Board) -> None:
    board.create("c", board.bundle())
    board.ok("kill", "c", "TERM")
    assert board.exit_code("c") == 143
    assert board.core.starts == 0


def test_kill_of_a_stopped_container_has_the_words_engines_look_for(board: Board) -> None:
    board.running("c", "exit 0")
    board.exit_code("c")
    result = board.hetoci("kill", "c", "9")
    assert (result.code, result.err) == (1, "hetoci: container not running\n")


@pytest.mark.parametrize("name", ["0", "WINCH", "CHLD", "CONT", "SIGURG"])
def test_signals_a_process_would_ignore_are_ignored(board: Board, name: str) -> None:
    board.running("c")
    board.ok("kill", "c", name)
    assert board.core.state == "running"


def test_a_stop_signal_is_refused(board: Board) -> None:
    board.running("c")
    result = board.hetoci("kill", "c", "STOP")
    assert result.code == 1
    assert "firmware cannot be paused" in result.err


def test_an_unknown_signal_is_named(board: Board) -> None:
    board.running("c")
    result = board.hetoci("kill", "c", "FOO")
    assert result.err == "hetoci: unknown signal 'FOO'; give for instance TERM or 15\n"


def test_kill_works_on_a_core_that_others_started_once_more(board: Board) -> None:
    board.running("c")
    board.core.poke("state", "start")  # counts a second user and changes nothing
    board.ok("kill", "c", "TERM")
    assert (board.core.state, board.core.power) == ("offline", 0)


def test_a_core_that_cannot_be_stopped_is_reported(board: Board) -> None:
    annotations = {
        "io.hetoci.workload": "firmware",
        "io.hetoci.firmware.stop-timeout": "0.3",
    }
    board.running("c", annotations=annotations)
    board.core.fail_stop = 5
    result = board.hetoci("kill", "c", "KILL")
    assert result.code == 1
    assert "cannot stop core remoteproc0" in result.err
    assert "Input/output error (EIO)" in result.err
    board.core.fail_stop = 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_keeper_itself_stops_the_core(board: Board, number: int) -> None:
    pid = board.running("c")
    os.kill(pid, number)
    assert board.exit_code("c") == 128 + number
    assert board.core.state == "offline"


def test_sigkill_of_the_keeper_stops_the_core(board: Board) -> None:
    pid = board.running("c")
    os.kill(pid, signal.SIGKILL)
    assert board.exit_code("c") == -signal.SIGKILL
    until(lambda: board.core.state == "offline")
    assert board.status("c") == "stopped"
    board.ok("delete", "c")
    assert board.leftovers() == []
    assert board.core.firmware == "rproc-default-fw"
    assert not board.core.put_on_release


# delete


def test_delete_gives_everything_back(board: Board) -> None:
    board.running("c", "exit 0")
    board.exit_code("c")
    board.ok("delete", "c")
    assert board.leftovers() == []
    assert (board.core.firmware, board.core.recovery) == ("rproc-default-fw", "enabled")


def test_delete_of_a_running_container_needs_force(board: Board) -> None:
    board.running("c")
    result = board.hetoci("delete", "c")
    assert result.code == 1
    assert "cannot delete container c that is not stopped: running" in result.err
    assert board.core.state == "running"
    board.ok("delete", "--force", "c")
    assert board.exit_code("c") == 137
    assert board.leftovers() == []


def test_delete_of_a_created_container_ends_it(board: Board) -> None:
    board.create("c", board.bundle())
    board.ok("delete", "c")
    assert board.exit_code("c") == 137
    assert board.leftovers() == []


def test_a_crashed_core_without_keeper_is_stopped_by_delete(board: Board) -> None:
    pid = board.running("c")
    os.kill(pid, signal.SIGSTOP)
    board.core.crash()
    os.kill(pid, signal.SIGKILL)
    board.exit_code("c")
    assert board.core.state == "crashed"  # the kernel stops only running cores on release
    board.ok("delete", "c")
    assert board.leftovers() == []


# what firmware cannot do, and what changes nothing


@pytest.mark.parametrize(
    ("verb", "why"),
    [
        ("exec", "firmware has no processes to join"),
        ("pause", "a remote core cannot be frozen"),
        ("resume", "so it is not paused"),
        ("checkpoint", "cannot be saved"),
        ("events", "no resources of Linux"),
        ("mounts", "no mount namespace"),
    ],
)
def test_verbs_for_processes_are_refused_with_the_reason(board: Board, verb: str, why: str) -> None:
    board.create("c", board.bundle())
    result = board.hetoci(verb, "c")
    assert result.code == 1
    assert f"{verb} does not apply to container c: it is firmware on core r5f_0" in result.err
    assert why in result.err


def test_update_is_accepted_without_effect(board: Board) -> None:
    board.create("c", board.bundle())
    board.ok("update", "--resources", "-", "c")


def test_run_sees_a_container_to_its_end(board: Board) -> None:
    result = board.hetoci("run", "--bundle", board.bundle("say hi\nexit 5"), "c")
    assert (result.code, result.out) == (5, "hi\n")
    assert board.leftovers() == []


def test_run_detached_returns_at_once(board: Board) -> None:
    bundle = board.bundle("say hi")
    process = board.start_hetoci(
        "run", "--detach", "--bundle", bundle, "--pid-file", "/c.pid", "c",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.wait(timeout=30) == 0
    assert board.status("c") == "running"


# terminals


def test_a_terminal_goes_to_the_engines_socket(board: Board) -> None:
    path = board.root / "console.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))
        server.listen(1)
        bundle = board.bundle(
            "say hello\nexit 6", process={"args": ["x.elf"], "cwd": "/", "terminal": True}
        )
        result = board.create("c", bundle, "--console-socket", "/console.sock")
        assert (result.code, result.out) == (0, "")
        connection, _ = server.accept()
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
    (master,) = descriptors
    board.ok("start", "c")
    assert board.exit_code("c") == 6
    assert os.read(master, 100) == b"hello\r\n"
    os.close(master)


@pytest.mark.parametrize(
    ("terminal", "args", "words"),
    [
        (True, (), "config.json asks for a terminal; give --console-socket"),
        (False, ("--console-socket", "/x"), "config.json asks for no terminal"),
    ],
)
def test_terminal_and_socket_must_agree(
    board: Board, terminal: bool, args: tuple[str, ...], words: str
) -> None:
    bundle = board.bundle(process={"args": ["x.elf"], "cwd": "/", "terminal": terminal})
    result = board.create("c", bundle, *args)
    assert result.code == 1
    assert words in result.err
    assert board.leftovers() == []


def test_a_hang_up_of_the_terminal_ends_the_container(board: Board) -> None:
    path = board.root / "console.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))
        server.listen(1)
        bundle = board.bundle(process={"args": ["x.elf"], "cwd": "/", "terminal": True})
        board.create("c", bundle, "--console-socket", "/console.sock")
        connection, _ = server.accept()
        _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
        connection.close()
    (master,) = array.array("i", ancillary[0][2])
    board.ok("start", "c")
    os.close(master)
    assert board.exit_code("c") == 128 + signal.SIGHUP
    assert board.core.state == "offline"


def _rpmsg_terminal(board: Board) -> int:
    """Announce a terminal as the kernel does; the firmware's end of it."""
    master, slave = os.openpty()
    tty.setraw(slave)  # near enough to what drivers/tty/rpmsg_tty.c begins with
    device = board.root / "sys/devices/platform/r5f0/remoteproc/remoteproc0/virtio0/tty-dev"
    (device / "tty/ttyRPMSG0").mkdir(parents=True)
    (board.root / "sys/bus/rpmsg/devices/virtio0.rpmsg-tty.-1.1024").symlink_to(device)
    (board.root / "dev/ttyRPMSG0").symlink_to(os.ttyname(slave))
    return master


def test_the_rpmsg_terminal_is_output_and_input(board: Board) -> None:
    reading, writing = os.pipe()
    assert board.create("c", board.bundle(), stdin=reading).code == 0
    os.close(reading)
    board.ok("start", "c")
    master = _rpmsg_terminal(board)
    os.write(master, b"prompt> \xff\r\n")
    until(lambda: b"prompt> \xff\r\n" in board.outputs["c"].read_bytes())
    os.write(writing, b"data-abort\n")
    assert os.read(master, 100) == b"data-abort\n"
    os.close(writing)
    board.ok("kill", "c")
    assert board.exit_code("c") == 143


def test_another_cores_terminal_is_left_alone(two_cores: Board) -> None:
    two_cores.running("c")
    device = two_cores.root / "sys/devices/platform/r5f1/remoteproc/remoteproc1/virtio0/dev"
    (device / "tty/ttyRPMSG7").mkdir(parents=True)
    (two_cores.root / "sys/bus/rpmsg/devices/other").symlink_to(device)
    (two_cores.root / "dev/ttyRPMSG7").write_text("not ours\n")
    time.sleep(0.6)
    assert "not ours" not in two_cores.log("c")


# hooks


def _hook(board: Board, name: str, body: str) -> dict[str, object]:
    path = board.root / f"{name}.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return {"path": os.fspath(path), "args": [name, os.fspath(board.root / "hooks.log")]}


def test_hooks_run_in_order_with_the_state_on_stdin(board: Board) -> None:
    body = 'echo "$0 $1 $(cat)" | tr -d "\\n" >> "$1"; echo >> "$1"'
    phases = ("poststop", "poststart", "createRuntime", "prestart")
    board.running("c", hooks={phase: [_hook(board, phase, body)] for phase in phases})
    board.ok("delete", "--force", "c")
    lines = (board.root / "hooks.log").read_text().splitlines()
    states = [json.loads(line[line.index("{") :]) for line in lines]
    assert [Path(line.split()[0]).name for line in lines] == [
        "prestart.sh", "createRuntime.sh", "poststart.sh", "poststop.sh",
    ]  # fmt: skip
    assert [s["status"] for s in states] == ["creating", "creating", "running", "stopped"]
    assert [s["pid"] > 0 for s in states] == [True, True, True, False]


def test_a_failing_create_hook_leaves_nothing(board: Board) -> None:
    bundle = board.bundle(hooks={"createRuntime": [_hook(board, "h", "echo no >&2; exit 3")]})
    result = board.create("c", bundle)
    assert result.code == 1
    assert "h.sh ended with 3: no" in result.err
    assert board.leftovers() == []


def test_a_failing_create_hook_is_followed_by_the_last_ones(board: Board) -> None:
    log = board.root / "hooks.log"
    hooks = {
        "prestart": [_hook(board, "first", f"echo first >> {log}")],
        "createRuntime": [_hook(board, "h", "exit 3")],
        "poststop": [_hook(board, "last", f"echo last >> {log}; exit 1")],
    }
    assert "h.sh ended with 3" in board.create("c", board.bundle(hooks=hooks)).err
    assert log.read_text() == "first\nlast\n"
    assert board.leftovers() == []


def test_no_hook_runs_for_a_container_that_is_refused(board: Board) -> None:
    log = board.root / "hooks.log"
    board.running("other")
    hooks = {"poststop": [_hook(board, "last", f"echo last >> {log}")]}
    assert board.create("c", board.bundle(hooks=hooks)).code == 1
    assert not log.exists()


def test_a_hook_that_hangs_is_given_up(board: Board) -> None:
    hook = {**_hook(board, "h", "exec sleep 60"), "timeout": 1}
    result = board.create("c", board.bundle(hooks={"prestart": [hook]}))
    assert result.code == 1
    assert "did not end within 1 seconds" in result.err
    assert board.leftovers() == []


def test_a_failing_poststart_hook_is_only_logged(board: Board) -> None:
    hooks = {"poststart": [_hook(board, "h", "exit 1")]}
    board.create("c", board.bundle(hooks=hooks))
    log = "/engine.log"
    board.ok("--log", log, "--log-format", "json", "start", "c")
    assert "h.sh ended with 1" in json.loads((board.root / log[1:]).read_text())["msg"]
    assert board.core.state == "running"


def test_a_failing_poststop_hook_does_not_keep_the_container(board: Board) -> None:
    board.create("c", board.bundle(hooks={"poststop": [_hook(board, "h", "exit 1")]}))
    result = board.hetoci("delete", "c")
    assert result.code == 1
    assert "could not give everything back: poststop hook" in result.err
    assert board.leftovers() == []
