# SPDX-License-Identifier: MIT
"""Deployment: by ssh onto a stand-in for a board, by TFTP to a U-Boot that is played, by SD-mux."""

import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attr
import pytest
from labgrid import Environment, target_factory
from labgrid.driver import USBSDMuxDriver, USBStorageDriver
from labgrid.strategy import StrategyError

from hetoci_lab import deploy, runner
from hetoci_lab.errors import LabError
from hetoci_lab.strategy import Status


class Here:
    """A board's ssh that runs on this machine, with the board's tools played by scripts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for tool in ("dpkg", "opkg", "rpm", "ctr"):
            (folder / tool).write_text(
                f'#!/bin/sh\necho {tool} "$@" >> {folder}/calls\n'
                'for f; do case $f in *bad*) echo "no such architecture"; exit 1;; esac; done\n'
            )
            (folder / tool).chmod(0o755)

    def run(self, command: str, timeout: float = 30) -> tuple[list[str], list[str], int]:
        words = command.replace(deploy.PLACE, f"{self.folder}/place")
        done = subprocess.run(
            ["sh", "-c", words],
            env={"PATH": f"{self.folder}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return done.stdout.splitlines(), [], done.returncode

    def run_check(self, command: str, timeout: float = 30) -> list[str]:
        out, _, status = self.run(command, timeout)
        assert status == 0, out
        return out

    def put(self, local: str, remote: str) -> None:
        Path(remote.replace(deploy.PLACE, f"{self.folder}/place")).write_bytes(
            Path(local).read_bytes()
        )

    def calls(self) -> list[str]:
        text = (self.folder / "calls").read_text().replace(f"{self.folder}/place", deploy.PLACE)
        return text.splitlines()


@pytest.fixture
def ssh(tmp_path: Path) -> Here:
    (tmp_path / "board").mkdir()
    return Here(tmp_path / "board")


def files(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_bytes(b"x")
    return deploy.checked(str(folder / name) for name in names)


def test_packages_go_in_at_once_and_images_one_by_one(tmp_path: Path, ssh: Here) -> None:
    wanted = files(tmp_path, "a.deb", "b.oci.tar", "c.deb")
    assert deploy.packages(ssh, wanted) == 2
    deploy.images(ssh, wanted)
    place = deploy.PLACE
    assert ssh.calls() == [
        f"dpkg -i --force-downgrade {place}/a.deb {place}/c.deb",
        f"ctr image import {place}/b.oci.tar",
    ]
    assert list((ssh.folder / "place").iterdir()) == []


def test_what_the_board_refuses_is_said_with_its_words(tmp_path: Path, ssh: Here) -> None:
    with pytest.raises(LabError, match=r"board refuses .*dpkg.*:\n  no such architecture"):
        deploy.packages(ssh, files(tmp_path, "bad.deb"))


@pytest.mark.parametrize(
    ("name", "said"),
    [("picture.png", r"ends in none of \.deb, \.ipk, \.rpm, \.tar"), ("gone.deb", "no such file")],
)
def test_what_cannot_be_deployed_is_refused_before_anything_is_on(name: str, said: str) -> None:
    with pytest.raises(LabError, match=f"{name} cannot be deployed: .*{said}"):
        runner.deploy_variables([name], None)


UBOOT = r"""
targets:
  main:
    resources:
      - NetworkSerialPort: {{host: 127.0.0.1, port: {port}, protocol: raw}}
      - NetworkService: {{address: 127.0.0.1, username: root}}
      - TFTPProvider: {{internal: {root}, external: lab}}
    drivers:
      - ExternalPowerDriver: {{name: power, cmd_on: 'true', cmd_off: 'true', delay: 0.0}}
      - SerialDriver: {{name: console}}
      - UBootDriver:
          name: uboot
          bindings: {{console: console}}
          prompt: 'ZynqMP> '
          boot_commands: {{tftp: 'booti ${{kernel_addr_r}} - ${{fdt_addr_r}}'}}
      - TFTPProviderDriver: {{name: tftp}}
      - SSHDriver: {{name: ssh}}
      - BoardStrategy:
          tftp_files: {{kernel_addr_r: Image, fdt_addr_r: board.dtb}}
          bindings: {{power: power, console: console, uboot: uboot, shell: none, ssh: ssh}}

