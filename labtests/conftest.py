# SPDX-License-Identifier: MIT
"""Fixtures of the board tests, and the rules of their runs.

A board that does not boot ends the run with status 96, one that goes away with 97: neither is a
failure of the product. A test that the environment's `must_run` lists and that was skipped
fails the run.
"""

import json
import re
import shlex
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hetoci_lab import places
from hetoci_lab.errors import BOARD_LOST, BOOT_FAILED
from hetoci_lab.listen import exported_port
from hetoci_lab.recorder import Recorder
from hetoci_lab.session import plain_lines

SSH_FAILED = 255
RUNTIME = "--runtime io.containerd.hetoci.v1"
IMAGES = "/usr/share/hetoci/images"
CORE = "/sys/class/remoteproc/remoteproc0"
OVERLAYS = "/sys/kernel/config/device-tree/overlays"
#: Says what a container could have left. Each program takes its time on an emulated board, so the
#: costly looks are for when this has something to say, and after a test.
REMAINS = (
    "ls -d /run/hetoci/containers/*/* /run/containerd/io.containerd.runtime.v2.task/*/*"
    f" 2>/dev/null; grep -v offline {CORE}/state"
)


@dataclass(frozen=True)
class Result:
    """What a command on the board printed (stdout and stderr) and its exit status."""

    out: str
    status: int


class Board:
    """The board's shell over ssh, with the few phrases the scenarios are made of."""

    def __init__(self, ssh: Any, driver: Any, lost: Callable[[], str]) -> None:
        self._ssh = ssh
        self.driver = driver
        self._lost = lost
        #: What the kernel had to say until then, from errors up.
        self.boot_errors = self.run("dmesg --level=emerg,alert,crit,err").out

    def run(self, command: str, timeout: float = 60) -> Result:
        """Run a shell command; never raises for its exit status.

        A board that no longer answers ends the run (status 97).
        """
        words = f"sh -c {shlex.quote(command)} 2>&1"
        try:
            out, _, status = self._ssh.run(words, timeout=timeout)
            if status == SSH_FAILED:
                self._ssh.run_check("true", timeout=20)
        except Exception as error:
            reason = self._lost()
            if not reason:
                raise
            stop(f"The board was lost during `{command[:60]}`: {reason}", BOARD_LOST, error)
        return Result("\n".join(out), status)

    def output(self, command: str) -> str:
        """Run a shell command and return what it printed, whatever its status."""
        return self.run(command).out

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

    def start_containerd(self) -> None:
        """Start containerd, if it does not run, and wait until it answers."""
        self.until("systemctl start containerd; ctr version", "Server:", 60)

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
def board(strategy: Any, target: Any, pytestconfig: pytest.Config) -> Iterator[Board]:
    """A booted board with a containerd that answers."""
    recorder = pytestconfig.pluginmanager.get_plugin("hetoci-recorder")
    if recorder:
        recorder.listen(exported_port(target, "uart1"))
    try:
        strategy.transition("containers")
    except KeyboardInterrupt:
        strategy.transition("off")  # at a place, nobody else would
        raise
    except Exception as error:
        reason = error.__cause__ or error
        said = last_words(strategy)
        stop(f"The board did not boot: {reason_of(reason)}\n{said}".rstrip(), BOOT_FAILED, error)
    booted = Board(strategy.ssh, strategy.power, lambda: why_lost(strategy))
    if recorder:
        recorder.board_is_up(booted)
    yield booted
    if places.lost(target):
        return  # the power switch went with the exporter
    if recorder and not why_lost(strategy):
        recorder.board_goes_off(booted)
        uart1 = getattr(strategy.power, "uart1", None)
        if uart1 is not None:
            recorder.console("uart1", uart1.read_text(errors="replace"))
    strategy.transition("off")


@pytest.fixture(scope="module")
def fabric(board: Board) -> Iterator[Board]:
    """The board; afterwards without the shell that hetoci loaded for containers."""
    yield board
    board.check(f"cd {OVERLAYS} && for o in hetoci.shell-*; do [ ! -d $o ] || rmdir $o; done")


