# SPDX-License-Identifier: MIT
"""What domains run: a small Linux kernel, and a ramdisk with the agent."""

import shutil
from pathlib import Path

from hetoci_lab import kernel, paths, run
from hetoci_lab.console import Step

CONFIG = Path("meta-hetoci/recipes-kernel/linux/files/guest.config")
AGENT = Path("meta-hetoci/recipes-guest/hetoci-guest/files/agent")


def build_kernel(deb: Path, folder: Path, log: Path, progress: Step) -> None:
    """Build the kernel of a linux-source package into `folder`.

    Leaves `kernel` (an Image) and `config`. Raises LabError if a requested option did not make
    it into the configuration.
    """
    objects = kernel.configure(deb, folder, [paths.tree() / CONFIG], log, progress)
    kernel.compile_targets(["Image"], objects, log, progress)
    shutil.move(objects / "arch/arm64/boot/Image", folder / "kernel")
    shutil.copy(objects / ".config", folder / "config")
    for name in ("source", "objects"):
        shutil.rmtree(folder / name)
    (folder / "request.config").unlink()


def build(kernel_folder: Path, folder: Path, log: Path) -> None:
    """Build the agent's ramdisk into `folder`, beside the kernel of `kernel_folder`.

    Leaves `kernel` and `ramdisk`.
    """
    shutil.copy(kernel_folder / "kernel", folder / "kernel")
    (folder / "agent").mkdir()
    run.logged(["make", "-C", paths.tree() / AGENT, f"O={folder}/agent"], log)
    shutil.move(folder / "agent/ramdisk", folder / "ramdisk")
    shutil.rmtree(folder / "agent")
