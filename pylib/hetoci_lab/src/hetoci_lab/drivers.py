# SPDX-License-Identifier: MIT
"""labgrid drivers and the strategy of hetoci's boards.

Named in an environment's `imports:`; registering happens on import.
"""

import enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attr
from labgrid import step, target_factory
from labgrid.driver import QEMUDriver
from labgrid.resource import NetworkService
from labgrid.strategy import Strategy, StrategyError, never_retry

from hetoci_lab import build, qemu


@target_factory.reg_driver
@attr.s(eq=False)
class VirtualBoardDriver(QEMUDriver):  # type: ignore[misc]  # labgrid is untyped
    """The virtual board in a local QEMU: power and the console of the application core.

    Args:
        variant (str): linux or xen

    Each power-on starts from the built image with an empty scratch disk. The target's
    NetworkService gets the address and port at which ssh answers. UART1, the console of the EL3
    firmware and of the Cortex-R5, is in the file `uart1`.
    """

    bindings = {"network": NetworkService}  # noqa: RUF012 - labgrid's way

    variant: str = attr.ib(default="xen", validator=attr.validators.in_(qemu.VARIANTS))
    status: int
    _child: Any

    def on_activate(self) -> None:
        self._folder = TemporaryDirectory(prefix="hetoci-vboard-")
        self.uart1 = Path(self._folder.name) / "uart1.log"
        self.data = Path(self._folder.name) / "data.img"
        self.network.address = "127.0.0.1"
        self.network.port = qemu.free_port()
        super().on_activate()
        # labgrid has just added UART0; this one becomes UART1.
        self._cmd += ["-serial", f"file:{self.uart1}"]

    def on_deactivate(self) -> None:
        super().on_deactivate()
        self._folder.cleanup()

    def get_qemu_base_args(self) -> list[str]:
        """Return the board's QEMU command line; called by QEMUDriver."""
        forward = f"tcp:127.0.0.1:{self.network.port}-10.0.2.15:22"
        words = [*qemu.DIE_WITH_PARENT, self.target.env.config.get_tool(self.qemu_bin)]
        words += ["-M", self.machine]
        words += ["-m", self.memory, "-display", "none"]
        return words + qemu.arguments(build.board_folder(), self.variant, self.data, [forward])

    def on(self) -> None:
        """Power on with an empty scratch disk."""
        if self.status:
            return
        qemu.make_data_disk(self.data)
        super().on()
        qemu.calm_real_time_cores(self._child.pid)

    def off(self) -> None:
        """Power off; a board that switched itself off before is fine."""
        if self.status and self._child.poll() is not None:
            self._child.communicate()
            self._child = None
            self.status = 0
        super().off()

    def wait_off(self, timeout: float) -> int:
        """Wait until the board has switched itself off; return QEMU's exit status."""
        status = int(self._child.wait(timeout))
        self.off()
        return status


class Status(enum.Enum):
    """States of `BoardStrategy`."""

    unknown = 0
    off = 1
    shell = 2
    ssh = 3
    containers = 4


@target_factory.reg_driver
@attr.s(eq=False)
class BoardStrategy(Strategy):  # type: ignore[misc]  # labgrid is untyped
    """Bring a board to a shell on its console, to ssh, to a containerd that answers.

    It binds protocols only, so what differs between boards lives in the environment files.
    """

    bindings = {  # noqa: RUF012 - labgrid's way
        "power": "PowerProtocol",
        "console": "ConsoleProtocol",
        "shell": "ShellDriver",
        "ssh": "SSHDriver",
    }

    status: Status = attr.ib(default=Status.unknown)

    @never_retry  # type: ignore[untyped-decorator]
    @step(args=["status"])  # type: ignore[untyped-decorator]
    def transition(self, status: Status | str, *, step: Any) -> None:
        """Go to `status` by way of the states before it."""
        wanted = status if isinstance(status, Status) else Status[status]
        if wanted == Status.unknown:
            raise StrategyError(f"can not transition to {wanted}")
        if wanted == Status.off or self.status.value > wanted.value or not self.status.value:
            self._off()
        for state in list(Status)[self.status.value + 1 : wanted.value + 1]:
            getattr(self, f"_{state.name}")()
            self.status = state

    def _off(self) -> None:
        for driver in (self.ssh, self.shell, self.console):
            self.target.deactivate(driver)
        self.target.activate(self.power)
        self.power.off()
        self.status = Status.off

    def _shell(self) -> None:
        self.target.activate(self.console)
        self.power.cycle()
        self.target.activate(self.shell)

    def _ssh(self) -> None:
        self.shell.run_check("systemctl is-active ssh || systemctl start ssh", timeout=60)
        self.target.activate(self.ssh)

    def _containers(self) -> None:
        self.ssh.run_check("systemctl start containerd && ctr version", timeout=60)
