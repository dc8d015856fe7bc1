# SPDX-License-Identifier: MIT
"""The virtual bench with labgrid's own coordinator and exporter; no board is switched on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from hetoci_lab import places, scenarios
from hetoci_lab.errors import LabError
from hetoci_lab.relay import Relay
from hetoci_lab.virtual_bench import Bench


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("board")
    for name in ("el3.elf", "root.sqfs", "parts.sqfs", "id_ed25519", "xen", "xen.dtb"):
        (folder / name).write_bytes(b"x")
    (folder / "Image").write_bytes(bytes(0x38) + b"ARM\x64")
    with Bench(folder, "xen", 2, 0) as running:
        yield running


def client(bench: Bench, *words: str, user: str = "somebody") -> "subprocess.CompletedProcess[str]":
    surroundings = os.environ | {"LG_USERNAME": user, "LG_HOSTNAME": "desk"}
    return subprocess.run(
        bench.client(*words), env=surroundings, capture_output=True, text=True, check=False
    )


def test_it_offers_two_boards_with_all_that_a_board_has(bench: Bench) -> None:
    with places.Coordinator(bench.address) as coordinator:
        found = {row.name: row for row in coordinator.places()}
    assert set(found) == {"vboard-1", "vboard-2"}
    names = {path.rsplit("/", 1)[1] for path in found["vboard-1"].resources}
    assert names == {"console", "uart1", "power", "ssh", "tftp"}
    assert all(found["vboard-1"].resources.values())


def test_a_place_that_is_taken_names_its_holder_and_since_when(bench: Bench) -> None:
    assert client(bench, "-p", "vboard-1", "acquire").returncode == 0
    try:
        with (
            pytest.raises(LabError, match=r"vboard-1 is taken by desk/somebody since 20\d\d-.*min"),
            places.held(bench.address, "vboard-1"),
        ):
            pass
        with places.held(bench.address, "vboard-2"), places.Coordinator(bench.address) as other:
            assert other.place("vboard-2").holder
    finally:
        client(bench, "-p", "vboard-1", "release")


def test_a_place_is_given_back_whatever_happens(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt), places.held(bench.address, "vboard-1"):
        raise KeyboardInterrupt
    with places.Coordinator(bench.address) as coordinator:
        assert coordinator.place("vboard-1").holder is None


def test_the_power_is_what_the_relay_says(bench: Bench) -> None:
    with places.held(bench.address, "vboard-2"):
        said = subprocess.run(
            bench.client("-p", "vboard-2", "power", "get"), capture_output=True, text=True
        )
    assert "power for place vboard-2 is off" in said.stdout


def test_an_unknown_place_is_refused_with_those_there_are(bench: Bench) -> None:
    with (
        pytest.raises(LabError, match=r"no place vboard-9; it has: vboard-1, vboard-2"),
        places.held(bench.address, "vboard-9"),
    ):
        pass


BIND = """
import os, sys
from labgrid import Environment
from hetoci_lab import places, scenarios
target = Environment(sys.argv[1]).get_target()
strategy = target.get_driver("BoardStrategy", activate=False)
print("bound:", *(name for name in strategy.bindings if getattr(strategy, name) is not None))
sys.stdout.flush()
sys.stdin.readline()
while not places.lost(target):
    pass
print("lost:", *places.lost(target), sep="\\n")
"""


PLACE = scenarios.environment("vboard-place")
MUX = "NetworkUSBSDMuxDevice: {host: h, path: p, busnum: 1, devnum: 1, vendor_id: 1, model_id: 1}"
"""A USB-SD-Mux as an exporter would tell of it; there is none here to export."""


def with_mux(file: Path, folder: Path) -> Path:
    """Return a copy of an environment whose place also has a USB-SD-Mux."""
    copy = folder / file.name
    copy.write_text(file.read_text().replace("    resources:\n", f"    resources:\n      {MUX}\n"))
    return copy


def bind(bench: Bench, environment: Path) -> "subprocess.Popen[str]":
    """Load an environment at a place in a process of its own; it waits for a line, then a loss."""
    facts = {"LG_COORDINATOR": bench.address, "LG_PLACE": "vboard-2", "LG_SSH_KEY": "/no/key"}
    return subprocess.Popen(
        [sys.executable, "-c", BIND, str(environment)],
        env=os.environ | facts,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("environment", "own"),
    [("vboard-place", []), ("zcu102", ["uboot", "tftp"]), ("kria", ["uboot", "mux", "card"])],
)
def test_the_one_strategy_binds_in_every_environment_at_a_place(
    bench: Bench, tmp_path: Path, environment: str, own: list[str]
) -> None:
    file = scenarios.environment(environment)
    file = with_mux(file, tmp_path) if "mux" in own else file
    with places.held(bench.address, "vboard-2"), bind(bench, file) as child:
        assert child.stdout is not None
        bound = child.stdout.readline().split()
        child.kill()
    assert set(bound) == {"bound:", "power", "console", "shell", "ssh", *own}


def test_a_lost_exporter_is_told_and_comes_back(bench: Bench) -> None:
    with places.held(bench.address, "vboard-2"), bind(bench, PLACE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        os.killpg(bench.children["exporter"].pid, signal.SIGKILL)
        bench.children["exporter"].wait()
        said = child.communicate("\n", timeout=30)[0]
    assert "NetworkPowerPort power" in said
    deadline = time.monotonic() + 30
    with places.Coordinator(bench.address) as coordinator:
        while coordinator.place("vboard-1").resources and time.monotonic() < deadline:
            coordinator.refresh()
    with (
        pytest.raises(LabError, match=r"vboard-1 cannot be taken: .*Is its exporter running"),
        places.held(bench.address, "vboard-1"),
    ):
        pass
    bench.start_exporter()
    with places.held(bench.address, "vboard-1"):
        pass


def test_nobody_at_the_coordinators_address_is_a_sentence() -> None:
    with (
        pytest.raises(LabError, match=r"No labgrid coordinator answers at 127\.0\.0\.1:9"),
        places.Coordinator("127.0.0.1:9"),
    ):
        pass


def test_a_bench_leaves_no_process_and_no_file(board_folder: Path) -> None:
    with Bench(board_folder, "xen", 1, 0) as bench:
        pids = [child.pid for child in bench.children.values()]
        folder = bench.folder
    assert not folder.exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_the_relay_switches_and_tells() -> None:
    state = {"on": False}
    with Relay([(lambda: state["on"], lambda on: state.update(on=on))]) as relay:

        def ask(value: str) -> bytes:
            url = relay.url.format(index=0, value=value).rstrip("/")
            return requests.get(url, timeout=5).content

        assert [ask(""), ask("1"), ask(""), ask("0")] == [b"0", b"1", b"1", b"0"]
        assert requests.get(relay.url.format(index=7, value="1"), timeout=5).status_code == 404
