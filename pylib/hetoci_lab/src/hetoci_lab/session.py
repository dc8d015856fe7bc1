# SPDX-License-Identifier: MIT
"""One life of the virtual board: power on, commands over ssh, power off."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from hetoci_lab import qemu
from hetoci_lab.errors import LabError

BOOT_TIMEOUT = 180.0
"""Seconds from power-on to an ssh log-in; far above what a loaded 2-core host needs."""
READY = "vboard: containerd is ready"
"""What vboard-ready.service says on the console."""
ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-9;?!]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-B0-2])")
"""Terminal control (ECMA-48 CSI, xterm's OSC, character sets) in a console's text."""


class Session:
    """A running board; a context manager that leaves no process and no file behind."""

    def __init__(self, board: Path, variant: str) -> None:
        self.board = board
        self.variant = variant
        self.port = qemu.free_port()
        self._folder = TemporaryDirectory(prefix="hetoci-vboard-")
        self.folder = Path(self._folder.name)
        self.console = self.folder / "console.log"
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Session":
        data = self.folder / "data.img"
        try:
            qemu.make_data_disk(data)
            command = qemu.command(
                self.board, self.variant, data, self.port, self.folder / "uart1.log"
            )
            command = [f"file:{self.console}" if word == "mon:stdio" else word for word in command]
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            qemu.calm_real_time_cores(self._child.pid)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child:
            qemu.quit_politely(self._child)
        self._folder.cleanup()

    def ssh_command(self, *words: str) -> list[str]:
        """Return the ssh command line that runs `words` on the board."""
        return ssh_command(self.board, self.port, *words)

    def ssh(self, command: str, *, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run a shell command on the board; output as text, stderr merged into stdout."""
        return subprocess.run(
            self.ssh_command(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )

    def wait_ready(self, progress: Callable[[str], None]) -> float:
        """Wait until containerd answers; return the seconds since the call.

        Raises LabError with the console's last lines if the board is silent or has stopped.
        """
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < BOOT_TIMEOUT:
            if self._child is None or self._child.poll() is not None:
                raise LabError(f"The board stopped while it was starting.\n{self.last_lines()}")
            progress(self.last_lines(1).strip())
            if READY in self.last_lines(50):
                return time.monotonic() - begun
            time.sleep(0.2)
        raise LabError(
            f"The board was not ready after {waited:.0f} s.\n{self.last_lines()}",
            hint="A heavily loaded host can be the reason.",
        )

    def wait_off(self, timeout: float = 60.0) -> int:
        """Wait for the board to power itself off and return QEMU's exit status."""
        if self._child is None:
            raise LabError("The board was never switched on.")
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(
                f"The board did not power off within {timeout:.0f} s.\n{self.last_lines()}"
            ) from None

    def last_lines(self, count: int = 12) -> str:
        """Return the last lines of the console, indented."""
        try:
            text = self.console.read_text(errors="replace")
        except FileNotFoundError:
            return "  (the console is empty)"
        text = ESCAPE_SEQUENCE.sub("", text)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "\n".join(f"  {line}" for line in lines[-count:])


def ssh_command(board: Path, port: int, *words: str) -> list[str]:
    """Return the ssh command line for a board on a local port; no file of the user is touched."""
    options = [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "IdentitiesOnly=yes",
        "ConnectTimeout=5",
    ]
    command = ["ssh", "-F", "/dev/null", "-i", str(board / "id_ed25519"), "-p", str(port)]
    for option in options:
        command += ["-o", option]
    return [*command, "root@127.0.0.1", *words]
