# SPDX-License-Identifier: MIT
"""The board's root file system: Debian packages as a read-only squashfs."""

import os
import platform
import tarfile
from pathlib import Path

from hetoci_lab import debian, run
from hetoci_lab.console import Step
from hetoci_lab.errors import LabError
from hetoci_lab.kernel import EPOCH

BOARD = Path(__file__).parent / "board"
PACKAGE_LIST = "usr/share/vboard/packages"
NOT_INSTALLED = ("doc", "man", "info", "locale", "lintian", "bash-completion", "zoneinfo")
HARDWARE_NAMES = "usr/lib/udev/hwdb.d"
"""Of devices that this board has none of; emulated, their index takes half a minute to make."""
CNI = "usr/lib/cni"
CNI_PLUGINS = ("host-local", "loopback", "ptp")
"""Of twenty, with several megabytes each."""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Of mmdebstrap, and so of the dpkg in the root: /usr/sbin comes first (native.sh)."""


def packages() -> list[str]:
    """Return the names in board/packages.txt."""
    lines = (BOARD / "packages.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def build(folder: Path, log: Path, progress: Step, pins: dict[str, str] | None = None) -> None:
    """Make root.sqfs and packages (name, version, architecture, SHA-256 a line) in `folder`.

    `pins` (package: version) makes it from exactly those versions, or raises LabError.
    """
    ensure_foreign_execution()
    archive = folder / "root.tar"
    command: list[str | Path] = ["mmdebstrap", f"--architectures={debian.ARCHITECTURE}"]
    command += ["--variant=minbase", "--verbose", '--aptopt=Apt::Install-Recommends "false"']
    command += ['--aptopt=Acquire::Retries "3"']
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in NOT_INSTALLED]
    command += [f"--dpkgopt=path-exclude=/{name}/*" for name in (HARDWARE_NAMES, CNI)]
    command += [f"--dpkgopt=path-include=/{CNI}/{name}" for name in CNI_PLUGINS]
    command += [f"--include={','.join(packages())}"]
    if pins:
        preferences = folder / "pins"
        preferences.write_text(
            "".join(
                f"Package: {name}\nPin: version {version}\nPin-Priority: 1001\n\n"
                for name, version in sorted(pins.items())
            )
        )
        command += [f"--setup-hook=upload {preferences} /etc/apt/preferences.d/pins"]
    if not runs_natively():
        command += [f"--extract-hook={(BOARD / 'native.sh').read_text()}"]
    command += [f"--customize-hook=copy-in {BOARD / 'base/usr'} /"]
    command += [f"--customize-hook={(BOARD / 'customize.sh').read_text()}"]
    command += [debian.SUITE, archive, *debian.sources()]

    def follow(line: str) -> None:
        if line.startswith("I: "):
            progress.update(line[3:])
        elif line.startswith(("Unpacking ", "Setting up ")):
            progress.update(" ".join(line.split()[:-1]))

    env = {**os.environ, "PATH": PATH, "SOURCE_DATE_EPOCH": EPOCH, "LC_ALL": "C"}
    run.logged(command, log, env=env, on_line=follow, hint=debian.OFFLINE)
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"./{PACKAGE_LIST}")
        if member is None:
            raise LabError(f"{archive} has no {PACKAGE_LIST}.", hint=f"See {log}.")
        (folder / "packages").write_bytes(member.read())
    if pins:
        _compare(pins, versions(folder))
    squash(archive, folder / "root.sqfs", log)
    archive.unlink()


def squash(archive: Path, image: Path, log: Path) -> None:
    """Turn a tar archive into an lz4 squashfs; owners and modes are the archive's."""
    script = 'exec tar2sqfs -q -f -c lz4 -d mtime="$2" "$1" < "$0"'
    run.logged(["sh", "-c", script, archive, image, EPOCH], log)


def versions(folder: Path) -> dict[str, str]:
    """Return the installed packages and versions of an artefact of `build`."""
    rows = (line.split() for line in (folder / "packages").read_text().splitlines())
    return {row[0]: row[1] for row in rows}


def _compare(pins: dict[str, str], found: dict[str, str]) -> None:
    wrong = [
        f"{name} {found.get(name, 'absent')} instead of {pins.get(name, 'absent')}"
        for name in sorted(set(pins) | set(found))
        if pins.get(name) != found.get(name)
    ]
    if wrong:
        raise LabError(
            f"The package source cannot give the manifest's versions: {'; '.join(wrong[:5])}.",
            hint="Point HETOCI_MIRROR at a mirror that still has them.",
        )


def runs_natively() -> bool:
    """Say whether this host runs the board's programs by itself."""
    return platform.machine() in ("aarch64", "arm64")


def ensure_foreign_execution() -> None:
    """Raise LabError if this host can't run the board's programs (package set-up needs it)."""
    if runs_natively():
        return
    handler = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
    if not handler.is_file() or "enabled" not in handler.read_text():
        raise LabError(
            "The kernel has no handler for arm64 programs (binfmt_misc qemu-aarch64).",
            hint="Run `make setup`, which registers QEMU's.",
        )
