# SPDX-License-Identifier: MIT
"""Virtual boards that look like real ones to labgrid: a coordinator, an exporter, a power relay.

Each board's two consoles are ttys, its power is a socket of a relay that is switched over HTTP,
ssh is a port, and TFTP has a folder (these boards do not boot from it). Nothing of labgrid is
changed, so what works here works with a board on a shelf.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import yaml

from hetoci_lab import qemu
from hetoci_lab.errors import LabError
from hetoci_lab.machine import Machine
from hetoci_lab.relay import Relay
from hetoci_lab.serial_line import SerialLine

EXPORTER = "virtual-bench"
ENVIRONMENT = "vboard-place"
SPEED = 115200
START_TIMEOUT = 30.0


class BenchBoard:
    """One virtual board on the bench: its relay's switch, its two serial lines, its machine."""

    def __init__(self, board: Path, variant: str, logs: Path, name: str) -> None:
        self.name = name
        self.machine = Machine(board, variant)
        self.tftp = logs / "tftp" / name
        self._lock = threading.Lock()
        self._powered = False
        self._started = threading.Event()
        self.lines = [
            SerialLine(self.machine.folder / f"uart{n}.socket", logs / f"{name}-uart{n}.log")
            for n in (0, 1)
        ]

    def power(self, on: bool) -> None:
        """Switch the relay; a board whose power is on already keeps running."""
        with self._lock:
            if on and not self._powered:
                self._powered = True
                self._runner = threading.Thread(target=self._run, daemon=True)
                self._runner.start()
            elif not on and self._powered:
                self._powered = False
                self._started.wait(START_TIMEOUT)
                self.machine.off()
                self._runner.join()
                self._started.clear()

    def powered(self) -> bool:
        """Return the relay's state: a board that switched itself off still has power."""
        return self._powered

    def _run(self) -> None:
        """One thread a power-on: QEMU ends with the thread that started it (PR_SET_PDEATHSIG).

        A board that resets itself starts again, as long as it has power.
        """
        uarts = [f"unix:{line.socket}" for line in self.lines]
        reset = False
        try:
            while True:
                child = self.machine.on(*uarts, stdin=subprocess.DEVNULL, reset=reset)
                self._started.set()
                if not self._powered:  # cut while it was resetting
                    self.machine.off()
                if child.wait() != qemu.RESET_STATUS or not self._powered:
                    return
                reset = True
        finally:
            self._started.set()

    def export(self, relay_url: str, index: int) -> dict[str, Any]:
        """Return the board's group in the exporter's configuration."""
        console, rpu = (line.tty for line in self.lines)
        power = {"model": "simplerest", "index": index, "host": relay_url}
        address = {"address": "127.0.0.1", "port": self.machine.ssh_port, "username": "root"}
        return {
            "console": {"cls": "RawSerialPort", "port": console, "speed": SPEED},
            "uart1": {"cls": "RawSerialPort", "port": rpu, "speed": SPEED},
            "power": {"cls": "NetworkPowerPort", **power},
            "ssh": {"cls": "NetworkService", **address},
            "tftp": {"cls": "TFTPProvider", "internal": str(self.tftp), "external": self.name},
        }

    def close(self) -> None:
        """Cut the power and take the lines down."""
        self.power(False)
        for line in self.lines:
            line.close()
        self.machine.close()