@pytest.fixture
def measure(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Record a measurement, `measure(name, value, unit)`: a number, or numbers of a series."""

    def record(name: str, value: float | list[float], unit: str) -> None:
        assert re.fullmatch("[a-z0-9_.-]+", name), name
        numbers = value if isinstance(value, list) else [value]
        record_property(f"measure.{name}", " ".join([*(f"{n:.6g}" for n in numbers), unit]))

    return record


def stop(message: str, status: int, cause: Exception) -> None:
    """End the whole run with `status`."""
    try:
        pytest.exit(message, returncode=status)
    except BaseException as ended:
        raise ended from cause


def reason_of(error: BaseException) -> str:
    """Return an error as one line a person can read; pexpect's carry a dump of themselves."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def last_words(strategy: Any) -> str:
    """Return the console's last lines, which the shell's expect had read."""
    if strategy.console is None:
        return ""
    expect = getattr(strategy.console, "_expect", None)
    text = (
        b"".join(part for part in (expect.before, expect.buffer) if isinstance(part, bytes))
        if (expect)
        else b""
    )
    lines = plain_lines(text.decode(errors="replace"))[-12:]
    return "\n".join(["The console's last lines:", *lines] if lines else ["The console is silent."])


def why_lost(strategy: Any) -> str:
    """Return why the board does not answer, or nothing if it does after all."""
    gone = places.lost(strategy.target)
    if gone:
        return f"its exporter is gone ({', '.join(gone)})"
    get = getattr(strategy.power, "get", None)
    try:
        if get is not None and not get():
            return "its power is off"
        strategy.ssh.run_check("true", timeout=20)
    except Exception as error:
        return f"it does not answer over ssh ({reason_of(error)})\n{last_words(strategy)}"
    return ""


@pytest.fixture(autouse=True)
def exporter_is_there(request: pytest.FixtureRequest) -> Iterator[None]:
    """End the run after a test during which the place's exporter went away."""
    wanted = "target" in request.fixturenames
    target = request.getfixturevalue("target") if wanted else None
    yield
    if target is not None:
        gone = places.lost(target)
        if gone:
            message = f"The board was lost: its exporter is gone ({', '.join(gone)})"
            pytest.exit(message, returncode=BOARD_LOST)


@pytest.fixture
def clean_board(board: Board) -> Iterator[Board]:
    """The board, held to this: whatever the test did, afterwards the core is stopped and free."""
    if board.output(REMAINS):
        sweep(board)
    yield board
    leftovers = sweep(board)
    assert not leftovers, f"the test left {leftovers}"


def sweep(board: Board) -> str:
    """Remove every container; return what was not as it should be once they were gone."""
    names = board.check("ctr container ls -q").split()
    for name in names:
        board.remove(name)
    if names or board.output(REMAINS):
        board.check("hetoci reap")
    faults = []
    if board.core_state() != "offline":
        faults.append(f"the core {board.core_state()}")
        board.run(f"echo stop > {CORE}/state")
    held = [device for device in board.devices() if device.get("holder")]
    if held:
        # What containerd has lost it looks for when it starts: the next test is not to pay for it.
        board.check("systemctl stop containerd")
        board.start_containerd()
        board.check("hetoci reap")
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
    """Fails the run when a test that must run was skipped, or is not there.

    whole: the run is of everything; only: it leaves out what is not in the list.
    """

    def __init__(self, names: list[str], *, whole: bool, only: bool) -> None:
        self.names = set(names)
        self.whole = whole
        self.only = only
        self.ran: set[str] = set()
        self.wanted: set[str] = set()

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave out what the list does not have, if that was asked for."""
        others = [i for i in items if self.only and short_name(i.nodeid) not in self.names]
        if others:
            items[:] = [i for i in items if i not in others]
            config.hook.pytest_deselected(items=others)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what this run selected; a run of everything wants the whole list."""
        selected = {short_name(item.nodeid) for item in session.items}
        self.wanted = self.names if self.whole else self.names & selected

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note each test whose body ran."""
        if report.when == "call" and not report.skipped:
            self.ran.add(short_name(report.nodeid))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a green run with tests missing."""
        missing = sorted(self.wanted - self.ran)
        if missing and session.exitstatus == 0:
            session.exitstatus = 1
            print(f"\nThese tests must run in this environment and did not: {missing}")


def short_name(nodeid: str) -> str:
    """Return file::function of a test."""
    return nodeid.split("[")[0].rsplit("/", 1)[-1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    parser.addoption("--run-folder", type=Path, help="folder that gets run.json")
    words = "only the tests that the environment's must_run lists"
    parser.addoption("--only-must-run", action="store_true", help=words)
    words = "of those, the ones for this board of two: the second has the files in second_board"
    parser.addoption("--board", type=int, choices=(1, 2), metavar="1|2", help=words)


def names_that_must_run(data: dict[str, Any], board: int | None) -> list[str]:
    """Return the tests that an environment lists, all or those for one board of two."""
    names: list[str] = data.get("must_run", [])
    if board is None:
        return names
    second = data["second_board"]
    return [name for name in names if (name.split("::")[0] in second) == (board == 2)]


@pytest.hookimpl(trylast=True)  # after labgrid's, which reads the environment
def pytest_configure(config: pytest.Config) -> None:
    """Register what watches over the run: the list of tests that must run, the recorder."""
    from labgrid.pytestplugin.hooks import LABGRID_ENV_KEY

    config.addinivalue_line("markers", "smoke: part of the short run at a place and in LAVA")
    config.addinivalue_line("markers", "fresh: needs a board on which nothing has run yet")
    env = config.stash.get(LABGRID_ENV_KEY, None)
    if env is None:
        return
    parts = any("::" in arg or arg.endswith(".py") for arg in config.args)
    whole = not (parts or config.option.keyword or config.option.markexpr)
    config.pluginmanager.register(
        MustRun(
            names_that_must_run(env.config.data, config.getoption("board")),
            whole=whole,
            only=config.getoption("only_must_run") or config.getoption("board"),
        )
    )
    folder = config.getoption("run_folder")
    if folder:
        facts = {**env.config.data["targets"]["main"], **env.config.data}
        recorder = Recorder(folder, Path(env.config_file), facts)
        config.pluginmanager.register(recorder, "hetoci-recorder")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without an environment there is no board: say so once instead of failing in fixtures.

    Tests marked `fresh` need the board as it was switched on, and so come first.
    """
    items.sort(key=lambda item: item.get_closest_marker("fresh") is None)
    from labgrid.pytestplugin.hooks import LABGRID_ENV_KEY

    boards = any("board" in getattr(item, "fixturenames", ()) for item in items)
    if boards and config.stash.get(LABGRID_ENV_KEY, None) is None:
        pytest.exit(
            "These tests need a board: pytest labtests --lg-env labtests/env/vboard.yaml", 4
        )
