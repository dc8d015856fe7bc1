# SPDX-License-Identifier: MIT
"""The board's device trees: QEMU's own tree, as this host's QEMU gives it, plus the layer's."""

import re
from pathlib import Path

from hetoci_lab import paths, run
from hetoci_lab.errors import LabError

VBOARD = Path("meta-hetoci/recipes-bsp/vboard/files")
QEMU = "qemu-system-aarch64"
MACHINE = "xlnx-versal-virt"
MEMORY = "2G"
# Mitigations guard against speculation, which an emulator does not do.
COMMON_BOOTARGS = (
    "mitigations=off "
    "root=/dev/vda ro init=/usr/lib/vboard/init "
    "ip=10.0.2.15::10.0.2.2:255.255.255.0:vboard:eth0:off "
    "uio_pdrv_genirq.of_id=generic-uio"
)
BOOTARGS = {
    "linux": f"console=ttyAMA0 earlycon {COMMON_BOOTARGS}",
    "xen": f"console=hvc0 {COMMON_BOOTARGS}",
}
XEN_BOOTARGS = "console=dtuart dtuart=/uart@ff000000 dom0_mem=1G dom0_max_vcpus=1 bootscrub=0"


def build(folder: Path, kernel_bytes: int, log: Path) -> None:
    """Write linux.dtb, xen.dtb and shell.dtbo into `folder`; warnings about our sources fail."""
    base = folder / "qemu.dtb"
    machine = f"{MACHINE},dumpdtb={base}"
    run.logged(
        [QEMU, "-M", machine, "-m", MEMORY, "-display", "none", "-kernel", "/dev/null"],
        log,
        hint="Run `make setup`.",
    )
    run.logged(["dtc", "-q", "-I", "dtb", "-O", "dts", "-o", folder / "qemu.dts", base], log)
    for variant, bootargs in BOOTARGS.items():
        defines = {
            "VB_BOOTARGS": f'"{bootargs}"',
            "VB_XEN_BOOTARGS": f'"{XEN_BOOTARGS}"',
            "VB_DOM0_KERNEL_BYTES": str(kernel_bytes),
        }
        source = paths.tree() / VBOARD / f"dts/vboard-{variant}.dts"
        compile_tree(source, folder / f"{variant}.dtb", defines, log)


def compile_tree(source: Path, target: Path, defines: dict[str, str], log: Path) -> None:
    """Preprocess and compile a tree or overlay, with symbols for overlays to refer to."""
    sources = paths.tree() / VBOARD
    plain = target.with_suffix(".dts")
    cpp: list[str | Path] = ["cpp", "-nostdinc", "-undef", "-D__DTS__", "-x", "assembler-with-cpp"]
    cpp += [f"-I{sources}/include", f"-I{sources}/dts"]
    cpp += [f"-D{name}={value}" for name, value in defines.items()]
    run.logged([*cpp, source, "-o", plain], log)
    said: list[str] = []
    include = target.parent
    command: list[str | Path] = ["dtc", "-@", "-i", include, "-I", "dts", "-O", "dtb"]
    if source.suffix == ".dtso":
        # dtc cannot see the interrupt-parent that an overlay's nodes inherit.
        command.append("-Wno-interrupts_property")
    run.logged([*command, "-o", target, plain], log, on_line=said.append)
    ours = [line for line in said if re.search("Warning|Error", line) and "qemu.dts" not in line]
    if ours:
        raise LabError(f"dtc warns about {source.name}: {'; '.join(ours)}")
