# SPDX-License-Identifier: MIT
"""What the layer asks of a configuration, as sentences that say the remedy."""

from pathlib import Path

WORKLOADS = ("accelerator", "firmware", "domain")
ENGINES = ("containerd", "docker", "podman", "crio")
BOARD = "hetoci-vboard"


def problems(d):
    """Return a sentence for everything in the datastore `d` that cannot work; none if all can.

    Without the distro feature `hetoci` the layer is inert, and nothing can be wrong.
    """
    if "hetoci" not in words(d, "DISTRO_FEATURES"):
        return []
    return [
        *tree(d),
        *unknown(d, "HETOCI_WORKLOADS", WORKLOADS),
        *unknown(d, "HETOCI_ENGINES", ENGINES),
        *layers(d),
        *features(d),
    ]


def remarks(d):
    """Return sentences about what works but is hardly meant.

    No error: yocto-check-layer parses every machine without any distro feature.
    """
    if d.getVar("MACHINE") != BOARD or "hetoci" in words(d, "DISTRO_FEATURES"):
        return []
    return [
        f"MACHINE is {BOARD}, but DISTRO_FEATURES lacks hetoci, so it gets neither kernel nor "
        'firmware; write DISTRO_FEATURES:append = " hetoci" in local.conf.'
    ]


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


def layers(d):
    """Report what is asked for but comes from a layer that is not there."""
    have = words(d, "BBFILE_COLLECTIONS")
    found = []
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
