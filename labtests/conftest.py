# SPDX-License-Identifier: MIT
"""Fixtures of the board tests, and the two rules of their runs.

A board that does not boot ends the run with status 96: that is no failure of the product.
A test that the environment's `must_run` lists and that did not run fails the run.
"""

import json
import re
import shlex
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

BOOT_FAILED = 96
RUNTIME = "--runtime io.containerd.hetoci.v1"
IMAGES = "/usr/share/hetoci/images"
CORE = "/sys/class/remoteproc/remoteproc0"


@dataclass(frozen=True)
class Result:
    """What a command on the board printed (stdout and stderr) and its exit status."""

    out: str
    status: int


class Board:
    """The board's shell over ssh, with the few phrases the scenarios are made of."""

    def __init__(self, ssh: Any, driver: Any) -> None:
        self._ssh = ssh
        self.driver = driver

    def run(self, command: str, timeout: float = 60) -> Result:
        """Run a shell command; never raises for its exit status."""
        words = f"sh -c {shlex.quote(command)} 2>&1"
        out, _, status = self._ssh.run(words, timeout=timeout)
        return Result("\n".join(out), status)

    def check(self, command: str, timeout: float = 60) -> str:
        """Run a shell command that must succeed; return its output."""
        done = self.run(command, timeout)
        assert done.status == 0, f"{command}: exit status {done.status}: {done.out}"
        return done.out

    def fails(self, command: str, pattern: str) -> str:
        """Run a shell command that must fail and say `pattern`; return its output."""
        done = self.run(command)
        assert done.status != 0, f"{command} succeeded: {done.out}"
        assert re.search(pattern, done.out), f"{command} said: {done.out}"
        return done.out

    def until(self, command: str, pattern: str, seconds: float = 20) -> str:
        """Repeat a command until its output matches; fail with the last output."""
        deadline = time.monotonic() + seconds
        while True:
            done = self.run(command)
            if re.search(pattern, done.out, re.MULTILINE):
                return done.out
            assert time.monotonic() < deadline, f"{command} never matched {pattern}: {done.out}"
            time.sleep(0.3)

    def put(self, local: str, remote: str) -> None:
        """Copy a file to the board."""
        self._ssh.put(local, remote)

    def get(self, remote: str, local: str) -> None:
        """Copy a file from the board."""
        self._ssh.get(remote, local)

    def forward(self, socket: str) -> AbstractContextManager[int]:
        """Make a Unix socket of the board a TCP port here, as long as the context lasts."""
        forwarded: AbstractContextManager[int] = self._ssh.forward_unix_socket(socket)
        return forwarded

    def core_state(self) -> str:
        """Return what the kernel says of the real-time core."""
        return self.check(f"cat {CORE}/state").strip()

    def own_slots(self) -> list[int]:
        """Return the slots whose interrupt reaches this system; under Xen not all do."""
        status = "/proc/device-tree/pl-slot@fffc{}000/status"
        found = [self.run(f"cat {status.format(n)}").out.strip("\0") for n in range(4)]
        return [n for n in range(4) if found[n] != "disabled"]

    def devices(self) -> list[dict[str, Any]]:
        """Return hetoci's inventory."""
        found: list[dict[str, Any]] = json.loads(self.check("hetoci devices --json"))
        return found

    def import_image(self, name: str) -> str:
        """Import an image that came with the board, once; return its reference."""
        reference = f"localhost/{name}:latest"
        if reference not in self.check("ctr image ls -q"):
            self.check(f"ctr image import {IMAGES}/{name}.oci.tar")
        return reference

    def start(self, name: str, image: str, options: str = "") -> Result:
        """`ctr run -d` a container whose log is /run/NAME.log."""
        reference = self.import_image(image)
        self.run(f"rm -f /run/{name}.log")
        log = f"--log-uri file:///run/{name}.log"
        return self.run(f"ctr run -d {RUNTIME} {log} {options} {reference} {name}")

    def remove(self, name: str) -> None:
        """Remove a container, running or not."""
        self.run(f"ctr task kill -s SIGKILL {name}; ctr task rm -f {name}; ctr container rm {name}")


@pytest.fixture(scope="session")
def board(strategy: Any, target: Any) -> Iterator[Board]:
    """A booted board with a containerd that answers."""
    try:
        strategy.transition("containers")
    except Exception as error:
        reason = error.__cause__ or error
        pytest.exit(f"The board did not boot: {reason!r}", returncode=BOOT_FAILED)
    yield Board(target.get_driver("SSHDriver"), strategy.power)
    strategy.transition("off")


@pytest.fixture
def clean_board(board: Board) -> Iterator[Board]:
    """The board, held to this: whatever the test did, afterwards the core is stopped and free."""
    sweep(board)
    yield board
    leftovers = sweep(board)
    assert not leftovers, f"the test left {leftovers}"


def sweep(board: Board) -> str:
    """Remove every container; return what was not as it should be once they were gone."""
    for name in board.check("ctr container ls -q").split():
        board.remove(name)
    board.check("hetoci reap")
    faults = []
    if board.core_state() != "offline":
        faults.append(f"the core {board.core_state()}")
        board.run(f"echo stop > {CORE}/state")
    held = [device for device in board.devices() if device.get("holder")]
    return ", ".join([*faults, *(f"a claim {device}" for device in held)])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add what the kernel and the EL3 firmware said to the report of a failed test."""
    report = yield
    boards = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Board)]
    if report.failed and boards:
        report.sections.append(("kernel log", boards[0].run("dmesg | tail -n 40").out))
        uart1 = getattr(boards[0].driver, "uart1", None)
        if uart1 is not None:
            report.sections.append(("EL3 and R5 console", uart1.read_text()[-2000:]))
    return report


class MustRun:
    """Fails the run when a test that must run did not."""

    def __init__(self, names: list[str]) -> None:
        self.names = set(names)
        self.ran: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note each test whose body ran."""
        if report.when == "call" and not report.skipped:
            self.ran.add(report.nodeid.rsplit("/", 1)[-1].split("[")[0])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a green run with tests missing."""
        missing = sorted(self.names - self.ran)
        if missing and not session.config.option.keyword and session.exitstatus == 0:
            session.exitstatus = 1
            print(f"\nThese tests must run in this environment and did not: {missing}")


def pytest_configure(config: pytest.Config) -> None:
    """Read the environment's list of tests that must run."""
    from labgrid.pytestplugin.hooks import LABGRID_ENV_KEY

    env = config.stash.get(LABGRID_ENV_KEY, None)
    if env is None:
        return
    whole_run = not any("::" in arg or arg.endswith(".py") for arg in config.args)
    if whole_run:
        config.pluginmanager.register(MustRun(env.config.data.get("must_run", [])))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without an environment there is no board: say so once instead of failing in fixtures."""
    from labgrid.pytestplugin.hooks import LABGRID_ENV_KEY

    if items and config.stash.get(LABGRID_ENV_KEY, None) is None:
        pytest.exit(
            "These tests need a board: pytest labtests --lg-env labtests/env/vboard.yaml", 4
        )
