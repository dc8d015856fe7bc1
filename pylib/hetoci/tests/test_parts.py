# SPDX-License-Identifier: MIT
"""The small parts: configuration, trace buffers, device tree, cgroups, claims, the shim."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Board
from hetoci import cgroup, claims, config, console, devicetree, digest, errors, host, shim
from hetoci.model import Holder
from hetoci.verbs.show import table

# hetoci.conf


def test_the_defaults() -> None:
    found = config.parse("# nothing\n\n")
    assert (found.delegate, found.cores) == ("", ("*",))
    assert found.image_keys[:2] == ("io.hetoci.*", "remoteproc.name")
    assert (found.require_digest, found.require_encryption) == ("no", False)
    assert found.firmware_max_size == 64 << 20


def test_all_settings() -> None:
    found = config.parse(
        "delegate = /opt/a=b\nimage-keys=\n cores =  r5f_0  m4* \nfirmware-max-size = 2k"
    )
    assert (found.delegate, found.image_keys) == ("/opt/a=b", ())
    assert (found.cores, found.firmware_max_size) == (("r5f_0", "m4*"), 2048)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("delegate", "line 1: 'delegate' is not of the form key = value; settings are delegate"),
        ("\n# c\ndelgate = x", "line 3: 'delgate' is not a setting; settings are delegate, image"),
        ("delegate = crun", "delegate = crun is not an absolute path; write for instance"),
        ("firmware-max-size = big", "firmware-max-size = big is no size; write bytes, or"),
        ("firmware-max-size = 1T", "is no size"),
        ("firmware-max-size =", "is no size"),
        ("require-digest = always", "require-digest = always is unknown; there are no, yes, user"),
        ("require-encryption = 1", "require-encryption = 1 is unknown; there are no, yes"),
    ],
)
def test_a_bad_setting_is_named(text: str, words: str) -> None:
    with pytest.raises(errors.UsageError) as caught:
        config.parse(text)
    assert words in str(caught.value)
    assert config.PATH in str(caught.value)


@given(st.text())
def test_no_text_breaks_the_configuration(text: str) -> None:
    try:
        config.parse(text)
    except errors.UsageError:
        pass


def test_an_unreadable_configuration_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "etc/hetoci/hetoci.conf").mkdir(parents=True)
    with pytest.raises(errors.UsageError, match=r"cannot read /etc/hetoci/hetoci\.conf"):
        config.load(host.Host(os.fspath(tmp_path)))


def test_the_shipped_configuration_is_the_default() -> None:
    shipped = (Path(__file__).parent.parent / "conf/hetoci.conf").read_text()
    settings = [line[1:] for line in shipped.splitlines() if line.startswith("#") and "=" in line]
    wanted = [line for line in settings if line.partition(" ")[0] in config.DEFAULTS]
    assert {line.partition(" ")[0] for line in wanted} == set(config.DEFAULTS)
    found, default = config.parse("\n".join(wanted)), config.Config({})
    for name in set(config.Config.__slots__) - {"delegate"}:  # its default is to search
        assert getattr(found, name) == getattr(default, name), name


# trace buffers


@pytest.mark.parametrize(
    ("why", "snapshots", "output"),
    [
        ("grows", [b"", b"ab", b"ab", b"abcd"], b"abcd"),
        ("is cleared and shorter", [b"abcd", b"", b"xy"], b"abcdxy"),
        ("is begun again, longer than before", [b"ab", b"wxyz"], b"abwxyz"),
        ("is begun again with the same first line", [b"one\ntwo\n", b"one\n"], b"one\ntwo\none\n"),
        ("goes round once", [b"abcdefgh", b"XYcdefgh"], b"abcdefghXY"),
        ("fills and goes round", [b"abcd", b"XYcdefgh"], b"abcdefghXY"),
        ("goes round and on", [b"abcdefgh", b"XYcdefgh", b"XYZdefgh"], b"abcdefghXYZ"),
        (
            "goes round twice",
            [b"abcdefgh", b"XYcdefgh", b"XYZVWUTS", b"12ZVWUTS"],
            b"abcdefghXYZVWUTS12",
        ),
        ("loses its last byte when it is full", [b"abcdefgh", b"abcdefg"], b"abcdefghabcdefg"),
        ("keeps a NUL at the end", [b"abcdefg", b"XYcdefg"], b"abcdefgXY"),
    ],
)
def test_a_trace_buffer_that(why: str, snapshots: list[bytes], output: bytes) -> None:
    follower = console.TraceFollower(8)
    assert b"".join(follower.feed(text) for text in snapshots) == output, why


@given(st.lists(st.binary(max_size=12)), st.integers(1, 40))
def test_an_appended_log_comes_out_as_it_went_in(parts: list[bytes], room: int) -> None:
    follower = console.TraceFollower(sum(map(len, parts)) + room)
    text = b"".join(parts)
    at, output = 0, b""
    for part in parts:
        at += len(part)
        output += follower.feed(text[:at])
    assert output == text


@given(st.lists(st.binary(max_size=20)))
def test_no_snapshots_break_the_follower(snapshots: list[bytes]) -> None:
    follower = console.TraceFollower(16)
    for text in snapshots:
        assert len(follower.feed(text)) <= 2 * max(len(text), 16)


def test_a_saved_snapshot_that_is_a_little_older_adds_nothing() -> None:
    follower = console.TraceFollower(100)
    follower.feed(b"one two")
    assert follower.finish(b"one") == b""
    assert follower.finish(b"one two three") == b" three"


def test_an_outlet_never_blocks_and_drops_nothing_while_there_is_a_reader() -> None:
    reading, writing = os.pipe()
    outlet = console.Outlet(writing)
    outlet.put(b"x" * 200_000)
    assert outlet.full
    got = 0
    while outlet.pending:
        got += len(os.read(reading, 1 << 16))
        outlet.flush(0)
    os.close(writing)
    while part := os.read(reading, 1 << 16):
        got += len(part)
    assert got == 200_000
    os.close(reading)


def test_an_outlet_without_reader_is_closed() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    outlet = console.Outlet(writing)
    outlet.put(b"unread")
    assert not outlet.pending
    os.close(writing)


def test_waiting_for_a_reader_is_bounded() -> None:
    reading, writing = os.pipe()
    outlet = console.Outlet(writing)
    outlet.put(b"x" * 200_000)
    begin = time.monotonic()
    outlet.flush(0.1)
    assert time.monotonic() - begin < 1
    os.close(reading)
    os.close(writing)


# the device tree


@pytest.mark.parametrize(
    ("parent", "words", "pairs"),
    [
        ((2, 2), (1, 0x20, 0, 0x10), [(0x1_0000_0020, 0x10)]),
        ((1, 1), (0x20, 0x10, 0x40, 0x30), [(0x20, 0x10), (0x40, 0x30)]),
        ((1, 0), (3,), [(3, 0)]),
        ((0, 0), (3,), []),
        ((None, None), (0, 0x20, 0x10), [(0x20, 0x10)]),
        ((2, 2), (1, 2, 3), []),
    ],
)
def test_reg_is_divided_by_the_parents_cells(
    tmp_path: Path,
    parent: tuple[int | None, int | None],
    words: tuple[int, ...],
    pairs: list[tuple[int, int]],
) -> None:
    node = tmp_path / "bus/node"
    node.mkdir(parents=True)
    for name, count in zip(("#address-cells", "#size-cells"), parent, strict=True):
        if count is not None:
            (tmp_path / "bus" / name).write_bytes(struct.pack(">I", count))
    (node / "reg").write_bytes(struct.pack(f">{len(words)}I", *words))
    assert devicetree.reg(host.Host(os.fspath(tmp_path)), "/bus/node") == pairs


def test_phandles_are_found_at_any_depth(tmp_path: Path) -> None:
    node = tmp_path / "a/b/c"
    node.mkdir(parents=True)
    (node / "phandle").write_bytes(struct.pack(">I", 7))
    machine = host.Host(os.fspath(tmp_path))
    assert devicetree.by_phandle(machine, 7, "/a") == "/a/b/c"
    assert devicetree.by_phandle(machine, 8, "/a") is None


# cgroups


@pytest.mark.parametrize(
    ("given_path", "path"),
    [
        ("/default/c1", "/default/c1"),
        ("user/../c1", "/user/c1"),
        ("", "/hetoci/c1"),
        ("/", "/hetoci/c1"),
        ("system.slice:docker:c1", "/system.slice/docker-c1.scope"),
        (":cri:c1", "/system.slice/cri-c1.scope"),
        ("-.slice:cri:c1", "//cri-c1.scope"),
        (
            "kubepods-besteffort-podX.slice:cri-containerd:c1",
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podX.slice"
            "/cri-containerd-c1.scope",
        ),
        ("a.slice::b.slice", "/a.slice/b.slice"),
    ],
)
def test_cgroup_paths(given_path: str, path: str) -> None:
    assert cgroup.path_for(given_path, "c1") == cgroup.MOUNT + path


def test_without_the_unified_hierarchy_the_keeper_stays_where_it_is(tmp_path: Path) -> None:
    assert not cgroup.join(host.Host(os.fspath(tmp_path)), f"{cgroup.MOUNT}/x/c1")
    assert not (tmp_path / "sys").exists()


def test_a_group_is_made_joined_and_removed(tmp_path: Path) -> None:
    mount = tmp_path / "sys/fs/cgroup"
    (mount / "x/c1").mkdir(parents=True)
    (mount / "cgroup.controllers").write_text("cpu memory\n")
    (mount / "x/c1/cgroup.procs").write_text("")
    machine = host.Host(os.fspath(tmp_path))
    assert cgroup.join(machine, f"{cgroup.MOUNT}/x/c1")
    assert (mount / "x/c1/cgroup.procs").read_text() == str(os.getpid())
    (mount / "x/c1/cgroup.procs").unlink()
    cgroup.remove(machine, f"{cgroup.MOUNT}/x/c1")
    assert not (mount / "x/c1").exists()
    cgroup.remove(machine, f"{cgroup.MOUNT}/x/c1")


# claims


def _me(machine: host.Host, name: str = "c") -> Holder:
    return Holder(name, "", os.getpid(), machine.start_time(os.getpid()) or "")


def test_all_claims_are_taken_or_none(tmp_path: Path) -> None:
    machine = host.Host(os.fspath(tmp_path))
    held = claims.acquire(machine, "b", _me(machine, "first"))
    with pytest.raises(errors.DeviceBusy, match=f"b is held by container first .pid {os.getpid()}"):
        claims.acquire_all(machine, ["c", "b", "a"], _me(machine, "second"))
    for key in ("a", "c"):
        claims.acquire(machine, key, _me(machine)).release()
    held.release()
    for claim in claims.acquire_all(machine, ["c", "b", "a"], _me(machine)):
        claim.give_up()
    assert [claims.holder_of(machine, key) for key in "abc"] == [None] * 3


def test_a_claim_of_a_dead_process_is_free_and_taken_over(tmp_path: Path) -> None:
    machine = host.Host(os.fspath(tmp_path))
    code = (
        "import sys,os;from hetoci import claims,host;from hetoci.model import Holder;"
        "h=host.Host(sys.argv[1]);"
        "claims.acquire(h,'k',Holder('dead','',os.getpid(),h.start_time(os.getpid())))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "src")}
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, env=env)
    assert "dead" in (tmp_path / "run/hetoci/claims/k").read_text()
    assert claims.holder_of(machine, "k") is None
    claims.acquire(machine, "k", _me(machine)).release()


def test_a_claim_is_not_taken_over_before_the_old_holder_is_gone(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = board.host
    with subprocess.Popen(["sleep", "60"]) as former:
        holder = Holder("old", "", former.pid, machine.start_time(former.pid) or "")
        claims.acquire(machine, "k", holder).release()  # lock free, named process alive
        monkeypatch.setattr(claims, "_TRANSITION", 0.1)
        with pytest.raises(errors.DeviceBusy, match="the former holder, container old"):
            claims.acquire(machine, "k", _me(machine))
        former.kill()
    claims.acquire(machine, "k", _me(machine)).release()


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"a\tb\n", b"a\tb\tc\td\n", b"\0" * 100])
def test_a_damaged_claim_file_is_a_free_claim(tmp_path: Path, text: bytes) -> None:
    machine = host.Host(os.fspath(tmp_path))
    (tmp_path / "run/hetoci/claims").mkdir(parents=True)
    (tmp_path / "run/hetoci/claims/k").write_bytes(text)
    assert claims.holder_of(machine, "k") is None
    claims.acquire(machine, "k", _me(machine)).release()


# the shim


def test_the_shim_puts_our_runc_first_and_becomes_the_stock_shim(tmp_path: Path) -> None:
    stock = tmp_path / "containerd-shim-runc-v2"
    stock.write_text('#!/bin/sh\necho "$PATH|$KEPT|$*"\n')
    stock.chmod(0o755)
    source = Path(__file__).parent.parent / "src"
    done = subprocess.run(
        [
            sys.executable, "-c",
            "import sys; from hetoci.shim import main; sys.exit(main(sys.argv[1:], '/private'))",
            "-namespace", "k8s.io", "start",
        ],
        env={"PATH": f"{tmp_path}:/bin:/private", "KEPT": "yes", "PYTHONPATH": str(source)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"/private:{tmp_path}:/bin|yes|-namespace k8s.io start\n"


def test_a_missing_stock_shim_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(shim, "DIRECTORIES", ())
    assert shim.main([], "/private") == 1
    assert "containerd-shim-runc-v2 is not installed" in capsys.readouterr().err


# and the rest


def test_names_of_engines_roots_are_one_path_component() -> None:
    assert host.quote_component("/run/a%b") == "%2Frun%2Fa%25b"
    assert host.quote_component("/a" * 300).startswith("sha256-")
    assert "/" not in host.quote_component("/" * 190)


def test_tables_line_up() -> None:
    assert table(("A", "B"), [("long", "x"), ("s", "")]) == "A     B\nlong  x\ns\n"


def test_every_error_is_one_of_ours() -> None:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert issubclass(kind, errors.HetociError), name


# digests


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, (1 << 20) + 1])
@pytest.mark.parametrize("own", [True, False])
def test_digests_are_those_of_hashlib(
    size: int, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not own:
        monkeypatch.setattr(digest, "_own", lambda: None)
    data = b"x" * size
    expected = hashlib.sha256(data).hexdigest()
    assert digest.name(data) == f"sha256:{expected}"
    assert digest.sha256(data[:7], memoryview(data)[7:]).hex() == expected
