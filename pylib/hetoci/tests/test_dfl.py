# SPDX-License-Identifier: MIT
"""A second vendor's FPGA: cards of the kernel's Device Feature List framework, acted out.

The tree is the one that Documentation/fpga/dfl.rst describes; the ioctls do what
drivers/fpga/dfl-fme-pr.c and dfl-afu-main.c do with a card.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetoci import accelerate, backends, bitstream, claims, contents, describe, inventory
from hetoci.backends import dfl
from hetoci.config import Config
from hetoci.errors import DeviceBusy, FpgaError, PolicyDenied
from hetoci.fabric import Fabric, Programming
from hetoci.host import Host
from hetoci.model import Holder
from hetoci.workloads import AcceleratorRequest

INTERFACE = "1a4222186dba448eb302425cbcde1406"
OLD = "d8424dc4a4a3c413f89e433683f9040b"
NEW = "67bc266a56f7440abb7512b5f446d842"
PCI = "sys/devices/pci0000:00/0000:00:02.0"


def dashed(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def gbs(afu: str = NEW, interface: str = INTERFACE, payload: bytes = b"rbf" * 5) -> bytes:
    """A .gbs file for the interface, with the accelerator `afu`."""
    header: Any = {
        "version": 1,
        "afu-image": {
            "interface-uuid": dashed(interface),
            "accelerator-clusters": [{"accelerator-type-uuid": dashed(afu).upper()}],
        },
    }
    text = json.dumps(header).encode()
    return b"XeonFPGA\xb7GBSv001" + struct.pack("<I", len(text)) + text + payload


class CardHost(Host):
    """A machine with two cards of two and one ports. The first word of what is programmed
    becomes the accelerator's id, a word `bad` fails as a CRC error does."""

    def __init__(self, root: Path) -> None:
        super().__init__(os.fspath(root))
        self.root = root
        self.opened: dict[str, int] = {}
        self.resets: list[str] = []
        self.programmed: list[tuple[str, int, bytes]] = []
        self.afu = NEW
        self.fail = 0
        (root / "sys/bus/dfl").mkdir(parents=True)
        self.card("0000:5e:00.0", 0, ["dfl-port.0", "dfl-port.1"])
        self.card("0000:86:00.0", 2, ["dfl-port.2"])

    def put_text(self, path: str, text: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text + "\n")

    def card(self, address: str, region: int, ports: list[str], *, engine: bool = True) -> None:
        base = f"{PCI}/{address}/fpga_region/region{region}"
        for number, name in enumerate(ports):
            self.put_text(f"{base}/{name}/id", str(number))
            self.put_text(f"{base}/{name}/afu_id", OLD)
            self.put_text(f"{base}/{name}/dev", f"24{region}:{number}")
            self.put_text(f"{base}/{name}/uevent", f"MAJOR=24{region}\nDEVNAME={name}")
            self.put_text(f"dev/{name}", "")
        if engine:
            fme = f"dfl-fme.{region // 2}"
            inner = f"{base}/{fme}/dfl-fme-region.{region}/fpga_region/region{region + 1}"
            self.put_text(f"{inner}/compat_id", INTERFACE)
            manager = f"{base}/{fme}/dfl-fme-mgr.{region // 2}/fpga_manager/fpga{region}"
            self.put_text(f"{manager}/status", "reconfig CRC error")
            self.put_text(f"dev/{fme}", "")
            self.link(f"region{region + 1}", inner)
        self.link(f"region{region}", base)

    def link(self, name: str, target: str) -> None:
        links = self.root / "sys/class/fpga_region"
        links.mkdir(parents=True, exist_ok=True)
        (links / name).symlink_to(self.root / target)

    def port(self, name: str) -> Path:
        return next(self.root.glob(f"{PCI}/*/fpga_region/*/{name}"))

    # the kernel's side

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        if path.startswith("/dev/dfl-") and flags & os.O_EXCL and self.opened.get(path):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return super().open(path, flags, mode)

    def program_port(self, engine: str, port: int, data: bytes) -> None:
        assert (self.root / engine[1:]).exists()
        if self.fail:
            raise OSError(self.fail, os.strerror(self.fail))
        self.programmed.append((engine, port, data))
        base = next(self.root.glob(f"{PCI}/*/fpga_region/*/{engine[5:]}")).parent
        for place in base.glob("dfl-port.*"):
            if (place / "id").read_text() == f"{port}\n":
                (place / "afu_id").write_text(self.afu + "\n")

    def reset_port(self, descriptor: int) -> None:
        self.resets.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)


