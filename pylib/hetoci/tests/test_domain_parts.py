# SPDX-License-Identifier: MIT
"""The parts of a domain that need no Xen: file server, frames, configuration, what is told."""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Board
from hetoci import bundle as bundles
from hetoci import claims, state
from hetoci.backends import xen
from hetoci.config import Config
from hetoci.domain import dumps, planning, program, wire
from hetoci.domain import hardware as hardware_of
from hetoci.domain.ninep import MSIZE, Server
from hetoci.errors import BundleError, DeviceBusy, HetociError, PolicyDenied, XenError
from hetoci.host import Host
from hetoci.model import Holder
from hetoci.verbs import domain_create
from hetoci.workloads import AcceleratorRequest, DomainWorkload, PageRange, VmConfig
from plboard import valid

ENOENT, EPERM, EBADF, EINVAL, EROFS, EOPNOTSUPP = 2, 1, 9, 22, 30, 95


def text(value: str) -> bytes:
    """A string of 9P."""
    raw = value.encode()
    return struct.pack("<H", len(raw)) + raw


class Client:
    """What the guest's kernel does, one message at a time; fid 0 is the root."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ask(100, struct.pack("<I", 32768) + text("9P2000.L"))
        self.ask(104, struct.pack("<II", 0, 0xFFFFFFFF) + text("") + text("") + bytes(4))

    def ask(self, kind: int, body: bytes) -> bytes:
        """The body of the reply. Raises OSError with the number that the server gave."""
        size = 7 + len(body)
        reply = self.server.answer(struct.pack("<IBH", size, kind, 7) + body)
        length, answer, tag = struct.unpack_from("<IBH", reply)
        assert (length, tag) == (len(reply), 7)
        if answer == 7:
            raise OSError(*struct.unpack_from("<I", reply, 7), "refused")
        assert answer == kind + 1
        return reply[7:]

    def walk(self, new: int, *names: str) -> None:
        """Make fid `new` the file below the root."""
        body = struct.pack("<IIH", 0, new, len(names)) + b"".join(map(text, names))
        reply = self.ask(110, body)
        if struct.unpack_from("<H", reply)[0] < len(names):
            raise OSError(ENOENT, "walked a part of the way")

    def open(self, fid: int, flags: int = 0) -> None:
        self.ask(12, struct.pack("<II", fid, flags))

    def read(self, fid: int) -> bytes:
        return self.ask(116, struct.pack("<IQI", fid, 0, 4096))[4:]

    def write(self, fid: int, data: bytes) -> None:
        self.ask(118, struct.pack("<IQI", fid, 0, len(data)) + data)

    def create(self, fid: int, name: str, flags: int = 2) -> None:
        self.ask(14, struct.pack("<I", fid) + text(name) + struct.pack("<III", flags, 0o640, 0))

    def names(self, *where: str) -> set[str]:
        """Names in the directory below the root."""
        self.walk(90, *where)
        self.open(90)
        found, offset = set(), 0
        while data := self.ask(40, struct.pack("<IQI", 90, offset, 200))[4:]:
            at = 0
            while at < len(data):
                offset, _kind, size = struct.unpack_from("<QBH", data, at + 13)
                found.add(data[at + 24 : at + 24 + size].decode())
                at += 24 + size
        self.ask(120, struct.pack("<I", 90))
        return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_text("secret")
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "file").write_text("content")
    (root / "sub/deep").write_text("deep")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "up").symlink_to("..")
    os.mkfifo(root / "fifo")
    return root


@pytest.fixture
def client(root: Path) -> Iterator[Client]:
    client = Client(Server(str(root)))
    yield client
    client.server.close()


def error(call: Any, *args: Any) -> int:
    """The number that a call is refused with."""
    with pytest.raises(OSError) as caught:
        call(*args)
    return int(caught.value.errno or 0)


def test_files_are_read_and_directories_listed_in_pieces(client: Client) -> None:
    client.walk(1, "sub", "deep")
    client.open(1)
    assert client.read(1) == b"deep"
    assert client.names() == {".", "..", "sub", "file", "out", "up", "fifo"}


def test_changes_land_in_the_directory(client: Client, root: Path) -> None:
    client.walk(1)
    client.create(1, "new")
    client.write(1, b"words")
    assert (root / "new").read_text() == "words"
    assert stat.S_IMODE((root / "new").stat().st_mode) == 0o640
    client.ask(72, struct.pack("<I", 0) + text("dir") + struct.pack("<II", 0o750, 0))
    client.walk(2, "dir")
    client.ask(74, struct.pack("<I", 0) + text("new") + struct.pack("<I", 2) + text("moved"))
    assert (root / "dir/moved").read_text() == "words"
    client.ask(16, struct.pack("<I", 0) + text("link") + text("/any/where") + bytes(4))
    assert (root / "link").readlink() == Path("/any/where")
    client.ask(76, struct.pack("<I", 2) + text("moved") + bytes(4))
    client.ask(76, struct.pack("<I", 0) + text("dir") + struct.pack("<I", 0x200))
    assert not (root / "dir").exists()


def test_attributes_are_set_on_the_file_itself(client: Client, root: Path) -> None:
    client.walk(1, "file")
    valid = 1 | 8 | 16 | 32 | 128 | 256
    times = (1000, 5, 2000, 6)
    client.ask(26, struct.pack("<IIIIIQQQQQ", 1, valid, 0o600, 0, 0, 3, *times))
    status = (root / "file").stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_size == 3
    assert status.st_mtime_ns == 2000 * 10**9 + 6


@pytest.mark.parametrize("name", ["..", ".", "", "sub/deep", "../outside"])
def test_no_name_leads_out(client: Client, name: str) -> None:
    assert error(client.walk, 1, name) == ENOENT
    assert error(client.create, 0, name) == EINVAL


def test_links_are_not_followed(client: Client) -> None:
    client.walk(1, "out")
    assert error(client.open, 1) == EPERM
    assert error(client.walk, 2, "up", "outside") == ENOENT
    assert client.ask(22, struct.pack("<I", 1)).endswith(b"outside")


def test_a_link_is_not_written_through(client: Client, root: Path) -> None:
    client.walk(1)
    assert error(client.create, 1, "out") == EPERM
    assert (root.parent / "outside").read_text() == "secret"


def test_what_is_no_file_is_never_opened(client: Client) -> None:
    client.walk(1, "fifo")
    assert error(client.open, 1) == EPERM


@pytest.mark.parametrize("mode", [stat.S_IFCHR, stat.S_IFBLK])
def test_devices_are_not_made(client: Client, mode: int, root: Path) -> None:
    body = struct.pack("<I", 0) + text("null") + struct.pack("<IIII", mode | 0o666, 1, 3, 0)
    assert error(client.ask, 18, body) == EPERM
    assert not (root / "null").exists()


def test_what_is_fixed_is_not_changed(root: Path) -> None:
    client = Client(Server(str(root), True))
    client.walk(1, "file")
    assert error(client.open, 1, 2) == EROFS
    assert error(client.open, 1, 0o1000) == EROFS
    client.open(1)
    assert client.read(1) == b"content"
    assert error(client.write, 1, b"x") == EBADF
    assert error(client.create, 0, "new") == EROFS
    assert error(client.ask, 26, struct.pack("<IIIIIQQQQQ", 1, 1, *[0] * 8)) == EROFS
    assert error(client.ask, 76, struct.pack("<I", 0) + text("file") + bytes(4)) == EROFS


def test_shares_are_a_list_of_names(root: Path) -> None:
    client = Client(Server({"0": (str(root / "file"), False), "1": (str(root), True)}))
    assert client.names() == {".", "..", "0", "1"}
    client.walk(1, "0")
    client.open(1, 2)
    client.write(1, b"Content")
    assert (root / "file").read_text() == "Content"
    client.walk(2, "1", "sub", "deep")
    assert error(client.open, 2, 1) == EROFS
    assert error(client.walk, 3, "2") == ENOENT
    assert error(client.create, 0, "new") == EROFS


def test_a_fid_in_use_is_not_taken_over(client: Client) -> None:
    client.walk(1, "file")
    assert error(client.walk, 1, "sub") == EBADF
    assert error(client.read, 99) == EBADF
    assert error(client.ask, 77, b"") == EOPNOTSUPP


@settings(deadline=None)
@given(st.integers(0, 255), st.binary(max_size=80))
def test_no_message_breaks_the_server(kind: int, body: bytes) -> None:
    server = Server("/proc/self/attr", True)
    reply = server.answer(struct.pack("<IBH", 7 + len(body), kind, 1) + body)
    assert struct.unpack_from("<I", reply)[0] == len(reply) <= MSIZE
    server.close()


# frames


class Pipe:
    """A ring that gives what it was fed."""

    def __init__(self) -> None:
        self.data = b""
        self.sent = b""

    def flush(self) -> bool:
        return False

    def peek(self) -> int:
        return len(self.data)

    def look(self, size: int) -> bytes:
        return self.data[:size]

    def advance(self, size: int) -> None:
        self.data = self.data[size:]

    def write(self, data: bytes) -> None:
        self.sent += data

    def notify(self) -> None:
        pass


def test_frames_come_whole_however_the_ring_cuts_them() -> None:
    pipe: Any = Pipe()
    link = wire.Link(pipe)
    link.send(wire.DATA, 3, 1, b"words")
    link.send(wire.EXITED, 0, 0, (7).to_bytes(4, "little"))
    found = []
    for byte in pipe.sent:
        pipe.data = bytes([byte])
        found += list(link.frames())
    assert [(f.kind, f.session, f.stream, f.body) for f in found] == [
        (wire.DATA, 3, 1, b"words"),
        (wire.EXITED, 0, 0, b"\7\0\0\0"),
    ]
    assert found[1].number() == 7


def test_a_frame_that_no_agent_sends_ends_it() -> None:
    pipe: Any = Pipe()
    pipe.data = struct.pack("<BBHI", wire.DATA, 1, 0, 1 << 20)
    with pytest.raises(XenError, match="too long"):
        list(wire.Link(pipe).frames())


# xl


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("plain", '"plain"'),
        ("[a], b=c;", '"[a], b=c;"'),
        ("it's", '"it\'s"'),
        ('say "x"', "'say \"x\"'"),
        ("back\\slash", '"back\\\\slash"'),
    ],
)
def test_strings_are_quoted_for_xl(value: str, quoted: str) -> None:
    assert xen.quote(value) == quoted
    assert xen.configuration({"a": value, "b": 3, "c": [value, 4]}) == (
        f"a={quoted}\nb=3\nc=[{quoted},4]\n"
    )


@pytest.mark.parametrize("value", ["line\nbreak", "tab\t", "é", "both ' and \""])
def test_what_xl_cannot_be_told_is_refused(value: str) -> None:
    with pytest.raises(XenError, match="cannot be told to xl"):
        xen.quote(value)


def test_the_sentence_that_matters_is_found() -> None:
    said = (
        "Parsing config from x\n"
        "xc: error: panic: xc_dom_boot.c:120: xc_dom_boot_mem_init: no memory: Internal error\n"
        "libxl: error: libxl_create.c:1709:domcreate_rebuild_done: Domain 5:cannot build\n"
    )
    assert xen.sentence(said) == "panic: xc_dom_boot_mem_init: no memory: Internal error"
    assert xen.sentence("") == "it gave no reason"


def test_a_containers_domain_is_named_once_and_for_all() -> None:
    name = xen.domain_name("/run/x", "c")
    assert name == xen.domain_name("/run/x", "c") != xen.domain_name("/run/y", "c")
    assert xen.domain_uuid(name).startswith("6865746f-6369-")
    assert len(xen.domain_uuid(name)) == 36


def test_without_xen_a_domain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(XenError, match="does not run under Xen"):
        xen.require(Host(str(tmp_path)))


LIST = """Name      ID   Mem VCPUs  State   Time(s)  UUID  Reason-Code  Security Label
Domain-0   0  1024     1  r-----     17.6  00000000-0000-0000-0000-000000000000  -  -
hetoci-7   3    64     2  --p---      0.1  6865746f-6369-8000-8000-000000000000  -  -
other      4    33     1  ---s--      0.1  00000000-0000-0000-0000-000000000001  0  -
"""


@pytest.fixture
def dom0(board: Board) -> Board:
    """A board under Xen whose `xl list` says LIST, and a container that is its domain 3."""
    xl = board.root / "usr/sbin/xl"
    xl.parent.mkdir(parents=True, exist_ok=True)
    xl.write_text(f"#!/bin/sh\ncat << END\n{LIST}END\n")
    xl.chmod(0o755)
    (board.root / "proc/xen").mkdir(parents=True)
    (board.root / "proc/xen/capabilities").write_text("control_d\n")
    data = {"kind": "domain", "domain": "hetoci-7", "keeper": (os.getpid(), "x"), "memory": 64,
            "vcpus": 2, "bundle": "/b", "rootfs": "", "created": "now", "annotations": {},
            "committed": True}  # fmt: skip
    state.create(Host(str(board.root)), "/engine", "box", data)
    return board


class Nodes:
    """The Xen store: two domains of ours and one of somebody else's have network devices."""

    def __init__(self, nodes: dict[str, str]) -> None:
        self.nodes = nodes

    def listing(self, path: str) -> list[str]:
        below = (node[len(path) + 1 :] for node in self.nodes if node.startswith(f"{path}/"))
        return sorted({name.partition("/")[0] for name in below})

    def read(self, path: str) -> str | None:
        return self.nodes.get(path)

    def remove(self, path: str) -> None:
        self.nodes = {k: v for k, v in self.nodes.items() if not f"{k}/".startswith(f"{path}/")}

    def close(self) -> None:
        pass


