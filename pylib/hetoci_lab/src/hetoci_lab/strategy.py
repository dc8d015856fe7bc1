# SPDX-License-Identifier: MIT
"""The one strategy of hetoci's boards, virtual or real."""

import enum
from typing import Any

import attr
from labgrid import step, target_factory
from labgrid.driver import TFTPProviderDriver, USBSDMuxDriver, USBStorageDriver
from labgrid.protocol import CommandProtocol, ConsoleProtocol, LinuxBootProtocol, PowerProtocol
from labgrid.strategy import Strategy, StrategyError, never_retry

from hetoci_lab import deploy
from hetoci_lab.errors import LabError


class Status(enum.Enum):
    """States of `BoardStrategy`."""

    unknown = 0
    off = 1
    uboot = 2
    shell = 3
    ssh = 4
    containers = 5


@target_factory.reg_driver
@attr.s(eq=False)
class BoardStrategy(Strategy):  # type: ignore[misc]  # labgrid is untyped
    """Bring a board to its boot loader, to a shell on its console, to ssh, to containerd.

    It binds protocols only, by the names an environment gives; what differs between boards lives
    there. `uboot` and `console` may be null: a board without a boot loader to talk to, and a
    board whose console somebody else holds (a LAVA job), which is then on and stays on.

    With an image (deploy.py), `tftp` or `mux` and `card` bring it to the board before it boots;
    packages and container images follow by ssh.

    Args:
        compatible (str): what the board's device tree must be compatible with
        tftp_files (dict): files of the image, by U-Boot's variable with the address of each;
            `uboot` then boots its command `tftp`
        card_image (str): the file of the image that is written onto the SD card
    """

    bindings = {  # noqa: RUF012 - labgrid's way
        "power": {PowerProtocol, None},
        "console": {ConsoleProtocol, None},
        "uboot": {LinuxBootProtocol, None},
        "shell": {CommandProtocol, None},
        "ssh": CommandProtocol,
        "tftp": {TFTPProviderDriver, None},
        "mux": {USBSDMuxDriver, None},
        "card": {USBStorageDriver, None},
    }

    status: Status = attr.ib(default=Status.unknown)
    compatible: str = attr.ib(default="", validator=attr.validators.instance_of(str))
    tftp_files: dict[str, str] = attr.ib(factory=dict, validator=attr.validators.instance_of(dict))
    card_image: str = attr.ib(default="", validator=attr.validators.instance_of(str))
    _card_written = False

    @never_retry  # type: ignore[untyped-decorator]
    @step(args=["status"])  # type: ignore[untyped-decorator]
    def transition(self, status: Status | str, *, step: Any) -> None:
        """Go to `status` by way of the states before it."""
        wanted = status if isinstance(status, Status) else Status[status]
        if wanted == Status.unknown:
            raise StrategyError(f"can not transition to {wanted}")
        if wanted == Status.uboot and self.uboot is None:
            raise StrategyError("this board has no boot loader to talk to")
        if wanted == Status.off or self.status.value > wanted.value or not self.status.value:
            self._off()
        for state in list(Status)[self.status.value + 1 : wanted.value + 1]:
            getattr(self, f"_{state.name}")()
            self.status = state

    def _off(self) -> None:
        for driver in (self.ssh, self.shell, self.uboot, self.console):
            if driver is not None:
                self.target.deactivate(driver)
        if self.power is not None:
            self.target.activate(self.power)
            self.power.off()
        self.status = Status.off

    def _insert_card(self) -> None:
        """Write the image onto the card, once, and let the board have the card."""
        folder = deploy.image_folder()
        self.target.activate(self.mux)
        if folder and self.card_image and not self._card_written:
            self.target.activate(self.card)
            deploy.onto_card(self.mux, self.card, deploy.image_file(folder, self.card_image))
            self._card_written = True
        self.mux.set_mode("dut")

    def _power_on(self) -> None:
        if self.mux is not None:
            self._insert_card()
        if self.console is not None:
            self.target.activate(self.console)
        if self.power is not None:
            self.power.cycle()

    def _uboot(self) -> None:
        if self.uboot is not None:
            self._power_on()
            self.target.activate(self.uboot)

    def _shell(self) -> None:
        if self.uboot is None:
            self._power_on()
        else:
            self.uboot.boot(self._load())
            self.uboot.await_boot()
        if self.shell is not None:
            self.target.activate(self.shell)
            self._check_identity(self.shell)

    def _load(self) -> str:
        """Load the image over the network if there is one; return U-Boot's command to boot."""
        folder = deploy.image_folder()
        if self.tftp is None or folder is None:
            return ""
        self.target.activate(self.tftp)
        deploy.by_tftp(self.tftp, self.uboot, folder, self.tftp_files)
        return "tftp"

    def _ssh(self) -> None:
        if self.shell is not None:
            self.shell.run_check("systemctl is-active ssh || systemctl start ssh", timeout=60)
        self.target.activate(self.ssh)
        if self.shell is None:
            self._check_identity(self.ssh)

    def _containers(self) -> None:
        files = deploy.wanted()
        verb = "restart" if deploy.packages(self.ssh, files) else "start"
        self.ssh.run_check(f"systemctl {verb} containerd && ctr version", timeout=60)
        deploy.images(self.ssh, files)

    def _check_identity(self, commands: Any) -> None:
        if not self.compatible:
            return
        said = commands.run_check("tr '\\0' ' ' < /proc/device-tree/compatible", timeout=30)
        names = " ".join(said).split()
        if self.compatible not in names:
            raise LabError(
                f"The wrong image for this board: it booted as {', '.join(names)}, "
                f"the environment is for {self.compatible}."
            )
