# SPDX-License-Identifier: MIT
"""A domain in its container's network namespace, with real namespaces of this machine's kernel.

`outside` is what dom0's devices appear in, `box` the container's namespace as an engine makes it,
`guest` stands for the domain, `world` for what the container speaks to. In the place of a device
of xen-netback and its front end there is a pair of veth devices.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakexenstore import FakeStore

from hetoci import claims, netlink, state
from hetoci.backends import xen
from hetoci.domain import netconfig, network, program
from hetoci.errors import DeviceBusy, XenError
from hetoci.host import Host
from hetoci.model import Holder

AGENT = Path(__file__).parents[3] / "meta-hetoci/recipes-guest/hetoci-guest/files/agent"
MAC = "02:00:00:00:00:07"
NAMES = ("outside", "box", "guest", "world")


class Spaces:
    """The namespaces, each kept by a process."""

    def __init__(self) -> None:
        self.processes = {
            name: subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 600"],
                                   stdout=subprocess.PIPE)
            for name in NAMES
        }  # fmt: skip
        for process in self.processes.values():
            assert process.stdout and process.stdout.readline() == b"\n"

    def path(self, name: str) -> str:
        return f"/proc/{self.processes[name].pid}/ns/net"

    def run(self, name: str, command: str, code: int = 0) -> str:
        """Run `command` there; what it says."""
        words = ["nsenter", f"--net={self.path(name)}", "sh", "-c", command]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


class Kernels(FakeStore):
    """The Xen store, and dom0's and the guest's kernel who make devices of what is written."""

    def __init__(self, spaces: Spaces | None) -> None:
        super().__init__()
        self.spaces = spaces

    def add_device(self, domain: int, *ends: Any) -> None:
        super().add_device(domain, *ends)
        if self.spaces:
            back, _, front, fronts = ends
            assert back.startswith(f"{xen.VIFS}/{domain}/")
            number, mac = front.rpartition("/")[2], fronts["mac"]
            pids = {name: process.pid for name, process in self.spaces.processes.items()}
            # As Xen's front end, the guest's has a name of the kernel's choice.
            self.spaces.run(
                "outside",
                f"ip link add vif{domain}.{number} type veth peer name front{number} netns"
                f" {pids['guest']} address {mac}",
            )


@pytest.fixture
def spaces() -> Iterator[Spaces]:
    if os.geteuid():
        pytest.skip("network namespaces need root")
    spaces = Spaces()
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    outside = os.open(spaces.path("outside"), os.O_RDONLY)
    try:
        box, world = spaces.processes["box"].pid, spaces.processes["world"].pid
        spaces.run(
            "outside",
            f"ip link add eth0 netns {box} address {MAC} mtu 1400 type veth peer name box"
            f" netns {world}",
        )
        spaces.run(
            "box",
            "ip link set lo up; ip link set eth0 up; ip address add 10.9.0.2/24 brd + dev eth0;"
            " ip -6 address add fd09::2/64 dev eth0 nodad;"
            " ip route add 169.254.1.1 dev eth0 scope link;"
            " ip route add 10.8.0.0/16 via 169.254.1.1 dev eth0 metric 7;"
            " ip -6 route add default via fd09::1;"
            " ip route add default via 10.9.0.1;"
            " ip neigh add 169.254.1.1 lladdr 02:00:00:00:00:99 dev eth0 nud permanent",
        )
        spaces.run(
            "world",
            "ip link set lo up; ip link set box up mtu 1400; ip address add 10.9.0.1/24 dev box;"
            " ip -6 address add fd09::1/64 dev box nodad",
        )
        Host().enter_network_namespace(outside)
        yield spaces
    finally:
        Host().enter_network_namespace(own)
        os.close(own)
        os.close(outside)
        spaces.end()


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("agent") / "net"
    sources = [Path(__file__).parent / "agent_net.c", AGENT / "net.c", AGENT / "item.c"]
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-DTRIES=9", f"-I{AGENT}"]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover"]
    subprocess.run(["cc", *flags, *sanitize, "-o", program, *sources], check=True)
    return program


@pytest.fixture(autouse=True)
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "DIRECTORY", str(tmp_path / "claims"))
    monkeypatch.setattr(state, "DIRECTORY", str(tmp_path / "containers"))


def record(name: str = "c") -> state.Record:
    return state.create(Host(), "/engine", name, {"kind": "domain"})


def attach(
    spaces: Spaces, path: str | None = None, of: state.Record | None = None, domain: int = 5
) -> tuple[network.Network, Kernels, list[tuple[str, str]]]:
    """A keeper's way into the box, as if it came from outside."""
    found = enter(of or record(), spaces.path("box") if path is None else path)
    store: Any = Kernels(spaces)
    return found, store, found.attach(store, domain, "hetoci-x")


