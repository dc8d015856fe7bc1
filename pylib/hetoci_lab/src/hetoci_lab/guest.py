# SPDX-License-Identifier: MIT
"""What domains run: a small Linux kernel, and a ramdisk with the agent."""

import os
import shutil
from pathlib import Path

from hetoci_lab import debian, kernel, paths, run
from hetoci_lab.console import Step

CONFIG = Path("meta-hetoci/recipes-kernel/linux/files/guest.config")
AGENT = Path("meta-hetoci/recipes-guest/hetoci-guest/files/agent")
UNUSED = ("Documentation", "drivers/gpu/drm/amd", "sound/soc/codecs", "tools/testing")
"""Of the kernel's source; a third of its files, none of which any configuration needs."""


def build_kernel(deb: Path, folder: Path, log: Path, progress: Step) -> None:
    """Build the kernel of a linux-source package into `folder`.

    Leaves `kernel` (an Image) and `config`. Raises LabError if a requested option did not make
    it into the configuration.
    """
    progress.update("unpacking the source")
    debian.unpack(deb, folder / "deb", log)
    archive = next((folder / "deb/usr/src").glob("linux-source-*.tar.xz"))
    source, objects = folder / "source", folder / "objects"
    source.mkdir()
    objects.mkdir()
    leave = [f"--exclude=*/{name}/*.[ch]" for name in UNUSED]
    run.logged(["tar", "-C", source, "--strip-components=1", *leave, "-xf", archive], log)
    wanted = kernel.merge([paths.tree() / CONFIG])
    request = folder / "request.config"
    request.write_text("\n".join(wanted) + "\n")
    env = {**kernel.environment(), "KCONFIG_ALLCONFIG": str(request)}
    run.logged(["make", "-C", source, f"O={objects}", "allnoconfig"], log, env=env)
    kernel.check(wanted, (objects / ".config").read_text())
    _compile(objects, log, progress)
    shutil.move(objects / "arch/arm64/boot/Image", folder / "kernel")
    shutil.copy(objects / ".config", folder / "config")
    for name in ("deb", "source", "objects"):
        shutil.rmtree(folder / name)
    request.unlink()


def build(kernel_folder: Path, folder: Path, log: Path) -> None:
    """Build the agent's ramdisk into `folder`, beside the kernel of `kernel_folder`.

    Leaves `kernel` and `ramdisk`.
    """
    shutil.copy(kernel_folder / "kernel", folder / "kernel")
    (folder / "agent").mkdir()
    run.logged(["make", "-C", paths.tree() / AGENT, f"O={folder}/agent"], log)
    shutil.move(folder / "agent/ramdisk", folder / "ramdisk")
    shutil.rmtree(folder / "agent")


def _compile(objects: Path, log: Path, progress: Step) -> None:
    done = 0

    def count(line: str) -> None:
        nonlocal done
        done += line.startswith(("  CC", "  AS", "  AR"))
        progress.update(f"{done} objects")

    command: list[str | Path] = ["make", "-C", objects, f"-j{os.cpu_count() or 1}", "Image"]
    run.logged(command, log, env=kernel.environment(), on_line=count)