imports: [hetoci_lab.drivers]
"""


class UBoot:
    """Plays a U-Boot on a TCP port: a prompt, `echo`, and a note of every other command."""

    def __init__(self, missing: str = "") -> None:
        self.missing = missing
        self.commands: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        line, _ = self._server.accept()
        with line, line.makefile("rb") as commands:
            line.sendall(b"Hit any key to stop autoboot:  3 \r\nZynqMP> ")
            for row in commands:
                said = self._answer(row.decode().strip())
                line.sendall(row.rstrip() + b"\r\n" + said.encode() + b"ZynqMP> ")

    def _answer(self, row: str) -> str:
        status, said = 0, ""
        for command in re.split(r"; ?", row):
            word = command.replace("'", "")
            if word.startswith("echo"):
                said += word[5:].replace('"$?"', str(status)) + "\r\n"
            elif word.startswith("booti"):
                self.commands.append(command)
                said += "Starting kernel ...\r\nLinux version 6.12\r\n"
            elif word:
                self.commands.append(command)
                status = int(bool(self.missing) and self.missing in command)
        return said


@pytest.fixture
def uboot() -> Iterator[UBoot]:
    playing = UBoot()
    yield playing
    playing.close()


def strategy_of(text: str, tmp_path: Path) -> Any:
    file = tmp_path / "env.yaml"
    file.write_text(text)
    return Environment(str(file)).get_target().get_driver("BoardStrategy")


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "image"
    folder.mkdir()
    files(folder, "card.tar")
    for name in ("Image", "board.dtb", "card.wic.xz"):
        (folder / name).write_bytes(b"x")
    monkeypatch.setenv("HETOCI_IMAGE_FOLDER", str(folder))
    return folder


def test_u_boot_gets_kernel_and_tree_by_tftp_and_boots_them(
    tmp_path: Path, image: Path, uboot: UBoot
) -> None:
    strategy = strategy_of(UBOOT.format(port=uboot.port, root=tmp_path / "tftp"), tmp_path)
    strategy.transition(Status.shell)
    assert uboot.commands == [
        "setenv autoload no",
        "dhcp",
        "setenv serverip 127.0.0.1",
        "tftpboot ${kernel_addr_r} lab/Image",
        "tftpboot ${fdt_addr_r} lab/board.dtb",
        "booti ${kernel_addr_r} - ${fdt_addr_r}",
    ]
    assert (tmp_path / "tftp/Image").resolve() == image / "Image"


def test_a_file_that_tftp_does_not_bring_ends_the_boot(
    tmp_path: Path, image: Path, uboot: UBoot
) -> None:
    uboot.missing = "board.dtb"
    strategy = strategy_of(UBOOT.format(port=uboot.port, root=tmp_path / "tftp"), tmp_path)
    with pytest.raises(StrategyError) as raised:
        strategy.transition(Status.shell)
    assert "tftpboot ${fdt_addr_r} lab/board.dtb" in str(raised.value.__cause__)
    assert "booti" not in uboot.commands[-1]


def test_an_image_of_another_board_is_refused_by_the_file_it_lacks(
    tmp_path: Path, image: Path, uboot: UBoot
) -> None:
    (image / "board.dtb").unlink()
    strategy = strategy_of(UBOOT.format(port=uboot.port, root=tmp_path / "tftp"), tmp_path)
    with pytest.raises(StrategyError) as raised:
        strategy.transition(Status.shell)
    assert "wrong image for this board: it has no board.dtb" in str(raised.value.__cause__)
    assert uboot.commands == []


CALLS: list[str] = []


@target_factory.reg_driver
@attr.s(eq=False)
class NotedMux(USBSDMuxDriver):  # type: ignore[misc]  # labgrid is untyped
    """A USB-SD-Mux that only notes what it is told."""

    bindings = {}  # noqa: RUF012 - labgrid's way

    def set_mode(self, mode: str) -> None:
        CALLS.append(mode)


@target_factory.reg_driver
@attr.s(eq=False)
class NotedCard(USBStorageDriver):  # type: ignore[misc]  # labgrid is untyped
    """A card in the multiplexer that only notes what is written."""

    bindings = {}  # noqa: RUF012 - labgrid's way

    def write_image(self, filename: str, mode: Any) -> None:
        CALLS.append(f"{mode} {Path(filename).name}")


MUX = """
targets:
  main:
    resources:
      - NetworkService: {address: 127.0.0.1, username: root}
    drivers:
      - ExternalPowerDriver: {name: power, cmd_on: 'true', cmd_off: 'true', delay: 0.0}
      - NotedMux: {name: mux}
      - NotedCard: {name: card}
      - SSHDriver: {name: ssh}
      - BoardStrategy:
          card_image: card.wic.xz
          bindings: {power: power, shell: none, ssh: ssh, mux: mux, card: card}
imports: [hetoci_lab.drivers]
"""


def test_the_card_is_written_once_while_the_power_is_off(tmp_path: Path, image: Path) -> None:
    CALLS.clear()
    strategy = strategy_of(MUX, tmp_path)
    for status in (Status.shell, Status.off, Status.shell):
        strategy.transition(status)
    assert CALLS == ["host", "bmaptool card.wic.xz", "dut", "dut"]


def test_without_an_image_the_board_boots_the_card_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HETOCI_IMAGE_FOLDER", raising=False)
    CALLS.clear()
    strategy_of(MUX, tmp_path).transition(Status.shell)
    assert CALLS == ["dut"]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is no folder with an image"):
        runner.deploy_variables([], tmp_path / "gone")