def enter(of: state.Record, path: str) -> network.Network:
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        network.enter(Host(), path)
        return network.Network(Host(), of, path, outside)
    finally:
        os.close(outside)


def configure(spaces: Spaces, agent: Path, items: list[tuple[str, str]], code: int = 0) -> None:
    done = subprocess.run(
        ["nsenter", f"--net={spaces.path('guest')}", agent],
        input=program.pack(items),
        env={"ASAN_OPTIONS": "detect_leaks=0"},
        check=False,
        timeout=60,
    )
    assert done.returncode == code, os.strerror(done.returncode)


def test_the_guest_gets_what_the_engine_gave_the_container(spaces: Spaces, agent: Path) -> None:
    _, store, items = attach(spaces)
    configure(spaces, agent, items)
    link = spaces.run("guest", "ip -o link show eth0")
    assert MAC in link
    assert "mtu 1400" in link
    for command in (
        "ip -o -4 address show dev eth0 | cut -d ' ' -f 2- | sed 's/ noprefixroute//'",
        "ip -o -6 address show dev eth0 scope global | cut -d ' ' -f 2- | sed 's/ noprefixroute//'",
        "ip route",
        "ip -6 route | grep -v fe80",
        "ip neigh show nud permanent dev eth0",
    ):
        assert spaces.run("guest", command) == spaces.run("box", command) != ""
    assert store.nodes[f"{xen.VIFS}/5/0/ip"] == "10.9.0.2"
    assert store.nodes[f"{xen.VIFS}/5/0/hotplug-status"] == "connected"
    assert store.nodes["/local/domain/5/device/vif/0/mac"] == MAC


def test_what_is_no_way_out_is_no_route_of_the_guests() -> None:
    """A kernel without several tables for IPv6 has addresses of its own in the main one."""
    to = netlink.attribute(1, bytes(15) + b"\1")
    device = netlink.number(4, 7)
    kinds = {
        kind: netconfig._ROUTE.pack(10, 128, 0, 0, 254, 2, 0, kind, 0) + to for kind in (1, 2, 5)
    }

    class Table:
        def dump(self, kind: int, _body: bytes) -> list[bytes]:
            return [raw + device for raw in kinds.values()] if kind == netlink.GETROUTE else []

    table: Any = Table()
    found = netconfig.messages(table, [netconfig.Device(7, "eth0", bytes(6), 1500)])
    assert found == [(netlink.NEWROUTE, kinds[1][:12] + netlink.number(4, 1) + to)]


#: A closed port answers: packets go there and back.
REACH = """import socket, sys
address, seconds = sys.argv[1], float(sys.argv[2])
with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as end:
    end.settimeout(seconds)
    try:
        end.connect((address, 9))
    except ConnectionRefusedError:
        print("reached")
    except OSError as error:
        print(error)
"""


def reaches(spaces: Spaces, name: str, address: str, seconds: float = 10) -> bool:
    """True if `name` and `address` can speak with each other."""
    words = [sys.executable, "-IS", "-c", REACH, address, str(seconds)]
    return spaces.run(name, shlex.join(words)) == "reached\n"


def test_a_network_that_is_reached_by_a_gateway_only(spaces: Spaces, agent: Path) -> None:
    """As the CNI plug-in ptp makes it: not even the neighbours are on the link."""
    spaces.run(
        "box",
        "ip route delete 10.9.0.0/24; ip route add 10.9.0.1 dev eth0 scope link src 10.9.0.2;"
        " ip route add 10.9.0.0/24 via 10.9.0.1 src 10.9.0.2",
    )
    _, _, items = attach(spaces)
    configure(spaces, agent, items)
    assert spaces.run("guest", "ip route") == spaces.run("box", "ip route")


def test_packets_go_from_the_guest_to_the_world_and_back(spaces: Spaces, agent: Path) -> None:
    kept, _, items = attach(spaces)
    configure(spaces, agent, items)
    assert reaches(spaces, "guest", "10.9.0.1")
    assert reaches(spaces, "guest", "fd09::1")
    assert reaches(spaces, "world", "10.9.0.2")
    assert reaches(spaces, "world", "fd09::2")
    assert not reaches(spaces, "box", "10.9.0.1", 0.5)  # the domain has it now
    kept.detach()
    assert list(Path(claims.DIRECTORY).iterdir()) == []
    assert reaches(spaces, "box", "10.9.0.1")
    assert "ingress" not in spaces.run("box", "tc qdisc show dev eth0")


