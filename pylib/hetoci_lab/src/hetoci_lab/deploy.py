# SPDX-License-Identifier: MIT
"""Bringing files onto a board: by ssh, by a TFTP server, by an SD card in a multiplexer.

`HETOCI_DEPLOY` lists packages and container images for ssh, separated by colons;
`HETOCI_IMAGE_FOLDER` is the folder with the image that the other two boot the board from.
`hetoci-lab run` sets both.
"""

import os
import shlex
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hetoci_lab.errors import LabError

INSTALLERS = {
    ".deb": "dpkg -i --force-downgrade",
    ".ipk": "opkg install --force-reinstall --force-downgrade",
    ".rpm": "rpm -U --force",
}
IMAGE = ".tar"
PLACE = "/run/hetoci-deploy"
SLOW = 300.0
"""Seconds for a package manager, or for the import of an image, on an emulated board."""


def checked(names: Iterable[str]) -> list[Path]:
    """Return files that can be deployed by ssh.

    Raises LabError for one that does not exist or is of no known kind, before a board is on.
    """
    found = []
    for name in names:
        file = Path(name).expanduser().absolute()
        if file.suffix not in (*INSTALLERS, IMAGE):
            raise LabError(
                f"{name} cannot be deployed: its name ends in none of "
                f"{', '.join([*INSTALLERS, IMAGE])}."
            )
        if not file.is_file():
            raise LabError(f"{name} cannot be deployed: there is no such file.")
        found.append(file)
    return found


def wanted() -> list[Path]:
    """Return what the environment of this process asks for."""
    return checked(name for name in os.environ.get("HETOCI_DEPLOY", "").split(":") if name)


def packages(ssh: Any, files: Iterable[Path]) -> int:
    """Install the packages among `files`, all of a kind at once; return how many they were."""
    count = 0
    for suffix, installer in INSTALLERS.items():
        names = [_put(ssh, file) for file in files if file.suffix == suffix]
        if names:
            _do(ssh, f"{installer} {shlex.join(names)} && rm {shlex.join(names)}")
            count += len(names)
    return count


def images(ssh: Any, files: Iterable[Path]) -> None:
    """Import the container images among `files` into containerd."""
    for file in files:
        if file.suffix == IMAGE:
            name = shlex.quote(_put(ssh, file))
            _do(ssh, f"ctr image import {name} && rm {name}")


def _put(ssh: Any, file: Path) -> str:
    ssh.run_check(f"mkdir -p {PLACE}")
    ssh.put(str(file), f"{PLACE}/{file.name}")
    return f"{PLACE}/{file.name}"


def _do(ssh: Any, command: str) -> None:
    out, _, status = ssh.run(f"sh -c {shlex.quote(command)} 2>&1", timeout=SLOW)
    if status:
        said = "\n  ".join(out[-8:])
        raise LabError(f"The board refuses what is deployed ({command.split()[0]}):\n  {said}")


def image_folder() -> Path | None:
    """Return the folder of the image to boot from; None: what the board has."""
    name = os.environ.get("HETOCI_IMAGE_FOLDER")
    return Path(name).expanduser() if name else None


def image_file(folder: Path, name: str) -> str:
    """Return a file of the image. Raises LabError if the folder is of another board."""
    if not (folder / name).is_file():
        raise LabError(
            f"{folder} holds the wrong image for this board: it has no {name}.",
            hint="Build it with kas (docs/boards.md).",
        )
    return str(folder / name)


def by_tftp(tftp: Any, uboot: Any, folder: Path, files: dict[str, str]) -> None:
    """Let U-Boot load `files` (name by the variable with its address) from a TFTP server."""
    local = {variable: image_file(folder, name) for variable, name in files.items()}
    server = socket.gethostbyname(tftp.provider.host)
    for command in ("setenv autoload no", "dhcp", f"setenv serverip {server}"):
        uboot.run_check(command, timeout=60)
    for variable, file in local.items():
        uboot.run_check(f"tftpboot ${{{variable}}} {tftp.stage(file)}", timeout=180)


def onto_card(mux: Any, card: Any, file: str) -> None:
    """Write an image onto the SD card; the board's power must be off."""
    from labgrid.driver.usbstoragedriver import Mode

    mux.set_mode("host")
    card.write_image(file, mode=Mode.BMAPTOOL)