@pytest.mark.parametrize("lives", [True, False])
def test_a_destroyed_domains_network_devices_go(
    dom0: Board, monkeypatch: pytest.MonkeyPatch, lives: bool
) -> None:
    kept = {
        f"{xen.VIFS}/4/0/frontend": "/local/domain/4/device/vif/0",
        f"{xen.VIFS}/5/0/domain": "hetoci-8",
    }
    gone = {f"{xen.VIFS}/3/{number}/domain": "hetoci-7" for number in (0, 1)}
    store = Nodes({**kept, **gone, **({"/local/domain/3/name": "hetoci-7"} if lives else {})})
    monkeypatch.setattr(xen, "Store", lambda host: store)
    xen.destroy(Host(str(dom0.root)), "hetoci-7")
    store.remove("/local/domain/3")
    assert store.nodes == kept


def test_stats_are_what_xen_gives_the_domain(dom0: Board) -> None:
    record = state.load(Host(str(dom0.root)), "/engine", "box")
    record.data["keeper"] = (os.getpid(), Host().start_time(os.getpid()))
    record.save()
    record.mark(state.STARTED)
    told = dom0.ok("--root", "/engine", "events", "--stats", "box").json()
    assert (told["type"], told["id"]) == ("stats", "box")
    assert told["data"] == {
        "cpu": {"usage": {"total": 100000000}},
        "memory": {"usage": {"usage": 64 << 20, "limit": 64 << 20}},
    }
    assert "there is --stats only" in dom0.hetoci("--root", "/engine", "events", "box").err