@pytest.fixture
def host(tmp_path: Path) -> CardHost:
    return CardHost(tmp_path)


def slots(host: Host) -> list[Fabric]:
    return [fabric for fabric in dfl.discover(host) if fabric.kind == "slot"]


def programming(data: bytes, **more: Any) -> Programming:
    return Programming(data, b"", **{"partial": True, "encrypted": False, **more})


# what there is


def test_a_card_is_a_region_and_its_ports_are_slots(host: CardHost) -> None:
    found = dfl.discover(host, "10AX115")
    assert [(f.kind, f.name, f.instance) for f in found] == [
        ("region", "0000-5e-00.0", "region0"),
        ("slot", "0000-5e-00.0-port0", "dfl-port.0"),
        ("slot", "0000-5e-00.0-port1", "dfl-port.1"),
        ("region", "0000-86-00.0", "region2"),
        ("slot", "0000-86-00.0-port0", "dfl-port.2"),
    ]
    assert {(f.shell, f.part, f.design, f.overlays) for f in found} == {
        (INTERFACE, "10AX115", "", False)
    }
    assert found[1].parent == found[0].place
    assert "takes no full bitstream" in found[0].blocker
    assert [f.blocker for f in found if f.kind == "slot"] == ["", "", ""]
    assert len({f.key for f in found}) == 5
    assert found[1].key == "fpga.pci0000:00+0000:00:02.0+0000:5e:00.0+port0"


def test_cards_are_in_the_inventory_beside_other_fabrics(host: CardHost) -> None:
    assert [f.backend for f in inventory.fabrics(host)] == ["dfl"] * 5
    assert json.loads(json.dumps(inventory.fabrics(host)[1].to_json()))["shell"] == INTERFACE


def test_a_port_of_a_virtual_function_cannot_be_programmed(host: CardHost) -> None:
    host.card("0000:5e:00.1", 8, ["dfl-port.8"], engine=False)
    (fabric,) = (f for f in slots(host) if f.instance == "dfl-port.8")
    assert "its card's dfl-fme is another function's" in fabric.blocker
    assert fabric.shell == ""


def test_regions_of_other_vendors_are_left_to_them(tmp_path: Path) -> None:
    (tmp_path / "sys/class/fpga_region/region0").mkdir(parents=True)
    assert dfl.discover(Host(os.fspath(tmp_path))) == []
    assert dfl.discover(Host(os.fspath(tmp_path / "nothing"))) == []


# programming and giving back


def test_programming_strips_the_header_and_marks_what_is_ours(host: CardHost) -> None:
    _, port, _ = slots(host)
    dfl.program(host, port, programming(gbs(payload=b"abc")))
    assert host.programmed == [("/dev/dfl-fme.0", 1, b"abc")]
    _, port, _ = slots(host)
    assert (port.ours, port.design, port.state) == (True, NEW, "programmed")
    assert dfl.leftovers(host) == [port.key]


def test_a_file_without_a_header_goes_to_the_card_as_it_is(host: CardHost) -> None:
    dfl.program(host, slots(host)[0], programming(b"raw"))
    assert host.programmed == [("/dev/dfl-fme.0", 0, b"raw")]


def test_clear_resets_the_port_once(host: CardHost) -> None:
    port = slots(host)[0]
    dfl.program(host, port, programming(gbs()))
    dfl.clear(host, port.key)
    dfl.clear(host, port.key)
    assert host.resets == ["dfl-port.0"]
    assert (slots(host)[0].ours, slots(host)[0].design) == (False, "")
    assert dfl.leftovers(host) == []


def test_clear_of_a_card_that_is_gone_forgets_it(host: CardHost) -> None:
    port = slots(host)[0]
    dfl.program(host, port, programming(gbs()))
    (host.root / "sys/class/fpga_region/region0").unlink()
    dfl.clear(host, port.key)
    assert dfl.leftovers(host) == []


