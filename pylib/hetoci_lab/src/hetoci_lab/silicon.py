# SPDX-License-Identifier: MIT
"""Everything the layer and recipes/ build from C: EL3 firmware, bitstreams, R5 firmware."""

from pathlib import Path

from hetoci_lab import paths, run
from hetoci_lab.devicetree import VBOARD, compile_tree


def sources() -> list[Path]:
    """Return the files and folders that what is built here depends on."""
    tree = paths.tree()
    return [tree / VBOARD, *sorted((tree / "recipes").glob("*/src")), *_common()]


def _common() -> list[Path]:
    common = paths.tree() / "recipes/common"
    return [common] if common.is_dir() else []


def designs() -> list[str]:
    """Return the names of the accelerators in recipes/ (pl-NAME)."""
    return sorted(
        f.name[3:] for f in (paths.tree() / "recipes").glob("pl-*") if (f / "src").is_dir()
    )


def build(folder: Path, log: Path) -> None:
    """Build el3.elf, pl-shell.bit.bin, DESIGN-slotN.bit.bin and their overlays into `folder`."""
    vboard = paths.tree() / VBOARD
    _make(vboard / "el3", folder, "aarch64-linux-gnu-", log)
    _make(vboard / "pl", folder, "arm-none-eabi-", log)
    compile_tree(vboard / "dts/pl-shell.dtso", folder / "pl-shell.dtbo", {}, log)
    for design in designs():
        source = paths.tree() / f"recipes/pl-{design}/src"
        _make(source, folder, "arm-none-eabi-", log, "all", "overlays")


def _make(source: Path, folder: Path, cross: str, log: Path, *more: str) -> None:
    work = folder / "objects" / "-".join([source.parent.name, source.name])
    work.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = ["make", "-C", source, f"CROSS_COMPILE={cross}", f"O={work}", *more]
    run.logged(command, log)
    for pattern in ("*.elf", "*.bit.bin", "*.dtbo"):
        for made in work.glob(pattern):
            (folder / made.name).write_bytes(made.read_bytes())