def test_domains_are_among_the_devices(dom0: Board) -> None:
    rows = [re.split("  +", line) for line in dom0.ok("devices").out.splitlines()]
    assert ["Domain-0", "Domain-0", "domain, 1 CPU", "running", "1024 MiB", "this Linux"] in rows
    holder = f"container box of /engine (pid {os.getpid()})"
    assert ["hetoci-7", "box", "domain, 2 CPUs", "paused", "64 MiB", holder] in rows
    assert ["other", "other", "domain, 1 CPU", "shut down", "33 MiB", "somebody else"] in rows


def test_the_inventory_with_domains_is_valid(dom0: Board) -> None:
    shown = dom0.ok("devices", "--json").json()
    valid(shown, "inventory")
    found = next(device for device in shown if device["device"] == "hetoci-7")
    assert (found["domain"], found["size"], found["vcpus"]) == (3, 64 << 20, 2)
    assert found["holder"]["container"] == "box"


def test_containers_that_are_domains_show_their_size(dom0: Board) -> None:
    assert "hetoci-7 (64 MiB, 2 CPUs)" in dom0.ok("ps").out


# what the agent is told


def items(raw: bytes) -> list[tuple[str, str]]:
    """Items as the agent reads them."""
    assert raw.endswith(b"\0")
    return [(part[:1].decode(), part[1:].decode()) for part in raw[:-1].split(b"\0")]