class Bench:
    """A running bench; a context manager that leaves no process and no file behind."""

    def __init__(self, board: Path, variant: str, count: int, port: int) -> None:
        self.board, self.variant, self.count = board, variant, count
        self.address = f"127.0.0.1:{port or qemu.free_port()}"
        self.boards: list[BenchBoard] = []
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()
        self.coordinator = ["coordinator", "-l", self.address]
        words = ["-c", self.address, "--hostname", "127.0.0.1", "--name", EXPORTER]
        self.exporter = ["exporter", *words, "exporter.yaml"]

    def commands(self) -> list[list[str]]:
        """Return labgrid's commands that make the bench, and QEMU's of the first board."""
        daemons = [
            [_tool(f"labgrid-{name}"), *words] for name, *words in (self.coordinator, self.exporter)
        ]
        names = [f"vboard-{number}" for number in range(1, self.count + 1)]
        with Machine(self.board, self.variant) as machine:
            qemu_words = machine.command("unix:UART0", "unix:UART1")
        return [*daemons, *(words for name in names for words in self._place(name)), qemu_words]

    def _place(self, name: str) -> list[list[str]]:
        return [
            self.client("-p", name, "create"),
            self.client("-p", name, "add-match", f"{EXPORTER}/{name}/*"),
            self.client("-p", name, "set-comment", f"virtual board, {self.variant}"),
        ]

    def __enter__(self) -> "Bench":
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        self.folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="hetoci-bench-")))
        for number in range(1, self.count + 1):
            board = BenchBoard(self.board, self.variant, self.folder, f"vboard-{number}")
            self._stack.callback(board.close)
            self.boards.append(board)
        relay = self._stack.enter_context(Relay([(b.powered, b.power) for b in self.boards]))
        groups = {b.name: b.export(relay.url, n) for n, b in enumerate(self.boards)}
        (self.folder / "exporter.yaml").write_text(yaml.safe_dump(groups))
        self.spawn(*self.coordinator)
        _until(lambda: _succeeds(self.client("places")), "The labgrid coordinator")
        self.start_exporter()
        for board in self.boards:
            for words in self._place(board.name):
                _check(words)

    def start_exporter(self) -> None:
        """Start the exporter; also again, after it was lost."""
        self.spawn(*self.exporter)
        last = f"{EXPORTER}/{self.boards[-1].name}/RemoteTFTPProvider"
        _until(lambda: last in _output(self.client("resources")), "The labgrid exporter")

    def spawn(self, name: str, *words: str) -> None:
        """Start a labgrid daemon in a session of its own, its output in NAME.log."""
        command = [*qemu.DIE_WITH_PARENT, _tool(f"labgrid-{name}"), *words]
        with (self.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.children[name] = child
        self._stack.callback(end_session, child)

    def client(self, *words: str) -> list[str]:
        """Return a labgrid-client command line for this bench."""
        return [_tool("labgrid-client"), "-x", self.address, *words]

    def describe(self) -> str:
        """Return what a person needs to use the bench."""
        names = ", ".join(board.name for board in self.boards)
        return (
            f"Coordinator {self.address}, places {names}. In another terminal:\n"
            f"  export LG_COORDINATOR={self.address}\n"
            f"  hetoci-lab places\n"
            f"  hetoci-lab run smoke --place {self.boards[0].name} --env {ENVIRONMENT}\n"
            f"  hetoci-lab shell --place {self.boards[0].name} --env {ENVIRONMENT}\n"
            f"Consoles are logged in {self.folder}. Ctrl-C ends it all."
        )

    def wait(self) -> None:
        """Wait until interrupted. Raises LabError if a daemon ends."""
        while True:
            for name, child in self.children.items():
                if child.poll() is not None:
                    tail = (self.folder / f"{name}.log").read_text(errors="replace")[-500:]
                    raise LabError(f"The labgrid {name} ended:\n{tail}")
            time.sleep(1)


def end_session(child: "subprocess.Popen[bytes]") -> None:
    """End a daemon and all that it started (ser2net)."""
    qemu.quit_politely(child)
    try:
        os.killpg(child.pid, 9)
    except ProcessLookupError:
        return


def _tool(name: str) -> str:
    """Return a command that was installed beside this Python, or one of the path."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _check(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)} failed: {(done.stdout + done.stderr).strip()}")


def _until(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not ready():
        if time.monotonic() > deadline:
            raise LabError(f"{what} did not start within {START_TIMEOUT:.0f} s.")
        time.sleep(0.2)
