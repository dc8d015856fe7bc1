# SPDX-License-Identifier: MIT
"""One life of the virtual board: power on, commands over ssh, power off."""

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from hetoci_lab import qemu
from hetoci_lab.errors import LabError
from hetoci_lab.machine import Machine, last_words, ssh_command

BOOT_TIMEOUT = 180.0
"""Seconds from power-on to an ssh log-in; far above what a loaded 2-core host needs."""
READY = "vboard: containerd is ready"
"""What vboard-ready.service says on the console."""
ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-9;?!]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-B0-2])")
"""Terminal control (ECMA-48 CSI, xterm's OSC, character sets) in a console's text."""


class BoardSilent(LabError):
    """The board did not come up; its console's last lines are in the message."""


class Session:
    """A running board; a context manager that leaves no process and no file behind.

    With `on` false the board stays off, for a look at its command line.
    """

    def __init__(self, board: Path, variant: str, *, on: bool = True) -> None:
        self._on = on
        self.machine = Machine(board, variant)
        self.console = self.machine.folder / "console.log"
        self._uart0 = f"file:{self.console}"

    def __enter__(self) -> "Session":
        try:
            if self._on:
                self.machine.on(self._uart0, stdin=subprocess.DEVNULL)
        except BaseException:
            self.machine.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.machine.close()

    def command(self) -> list[str]:
        """Return the QEMU command line of the board."""
        return self.machine.command(self._uart0)

    def ssh_command(self, *words: str) -> list[str]:
        """Return the ssh command line that runs `words` on the board."""
        key = self.machine.board / "id_ed25519"
        return ssh_command("127.0.0.1", self.machine.ssh_port, key, *words)

    def ssh(
        self, command: str, *, timeout: float = 60.0, stdin: bytes = b""
    ) -> "subprocess.CompletedProcess[str]":
        """Run a shell command on the board; output as text, stderr merged into stdout.

        All commands share one connection, as a log-in takes an emulated board most of a second.
        It ends with the board, or when nobody has used it for a minute.
        """
        shared = [f"-oControlPath={self.machine.folder}/ssh", "-oControlMaster=auto"]
        first, *rest = self.ssh_command(command)
        done = subprocess.run(
            [first, *shared, "-oControlPersist=60", *rest],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        text = done.stdout.decode(errors="replace")
        return subprocess.CompletedProcess(done.args, done.returncode, text, "")

    @contextlib.contextmanager
    def forward(self, path: str, timeout: float = 30.0) -> Iterator[int]:
        """Make a Unix socket of the board a TCP port on loopback, as long as the context lasts."""
        port = qemu.free_port()
        words = self.ssh_command("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"{port}:{path}")
        with subprocess.Popen(words, stdin=subprocess.DEVNULL) as tunnel:
            try:
                _await_port(port, tunnel, timeout)
                yield port
            finally:
                tunnel.terminate()

    def wait_ready(self, progress: Callable[[str], None]) -> float:
        """Wait until containerd answers; return the seconds since the call.

        Raises BoardSilent with the console's last lines if the board is silent or has stopped.
        """
        begun = time.monotonic()
        child = self.machine.child
        while (waited := time.monotonic() - begun) < BOOT_TIMEOUT:
            if child is None or child.poll() is not None:
                raise BoardSilent(f"The board stopped while it was starting.\n{self.last_lines()}")
            progress(self.last_lines(1).strip())
            if READY in self.last_lines(50):
                return time.monotonic() - begun
            time.sleep(0.2)
        raise BoardSilent(
            f"The board was not ready after {waited:.0f} s.\n{self.last_lines()}",
            hint="A heavily loaded host can be the reason.",
        )

    def wait_off(self, timeout: float = 60.0) -> int:
        """Wait for the board to power itself off and return QEMU's exit status."""
        if self.machine.child is None:
            raise LabError("The board was never switched on.")
        try:
            return self.machine.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(
                f"The board did not power off within {timeout:.0f} s.\n{self.last_lines()}"
            ) from None

    def last_lines(self, count: int = 12) -> str:
        """Return the last lines of the console, indented."""
        try:
            text = self.console.read_text(errors="replace")
        except FileNotFoundError:
            text = ""
        return last_words(plain_lines(text), count)


def _await_port(port: int, tunnel: "subprocess.Popen[bytes]", timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if tunnel.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"ssh does not forward port {port} to the board.")
        time.sleep(0.1)


def plain_lines(text: str) -> list[str]:
    """Return a console's lines without terminal control and without empty ones."""
    text = ESCAPE_SEQUENCE.sub("", text)
    return [line.strip() for line in text.splitlines() if line.strip()]