def test_a_process_is_told_as_data() -> None:
    spec = {
        "args": ["sh", "-c", 'echo "$x"; `y` \n'],
        "env": ["A=b c"],
        "user": {"uid": 5, "gid": 6, "additionalGids": [7], "umask": 0o27},
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_FROM_THE_FUTURE"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
        "terminal": True,
        "consoleSize": {"height": 3, "width": 4},
        "noNewPrivileges": True,
    }
    found = items(program.process(spec))
    assert [v for k, v in found if k == "a"] == spec["args"]
    for item in (
        ("e", "A=b c"),
        ("u", "5"),
        ("G", "7"),
        ("M", "23"),
        ("B", "21"),
        ("r", "7\x011\x012"),
        ("t", "3\x014"),
        ("n", "1"),
        ("w", "/"),
    ):
        assert item in found


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "names no program"),
        ({"args": [""]}, "names no program"),
        ({"args": "sh"}, "no list of strings"),
        ({"args": ["a\0b"]}, "NUL"),
        ({"args": ["a"], "rlimits": [{"type": "RLIMIT_X"}]}, "'X'"),
    ],
)
def test_a_process_that_is_none_is_refused(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        program.process(spec)


def test_mounts_become_shares_and_file_systems(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    mounts = [
        {"destination": "/p", "type": "proc", "source": "proc", "options": ["nosuid"]},
        {"destination": "/b", "source": "file", "options": ["rbind", "ro"]},
        {"destination": "/g", "type": "cgroup"},
        {"destination": "/t", "type": "tmpfs", "options": ["mode=755", "nodev"]},
    ]
    config = {"process": {"args": ["x"]}, "mounts": mounts, "linux": {"sysctl": {"a.b": "1"}}}
    shares: dict[str, tuple[str, bool]] = {}
    found = items(program.container(bundles.Bundle(str(tmp_path), config), shares))
    assert [v.split("\1") for k, v in found if k == "m"] == [
        ["proc", "proc", "/p", "2", ""],
        ["bind", "/mounts/0", "/b", str(4096 | 16384 | 1), ""],
        ["tmpfs", "tmpfs", "/t", "4", "mode=755"],
    ]
    assert shares == {"0": (str(tmp_path / "file"), True)}
    assert ("k", "/proc/sys/a/b\x011") in found
    assert ("v", "1") in found


def test_memory_to_share_is_the_guests_own(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    shm = {"destination": "/dev/shm", "type": "bind", "source": "/", "options": ["bind", "nodev"]}
    volume = {"destination": "/dev/shm", "source": "volume", "options": ["bind"]}
    config = {"process": {"args": ["x"]}, "mounts": [shm, volume]}
    shares: dict[str, tuple[str, bool]] = {}
    found = items(program.container(bundles.Bundle(str(tmp_path), config), shares))
    own, bound = [v.split("\1") for k, v in found if k == "m"]
    space = os.statvfs("/")
    assert own[:4] == ["tmpfs", "shm", "/dev/shm", "4"]
    assert own[4] == f"mode=1777,size={space.f_blocks * space.f_frsize}"
    assert bound[:2] == ["bind", "/mounts/0"]
    assert shares == {"0": (str(tmp_path / "volume"), False)}


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"hostname": "own", "process": {"args": ["x"], "env": ["HOSTNAME=pod"]}}, "own"),
        ({"process": {"args": ["x"], "env": ["HOSTNAME=pod"]}}, "pod"),
        ({"process": {"args": ["x"]}}, os.uname().nodename),
    ],
)
def test_the_hosts_name_is_what_a_container_would_have(
    config: dict[str, Any], name: str, tmp_path: Path
) -> None:
    found = items(program.container(bundles.Bundle(str(tmp_path), config), {}))
    assert [v for k, v in found if k == "h"] == [name]


