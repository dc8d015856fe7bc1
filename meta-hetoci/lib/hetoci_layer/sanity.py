# SPDX-License-Identifier: MIT
"""What the layer asks of a configuration, as sentences that say the remedy."""

from pathlib import Path

WORKLOADS = ("accelerator", "firmware", "domain")
ENGINES = ("containerd", "docker", "podman", "crio")
BOARD = "hetoci-vboard"
AMD = ("zynqmp", "versal", "versal-net")
"""Overrides of AMD's machines, which meta-xilinx-core makes out of their SoC."""
OPEN_ROOT = ("empty-root-password", "allow-empty-password", "debug-tweaks")


def problems(d):
    """Return a sentence for everything in the datastore `d` that cannot work; none if all can.

    Without the distro feature `hetoci` the layer is inert, and nothing can be wrong. Other
    configurations of one build (BBMULTICONFIG) are for firmware and the like, which get the
    feature by the way: none of this is for them.
    """
    if another_configuration(d) or "hetoci" not in words(d, "DISTRO_FEATURES"):
        return []
    return [
        *tree(d),
        *unknown(d, "HETOCI_WORKLOADS", WORKLOADS),
        *unknown(d, "HETOCI_ENGINES", ENGINES),
        *machine(d),
        *layers(d),
        *features(d),
        *conflicts(d),
    ]


def remarks(d):
    """Return sentences about what works but is hardly meant.

    No error: yocto-check-layer parses every machine without any distro feature.
    """
    if another_configuration(d):
        return []
    if "hetoci" in words(d, "DISTRO_FEATURES"):
        return unverified(d)
    remedy = 'write DISTRO_FEATURES:append = " hetoci" in local.conf.'
    if d.getVar("MACHINE") == BOARD:
        return [
            f"MACHINE is {BOARD}, but DISTRO_FEATURES lacks hetoci, so it gets neither kernel nor "
            f"firmware; {remedy}"
        ]
    if words(d, "HETOCI_ENGINES"):
        return [f"HETOCI_ENGINES is set, but DISTRO_FEATURES lacks hetoci; {remedy}"]
    return []


def unverified(d):
    """Remark on a signature that nothing looks at."""
    if d.getVar("UBOOT_SIGN_ENABLE") != "1" or not amd_overrides(d):
        return []
    return [
        "UBOOT_SIGN_ENABLE signs fitImage, but AMD's boot script boots the unsigned Image and "
        "their U-Boot has no key, so nothing is verified; meta-hetoci/README.md, "
        '"Signed", says what is missing.'
    ]


def amd_overrides(d):
    """Return the overrides of `d` that are AMD's SoCs."""
    return [name for name in (d.getVar("OVERRIDES") or "").split(":") if name in AMD]


def another_configuration(d):
    """Whether `d` is that of a multiconfig, not of the build's own machine."""
    return (d.getVar("BB_CURRENT_MC") or "default") != "default"


def words(d, name):
    """Return the words of the variable `name`; an unset one has none."""
    return (d.getVar(name) or "").split()


def tree(d):
    """The recipes build sources that lie beside the layer in its repository."""
    root = d.getVar("HETOCI_TREE") or ""
    if (Path(root) / "pylib/hetoci/Makefile").is_file():
        return []
    return [
        f"{root} has no pylib/hetoci: the layer was copied out of its repository; "
        "name meta-hetoci inside a whole checkout in bblayers.conf."
    ]


def unknown(d, name, allowed):
    """Report words of `name` that are not in `allowed`."""
    wrong = [word for word in words(d, name) if word not in allowed]
    if not wrong:
        return []
    return [f"{name} has {' '.join(wrong)}; it may hold {', '.join(allowed)}."]


def machine(d):
    """Report a machine that cannot carry what is asked for."""
    wanted = words(d, "HETOCI_WORKLOADS")
    architecture = d.getVar("TARGET_ARCH") or ""
    if not wanted or architecture == "aarch64":
        return []
    return [
        f"HETOCI_WORKLOADS has {' '.join(wanted)}, which need a 64-bit Arm machine, but MACHINE "
        f"{d.getVar('MACHINE')} is {architecture or 'of no known architecture'}; choose another "
        'machine, or write HETOCI_WORKLOADS = "" for plain containers only.'
    ]


def layers(d):
    """Report what is asked for but comes from a layer that is not there."""
    have = words(d, "BBFILE_COLLECTIONS")
    found = []
    if "domain" in words(d, "HETOCI_WORKLOADS") and "virtualization-layer" not in have:
        found.append(
            "HETOCI_WORKLOADS has domain, but Xen is in meta-virtualization; "
            "add that layer to bblayers.conf, or take domain out."
        )
    amd = amd_overrides(d)
    if amd and words(d, "HETOCI_WORKLOADS") and "xilinx" not in have:
        found.append(
            f"MACHINE {d.getVar('MACHINE')} is a {amd[0]}, whose kernel and device tree are in "
            "meta-xilinx/meta-xilinx-core; add that layer to bblayers.conf."
        )
    if words(d, "HETOCI_ENGINES") and "virtualization-layer" not in have:
        found.append(
            "HETOCI_ENGINES names an engine, whose recipe is in meta-virtualization; "
            "add that layer to bblayers.conf, or leave HETOCI_ENGINES empty."
        )
    if d.getVar("MACHINE") == BOARD and "arm-toolchain" not in have:
        found.append(
            f"{BOARD} needs a compiler for its Cortex-R5; "
            "add meta-arm/meta-arm-toolchain to bblayers.conf."
        )
    return found


def features(d):
    """Report distro features that a choice needs."""
    distro = words(d, "DISTRO_FEATURES")
    found = []
    if "domain" in words(d, "HETOCI_WORKLOADS") and "xen" not in distro:
        found.append(
            "HETOCI_WORKLOADS has domain, which needs Xen; "
            'write DISTRO_FEATURES:append = " xen" in local.conf, or take domain out.'
        )
    if words(d, "HETOCI_ENGINES") and "virtualization" not in distro:
        found.append(
            "HETOCI_ENGINES names an engine, but DISTRO_FEATURES lacks virtualization, which "
            'meta-virtualization needs; write DISTRO_FEATURES:append = " virtualization".'
        )
    return found


def conflicts(d):
    """Report options that exclude each other."""
    found = []
    image = words(d, "EXTRA_IMAGE_FEATURES") + words(d, "IMAGE_FEATURES")
    openness = [word for word in image if word in OPEN_ROOT]
    if d.getVar("UBOOT_SIGN_ENABLE") == "1" and openness:
        found.append(
            f"UBOOT_SIGN_ENABLE signs the kernel, but the image features have {openness[0]}, with "
            "which anybody is root; take out one of the two (kas: feature/signed.yml and "
            "feature/debug.yml exclude each other)."
        )
    fit = "kernel-fitimage" in words(d, "KERNEL_CLASSES")
    if fit and "scarthgap" not in words(d, "LAYERSERIES_CORENAMES"):
        found.append(
            "KERNEL_CLASSES has kernel-fitimage, a class that only scarthgap has; later series "
            "make a FIT image by a recipe (kernel-fit-image): take kas/feature/signed.yml out, "
            "or build on scarthgap."
        )
    init = d.getVar("VIRTUAL-RUNTIME_init_manager")
    if init and init != "systemd" and words(d, "HETOCI_WORKLOADS"):
        found.append(
            f"The init manager is {init}, but what gives devices back after a crash is a systemd "
            'unit; write INIT_MANAGER = "systemd" in local.conf.'
        )
    return found