def test_clear_waits_for_no_process_that_has_the_port_open(host: CardHost) -> None:
    port = slots(host)[0]
    dfl.program(host, port, programming(gbs()))
    host.opened["/dev/dfl-port.0"] = 1
    with pytest.raises(FpgaError, match=r"slot 0000-5e-00\.0-port0 cannot be had .*has it open"):
        dfl.clear(host, port.key)
    assert dfl.leftovers(host) == [port.key]


def test_a_port_that_a_process_uses_is_not_programmed(host: CardHost) -> None:
    host.opened["/dev/dfl-port.0"] = 1
    with pytest.raises(FpgaError, match="a process has it open"):
        dfl.program(host, slots(host)[0], programming(gbs()))
    assert (host.programmed, dfl.leftovers(host)) == ([], [])


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EIO, r"\(EIO\) \(reconfig CRC error\); the kernel's log"),
        (errno.EBUSY, r"/dev/dfl-fme\.0\): .*\(EBUSY\); the kernel's log"),
    ],
)
def test_what_the_card_refuses_leaves_nothing(host: CardHost, number: int, words: str) -> None:
    host.fail = number
    with pytest.raises(FpgaError, match=words) as caught:
        dfl.program(host, slots(host)[0], programming(gbs()))
    assert caught.value.errno == number
    assert dfl.leftovers(host) == []


def test_an_accelerator_that_is_not_the_headers_is_refused(host: CardHost) -> None:
    host.afu = OLD
    with pytest.raises(FpgaError, match=f"has the accelerator {OLD} after .*says {NEW}"):
        dfl.program(host, slots(host)[0], programming(gbs()))
    assert dfl.leftovers(host) == []


def test_encrypted_bitstreams_are_refused(host: CardHost) -> None:
    with pytest.raises(FpgaError, match="takes no encrypted bitstreams"):
        dfl.program(host, slots(host)[0], programming(gbs(), encrypted=True))
    assert host.programmed == []


def test_a_shell_cannot_be_loaded(host: CardHost) -> None:
    region = dfl.discover(host)[0]
    with pytest.raises(FpgaError, match="the card's flash has its static design"):
        dfl.load_shell(host, region, b"")
    assert not dfl.shell_of_ours(host, region)


def test_the_request_to_the_kernel_has_its_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ctypes
    import fcntl

    seen: list[tuple[int, bytes, bytes]] = []

    def ioctl(_descriptor: int, request: int, argument: bytes = b"") -> int:
        *_, length, address = struct.unpack("=IIIIQ", argument)
        seen.append((request, argument[:12], ctypes.string_at(address, length)))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    (tmp_path / "fme").write_text("")
    Host(os.fspath(tmp_path)).program_port("/fme", 3, b"bits\0bits")
    assert seen == [(0xB680, struct.pack("=III", 24, 0, 3), b"bits\0bits")]