# plans


ALLOWED = {"domain-iomem": "0xfffc0000-0xfffc3fff", "domain-irqs": "92-95 99"}
OPERATOR = Config(ALLOWED)


def make(
    tmp_path: Path, workload: DomainWorkload, operator: Config = OPERATOR, **config: Any
) -> planning.Plan:
    """The plan for a bundle with a small root file system."""
    rootfs = tmp_path / "bundle/rootfs"
    rootfs.mkdir(parents=True, exist_ok=True)
    (rootfs / "kernel").write_bytes(bytes(56) + b"ARM\x64" + bytes(100))
    (rootfs / "junk").write_bytes(b"junk")
    guest = tmp_path / "usr/lib/hetoci/guest"
    guest.mkdir(parents=True, exist_ok=True)
    for name in ("kernel", "ramdisk"):
        (guest / name).touch()
    base = {
        "process": {"args": ["true"]},
        "root": {"path": "rootfs"},
        "linux": {"namespaces": [{"type": "network"}]},
    }
    bundle = bundles.Bundle("/bundle", {**base, **config})
    return planning.make(Host(str(tmp_path)), bundle, operator, workload, "hetoci-x")


def test_limits_of_the_container_win_over_the_images_wishes(tmp_path: Path) -> None:
    workload = DomainWorkload(memory=128 << 20, vcpus=2)
    resources = {"memory": {"limit": 33 << 20}, "cpu": {"quota": 250000, "period": 100000}}
    linux = {"namespaces": [{"type": "network"}], "resources": resources}
    plan = make(tmp_path, workload, linux=linux)
    assert (plan.settings["memory"], plan.settings["vcpus"]) == (33, 3)
    plan = make(tmp_path, workload)
    assert (plan.settings["memory"], plan.settings["vcpus"]) == (128, 2)
    assert make(tmp_path, DomainWorkload()).settings["memory"] == 64


