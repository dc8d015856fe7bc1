# SPDX-License-Identifier: MIT
"""The board's kernel: Debian's linux-source with the layer's fragments on top of allnoconfig."""

import os
import shutil
from pathlib import Path

from hetoci_lab import debian, paths, run
from hetoci_lab.console import Step
from hetoci_lab.errors import LabError

FRAGMENTS = Path("meta-hetoci/recipes-kernel/linux/files")
MODULE = Path("meta-hetoci/recipes-kernel/of-overlay-configfs/files")
KEPT_SOURCE = ("Makefile", "Kbuild", "scripts", "include", "arch/arm64", "tools/include")
UNUSED = (
    "Documentation/*/*",
    "arch/[!a]*.[chS]",
    "drivers/gpu/*.[ch]",
    "drivers/media/*.[ch]",
    "drivers/net/ethernet/*.[ch]",
    "drivers/net/wireless/*.[ch]",
    "drivers/staging/*.[ch]",
    "sound/*.[ch]",
    "tools/perf",
    "tools/testing",
    "arch/*.dts",
    "arch/*.dtsi",
)
"""Half of the source's files, which no configuration here needs; tar's patterns."""
EPOCH = "1764547200"
"""SOURCE_DATE_EPOCH of everything the quick build makes."""


def environment() -> dict[str, str]:
    """Return the environment of a kernel or module build: cross compiler, fixed identity."""
    return {
        **os.environ,
        "ARCH": "arm64",
        "CROSS_COMPILE": "aarch64-linux-gnu-",
        "KBUILD_BUILD_TIMESTAMP": "Mon Dec  1 00:00:00 UTC 2025",
        "KBUILD_BUILD_USER": "hetoci",
        "KBUILD_BUILD_HOST": "vboard",
        "SOURCE_DATE_EPOCH": EPOCH,
        "LC_ALL": "C",
    }


def fragments() -> list[Path]:
    """Return the configuration fragments in the layer, sorted by name."""
    return sorted((paths.tree() / FRAGMENTS).glob("*.cfg"))


def build(deb: Path, folder: Path, log: Path, progress: Step) -> None:
    """Build the kernel of a linux-source package into `folder`.

    Leaves Image, config, and in source/ and objects/ what modules are built against.
    Raises LabError if a requested option did not make it into the configuration.
    """
    objects = configure(deb, folder, fragments(), log, progress)
    compile_targets(["Image", "modules"], objects, log, progress)
    shutil.move(objects / "arch/arm64/boot/Image", folder / "Image")
    shutil.copy(objects / ".config", folder / "config")
    _slim(folder / "source", objects)


def configure(deb: Path, folder: Path, files: list[Path], log: Path, progress: Step) -> Path:
    """Unpack a linux-source package into `folder`/source and configure `folder`/objects by `files`.

    Returns the latter. Raises LabError if a requested option did not make it.
    """
    progress.update("unpacking the source")
    debian.unpack(deb, folder / "deb", log)
    archive = next((folder / "deb/usr/src").glob("linux-source-*.tar.xz"))
    source, objects = folder / "source", folder / "objects"
    source.mkdir()
    objects.mkdir()
    leave = [f"--exclude=linux-source-*/{name}" for name in UNUSED]
    run.logged(["tar", "-C", source, "--strip-components=1", *leave, "-xf", archive], log)
    shutil.rmtree(folder / "deb")
    wanted = merge(files)
    request = folder / "request.config"
    request.write_text("\n".join(wanted) + "\n")
    env = {**environment(), "KCONFIG_ALLCONFIG": str(request)}
    run.logged(["make", "-C", source, f"O={objects}", "allnoconfig"], log, env=env)
    check(wanted, (objects / ".config").read_text())
    return objects


def merge(files: list[Path]) -> list[str]:
    """Return the option lines of `files`, each option once; two different values are an error."""
    chosen: dict[str, tuple[str, Path]] = {}
    for file in files:
        for line in file.read_text().splitlines():
            if not line.startswith("CONFIG_"):
                continue
            option = line.split("=", 1)[0]
            earlier = chosen.setdefault(option, (line, file))
            if earlier[0] != line:
                raise LabError(
                    f"{file.name} asks for {line}, {earlier[1].name} for {earlier[0]}.",
                    hint="Fragments must agree.",
                )
    return [line for line, _ in chosen.values()]


def check(wanted: list[str], config: str) -> None:
    """Raise LabError naming every option in `wanted` that `config` does not have so."""
    lines = set(config.splitlines())
    missing = []
    for line in wanted:
        option, value = line.split("=", 1)
        absent = value == "n" and not any(have.startswith(f"{option}=") for have in lines)
        if line not in lines and not absent:
            missing.append(line)
    if missing:
        raise LabError(
            f"The kernel's configuration dropped {', '.join(missing)}.",
            hint="A dependency of theirs is missing in the fragments, or the option is gone.",
        )


def compile_targets(targets: list[str], objects: Path, log: Path, progress: Step) -> None:
    """Make `targets` of the kernel that `configure` prepared in `objects`."""
    done = 0

    def count(line: str) -> None:
        nonlocal done
        if line.startswith(("  CC", "  AS", "  LD", "  AR")):
            done += 1
            progress.update(f"{done} objects")

    make: list[str | Path] = ["make", "-C", objects, f"-j{os.cpu_count() or 1}", *targets]
    run.logged(make, log, env=environment(), on_line=count)


def _slim(source: Path, objects: Path) -> None:
    """Remove what an out-of-tree module does not need (as linux-headers packages do)."""
    keep = [source / name for name in KEPT_SOURCE]
    for entry in source.iterdir():
        if not any(entry == kept or entry in kept.parents for kept in keep):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for holder in (source / "arch", source / "tools"):
        for entry in holder.iterdir():
            if entry not in keep:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    shutil.rmtree(source / "arch/arm64/boot")
    for file in objects.rglob("*"):
        if file.suffix in (".o", ".a", ".cmd") and "scripts" not in file.parts:
            file.unlink()
    for name in ("vmlinux", "vmlinux.unstripped", ".tmp_vmlinux1", ".tmp_vmlinux2", "System.map"):
        (objects / name).unlink(missing_ok=True)


def build_module(kernel: Path, work: Path, log: Path) -> Path:
    """Build the configfs overlay module against an artefact of `build`; return the .ko file."""
    source = work / "of-overlay-configfs"
    shutil.copytree(paths.tree() / MODULE, source)
    make: list[str | Path] = [
        "make",
        "-C",
        kernel / "source",
        f"O={kernel}/objects",
        f"M={source}",
        "modules",
    ]
    run.logged(make, log, env=environment())
    return next(source.glob("*.ko"))


def release(kernel: Path) -> str:
    """Return the kernel's release string, as `uname -r` gives it on the board."""
    return (kernel / "objects/include/config/kernel.release").read_text().strip()
