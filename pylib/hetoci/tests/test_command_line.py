# SPDX-License-Identifier: MIT
"""Which words of an engine's command line mean what, and who gets them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Board
from fakekernel import BoardHost
from hetoci import cmdline, metadata
from hetoci.__main__ import main
from hetoci.verbs.kept import parse_signal

SHIM = "--root /run/containerd/runc/k8s.io --log /b/log.json --log-format json"


@pytest.mark.parametrize(
    ("words", "verb", "root", "positional"),
    [
        ("", None, "", []),
        ("--version", None, "", []),
        (f"{SHIM} create --bundle /b --pid-file /b/p c1", "create", SHIM.split()[1], ["c1"]),
        (f"{SHIM} --systemd-cgroup kill --all c1 9", "kill", SHIM.split()[1], ["c1", "9"]),
        ("--root=/r --debug delete --force c1", "delete", "/r", ["c1"]),
        ("-root /r state c1", "state", "/r", ["c1"]),
        ("--systemd-cgroup create --console-socket /s --no-pivot c1", "create", "", ["c1"]),
        ("--cgroup-manager disabled start c1", "start", "", ["c1"]),
        ("--rootless=true start c1", "start", "", ["c1"]),
        ("kill c1 -9", "kill", "", ["c1", "-9"]),
        ("kill -a c1 KILL", "kill", "", ["c1", "KILL"]),
        ("delete -- -odd", "delete", "", ["-odd"]),
        (
            "exec --process /p --detach --pid-file /q c1",
            "exec",
            "",
            ["c1"],
        ),
        ("exec -t -e A=b --user 1:1 c1 ls --bundle x", "exec", "", ["c1", "ls", "--bundle", "x"]),
        ("update --resources - c1", "update", "", ["c1"]),
        ("update --memory 5 --cpu-share=2 c1", "update", "", ["c1"]),
        ("ps --format json c1", "ps", "", ["c1"]),
        ("checkpoint --image-path /i --leave-running c1", "checkpoint", "", ["c1"]),
        ("events --stats --interval 5s c1", "events", "", ["c1"]),
        ("features", "features", "", []),
        ("--root", None, "", []),
    ],
)
def test_words_are_understood(
    words: str, verb: str | None, root: str, positional: list[str]
) -> None:
    line = cmdline.parse(words.split())
    assert (line.verb, line.root, line.positional) == (verb, root, positional)


def test_options_of_the_verb_are_kept_apart_from_global_ones() -> None:
    line = cmdline.parse(["--log", "/l", "create", "-b", "/b", "--no-pivot=false", "c"])
    assert line.global_options == {"log": "/l"}
    assert line.value("bundle", "b") == "/b"
    assert not line.flag("no-pivot")


@given(st.lists(st.text(max_size=8), max_size=8))
def test_no_words_break_the_parser(words: list[str]) -> None:
    assert cmdline.parse(words).argv == words


@pytest.mark.parametrize(
    ("text", "number"),
    [("9", 9), ("KILL", 9), ("SIGTERM", 15), ("term", 15), ("RTMIN+3", 37), ("SIGRTMIN", 34)],
)
def test_signals_are_understood(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "65", "-1", "FOO", "TERM+1", "RTMIN+x", "RTMIN+99", "_DFL"])
def test_other_signals_are_refused(text: str) -> None:
    with pytest.raises(Exception, match="unknown signal"):
        parse_signal(text)


# the delegate


@pytest.fixture
def delegate(board: Board) -> Path:
    """A delegate that writes down its words and ends with 42."""
    path = board.root / "usr/bin/crun"
    path.parent.mkdir(parents=True)
    path.write_text('#!/bin/sh\nfor word; do echo "[$word]"; done\nexit 42\n')
    path.chmod(0o755)
    return path


PLAIN: dict[str, Any] = {"annotations": {}}


@pytest.mark.parametrize(
    "words",
    [
        ["state", "nobody"],
        ["--root", "/x", "--log", "/y", "kill", "nobody", "9"],
        ["delete", "--force", "nobody"],
        ["exec", "--tty", "nobody", "sh", "-c", "echo 'a b'"],
        ["spec", "--rootless"],
        ["list", "--format", "json"],
        ["unknown-verb", "--with", "options"],
        ["restore", "--image-path", "/i", "nobody"],
        ["start"],
        ["delete", ".."],
        ["kill", "", "9"],
    ],
)
@pytest.mark.usefixtures("delegate")
def test_what_is_not_ours_goes_to_the_delegate_word_for_word(
    board: Board, words: list[str]
) -> None:
    result = board.hetoci(*words)
    assert result.code == 42
    assert result.out == "".join(f"[{word}]\n" for word in words)


@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.usefixtures("delegate")
def test_a_plain_bundle_goes_to_the_delegate_word_for_word(board: Board, verb: str) -> None:
    words = ["--root", "/r", verb, "--bundle", board.bundle(**PLAIN), "--no-pivot", "c"]
    result = board.hetoci(*words)
    assert (result.code, result.out) == (42, "".join(f"[{word}]\n" for word in words))


@pytest.mark.usefixtures("delegate")
def test_the_labels_file_of_the_image_makes_it_firmware(board: Board) -> None:
    bundle = board.bundle(**PLAIN)
    labels = board.root / bundle[1:] / "rootfs/.hetoci/labels.json"
    labels.parent.mkdir()
    labels.write_text(json.dumps({"io.hetoci.workload": "firmware", "maintainer": "x"}))
    assert board.create("c", bundle).code == 0
    assert board.status("c") == "created"


def test_the_configured_delegate_wins(board: Board, delegate: Path) -> None:
    other = board.root / "opt/runtime"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho other\n")
    other.chmod(0o755)
    conf = board.root / "etc/hetoci/hetoci.conf"
    conf.parent.mkdir()
    conf.write_text("delegate = /opt/runtime\n")
    assert board.ok("state", "nobody").out == "other\n"
    assert "delegate: /opt/runtime\n" in board.ok("--version").out
    other.chmod(0o644)
    result = board.hetoci("state", "nobody")
    assert "the delegate /opt/runtime set in /etc/hetoci/hetoci.conf is no program" in result.err
    assert delegate.exists()


def test_without_delegate_the_remedy_is_named(board: Board) -> None:
    result = board.hetoci("state", "nobody")
    assert result.code == 1
    assert "neither crun nor runc is installed; install one of them" in result.err


def test_a_runc_that_is_hetoci_is_not_called(board: Board) -> None:
    (board.root / "usr/bin").mkdir(parents=True)
    program = board.root / "usr/bin/hetoci"
    program.write_text("#!/bin/sh\necho loop\n")
    program.chmod(0o755)
    (board.root / "usr/bin/runc").symlink_to("hetoci")
    assert "neither crun nor runc" in board.hetoci("state", "nobody").err


# version, help, features


def test_the_version_has_the_line_engines_parse(board: Board) -> None:
    for word in ("--version", "-v", "version"):
        first, spec, *_ = board.ok(word).out.splitlines()
        assert first.startswith("runc version 0.1.0")
        assert spec == "spec: 1.2.0"


@pytest.mark.parametrize("words", [[], ["--help"], ["help"], ["create", "--help"], ["-h"]])
def test_help_is_for_people(board: Board, words: list[str]) -> None:
    assert "usage: hetoci" in board.ok(*words).out


def test_image_is_a_program_for_a_pc(board: Board) -> None:
    refused = board.hetoci("image", "validate", "x.tar")
    assert refused.code == 1
    assert "is not installed here" in refused.err
    assert "`hetoci plan IMAGE`" in refused.err


def test_image_becomes_that_program_where_it_is(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = board.root / "opt/tools/hetoci-image"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$*"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"relative::/opt/tools:{os.environ['PATH']}")
    assert board.ok("--debug", "image", "build", "--help").out == "build --help\n"


def test_features_are_the_delegates_and_ours(board: Board, delegate: Path) -> None:
    delegate.write_text(
        "#!/bin/sh\n"
        'echo \'{"ociVersionMin":"1.0.0","ociVersionMax":"1.1.0","hooks":["prestart"],'
        '"potentiallyUnsafeConfigAnnotations":["bundle"],"annotations":{"a":"b"}}\'\n'
    )
    found = board.ok("features").json()
    assert found["ociVersionMax"] == "1.1.0"
    assert found["hooks"] == ["prestart"]
    unsafe = ["bundle", "io.hetoci.", *sorted(metadata.ALIASES)]
    assert found["potentiallyUnsafeConfigAnnotations"] == unsafe
    assert found["annotations"]["a"] == "b"
    assert found["annotations"]["io.hetoci.workloads"] == ",".join(metadata.WORKLOADS)
    assert found["annotations"]["io.hetoci.spec"] == "1.0"


@pytest.mark.parametrize("body", ["exit 1", "echo nonsense", "echo '[]'"])
def test_features_do_without_an_old_delegate(board: Board, delegate: Path, body: str) -> None:
    delegate.write_text(f"#!/bin/sh\n{body}\n")
    found = board.ok("features").json()
    assert (found["ociVersionMin"], found["ociVersionMax"]) == ("1.0.0", "1.2.0")


# devices, plan, ps-all, list


def test_devices_is_a_table_for_people(board: Board) -> None:
    board.create("c", board.bundle())
    header, row = board.ok("devices").out.splitlines()
    assert header.split() == ["DEVICE", "NAME", "TYPE", "STATE", "MEMORY", "HELD", "BY"]
    assert row.startswith("remoteproc0  r5f_0  Cortex-R5F  offline  atcm0 64 KiB, btcm0 64 KiB,")
    assert row.endswith(f"container c (pid {board.pid('c')})")


def test_devices_as_json_has_every_number(board: Board) -> None:
    (core,) = board.ok("devices", "--json").json()
    assert core["memory"][0] == {"name": "atcm0", "first": "0x0", "size": 65536}
    assert core["memory"][2] == {
        "name": "rproc-0-fw-image",
        "first": "0x3ed00000",
        "size": 0x40000,
    }
    assert core["stopsWithHolder"] is True
    assert core["compatible"] == ["xlnx,zynqmp-r5f"]
    assert (core["state"], core["holder"]) == ("offline", None)


def test_plan_says_what_would_be_done_and_changes_nothing(board: Board) -> None:
    before = sorted(os.fspath(p) for p in board.root.rglob("*"))
    bundle = board.bundle()
    added = {os.fspath(p) for p in (board.root / bundle[1:]).rglob("*")}
    steps = board.ok("plan", "--json", bundle).json()["steps"]
    assert [step["op"] for step in steps] == ["claim", "prepare", "activate"]
    words = board.ok("plan", bundle).out
    assert words.startswith("firmware /x.elf on core r5f_0 (remoteproc0)\n  1. claim remotepr")
    after = {os.fspath(p) for p in board.root.rglob("*")}
    assert after - set(before) - added == {os.fspath(board.root / bundle[1:])}


@pytest.mark.usefixtures("delegate")
def test_plan_of_a_plain_container_names_the_delegate(board: Board) -> None:
    bundle = board.bundle(**PLAIN)
    assert board.ok("plan", bundle).out == "plain container: handed to /usr/bin/crun as it is\n"
    assert board.ok("plan", "--json", bundle).json()["workload"] == "linux"


def test_plan_needs_a_bundle(board: Board) -> None:
    assert (
        board.hetoci("plan").err == "hetoci: plan needs the path of a bundle or of an OCI image\n"
    )
    assert "cannot read /nowhere/config.json" in board.hetoci("plan", "/nowhere").err


def test_ps_all_knows_the_containers_of_all_engines(two_cores: Board) -> None:
    two_cores.create("a", two_cores.bundle())
    two_cores.create("b", two_cores.bundle(), before=("--root", "/run/other"))
    found = two_cores.ok("ps-all", "--json").json()
    assert {(c["id"], c["root"], c["coreName"]) for c in found} == {
        ("a", "", "r5f_0"),
        ("b", "/run/other", "r5f_1"),
    }
    assert "created" in two_cores.ok("ps-all").out


def test_list_has_the_delegates_containers_and_ours(board: Board, delegate: Path) -> None:
    delegate.write_text('#!/bin/sh\necho \'[{"id":"plain","pid":5,"status":"running"}]\'\n')
    board.create("c", board.bundle())
    assert board.ok("list", "--quiet").out == "plain\nc\n"
    assert [c["id"] for c in board.ok("list", "--format", "json").json()] == ["plain", "c"]
    assert board.ok("list").out.splitlines()[1].split()[:3] == ["plain", "5", "running"]


@pytest.mark.parametrize("answer", ["null", "", "[]"])
def test_list_does_with_a_delegate_that_has_none(board: Board, delegate: Path, answer: str) -> None:
    delegate.write_text(f"#!/bin/sh\necho '{answer}'\n")
    board.create("c", board.bundle())
    if answer:
        assert board.ok("list", "-q").out == "c\n"


# errors


def test_an_error_is_one_sentence_one_log_line_and_exit_code_1(board: Board) -> None:
    bundle = board.bundle(annotations={"io.hetoci.workload": "x\ny"})
    result = board.hetoci(
        "--log", "/log.json", "--log-format", "json", "create", "--bundle", bundle, "c"
    )
    assert result.code == 1
    assert result.err.count("\n") == 1
    (line,) = (board.root / "log.json").read_text().splitlines()
    entry = json.loads(line)
    assert entry["level"] == "error"
    assert f"hetoci: {entry['msg']}\n" == result.err
    assert len(entry["time"]) == len("2026-01-01T00:00:00Z")
    assert set(entry) == {"level", "msg", "time"}


def test_the_text_log_is_runcs(board: Board) -> None:
    board.hetoci("--log", "/log", "plan")
    text = (board.root / "log").read_text()
    assert text.startswith('time="')
    assert text.endswith('level=error msg="plan needs the path of a bundle or of an OCI image"\n')


def test_a_bug_keeps_its_traceback_in_the_log(board: Board) -> None:
    board.create("c", board.bundle())
    (record,) = (board.root / "run/hetoci/containers").glob("*/c/record.json")
    record.write_text('{"kind": "firmware", "core": "remoteproc0"}')
    result = board.hetoci("--log", "/log.json", "--log-format", "json", "state", "c")
    assert result.code == 1
    assert "internal error in hetoci, please report it: KeyError" in result.err
    assert "Traceback" not in result.err
    assert "Traceback" in json.loads((board.root / "log.json").read_text())["traceback"]
    assert "Traceback" in board.hetoci("state", "c").err


def test_without_root_the_remedy_is_named(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    class Unprivileged(BoardHost):
        def make_directory(self, path: str, mode: int = 0o700) -> None:
            raise PermissionError(13, "Permission denied", path)

    arguments = ["create", "--bundle", board.bundle(), "c"]
    assert main(arguments, Unprivileged(os.fspath(board.root))) == 1
    words = "hetoci: not allowed to use /run/hetoci/claims; firmware containers need root\n"
    assert capsys.readouterr().err == words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["create"], "create needs one container id, 0 were given"),
        (["create", "a", "b"], "create needs one container id, 2 were given"),
        (["create", "a/b"], "invalid container id 'a/b'; letters, digits and _ + - . are"),
        (["create", ".."], "invalid container id '..'"),
        (["create", "x" * 2000], "invalid container id"),
    ],
)
def test_bad_ids_are_refused(board: Board, words: list[str], message: str) -> None:
    bundle = board.bundle()
    result = board.hetoci(words[0], "--bundle", bundle, *words[1:])
    assert result.code == 1
    assert message in result.err
    assert board.leftovers() == []
