# SPDX-License-Identifier: MIT
"""Packaging our own recipes by bitbake with Debian's tools in place of what bitbake would build.

Whatever is not ours is assumed to be provided: the cross compiler, pseudo, rpm and dpkg are
Debian's, and dependencies on other people's packages are names. So do_compile of our C sources,
do_install, do_package, do_package_qa and the three do_package_write tasks are the real ones,
and no one else's source is built. What that cannot show: that the packages depended on exist
(resolving an image shows that), and code of the compiler that bitbake would build.
"""

import shutil
from pathlib import Path

from hetoci_lab import layer_check, paths
from hetoci_lab.errors import LabError

TARGET = "aarch64-oe-linux-"
DEBIAN = "aarch64-linux-gnu-"
BINUTILS = (
    "addr2line",
    "ar",
    "as",
    "cpp",
    "gcc",
    "ld",
    "ld.bfd",
    "nm",
    "objcopy",
    "objdump",
    "ranlib",
    "readelf",
    "strip",
)
R5 = "arm-none-eabi-"
HOST_TOOLS = (
    "bc",
    "bison",
    "dpkg",
    "dpkg-deb",
    "flex",
    "rpm",
    "rpmbuild",
    "pseudo",
    "dtc",
    "qemu-system-aarch64",
    "python3",
    "zstd",
)
"""Programs that our recipes' tasks get from natives of oe-core; here they are Debian's."""
PACKAGES = (
    "bc bison chrpath cpio device-tree-compiler diffstat flex gawk gcc-aarch64-linux-gnu "
    "gcc-arm-none-eabi locales pseudo qemu-system-arm rpm zstd"
)

OPKG_BUILD = """\
#!/bin/sh
# SPDX-License-Identifier: MIT
# opkg-build's result: an ar archive of debian-binary, control.tar.gz and data.tar.zst.
set -eu
folder= out=
for word; do folder=$out out=$word; done
[ -f "$folder/CONTROL/control" ]
field() { sed -n "s/^$1: *//p" "$folder/CONTROL/control"; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo 2.0 >"$work/debian-binary"
tar -C "$folder/CONTROL" --format=gnu -czf "$work/control.tar.gz" .
tar -C "$folder" --format=gnu --exclude=./CONTROL -c . | zstd -q -o "$work/data.tar.zst"
name=$(field Package)_$(field Version)_$(field Architecture).ipk
cd "$work"
ar -rc "$out/$name" debian-binary control.tar.gz data.tar.zst
"""
# Which sources a program was compiled from; nothing of ours ships them.
DWARFSRCFILES = "#!/bin/sh\n# SPDX-License-Identifier: MIT\nexit 0\n"

LAYER_CONF = """\
BBFILES += "${LAYERDIR}/recipes/*/*.bb"
BBFILE_COLLECTIONS += "stand-ins"
BBFILE_PATTERN_stand-ins = "^${LAYERDIR}/"
LAYERSERIES_COMPAT_stand-ins = "%s"
"""
PACKAGES_RECIPE = """\
SUMMARY = "Names and files that our packages depend on"
LICENSE = "MIT"
INHIBIT_DEFAULT_DEPS = "1"
PROVIDES += "bash-completion"
PACKAGES = "%s"
do_install() {
    install -d ${D}${bindir}
    touch ${D}${bindir}/python3
    chmod 0755 ${D}${bindir}/python3
}
FILES:python3-core = "${bindir}/python3"
python () {
    for name in d.getVar("PACKAGES").split():
        d.setVar(f"ALLOW_EMPTY:{name}", "1")
}
"""
PSEUDO_RECIPE = """\
SUMMARY = "Debian's pseudo"
LICENSE = "MIT"
PROVIDES += "virtual/fakeroot-native"
INHIBIT_DEFAULT_DEPS = "1"
inherit native
"""
LOCAL_CONF = """\
PACKAGE_CLASSES = "package_deb package_ipk package_rpm"
# Only recipes of ours are read, and all they depend on is taken to be there.
BBMASK = "^(?!(%(tree)s/|%(stand_ins)s/)) \\.bbappend$"
ASSUME_PROVIDED += "^(?!(%(known)s|pseudo-native|virtual/fakeroot-native)$).+"
INHERIT:remove = "uninative"
HOSTTOOLS += "%(tools)s"
# The compiler may be older than the series knows it.
DEBUG_PREFIX_MAP:remove = "-fcanon-prefix-map"
KERNEL_CC:remove = "-fcanon-prefix-map"
PYTHON:forcevariable = "python3"
RPMDEPS:forcevariable = "/usr/lib/rpm/rpmdeps --alldeps"
# Debian's pseudo tracks all but these; oe-core's of wrynose tracks a list.
STAND_IN_PSEUDO = "PSEUDO_PREFIX=/usr PSEUDO_BINDIR=/usr/bin PSEUDO_LIBDIR=%(pseudo)s"
STAND_IN_IGNORED = "/usr/,/etc/,/lib,/dev/,/run/,${T},${WORKDIR}/recipe-sysroot,${WORKDIR}/sources"
STAND_IN_IGNORED .= ",${WORKDIR}/build,${WORKDIR}/pseudo,${WORKDIR}/deploy-,${WORKDIR}/spdx"
STAND_IN_IGNORED .= ",${WORKDIR}/license-destdir,${WORKDIR}/sstate-build,${WORKDIR}/debugsources"
STAND_IN_IGNORED .= ",${TMPDIR}/pkgdata,${TMPDIR}/sstate-control,${TMPDIR}/hosttools"
STAND_IN_IGNORED .= ",${DEPLOY_DIR},${STAMPS_DIR},${SSTATE_DIR},${COREBASE}/"
PSEUDO_SYSROOT = ""
FAKEROOTCMD = "/usr/bin/pseudo"
FAKEROOTBASEENV = "${STAND_IN_PSEUDO} PSEUDO_DISABLED=1 PYTHONDONTWRITEBYTECODE=1"
FAKEROOTENV = "${STAND_IN_PSEUDO} PSEUDO_LOCALSTATEDIR=${PSEUDO_LOCALSTATEDIR} \\
    PSEUDO_NOSYMLINKEXP=1 PSEUDO_IGNORE_PATHS=${STAND_IN_IGNORED} PSEUDO_DISABLED=0"
"""
KERNEL_CONF = """\
# The quick build's kernel, for the module; its own package would be kernel-<version>.
STAGING_KERNEL_DIR:forcevariable = "%(kernel)s/source"
STAGING_KERNEL_BUILDDIR:forcevariable = "%(kernel)s/objects"
"""
SOURCE_CONF = """\
# A whole kernel's sources, for the domains' kernel.
HETOCI_GUEST_SOURCE = "%s"
"""


