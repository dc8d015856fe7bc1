# SPDX-License-Identifier: MIT
"""The program that engines call: which calls need the interpreter, and which do not."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Board
from hetoci import cmdline, delegate, state
from hetoci.__main__ import HANDLERS
from hetoci.host import Host

BIN = Path(__file__).parents[1] / "bin"


class Launcher:
    """The launcher with a run directory of its own; interpreter and delegate tell their words."""

    def __init__(self, place: Path) -> None:
        self.run = place / "run"
        (self.run / "containers").mkdir(parents=True)
        self.python = self._program(place / "python")
        self.path = place / "hetoci"
        self._write()
        self.delegate = self._program(place / "crun")
        self.note(self.delegate)

    def _write(self) -> None:
        values = {"PYTHON": self.python, "LIBEXECDIR": "/lib", "RUNDIR": str(self.run)}
        text = (BIN / "hetoci.in").read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        self.path.write_text(text)
        self.path.chmod(0o755)

    def be_of(self, board: Board) -> None:
        """Look at the containers of `board`."""
        self.run = board.root / "run/hetoci"
        self._write()

    def _program(self, path: Path) -> str:
        path.write_text('#!/bin/sh\necho "${0##*/}"\nfor word; do echo "<$word>"; done\n')
        path.chmod(0o755)
        return str(path)

    def note(self, text: str) -> None:
        (self.run / "delegate").write_text(f"{text}\n")

    def record(self, container: str, root: str = "") -> Path:
        folder = Path(str(self.run) + state.directory(root, container).removeprefix("/run/hetoci"))
        folder.mkdir(parents=True)
        return folder

    def call(self, *words: str) -> str:
        """Who was called, and that it got the words as they were."""
        done = subprocess.run(
            [self.path, *words], capture_output=True, text=True, check=True, timeout=60
        )
        who, *got = done.stdout.splitlines()
        expected = list(words) if who == "crun" else ["-IS", "/lib/main", *words]
        assert got == [f"<{word}>" for word in expected]
        return who

    def silent(self, *words: str) -> bool:
        """True if the call succeeded without a word of anybody."""
        done = subprocess.run([self.path, *words], capture_output=True, check=True, timeout=60)
        return done.stdout + done.stderr == b""


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("state", "c"),
        ("--root", "/run/x", "--log", "/a b", "start", "c"),
        ("kill", "--all", "c", "9"),
        ("delete", "--force", "c"),
        ("exec", "c", "sh", "-c", "echo '*' $HOME"),
        ("update", "--resources", "-", "c"),
    ],
)
def test_calls_about_plain_containers_go_to_the_delegate(
    launcher: Launcher, words: tuple[str, ...]
) -> None:
    launcher.record("other")
    assert launcher.call(*words) == "crun"


@pytest.mark.parametrize("root", ["", "/run/containerd/runc/k8s.io", "./here", ".."])
@pytest.mark.parametrize("container", ["c", "-c", ".c", "a" * 201])
def test_calls_about_containers_of_ours_go_to_the_interpreter(
    launcher: Launcher, root: str, container: str
) -> None:
    launcher.record(container, root)
    options = ("--root", root) if root else ()
    assert launcher.call(*options, "kill", container) == "python"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--root", "/run/x"),
        ("ps",),
        ("ps", "c"),
        ("frobnicate", "c"),
        ("state", "create"),
        ("state", ""),
        ("state", "--help"),
        ("-v",),
    ],
)
def test_what_is_not_sure_goes_to_the_interpreter(
    launcher: Launcher, words: tuple[str, ...]
) -> None:
    launcher.record("other")
    assert launcher.call(*words) == "python"


@pytest.mark.parametrize("verb", sorted(HANDLERS.keys() - {"help", "version"}))
def test_every_verb_that_is_not_about_one_container_goes_to_the_interpreter(
    launcher: Launcher, verb: str
) -> None:
    assert launcher.call(verb, "c") == "python"
    assert launcher.call("--root", "/run/x", verb, "kill", "c") == "python"


def test_only_verbs_about_a_container_are_handed_on(launcher: Launcher) -> None:
    handed_on = {verb for verb in cmdline.CONTAINER_VERBS if launcher.call(verb, "c") == "crun"}
    assert {"start", "state", "kill", "delete", "exec"} <= handed_on
    assert not handed_on & HANDLERS.keys()


@pytest.mark.parametrize("note", ["", "/nowhere/crun", "crun"])
def test_without_a_delegate_that_is_there_the_interpreter_looks_for_one(
    launcher: Launcher, note: str
) -> None:
    launcher.note(note)
    assert launcher.call("state", "c") == "python"
    (launcher.run / "delegate").unlink()
    assert launcher.call("state", "c") == "python"


def test_creating_a_plain_container_notes_its_delegate(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    for name in ("crun", "runc"):
        program = tmp_path / f"usr/bin/{name}"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("")
        program.chmod(0o755)
    delegate.note(host)
    noted = tmp_path / "run/hetoci/delegate"
    assert noted.read_text() == "/usr/bin/crun\n"
    (tmp_path / "usr/bin/crun").unlink()
    delegate.note(host)
    assert noted.read_text() == "/usr/bin/runc\n"


# start without the interpreter


class Keeper:
    """What a container that is created has, and a keeper that gives one answer."""

    def __init__(self, launcher: Launcher, container: str = "c", root: str = "") -> None:
        folder = launcher.record(container, root)
        self.answers = folder / "answer"
        self.control = folder / "control"
        for fifo in (self.answers, self.control):
            os.mkfifo(fifo)
        self.asked: list[str] = []
        self._ends = [os.open(fifo, os.O_RDWR) for fifo in (self.control, self.answers)]
        self._thread: threading.Thread | None = None

    def answer(self, text: str) -> None:
        """Wait for a command and answer; "": end without a word."""

        def work() -> None:
            self.asked.append(os.read(self._ends[0], 4096).decode())
            if text:
                os.write(self._ends[1], f"{text}\n".encode())
            else:
                self.die()

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def die(self) -> None:
        while self._ends:
            os.close(self._ends.pop())

    def end(self) -> None:
        if self._thread is not None:
            self._thread.join(10)
        self.die()


@pytest.fixture
def keeper(launcher: Launcher) -> Iterator[Keeper]:
    made = Keeper(launcher, root="/run/x")
    yield made
    made.end()


START = ("--root", "/run/x", "start", "c")


@pytest.mark.parametrize(
    "words",
    [
        START,
        ("--root=/run/x", "--log=/l", "--log-format=json", "--systemd-cgroup", "start", "c"),
        ("--log", "/l", "--log-format", "json", "--root", "/run/x", "start", "c"),
    ],
)
def test_a_keeper_that_waits_is_asked_to_start(
    launcher: Launcher, keeper: Keeper, words: tuple[str, ...]
) -> None:
    keeper.answer("ok")
    assert launcher.silent(*words)
    assert keeper.asked == ["start answer\n"]


@pytest.mark.parametrize("answer", ["", "no such device", "c is running already"])
def test_a_start_that_fails_is_the_interpreters_to_explain(
    launcher: Launcher, keeper: Keeper, answer: str
) -> None:
    keeper.answer(answer)
    assert launcher.call(*START) == "python"
    assert keeper.asked == ["start answer\n"]


def test_a_keeper_that_is_dead_already_is_not_waited_for(
    launcher: Launcher, keeper: Keeper
) -> None:
    keeper.die()
    assert launcher.call(*START) == "python"


def test_a_container_that_was_started_is_not_started_again(
    launcher: Launcher, keeper: Keeper
) -> None:
    keeper.answers.with_name("started").touch()
    assert launcher.call(*START) == "python"
    assert keeper.asked == []


def test_a_container_that_is_being_created_is_not_started(
    launcher: Launcher, keeper: Keeper
) -> None:
    keeper.answers.rename(keeper.answers.with_name("answer.new"))
    assert launcher.call(*START) == "python"


@pytest.mark.parametrize(
    "words",
    [
        ("start", "c"),
        ("--root", "/run/y", "start", "c"),
        ("--root", "/run/x/", "start", "c"),
        ("--root", "/run/x", "--unknown", "start", "c"),
        ("-root", "/run/x", "start", "c"),
        ("--root", "/run/x", "start", "--help", "c"),
        ("--root", "/run/x", "start", "c", "c"),
        ("--root", "/run/x", "start", "--", "c"),
        ("--root", "/run/x", "state", "c"),
        ("--root", "/run/x", "--log", "start", "c"),
    ],
)
def test_no_other_call_starts_anything(
    launcher: Launcher, keeper: Keeper, words: tuple[str, ...]
) -> None:
    assert launcher.call(*words) == "python"
    assert keeper.asked == []


@pytest.mark.parametrize(
    "root", ["", "/run/containerd/runc/k8s.io", "./here", "a b", "*", "é", "/" + "x" * 190]
)
@pytest.mark.parametrize("container", ["c", ".c", "a+b_c-d", "c" * 200])
def test_the_launcher_finds_the_record_where_the_runtime_has_it(
    launcher: Launcher, root: str, container: str
) -> None:
    keeper = Keeper(launcher, container, root)
    keeper.answer("ok")
    try:
        assert launcher.silent(*(("--root", root) if root else ()), "start", container)
    finally:
        keeper.end()


@pytest.mark.parametrize("root", ["/50%", "/" + "x" * 250])
def test_roots_with_a_name_that_is_hard_to_find_are_the_interpreters(
    launcher: Launcher, root: str
) -> None:
    keeper = Keeper(launcher, "c", root)
    try:
        assert launcher.call("--root", root, "start", "c") == "python"
    finally:
        keeper.end()


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_launcher_asks_in_any_shell(launcher: Launcher, keeper: Keeper, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.fail(f"{shell} is not installed")
    keeper.answer("ok")
    done = subprocess.run([shell, launcher.path, *START], capture_output=True, check=True)
    assert done.stdout + done.stderr == b""


def test_firmware_is_started_without_the_interpreter(launcher: Launcher, board: Board) -> None:
    launcher.be_of(board)
    board.create("c", board.bundle())
    assert launcher.silent("start", "c")
    assert board.core.state == "running"
    assert board.status("c") == "running"
    assert launcher.call("start", "c") == "python"


def test_a_start_that_failed_says_why_as_often_as_it_is_asked(
    launcher: Launcher, board: Board
) -> None:
    launcher.be_of(board)
    board.create("c", board.bundle())
    board.core.fail_start = errno.EIO
    assert launcher.call("start", "c") == "python"
    for _ in range(2):
        result = board.hetoci("start", "c")
        assert result.code == 1
        assert "Input/output error" in result.err
    board.ok("delete", "c")
    assert board.leftovers() == []


def test_poststart_hooks_are_the_interpreters(launcher: Launcher, board: Board) -> None:
    launcher.be_of(board)
    hook = board.root / "hook"
    hook.write_text("#!/bin/sh\n: > ${0}ed\n")
    hook.chmod(0o755)
    board.create("c", board.bundle(hooks={"poststart": [{"path": str(hook)}]}))
    assert launcher.call("start", "c") == "python"
    assert board.core.state == "offline"
    board.ok("start", "c")
    assert (board.root / "hooked").exists()
