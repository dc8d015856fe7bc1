# SPDX-License-Identifier: MIT
"""The program that engines call: which calls need the interpreter, and which do not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hetoci import cmdline, delegate, state
from hetoci.__main__ import HANDLERS
from hetoci.host import Host

BIN = Path(__file__).parents[1] / "bin"


class Launcher:
    """The launcher with a run directory of its own; interpreter and delegate tell their words."""

    def __init__(self, place: Path) -> None:
        self.run = place / "run"
        (self.run / "containers").mkdir(parents=True)
        values = {"PYTHON": self._program(place / "python"), "LIBEXECDIR": "/lib", "RUNDIR": ""}
        values["RUNDIR"] = str(self.run)
        text = (BIN / "hetoci.in").read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        self.path = place / "hetoci"
        self.path.write_text(text)
        self.path.chmod(0o755)
        self.delegate = self._program(place / "crun")
        self.note(self.delegate)

    def _program(self, path: Path) -> str:
        path.write_text('#!/bin/sh\necho "${0##*/}"\nfor word; do echo "<$word>"; done\n')
        path.chmod(0o755)
        return str(path)

    def note(self, text: str) -> None:
        (self.run / "delegate").write_text(f"{text}\n")

    def record(self, container: str, root: str = "") -> None:
        folder = Path(str(self.run) + state.directory(root, container).removeprefix("/run/hetoci"))
        folder.mkdir(parents=True)

    def call(self, *words: str) -> str:
        """Who was called, and that it got the words as they were."""
        done = subprocess.run([self.path, *words], capture_output=True, text=True, check=True)
        who, *got = done.stdout.splitlines()
        expected = list(words) if who == "crun" else ["-IS", "/lib/main", *words]
        assert got == [f"<{word}>" for word in expected]
        return who


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