@pytest.mark.parametrize(
    ("workload", "spaces", "network"),
    [
        (DomainWorkload(), [{"type": "network"}], ""),
        (DomainWorkload(), [{"type": "network", "path": "/proc/self/ns/mnt"}], "/proc/self/ns/mnt"),
        (DomainWorkload(network="none"), [{"type": "network"}], None),
        (DomainWorkload(network="none"), [], None),
        (DomainWorkload(kernel="/kernel"), [{"type": "network"}], ""),
        (DomainWorkload(kernel="/kernel"), [], None),
    ],
)
def test_a_domain_gets_the_network_of_its_containers_namespace(
    tmp_path: Path, workload: DomainWorkload, spaces: list[dict[str, str]], network: str | None
) -> None:
    assert make(tmp_path, workload, linux={"namespaces": spaces}).network == network


def test_an_images_own_kernel_is_read_once_and_its_command_line_kept(tmp_path: Path) -> None:
    plan = make(tmp_path, DomainWorkload(kernel="/kernel", cmdline="a='b'"))
    assert plan.items is None
    assert plan.files["kernel"][56:60] == b"ARM\x64"
    assert plan.settings["cmdline"] == "a='b'"


@pytest.mark.parametrize(
    ("workload", "config", "words"),
    [
        (DomainWorkload(kernel="/junk"), {}, "no kernel that Xen loads"),
        (DomainWorkload(kernel="/none"), {}, "does not exist in the image"),
        (DomainWorkload(kernel="/kernel", cmdline="' \""), {}, "both kinds of quotes"),
        (DomainWorkload(kernel="/kernel", digests=["sha256:" + "0" * 64]), {}, "has the digest"),
        (DomainWorkload(memory=4096), {}, "too little memory"),
        (DomainWorkload(), {"linux": {"namespaces": []}}, "host's network"),
        (
            DomainWorkload(),
            {"linux": {"namespaces": [{"type": "network", "path": "/proc/self/ns/net"}]}},
            "host's network",
        ),
        (
            DomainWorkload(),
            {"linux": {"namespaces": [{"type": "network", "path": "/run/netns/gone"}]}},
            "namespace /run/netns/gone: No such file",
        ),
        (
            DomainWorkload(kernel="/kernel"),
            {"hooks": {"createContainer": [{"path": "/bin/true"}]}},
            "hooks.createContainer .* domain's own kernel",
        ),
        (
            DomainWorkload(),
            {"linux": {"namespaces": [{"type": "network"}, {"type": "user"}]}},
            "user namespace",
        ),
        (DomainWorkload(), {"mounts": [{"destination": "/a", "type": "ext4"}]}, "'ext4'"),
        (
            DomainWorkload(accelerators=[AcceleratorRequest("a", "/b")]),
            {},
            "no tmpfs at /dev",
        ),
        (
            DomainWorkload(accelerators=[AcceleratorRequest("a", "/b")]),
            {
                "mounts": [
                    {"destination": "/dev", "type": "tmpfs"},
                    {"destination": "/dev/hetoci/a", "type": "tmpfs"},
                ]
            },
            "something at /dev/hetoci/a already",
        ),
    ],
)
def test_what_a_domain_cannot_be_is_refused(
    tmp_path: Path, workload: DomainWorkload, config: dict[str, Any], words: str
) -> None:
    with pytest.raises(HetociError, match=words):
        make(tmp_path, workload, **config)