def test_several_devices_keep_their_names(spaces: Spaces, agent: Path) -> None:
    spaces.run(
        "box",
        "ip link add net1 type veth peer name x; ip link set net1 up; ip link set x up;"
        " ip address add 10.7.0.2/24 dev net1; ip link set eth0 down; ip link set x down;"
        " ip link set eth0 name z; ip link set net1 name eth0; ip link set z name net1;"
        " ip link set net1 up; ip link add idle type veth; ip link add bridge type bridge",
    )
    _, _, items = attach(spaces)
    configure(spaces, agent, items)
    assert [value.split("\1")[1] for key, value in items if key == "i"] == ["net1", "eth0"]
    assert "10.7.0.2" in spaces.run("guest", "ip -o -4 address show dev eth0")
    assert MAC in spaces.run("guest", "ip -o link show net1")


def test_a_namespace_with_a_loopback_device_only_is_no_network(spaces: Spaces) -> None:
    found, store, items = attach(spaces, spaces.path("guest"))
    assert (items, store.nodes) == ([], {})
    found.detach()


def test_without_ipv6_there_the_guest_has_none(spaces: Spaces, agent: Path) -> None:
    spaces.run("box", "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6")
    _, _, items = attach(spaces)
    configure(spaces, agent, items)
    assert spaces.run("guest", "ip -o -6 address show dev eth0") == ""


def test_the_vif_says_nothing_of_its_own(spaces: Spaces, agent: Path) -> None:
    attach(spaces)
    found = spaces.run("box", "ip -o address show dev vif5.0; ip -o link show vif5.0")
    assert "inet" not in found
    assert "NOARP" in found
    assert "alias hetoci c" in found


def test_two_domains_do_not_share_a_namespace(spaces: Spaces) -> None:
    start = Host().start_time(os.getppid()) or ""
    key = f"{state.NETWORK}.{Path(spaces.path('box')).stat().st_ino}"
    held = claims.acquire(Host(), key, Holder("first", "/engine", os.getppid(), start))
    with pytest.raises(DeviceBusy, match=r"belongs to another domain: .* held by container first"):
        attach(spaces, of=record("second"))
    assert "ingress" not in spaces.run("box", "tc qdisc show dev eth0")
    held.give_up()


def attach_and_die(spaces: Spaces) -> state.Record:
    """A keeper is killed, then its domain goes."""
    left = record()
    child = os.fork()
    if not child:
        try:
            attach(spaces, of=left)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert "ingress" in spaces.run("box", "tc qdisc show dev eth0")
    spaces.run("box", "ip link delete vif5.0")
    return left


def test_what_a_killed_keeper_left_is_taken_away(spaces: Spaces) -> None:
    left = attach_and_die(spaces)
    assert left.marked(state.NETWORK)
    network.clean(Host(), left)
    assert "ingress" not in spaces.run("box", "tc qdisc show dev eth0")
    assert reaches(spaces, "box", "10.9.0.1")
    assert list(Path(claims.DIRECTORY).iterdir()) == []
    network.clean(Host(), left)


def test_the_next_domain_replaces_what_is_left(spaces: Spaces, agent: Path) -> None:
    attach_and_die(spaces)
    _, _, items = attach(spaces, of=record("next"), domain=6)
    configure(spaces, agent, items)
    assert reaches(spaces, "guest", "10.9.0.1")


def test_a_namespace_in_other_hands_is_left_alone(spaces: Spaces) -> None:
    left = attach_and_die(spaces)
    attach(spaces, of=record("next"), domain=6)
    network.clean(Host(), left)
    assert "ingress" in spaces.run("box", "tc qdisc show dev eth0")


def test_a_filter_of_somebody_elses_is_not_bypassed(spaces: Spaces) -> None:
    spaces.run("box", "tc qdisc add dev eth0 ingress")
    with pytest.raises(XenError, match="eth0 of the container has an ingress filter already"):
        attach(spaces)
    assert "ingress" in spaces.run("box", "tc qdisc show dev eth0")


def test_a_kernel_that_makes_no_device_is_given_up(
    spaces: Spaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_PATIENCE", 0.05)
    found = enter(record(), spaces.path("box"))
    store: Any = Kernels(None)
    with pytest.raises(XenError, match=r"made no network device vif5\.0 within"):
        found.attach(store, 5, "hetoci-x")


def test_only_a_namespace_with_a_loopback_device_alone_has_no_devices(spaces: Spaces) -> None:
    network.enter(Host(), spaces.path("box"))
    assert Host().has_network_devices()
    Host().new_network_namespace()
    assert not Host().has_network_devices()


def test_a_namespace_that_is_gone_is_a_sentence(spaces: Spaces) -> None:
    with pytest.raises(XenError, match="cannot enter the network namespace /no/such"):
        attach(spaces, "/no/such")


def test_a_device_that_never_comes_fails_in_the_guest(spaces: Spaces, agent: Path) -> None:
    configure(spaces, agent, [("i", "020000000001\1eth0\0011400\0010")], errno.ENODEV)
