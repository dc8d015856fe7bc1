# SPDX-License-Identifier: MIT
"""labgrid drivers of hetoci's boards.

Named in an environment's `imports:`; registering happens on import, the strategy's too.
"""

import re
from pathlib import Path
from typing import Any

import attr
from labgrid import target_factory
from labgrid.driver import Driver, QEMUDriver
from labgrid.driver.consoleexpectmixin import ConsoleExpectMixin
from labgrid.protocol import ConsoleProtocol
from labgrid.resource import NetworkSerialPort, NetworkService
from pexpect import TIMEOUT

from hetoci_lab import build, qemu, strategy
from hetoci_lab.listen import PIECE, Reader
from hetoci_lab.machine import Machine

__all__ = ["JobService", "KernelTalk", "QuietConsoleDriver", "VirtualBoardDriver", "strategy"]


@target_factory.reg_driver
@attr.s(eq=False)
class VirtualBoardDriver(QEMUDriver):  # type: ignore[misc]  # labgrid is untyped
    """The virtual board in a local QEMU: power and the console of the application core.

    Args:
        variant (str): linux or xen

    Each power-on starts from the built image with an empty scratch disk. The target's
    NetworkService gets the address and port at which ssh answers, its NetworkSerialPort (if it
    has one) those of UART1, the console of the EL3 firmware and of the Cortex-R5; all that UART1
    said since the last power-on is in the file `uart1`.
    """

    bindings = {  # noqa: RUF012 - labgrid's way
        "network": NetworkService,
        "second": {NetworkSerialPort, None},
    }

    variant: str = attr.ib(default="xen", validator=attr.validators.in_(qemu.VARIANTS))
    status: int
    _child: Any
    _clientsocket: Any

    def on_activate(self) -> None:
        self.board = Machine(build.board_folder(), self.variant)
        self.uart1: Path = self.board.uart1
        self.network.address = "127.0.0.1"
        self.network.port = self.board.ssh_port
        if self.second is not None:
            self.second.host, self.second.port = "127.0.0.1", self.board.uart1_port
        super().on_activate()
        # labgrid has just added UART0; this one becomes UART1.
        self._cmd += self.board.second_uart()

    def on_deactivate(self) -> None:
        try:
            super().on_deactivate()
        finally:
            self.board.close()

    def get_qemu_base_args(self) -> list[str]:
        """Return the board's QEMU command line; called by QEMUDriver."""
        return self.board.arguments()

    def on(self) -> None:
        """Power on with an empty scratch disk."""
        if self.status:
            return
        self.board.fresh_disk()
        super().on()
        self._console = Reader(self._clientsocket)
        qemu.calm_real_time_cores(self._child.pid)

    def off(self) -> None:
        """Power off; a board that switched itself off before is fine."""
        if self.status and self._child.poll() is not None:
            self._child.communicate()
            self._child = None
            self.status = 0
        super().off()

    def get(self) -> bool:
        """Return whether the board has power; a board that switched itself off has none."""
        return bool(self.status) and self._child.poll() is None

    def _read(self, size: int = 1, timeout: float = 10, max_size: int | None = None) -> bytes:
        try:
            return self._console.read(min(max_size or PIECE, PIECE), timeout)
        except TimeoutError:
            raise TIMEOUT(f"The console said nothing for {timeout:.2f} s.") from None

    def wait_off(self, timeout: float) -> int:
        """Wait until the board has switched itself off; return QEMU's exit status."""
        status = int(self._child.wait(timeout))
        self.off()
        return status


@target_factory.reg_resource
@attr.s(eq=False)
class JobService(NetworkService):  # type: ignore[misc]  # labgrid is untyped
    """A NetworkService whose port may come from the environment of the process, as text.

    Args:
        port (int): where ssh answers
    """

    port: int = attr.ib(default=22, converter=int)


class KernelTalk:
    """Takes the lines of kernel and hypervisor out of a console's stream.

    Both print whole lines at any time, also in the middle of a prompt. A piece that could be the
    beginning of such a line is held back until its end arrives; `flush` gives up waiting.
    """

    LINE = re.compile(rb"(?:\[ {0,4}\d+\.\d{6}\] |\(XEN\) )[^\n]*\n")
    ENDS = re.compile(rb"\r\r+\n")
    """Under Xen a line ends so: its console adds a carriage return to the tty's."""
    BEGUN = re.compile(
        rb"(?:\[(?: {0,4}\d*(?:\.\d{0,6}\]?)?)?(?: [^\n]*)?|\((?:X(?:E(?:N[^\n]*)?)?)?|\r+)$"
    )

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what is left of `data` and of what was held back."""
        text = self.ENDS.sub(b"\r\n", self._held + data)
        text = self.LINE.sub(b"", text)
        begun = self.BEGUN.search(text)
        at = begun.start() if begun else len(text)
        self._held = text[at:]
        return text[:at]

    def flush(self) -> bytes:
        """Return what was held back: nothing came to complete it."""
        held, self._held = self._held, b""
        return held


@target_factory.reg_driver
@attr.s(eq=False)
class QuietConsoleDriver(ConsoleExpectMixin, Driver, ConsoleProtocol):  # type: ignore[misc]
    """A console without the messages of the kernel and of Xen, for prompts to be found in.

    Binds to another ConsoleProtocol, whose log keeps every word.
    """

    bindings = {"console": ConsoleProtocol}  # noqa: RUF012 - labgrid's way

    def on_activate(self) -> None:
        self._talk = KernelTalk()

    # Not steps, as the mixin's are: the other console logs what is said, once.
    @Driver.check_active  # type: ignore[untyped-decorator]
    def read(self, size: int = 1, timeout: float = 0.0, max_size: int | None = None) -> bytes:
        """Return what came, without the messages; raise pexpect's TIMEOUT if nothing did."""
        try:
            data = self._talk.feed(self.console.read(size=size, timeout=timeout))
        except TIMEOUT:
            data = self._talk.flush()
            if not data:
                raise
        return data

    @Driver.check_active  # type: ignore[untyped-decorator]
    def write(self, data: bytes) -> int:
        """Send to the other console."""
        return int(self.console.write(data) or 0)