@pytest.mark.parametrize("key", ["kernel", "ramdisk"])
def test_files_larger_than_the_operator_allows_are_refused(tmp_path: Path, key: str) -> None:
    workload = DomainWorkload(kernel="/kernel", ramdisk="/kernel")
    with pytest.raises(BundleError, match="/kernel in the image has 160 bytes, more than the 100"):
        make(tmp_path, workload, Config({f"{key}-max-size": "100"}))


def hardware(first: int, count: int, *irqs: int) -> DomainWorkload:
    """A workload with pages and interrupts of the board, and a kernel of the host."""
    vm = VmConfig()
    vm.kernel = "/bundle/rootfs/kernel"
    vm.iomems = (PageRange(first, count, 0x100),)
    vm.irqs = irqs
    return DomainWorkload(vm=vm)


def test_hardware_in_the_operators_list_is_assigned_and_claimed(tmp_path: Path) -> None:
    workload = hardware(0xFFFC2, 2, 92, 99)
    plan = make(tmp_path, workload)
    assert plan.settings["iomem"] == ["0xfffc2,2@0x100"]
    assert plan.settings["irqs"] == [92, 99]
    assert workload.vm
    assert plan.hardware
    assert sorted(hardware_of.claims_of(Host(str(tmp_path)), workload.vm, plan.hardware)) == [
        "iomem.0xfffc2",
        "iomem.0xfffc3",
        "irq.92",
        "irq.99",
    ]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (hardware(0xFFFC3, 1, 99), "iomem.0xfffc3 is held by container first"),
        (hardware(0xFFFC1, 1, 92), "irq.92 is held by container first"),
    ],
)
def test_hardware_that_another_domain_has_is_refused_with_its_name(
    tmp_path: Path, wanted: DomainWorkload, words: str
) -> None:
    def claim(workload: DomainWorkload, name: str) -> list[claims.Claim]:
        host, plan = Host(str(tmp_path)), make(tmp_path, workload)
        me = Holder(name, "", os.getpid(), host.start_time(os.getpid()) or "")
        none = bundles.Bundle("/bundle", {})
        return domain_create._claim(host, none, OPERATOR, workload, plan, me, lambda _held: None)

    held = claim(hardware(0xFFFC2, 2, 92), "first")
    with pytest.raises(DeviceBusy, match=words):
        claim(wanted, "second")
    for one in held:
        one.give_up()
    for one in claim(wanted, "second"):
        one.give_up()


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (hardware(0xFFFC3, 2), "0xfffc3000-0xfffc4fff"),
        (hardware(0xFFFBF, 2), "0xfffbf000-0xfffc0fff"),
        (hardware(0xFFFC0, 1, 96), "interrupt 96"),
        (hardware(0, 1 << 20), "more than 4096 pages"),
    ],
)
def test_hardware_outside_of_the_operators_list_is_refused(
    tmp_path: Path, workload: DomainWorkload, words: str
) -> None:
    with pytest.raises(PolicyDenied, match=words):
        make(tmp_path, workload)


