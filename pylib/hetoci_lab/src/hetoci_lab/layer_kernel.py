# SPDX-License-Identifier: MIT
"""Kernel fragments and device trees of the layer, against Debian's Linux and dtc.

Each kernel recipe's fragments are merged onto arm64's defconfig (linux-yocto and linux-xlnx begin
with something like it) with the kernel's own merge_config.sh, and every requested option must be
in the result. Nothing is compiled. linux-xlnx itself is not here: what only that kernel has
cannot be asked about.
"""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from hetoci_lab import build, cache, debian, kernel, layer_check, paths
from hetoci_lab.errors import LabError

ALL = {"HETOCI_WORKLOADS": "accelerator firmware domain", "DISTRO_FEATURES": "hetoci xen"}
KERNELS = {
    "linux-yocto": ("hetoci-vboard", "recipes-kernel/linux/linux-yocto_%.bbappend"),
    "linux-xlnx": (
        "zynqmp-generic",
        "dynamic-layers/xilinx/recipes-kernel/linux/linux-xlnx_%.bbappend",
    ),
}
"""Kernel recipes: a machine, and what the layer appends."""
KEPT = ("Makefile", "Kbuild", "scripts/", "arch/arm64/", "include/linux/", "arch/x86/Makefile")
STUB = """\
/dts-v1/;
/ {
\t#address-cells = <2>;
\t#size-cells = <2>;
\tgic: interrupt-controller@f9010000 {
\t\tcompatible = "arm,gic-400";
\t\treg = <0x0 0xf9010000 0x0 0x10000>;
\t\t#interrupt-cells = <3>;
\t\t#address-cells = <0>;
\t\tinterrupt-controller;
\t};
\tfirmware {
\t\tzynqmp_firmware: zynqmp-firmware {
\t\t\tcompatible = "xlnx,zynqmp-firmware";
\t\t\t#power-domain-cells = <1>;
\t\t};
\t};
};
"""
"""What AMD's trees have of the labels that ours refer to."""


def source() -> Path:
    """Return a folder with what Kconfig needs of Debian's linux-source; it is cached."""
    debs = build.source_debs()
    [deb] = debs.glob(f"{build.PACKAGES['source']}_*.deb")

    def make(folder: Path) -> None:
        log = folder / "unpack.log"
        debian.unpack(deb, folder / "deb", log)
        [archive] = (folder / "deb/usr/src").glob("linux-source-*.tar.xz")
        with tarfile.open(archive) as tar:
            for member in tar:
                inner = member.name.split("/", 1)[-1]
                if Path(inner).name.startswith("Kconfig") or inner.startswith(KEPT):
                    member.name = inner
                    tar.extract(member, folder, filter="tar")
        cache.remove(folder / "deb")

    return cache.artefact("kconfig", cache.digest_of([deb.name, *KEPT, "1"]), make)


def fragments(recipe: str) -> list[Path]:
    """Return the fragments that the layer gives a kernel recipe of KERNELS, for all workloads."""
    machine, append = KERNELS[recipe]
    with tempfile.TemporaryDirectory(prefix="layer-check-") as folder:
        file = Path(folder) / "linux-any_6.18.bb"
        file.write_text('SUMMARY = "A kernel"\nSRC_URI = "git://example.org/linux"\n')
        settings = {**ALL, "MACHINE": machine}
        settings["__BBAPPEND"] = str(paths.tree() / layer_check.LAYER / append)
        words = layer_check.parse(settings, [file])["linux-any"]["SRC_URI"].split()
    names = [word.removeprefix("file://") for word in words if word.startswith("file://")]
    return [paths.tree() / kernel.FRAGMENTS / name for name in names]


def merged(fragments: list[Path], work: Path) -> str:
    """Return the configuration that defconfig and `fragments` give, as merge_config.sh makes it."""
    tree = source()
    script = tree / "scripts/kconfig/merge_config.sh"
    defconfig = tree / "arch/arm64/configs/defconfig"
    done = subprocess.run(
        ["sh", str(script), "-O", str(work), str(defconfig), *map(str, fragments)],
        cwd=tree,
        env=kernel.environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise LabError(f"merge_config.sh failed: {(done.stdout + done.stderr)[-500:]}")
    return (work / ".config").read_text()


def check_fragments(fragments: list[Path], work: Path) -> int:
    """Raise LabError for every requested option that is not in the result; return their number."""
    wanted = kernel.merge(fragments)
    kernel.check(wanted, merged(fragments, work))
    return len(wanted)


def check_tree(file: Path, work: Path) -> None:
    """Compile a device tree include of ours on top of a stub; LabError for any warning."""
    whole = work / f"{file.stem}.dts"
    whole.write_text(STUB + file.read_text())
    done = subprocess.run(
        ["dtc", "-@", "-I", "dts", "-O", "dtb", "-o", f"{whole}.dtb", str(whole)],
        capture_output=True,
        text=True,
    )
    if done.returncode or done.stderr.strip():
        raise LabError(f"dtc says about {file.name}: {done.stderr.strip()}")


def trees() -> list[Path]:
    """Return the device tree includes for boards of AMD."""
    return sorted((paths.tree() / "meta-hetoci/dynamic-layers").rglob("*.dtsi"))


def main() -> None:
    """Check all of it and say what was checked."""
    with tempfile.TemporaryDirectory(prefix="layer-check-") as work:
        for recipe in KERNELS:
            count = check_fragments(fragments(recipe), Path(work))
            print(f"kernel options: {count} of {recipe}'s are in Debian's Linux")
        for file in trees():
            check_tree(file, Path(work))
    print(f"device trees: {len(trees())} compile on a stub of AMD's")


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"layer_kernel: {error}")
