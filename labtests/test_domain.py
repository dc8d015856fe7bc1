# SPDX-License-Identifier: MIT
"""Containers as Xen domains: the same images, each in a virtual machine of its own."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import REMAINS, RUNTIME, Board

pytestmark = pytest.mark.lg_feature("domains")

TOOL = "python3 /run/domain.py"
FILES = "/var/lib/containers/domain"
DEBIAN = "/mnt"  # the board's own read-only root of Debian packages
DOMAIN = "--annotation io.hetoci.workload=domain"
IMAGE = "localhost/hello:latest"

COMMANDS = r"""echo out; echo err >&2
cat
exit 7
id
pwd; echo $HOME $PATH
hostname
ulimit -n
kill -TERM $$
head -c 200000 /dev/zero | sha256sum
seq 1 20000 | tail -n 2
ls -la /etc
cat /no/such/file
no-such-program
mkdir -p /tmp/a/b; cd /tmp/a/b; pwd; echo x > f; mv f g; cat g; rm -r /tmp/a
ln -s /etc/passwd /tmp/link; readlink /tmp/link; rm /tmp/link
test -t 0; echo $?
grep -E '^(Uid|Gid|CapEff|CapBnd)' /proc/self/status
ls /proc | grep -c '^1$'
umask; touch /tmp/u; ls -l /tmp/u | cut -c1-10
sleep 0.1 & wait $!; echo waited $?"""

PYTHON = r"""python3 -c "import sys; print(sys.version); sys.stderr.write('e'); sys.exit(3)"
python3 -c "import os; print(sorted(os.listdir('/etc')))"
python3 -c "import subprocess; print(subprocess.check_output(['id']))"
python3 -c "1/0"
python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print('ok')"
python3 -c "import hashlib; print(hashlib.sha256(open('/usr/bin/env','rb').read()).hexdigest())"
"""


def domains(board: Board) -> list[str]:
    """Names of the domains that Xen has beside dom0."""
    return [line.split()[0] for line in board.check("xl list").splitlines()[2:]]


def forget_all(board: Board) -> None:
    """Remove every container that is a domain."""
    names = board.check("ctr container ls -q").split()
    for name in names:
        board.remove(name)
    if not names and not board.output(REMAINS):
        return
    for container in json.loads(board.check("hetoci ps --json")):
        board.run(f"hetoci delete --force {container['id']}")
    board.check("hetoci reap")


@pytest.fixture(scope="module")
def tools(board: Board) -> Board:
    """A board with a root file system of busybox in FILES, and our program beside it."""
    board.put(str(Path(__file__).parent / "target/domain.py"), "/run/domain.py")
    board.check(
        f"mkdir -p {FILES}/bin {FILES}/etc {FILES}/tmp; cp /bin/busybox {FILES}/bin;"
        f" for a in $(busybox --list); do ln -sf busybox {FILES}/bin/$a; done;"
        f" cp /bin/busybox {FILES}/bin/busybox.new; mv {FILES}/bin/busybox.new {FILES}/bin/busybox"
    )
    board.import_image("hello")
    return board


@pytest.fixture
def clean(tools: Board) -> Iterator[Board]:
    """The board, held to this: whatever the test did, no domain and no record is left."""
    yield tools
    forget_all(tools)
    assert domains(tools) == []
    assert tools.check("hetoci ps --json").strip() == "[]"
    assert tools.check("xenstore-list /local/domain").split() == ["0"]


def bundle(board: Board, name: str, args: list[str], **changes: Any) -> str:
    """Make a bundle in /run/NAME that runs `args`; return what names it on a command line."""
    process = {"args": args, **changes.pop("process", {})}
    text = json.dumps({"process": process, **changes})
    board.check(f"{TOOL} bundle /run/{name} {FILES} {shlex.quote(text)}")
    return f"-b /run/{name} {name}"


def started(board: Board, name: str, args: list[str], **changes: Any) -> None:
    """Run `args` in the background; its output goes to /run/NAME.log."""
    words = bundle(board, name, args, **changes)
    board.check(f"hetoci run --detach {words} > /run/{name}.log 2>&1 < /dev/null", 120)


def test_the_same_commands_give_the_same_with_and_without_a_domain(clean: Board) -> None:
    for rootfs, lines in ((FILES, COMMANDS), (DEBIAN, PYTHON)):
        done = clean.run(f"echo {shlex.quote(lines.strip())} | {TOOL} same /run/same {rootfs}", 400)
        assert done.status == 0, done.out
        assert done.out.count("same: ") == lines.strip().count("\n") + 1


@pytest.mark.smoke
def test_an_image_runs_as_a_domain_through_containerd(clean: Board) -> None:
    script = "echo out; echo err >&2; exec busybox sleep 1000"
    log = "--log-uri file:///run/d1.log"
    clean.check(
        f"ctr run -d {RUNTIME} {DOMAIN} {log} {IMAGE} d1 /bin/busybox sh -c {shlex.quote(script)}"
    )
    assert len(domains(clean)) == 1
    assert re.search(r"d1 +\d+ +RUNNING", clean.check("ctr task ls"))
    said = clean.until("cat /run/d1.log", "err")
    assert "out" in said
    inside = clean.check("ctr task exec --exec-id e d1 /bin/busybox uname -r")
    assert "guest" in inside
    assert clean.run("ctr task exec --exec-id f d1 /bin/busybox sh -c 'exit 5'").status == 5
    clean.check("ctr task kill -s SIGKILL d1")
    clean.until("ctr task ls", r"d1 +\d+ +STOPPED")
    assert domains(clean) == []
    assert "137" in clean.run("ctr task rm d1").out


def test_output_is_complete_and_in_order(clean: Board) -> None:
    little = {"resources": {"memory": {"limit": 32 << 20}}}
    words = bundle(clean, "big", ["sh", "-c", "cat; exit 9"], linux=little)
    clean.check("head -c 2000000 /dev/urandom > /run/big.in")
    done = clean.run(f"hetoci run {words} < /run/big.in > /run/big.out", 120)
    assert done.status == 9
    clean.check("cmp /run/big.in /run/big.out")


def test_writes_land_in_the_containers_own_layer(clean: Board) -> None:
    script = "mkdir -p /made; echo text > /made/file; chmod 640 /made/file; chown 5:6 /made/file"
    clean.check(f"hetoci run {bundle(clean, 'w', ['sh', '-c', script])}", 60)
    found = clean.check(f"cat {FILES}/made/file; ls -ln {FILES}/made/file; rm -r {FILES}/made")
    assert re.search(r"^text\n-rw-r----- 1 5 6 5 ", found)


def test_binds_volumes_and_read_only_ones(clean: Board) -> None:
    clean.check("mkdir -p /run/volume; echo before > /run/volume/file; echo names > /run/resolv")
    mounts = [
        {"destination": "/volume", "type": "bind", "source": "/run/volume", "options": ["rbind"]},
        {
            "destination": "/etc/resolv.conf",
            "type": "bind",
            "source": "/run/resolv",
            "options": ["rbind", "ro"],
        },
        {"destination": "/proc", "type": "proc", "source": "proc"},
    ]
    script = (
        "cat /volume/file /etc/resolv.conf; echo after > /volume/file; echo x > /etc/resolv.conf"
    )
    done = clean.run(f"hetoci run {bundle(clean, 'v', ['sh', '-c', script], mounts=mounts)}")
    assert "before\nnames" in done.out
    assert "Read-only file system" in done.out
    assert clean.check("cat /run/volume/file /run/resolv").split() == ["after", "names"]


def test_a_terminal_has_a_size_and_a_line_discipline(clean: Board) -> None:
    bundle(clean, "tty", ["sh"], process={"terminal": True})
    done = clean.check(f"printf 'stty size; tty; exit 4\\n' | {TOOL} terminal /run/tty tty", 90)
    assert "33 99" in done
    assert "/dev/pts/0" in done


def test_signals_reach_the_program_and_its_code_comes_back(clean: Board) -> None:
    script = 'trap "echo got it; exit 9" TERM; echo ready; while :; do sleep 0.2; done'
    started(clean, "s", ["sh", "-c", script])
    clean.until("cat /run/s.log", "ready")
    clean.check("hetoci kill s TERM")
    clean.until("hetoci state s", "stopped")
    assert "got it" in clean.check("cat /run/s.log")
    # Process 1 of a PID namespace does not die of a SIGKILL from inside, here or under runc.
    child = bundle(clean, "k", ["sh", "-c", "sh -c 'kill -9 $$'; exit $?"])
    assert clean.run(f"hetoci run {child}").status == 137


def test_pause_resume_and_less_memory(clean: Board) -> None:
    started(clean, "p", ["sleep", "1000"])
    clean.check("hetoci pause p")
    assert '"paused"' in clean.check("hetoci state p")
    clean.check("hetoci resume p")
    assert '"running"' in clean.check("hetoci state p")
    stats = json.loads(clean.check("hetoci events --stats p"))["data"]
    assert stats["memory"]["usage"]["limit"] == 64 << 20
    assert 60 << 20 < stats["memory"]["usage"]["usage"] < 68 << 20
    assert stats["cpu"]["usage"]["total"] > 0
    clean.check("""echo '{"memory": {"limit": 50331648}}' | hetoci update --resources - p""")
    name = domains(clean)[0]
    clean.until(f"xl list {name}", rf"{name} +\d+ +4[89] ")
    clean.fails("hetoci update --memory 1073741824 p", "began with 64 MiB")


@pytest.mark.parametrize(
    ("args", "changes", "sentence"),
    [
        (["no-such"], {}, "executable file not found"),
        (["true"], {"linux": {"resources": {"memory": {"limit": 1 << 33}}}}, "has no 8192 MiB"),
        (["true"], {"linux": {"resources": {"memory": {"limit": 4096}}}}, "too little memory"),
        (["true"], {"linux": {"namespaces": []}}, "host's network"),
        (["true"], {"annotations": {"io.hetoci.domain.kernel": "/etc/junk"}}, "no kernel"),
        (
            ["true"],
            {
                "annotations": {
                    "io.hetoci.domain.kernel": "/bin/kernel",
                    "io.hetoci.domain.cmdline": "a='b' c=\"d\" [e]",
                }
            },
            "both kinds of quotes",
        ),
        (
            ["true"],
            {"mounts": [{"destination": "/a", "type": "ext4", "source": "/dev/vda"}]},
            "'ext4'",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    clean: Board, args: list[str], changes: dict[str, Any], sentence: str
) -> None:
    clean.check(f"echo junk > {FILES}/etc/junk; cp /usr/lib/hetoci/guest/kernel {FILES}/bin/kernel")
    clean.fails(f"hetoci run {bundle(clean, 'bad', args, **changes)}", sentence)
    assert domains(clean) == []


def test_an_own_kernels_console_and_reboot_come_out(clean: Board) -> None:
    keys = {
        "io.hetoci.domain.kernel": "/bin/kernel",
        "io.hetoci.domain.cmdline": "console=hvc0 panic=1 say='it [here]'",
    }
    clean.check(f"cp /usr/lib/hetoci/guest/kernel {FILES}/bin/kernel")
    done = clean.run(f"hetoci run {bundle(clean, 'own', ['x'], annotations=keys)}", 90)
    assert "say='it [here]'" in done.out
    assert "No working init found" in done.out
    assert done.status == 75, done.out


def test_a_guest_that_never_boots_is_given_up_with_its_last_words(clean: Board) -> None:
    little = {"resources": {"memory": {"limit": 9 << 20}}}
    done = clean.run(f"hetoci run {bundle(clean, 'n', ['true'], linux=little)}", 90)
    assert done.status != 0
    assert re.search("its console said last: .*memory", done.out)


@pytest.mark.parametrize(
    "step",
    [
        "create:recorded",
        "create:forked",
        "create:committed",
        "keeper:configured",
        "keeper:built",
        "keeper:connected",
        "keeper:committed",
    ],
)
def test_death_at_a_step_of_create_leaves_nothing(clean: Board, step: str) -> None:
    words = bundle(clean, "f", ["sleep", "1000"])
    done = clean.run(f"{TOOL} die {step} create {words} > /dev/null 2>&1 < /dev/null", 90)
    assert done.status != 0 or step == "keeper:committed"
    clean.run("hetoci delete --force f")
    clean.check("hetoci reap")
    assert domains(clean) == []
    assert clean.check("hetoci ps --json").strip() == "[]"


def test_the_keeper_killed_while_it_runs(clean: Board) -> None:
    started(clean, "f", ["sleep", "1000"])
    state = json.loads(clean.check("hetoci state f"))
    clean.check(f"kill -9 {state['pid']}")
    clean.until("hetoci state f", "stopped")
    assert "keeper was killed" in clean.check("hetoci reap")
    assert domains(clean) == []
    clean.check("hetoci delete f")


@pytest.mark.parametrize("victims", ["containerd-shim", "containerd", "containerd-shim containerd"])
def test_the_shim_and_containerd_killed(clean: Board, victims: str) -> None:
    clean.check(f"ctr run -d {RUNTIME} {DOMAIN} {IMAGE} d1 /bin/busybox sleep 1000")
    for victim in victims.split():
        clean.run(f"pkill -9 -x {victim[:15]}")
    clean.until("systemctl is-active containerd", "^active")
    clean.until("ctr version", "Server:")
    forget_all(clean)
    assert domains(clean) == []


# network


@pytest.fixture
def pod(clean: Board) -> Iterator[str]:
    """A network namespace as a CNI plug-in leaves it; dom0 is 10.99.0.1 and serves a page there."""
    clean.check(
        "ip netns add pod; ip link add pod0 mtu 1400 type veth peer name eth0 mtu 1400 netns pod;"
        " ip address add 10.99.0.1/24 dev pod0; ip link set pod0 up;"
        " ip -n pod link set lo up; ip -n pod link set eth0 up;"
        " ip -n pod address add 10.99.0.2/24 brd + dev eth0;"
        " ip -n pod address add fd99::2/64 dev eth0 nodad;"
        " ip -n pod route add default via 10.99.0.1;"
        " mkdir -p /run/www; echo page of dom0 > /run/www/index.html;"
        " busybox httpd -p 10.99.0.1:80 -h /run/www"
    )
    yield "/run/netns/pod"
    assert network_left(clean) == ""
    clean.check("pkill -x busybox; ip netns delete pod")


def network_left(board: Board) -> str:
    """What domains without life have of the pod's network and of dom0's."""
    return board.check(
        "ip -n pod -o link | grep vif; ip -o link | grep vif;"
        " ip netns exec pod tc qdisc show dev eth0 | grep ingress;"
        " xenstore-list /local/domain/0/backend/vif 2>/dev/null; true"
    )


def namespaces(path: str) -> dict[str, Any]:
    """Changes of a bundle: the network namespace at `path`."""
    kinds = ("pid", "ipc", "uts", "mount")
    network = {"type": "network", **({"path": path} if path else {})}
    return {"namespaces": [*({"type": kind} for kind in kinds), network]}


def test_a_domain_has_its_pods_address_and_speaks_with_the_world(clean: Board, pod: str) -> None:
    script = (
        "ip -o address show dev eth0; ip route; cat /sys/class/net/eth0/mtu; mkdir -p /tmp/w;"
        " wget -q -O - http://10.99.0.1/; echo page of the domain > /tmp/w/index.html;"
        " httpd -p 8080 -h /tmp/w; sleep 1000"
    )
    sys = {"destination": "/sys", "type": "sysfs", "source": "sysfs"}
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"}, sys]
    started(clean, "n", ["sh", "-c", script], linux=namespaces(pod), mounts=mounts)
    said = clean.until("cat /run/n.log", "page of dom0")
    assert "inet 10.99.0.2/24 brd 10.99.0.255" in said
    assert "inet6 fd99::2/64" in said
    assert "default via 10.99.0.1" in said
    assert "\n1400\n" in said
    clean.until("busybox wget -q -T 5 -O - http://10.99.0.2:8080/", "page of the domain")
    other = bundle(clean, "other", ["true"], linux=namespaces(pod))
    clean.fails(f"hetoci run {other}", "belongs to another domain: .* held by container n")
    clean.check("hetoci delete --force n")


def test_a_namespace_without_devices_is_no_network(clean: Board) -> None:
    done = clean.run(f"hetoci run {bundle(clean, 'lo', ['ip', '-o', 'link'])}", 90)
    assert done.status == 0
    assert " lo: " in done.out
    assert "eth0" not in done.out


@pytest.mark.parametrize("step", ["keeper:network", "keeper:attached"])
def test_death_at_a_step_of_the_network_leaves_nothing(clean: Board, pod: str, step: str) -> None:
    words = bundle(clean, "f", ["sleep", "1000"], linux=namespaces(pod))
    clean.run(f"{TOOL} die {step} run --detach {words} > /dev/null 2>&1 < /dev/null", 90)
    clean.check("hetoci reap")
    clean.run("hetoci delete --force f")
    assert domains(clean) == []
    assert network_left(clean) == ""


def test_hetoci_shows_domains(clean: Board) -> None:
    limits = {"resources": {"cpu": {"quota": 150000, "period": 100000}}}
    words = bundle(clean, "d", ["sleep", "1000"], linux=limits)
    assert "64 MiB" in clean.check("hetoci plan /run/d")
    clean.check(f"hetoci run --detach {words} > /dev/null 2>&1 < /dev/null", 90)
    (container,) = json.loads(clean.check("hetoci ps --json"))
    assert container["kind"] == "domain"
    assert container["domain"] == domains(clean)[0]
    assert container["memory"] == 64 << 20
    shown = {d["domain"]: d for d in json.loads(clean.check("hetoci devices --json"))
             if d["backend"] == "xen"}  # fmt: skip
    (number,) = shown.keys() - {0}
    assert shown[number]["holder"]["container"] == "d"
    assert (shown[number]["state"], shown[number]["vcpus"]) == ("running", 2)
    assert clean.check("hetoci exec d nproc").strip() == "2"