def missing() -> list[str]:
    """Return the programs of Debian that are not installed; PACKAGES has them."""
    wanted = [
        *HOST_TOOLS,
        *(DEBIAN + name for name in BINUTILS),
        R5 + "gcc",
        "/usr/lib/rpm/rpmdeps",
    ]
    return [name for name in wanted if shutil.which(name) is None]


def make(folder: Path, series: str) -> None:
    """Write the layer of stand-ins and its bin/ into `folder`; LabError if Debian's tools lack."""
    absent = missing()
    if absent:
        raise LabError(f"Not installed: {' '.join(absent)}.", hint=f"apt install {PACKAGES}")
    for name in ("conf", "recipes/pseudo", "bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "conf/layer.conf").write_text(LAYER_CONF % series)
    (folder / "recipes/pseudo/pseudo-native_1.0.bb").write_text(PSEUDO_RECIPE)
    (folder / "recipes/pseudo/stand-in-packages_1.0.bb").write_text(
        PACKAGES_RECIPE % " ".join(sorted(others()))
    )
    for name, text in (("opkg-build", OPKG_BUILD), ("dwarfsrcfiles", DWARFSRCFILES)):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    for name in BINUTILS:
        link = folder / "bin" / (TARGET + name)
        link.unlink(missing_ok=True)
        link.symlink_to(str(shutil.which(DEBIAN + name)))


def own() -> dict[str, dict[str, str]]:
    """Return our recipes' variables as bitbake's parser reads them, with every engine."""
    engines = "containerd docker podman crio"
    return layer_check.parse({"MACHINE": "hetoci-vboard", "HETOCI_ENGINES": engines})


def packaged() -> list[str]:
    """Return the names of our recipes that make packages or deploy files: all but images."""
    return sorted(name for name in own() if not name.startswith(("hetoci-image", "hetoci-oci-")))


def packages(recipe: dict[str, str]) -> set[str]:
    """Return the names that a recipe of ours has RDEPENDS for or lists as its packages."""
    named = {key.split(":")[1] for key in recipe if key.startswith(("RDEPENDS:", "FILES:"))}
    return named | set(recipe.get("PACKAGES", "").split())


def others() -> set[str]:
    """Return the packages of other layers that ours depend on."""
    recipes = own()
    ours = set(recipes) | {name for recipe in recipes.values() for name in packages(recipe)}
    wanted = {"bash-completion", "python3-core"}  # the first is said by a class of oe-core
    for recipe in recipes.values():
        for key, value in recipe.items():
            if key.startswith("RDEPENDS:"):
                wanted |= set(value.split())
    prefixes = tuple(f"{name}-" for name in recipes)  # packages by oe-core's default: -doc, -dev …
    return {name for name in wanted - ours if not name.startswith(prefixes)}


def local_conf(folder: Path, kernel: Path | None, source: Path | None) -> str:
    """Return what local.conf needs besides.

    `kernel` has the source/ and objects/ of a kernel, as modules need them; `source` is the whole
    source of one.
    """
    tools = [*HOST_TOOLS, *(TARGET + name for name in BINUTILS), "opkg-build", "dwarfsrcfiles"]
    tools += [R5 + name for name in ("ar", "gcc", "ld", "objcopy", "objdump", "nm", "size")]
    [library] = Path("/usr/lib").glob("*/pseudo/libpseudo.so")
    recipes = own()
    known = set(recipes) | others() | {"stand-in-packages"}
    known |= {name for recipe in recipes.values() for name in packages(recipe)}
    text = LOCAL_CONF % {
        "tree": paths.tree(),
        "stand_ins": folder,
        "known": "|".join(sorted(known)),
        "tools": " ".join(tools),
        "pseudo": library.parent,
    }
    text += KERNEL_CONF % {"kernel": kernel} if kernel else ""
    return text + (SOURCE_CONF % source if source else "")


def kernel(artefact: Path, folder: Path) -> Path:
    """Copy the quick build's kernel tree into `folder`, where bitbake's user can read it."""
    target = folder / "kernel"
    if not (target / "objects/kernel-abiversion").is_file():
        for name in ("source", "objects"):
            shutil.copytree(artefact / name, target / name, symlinks=True, dirs_exist_ok=True)
        release = (target / "objects/include/config/kernel.release").read_text()
        (target / "objects/kernel-abiversion").write_text(release)
        # The tree says where it was built.
        makefile = target / "objects/Makefile"
        makefile.write_text(f"include {target}/source/Makefile\n")
    return target