def test_what_dies_while_programming_is_found_and_cleared(
    host: CardHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = slots(host)[0]
    monkeypatch.setattr(host, "checkpoint", lambda _name: os.kill(os.getpid(), signal.SIGKILL))
    child = os.fork()
    if child == 0:
        dfl.program(host, port, programming(gbs()))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert dfl.leftovers(host) == [port.key]
    dfl.clear(host, port.key)
    assert dfl.leftovers(host) == []


# a container


def image(root: Path, data: bytes) -> str:
    (root / "image").mkdir()
    (root / "image/a.gbs").write_bytes(data)
    return "/image"


def prepare(
    host: CardHost, data: bytes, **request: Any
) -> tuple[list[accelerate.Prepared], list[claims.Claim], list[dict[str, Any]]]:
    wanted = AcceleratorRequest("sum", "/a.gbs", **{"partial": True, "timeout": 0.1, **request})
    me = Holder("c", "", os.getpid(), host.start_time(os.getpid()) or "")
    held: list[list[dict[str, Any]]] = []
    done, taken = accelerate.prepare(
        host, image(host.root, data), Config({}), [wanted], me, held.append
    )
    return done, taken, held[0]


def test_a_container_gets_the_ports_device_and_gives_it_back(host: CardHost) -> None:
    done, taken, held = prepare(host, gbs(), shells=[INTERFACE], slot="*-port1")
    devices, description = describe.all_of(done)
    assert [(d.path, d.type, d.major, d.minor) for d in devices] == [
        ("/dev/hetoci/sum", "c", 240, 1)
    ]
    (entry,) = description["devices"]
    assert (entry["slot"], entry["shell"]) == ("0000-5e-00.0-port1", INTERFACE)
    assert entry["nodes"][0]["compatible"] == ["dfl-port", NEW]
    assert entry["nodes"][0]["class"] == "dfl-port"
    assert accelerate.undo(host, held, taken) == []
    assert dfl.leftovers(host) == []
    assert host.resets == ["dfl-port.1"]


def test_a_feature_with_a_device_is_a_node_of_its_own(host: CardHost) -> None:
    feature = host.port("dfl-port.0") / "dfl_dev.3"
    host.put_text(os.fspath(feature.relative_to(host.root) / "feature_id"), "0x10")
    place = os.fspath((feature / "uio/uio4").relative_to(host.root))
    host.put_text(f"{place}/dev", "250:4")
    done, _, _ = prepare(host, gbs(), nodes=("afu", "feature-0x10"))
    devices, _ = describe.all_of(done)
    assert [(d.path, d.major) for d in devices] == [
        ("/dev/hetoci/sum", 240),
        ("/dev/hetoci/sum.feature-0x10", 250),
    ]


@pytest.mark.parametrize(
    ("data", "request_", "words"),
    [
        (gbs(interface="0" * 32), {}, f"made for the shell {'0' * 32}, .* has {INTERFACE}"),
        (gbs(), {"shells": ["0" * 32]}, f"has the shell {INTERFACE}, not {'0' * 32}"),
        (gbs(), {"partial": False}, "takes no full bitstream"),
        (gbs(), {"overlay": "/a.gbs"}, "takes no device-tree overlay"),
        (gbs()[:30], {}, "nothing follows its header"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_touched(
    host: CardHost, data: bytes, request_: dict[str, Any], words: str
) -> None:
    with pytest.raises(PolicyDenied, match=words):
        prepare(host, data, **request_)
    assert (host.programmed, dfl.leftovers(host)) == ([], [])
    assert not any(host.listing("/run/hetoci/claims"))


def test_the_holder_of_a_port_is_named(host: CardHost) -> None:
    prepare(host, gbs(), slot="dfl-port.2")
    wanted = AcceleratorRequest("sum", "/a.gbs", partial=True, slot="dfl-port.2")
    with pytest.raises(DeviceBusy, match=r"0000-86-00\.0-port0 is held by container c"):
        images = contents.Images(host, "/image", Config({}))
        accelerate.place(images, [wanted], inventory.fabrics(host))


def test_the_backend_has_the_whole_protocol() -> None:
    names = [line.strip() for line in (backends.__doc__ or "").splitlines()]
    wanted = {
        part.strip().partition("(")[0]
        for line in names
        for part in line.partition(" -> ")[0].split("), ")
        if "(host" in part
    }
    assert {"discover", "program", "clear", "load_shell", "leftovers"} <= wanted
    assert all(callable(getattr(dfl, name)) for name in wanted)


# .gbs files


def test_a_header_says_what_the_file_is_for() -> None:
    header = bitstream.read(gbs())
    assert header is not None
    assert (header.format, header.partial, header.shell) == ("GBS", True, INTERFACE)
    assert (header.design, header.part, header.faults) == (NEW, "", [])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"{", "its header is not JSON"),
        (b"\xff", "its header is not JSON"),
        (b"[]", "its header has no interface-uuid"),
        (b'{"afu-image": []}', "its header has no interface-uuid"),
        (b'{"afu-image": {"interface-uuid": "x"}}', "its header has no interface-uuid"),
        (b'{"afu-image": {"interface-uuid": 5}}', "its header has no interface-uuid"),
    ],
)
def test_a_bad_header_is_a_fault(text: bytes, fault: str) -> None:
    data = b"XeonFPGA\xb7GBSv001" + struct.pack("<I", len(text)) + text + b"x"
    header = bitstream.read(data)
    assert header is not None
    assert fault in header.faults[0]


@given(st.binary())
def test_no_file_breaks_the_reader(tail: bytes) -> None:
    header = bitstream.read(b"XeonFPGA\xb7GBSv001" + tail)
    assert header is not None
    assert all(fault.isprintable() for fault in header.faults)