@pytest.mark.parametrize(
    ("state", "shut", "dying"),
    [("-b----", False, False), ("---s--", True, False), ("--p--d", False, True)],
)
def test_a_domain_that_was_destroyed_while_pages_are_mapped_is_known_as_dying(
    state: str, shut: bool, dying: bool
) -> None:
    uuid = "6865746f-6369-8000-8695-84f544148a65"
    found = xen.Listed(["(null)", "1", "0", "1", state, "0.6", uuid, "-", "-"])
    assert (found.shut, found.dying) == (shut, dying)


def test_cores_of_crashed_domains_are_kept_only_where_the_operator_says(tmp_path: Path) -> None:
    workload = DomainWorkload(on_crash="coredump")
    with pytest.raises(PolicyDenied, match="names no directory"):
        make(tmp_path, workload)
    operator = Config({"domain-dumps": "/dumps"})
    with pytest.raises(BundleError, match="/dumps, is no directory"):
        make(tmp_path, workload, operator)
    (tmp_path / "dumps").mkdir()
    assert make(tmp_path, workload, operator).dumps == "/dumps"
    assert make(tmp_path, DomainWorkload(), operator).dumps == ""


def test_the_newest_cores_are_kept_and_a_failure_is_said(tmp_path: Path) -> None:
    place = tmp_path / "dumps"
    place.mkdir()
    for number in range(10):
        core = place / f"hetoci-{number}.core"
        core.touch()
        os.utime(core, (number, number))
    (place / "another.core").touch()
    xl = tmp_path / "usr/sbin/xl"
    xl.parent.mkdir(parents=True)
    xl.write_text(
        '#!/bin/sh\n[ "$2" = hetoci-a ] || { echo error: no domain; exit 1; }\n: > "$3"\n'
    )
    xl.chmod(0o755)
    host = Host(str(tmp_path))
    said = dumps.write(host, "/dumps", "hetoci-a")
    assert said == "; its core is in /dumps/hetoci-a.core"
    kept = {file.name for file in place.iterdir()}
    assert kept == {"another.core", "hetoci-a.core", *(f"hetoci-{n}.core" for n in range(3, 10))}
    assert "was not dumped: xl dump-core failed" in dumps.write(host, "/dumps", "hetoci-b")
