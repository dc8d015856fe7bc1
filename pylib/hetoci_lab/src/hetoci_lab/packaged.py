# SPDX-License-Identifier: MIT
"""The quick build with what bitbake built in place of its own files.

HETOCI_PACKAGES names bitbake's deploy folder (deb/ and images/). The runtime and its
configuration, bitstreams, overlays and the EL3 firmware then come from there, and what domains
boot if it is there; kernel, root file system, container images and keys stay the quick build's.
"""

import os
import shutil
from pathlib import Path

from hetoci_lab import debian, paths, run
from hetoci_lab.errors import LabError

RUNTIME = ("python3-hetoci", "python3-hetoci-doc", "python3-hetoci-bash-completion", "hetoci-conf")
LOGIC = ("vboard-pl", "vboard-devicetree")
GUEST = ("hetoci-guest", "hetoci-guest-kernel")
"""What domains boot; these need a kernel's sources and its time, so they may be missing."""
EL3 = "images/hetoci-vboard/vboard-el3.elf"
EXAMPLES = "pylib/hetoci/conf"
"""How the board's engines are configured is its own affair, so their examples are the tree's."""


def folder() -> Path | None:
    """Return the deploy folder to take packages from; None without HETOCI_PACKAGES."""
    named = os.environ.get("HETOCI_PACKAGES")
    if not named:
        return None
    place = Path(named).resolve()
    for package in (*RUNTIME, *LOGIC):
        deb(place, package)
    if not (place / EL3).is_file():
        raise LabError(f"{place} has no {EL3}.", hint="bitbake vboard-el3")
    return place


def deb(place: Path, name: str) -> Path:
    """Return the only package `name` in a deploy folder."""
    found = sorted(place.glob(f"deb/*/{name}_*.deb"))
    if len(found) != 1:
        said = ", ".join(file.name for file in found) or "none"
        raise LabError(
            f"HETOCI_PACKAGES: {place}/deb must hold one {name}, but has {said}.",
            hint="`python3 -m hetoci_lab.bitbake_check --check packages` makes them.",
        )
    return found[0]


def parts(place: Path) -> list[Path]:
    """Return every file that a board takes from a deploy folder."""
    return [*(deb(place, name) for name in (*RUNTIME, *LOGIC, *guests(place))), place / EL3]


def guests(place: Path) -> list[str]:
    """Return the packages of GUEST that are there."""
    return [name for name in GUEST if any(place.glob(f"deb/*/{name}_*.deb"))]


def guest(place: Path, root: Path, log: Path) -> None:
    """Unpack what domains boot into `root`, over what the quick build put there."""
    for name in guests(place):
        debian.unpack(deb(place, name), root, log)


def install(place: Path, root: Path, log: Path) -> None:
    """Unpack the runtime's packages into `root`, in place of `make install`."""
    for name in RUNTIME:
        debian.unpack(deb(place, name), root, log)
    examples = root / "usr/share/doc/hetoci/examples"
    examples.mkdir(parents=True, exist_ok=True)
    for file in (paths.tree() / EXAMPLES).iterdir():
        if file.suffix in (".toml", ".json", ".conf"):
            shutil.copy(file, examples)


def silicon(place: Path, own: Path, target: Path, log: Path) -> None:
    """Fill `target` as silicon.build does, but with EL3 firmware and logic of the packages."""
    for file in own.iterdir():
        if file.is_file():
            shutil.copy(file, target)
    shutil.copy(place / EL3, target / "el3.elf")
    work = target / "unpacked"
    for name in LOGIC:
        debian.unpack(deb(place, name), work, log)
    for pattern in ("*.bit.bin", "*.dtbo"):
        files = sorted(work.glob(f"usr/lib/firmware/{pattern}"))
        if {file.name for file in files} != {file.name for file in own.glob(pattern)}:
            raise LabError(f"{LOGIC} have other {pattern} files than the quick build makes.")
        for file in files:
            shutil.copy(file, target)
    shutil.rmtree(work)


def report(place: Path) -> str:
    """Name the packages, for the log of a build."""
    return ", ".join(run.output(["dpkg-deb", "-W", file]).split()[0] for file in parts(place)[:-1])
