# SPDX-License-Identifier: MIT
"""meta-hetoci lints, parses, and its metadata agree with what the recipes build."""

import ast
import fnmatch
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hetoci_lab import devicetree, layer_check, memmap, paths, qemu
from hetoci_lab.errors import LabError

TREE = paths.tree()
LINUX = "meta-hetoci/recipes-kernel/linux"
BOARD = {"MACHINE": "hetoci-vboard"}
Recipes = dict[str, dict[str, str]]

# Packages of oe-core (python3-manifest.json, scarthgap and wrynose) for modules outside core.
PACKAGE_OF = {
    "_json": "python3-json",
    "_socket": "python3-io",
    "ctypes": "python3-ctypes",
    "fcntl": "python3-fcntl",
    "gzip": "python3-compression",
    "hashlib": "python3-crypt",
    "json": "python3-json",
    "mmap": "python3-mmap",
    "resource": "python3-resource",
    "socket": "python3-io",
    "tarfile": "python3-compression",
    "tempfile": "python3-io",
    "termios": "python3-io",
    "tty": "python3-terminal",
}
CORE = {
    "__future__", "_signal", "_thread", "collections", "contextlib", "errno", "fnmatch", "io", "os",
    "platform", "re", "select", "shutil", "signal", "stat", "struct", "subprocess", "sys", "time",
    "traceback", "types", "typing", "zlib",
}  # fmt: skip

# By oe-core's defaults and the class bash-completion, these go to packages of their own.
OTHERS = "/usr/share/man /usr/share/bash-completion"


@pytest.fixture(scope="module")
def recipes() -> Recipes:
    return layer_check.parse(BOARD)


def names(recipe: dict[str, str], scheme: str = "file://") -> list[str]:
    words = recipe["SRC_URI"].split()
    return [word.removeprefix(scheme) for word in words if word.startswith(scheme)]


def test_oelint_has_nothing_to_say() -> None:
    files = [*layer_check.recipes(), *layer_check.recipes("*.bbappend")]
    assert layer_check.lint(files) == []


def test_oelint_would_say_something(tmp_path: Path) -> None:
    bad = tmp_path / "bad_1.0.bb"
    bad.write_text('SUMMARY = "Bad"\nSRC_URI = "file://x"\nDEPENDS_append = "y"\n')
    assert any("oelint" in line for line in layer_check.lint([bad]))


def test_every_suppression_says_why_and_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = layer_check.SUPPRESSED
    assert all(len(reason) > 20 for reason in reasons.values())
    monkeypatch.setattr(layer_check, "SUPPRESSED", {})
    said = "\n".join(layer_check.lint([*layer_check.recipes()]))
    unused = [rule for rule in reasons if f":{rule}:" not in said]
    assert unused == ["oelint.vars.noncoreoverride"]  # of a bbappend, which was not asked about


def test_bitbake_reads_every_recipe(recipes: Recipes) -> None:
    assert sorted(recipes) == sorted(file.name.split("_")[0].removesuffix(".bb")
                                     for file in layer_check.recipes())  # fmt: skip


def test_bitbake_refuses_broken_syntax(tmp_path: Path) -> None:
    bad = tmp_path / "bad_1.0.bb"
    bad.write_text('SUMMARY = "Bad\n')
    with pytest.raises(LabError, match="unparsed line"):
        layer_check.parse(BOARD, [bad])


def test_inline_python_of_every_recipe_evaluates(recipes: Recipes) -> None:
    left = [f"{pn} {name}" for pn, values in recipes.items() for name, value in values.items()
            if "${@" in value]  # fmt: skip
    assert left == []


def test_every_source_is_in_the_tree(recipes: Recipes) -> None:
    missing = [f"{pn}: {name}" for pn, recipe in recipes.items() if "SRC_URI" in recipe
               for name in names(recipe) if not (TREE / name).exists()]  # fmt: skip
    assert missing == []


def test_licence_checksums_are_right(recipes: Recipes) -> None:
    checked = 0
    for pn, recipe in recipes.items():
        for word in recipe.get("LIC_FILES_CHKSUM", "").split():
            name, *fields = word.removeprefix("file://").split(";")
            options = dict(field.split("=") for field in fields)
            place = TREE / recipe["S"].removeprefix(recipe["WORKDIR"]).lstrip("/") / name
            lines = place.read_bytes().splitlines(keepends=True)
            begin = int(options.get("beginline", 1)) - 1
            text = b"".join(lines[begin : int(options.get("endline", len(lines)))])
            assert hashlib.md5(text).hexdigest() == options["md5"], f"{pn}: {place}"  # noqa: S324
            checked += 1
    assert checked >= 8


def test_recipes_have_the_version_of_the_program(recipes: Recipes) -> None:
    text = (TREE / "pylib/hetoci/src/hetoci/__init__.py").read_text()
    version = re.search(r'^__version__ = "(.+)"', text, re.M)
    assert version
    sources = [recipe for recipe in recipes.values() if "LIC_FILES_CHKSUM" in recipe]
    assert {recipe["PV"] for recipe in sources} == {version[1]}


def covered(path: str, patterns: str) -> bool:
    """Whether a FILES value takes `path`: a pattern is a glob or a folder (bitbake, package)."""
    return any(fnmatch.fnmatch(path, p) or path.startswith(f"{p}/") for p in patterns.split())


def test_the_two_recipes_share_out_what_make_installs(recipes: Recipes, tmp_path: Path) -> None:
    runtime, conf = recipes["python3-hetoci"], recipes["hetoci-conf"]
    examples = "/usr/share/doc/hetoci/examples"
    owners = [runtime["FILES:python3-hetoci"], conf["FILES:hetoci-conf"], f"{OTHERS} {examples}"]
    wrong = {path: count for path in layer_check.installed(tmp_path)
             if (count := sum(covered(path, owner) for owner in owners)) != 1}  # fmt: skip
    assert wrong == {}
    for pattern in f"{owners[0]} {owners[1]}".split():
        assert list(tmp_path.glob(pattern.lstrip("/"))), f"{pattern} matches nothing"


def test_the_completion_has_its_package_beside_ours(recipes: Recipes) -> None:
    before = recipes["python3-hetoci"]["PACKAGE_BEFORE_PN"].split()
    assert before == ["python3-hetoci-bash-completion", "python3-hetoci-bytecode"]


def test_each_engine_has_its_package_and_example(recipes: Recipes, tmp_path: Path) -> None:
    conf = recipes["hetoci-conf"]
    layer_check.installed(tmp_path)
    examples = {f.name for f in (tmp_path / "usr/share/doc/hetoci/examples").iterdir()}
    recipe = (TREE / "meta-hetoci/recipes-core/hetoci/hetoci-conf_0.1.0.bb").read_text()
    assert set(re.findall(r"\$examples/(\S+)", recipe)) == examples
    for engine in ("containerd", "containerd-imports", "docker", "podman", "crio"):
        file = conf[f"CONFFILES:hetoci-conf-{engine}"]
        assert covered(file, conf[f"FILES:hetoci-conf-{engine}"])


def imports() -> set[str]:
    """Top-level modules of the standard library that the program imports."""
    found = set()
    for file in (TREE / "pylib/hetoci/src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.split(".")[0])
    return found - {"hetoci"}


def test_the_runtime_depends_on_the_python_it_imports(recipes: Recipes) -> None:
    used = imports()
    assert used <= set(sys.stdlib_module_names)
    assert used - CORE <= set(PACKAGE_OF), "look up the package in oe-core's python3-manifest.json"
    wanted = {"python3-core"} | {PACKAGE_OF[name] for name in used - CORE}
    assert set(recipes["python3-hetoci"]["RDEPENDS:python3-hetoci"].split()) == wanted


def kernel(tmp_path: Path, append: str, **settings: str) -> list[str]:
    """The fragments that a bbappend gives a kernel recipe."""
    recipe = tmp_path / "linux-any_6.18.bb"
    recipe.write_text('SUMMARY = "A kernel"\nSRC_URI = "git://example.org/linux"\n')
    given = {**BOARD, **settings, "__BBAPPEND": str(TREE / "meta-hetoci" / append)}
    return names(layer_check.parse(given, [recipe])["linux-any"])


APPENDS = (
    "recipes-kernel/linux/linux-yocto_%.bbappend",
    "dynamic-layers/xilinx/recipes-kernel/linux/linux-xlnx_%.bbappend",
)


@pytest.mark.parametrize("append", APPENDS)
def test_kernels_get_the_fragments_of_the_workloads(tmp_path: Path, append: str) -> None:
    found = kernel(tmp_path, append)
    assert found == ["hetoci-containers.cfg", "hetoci-accel.cfg", "hetoci-amp.cfg", "vboard.cfg"]
    assert all((TREE / LINUX / "files" / name).is_file() for name in found)
    xen = kernel(
        tmp_path,
        append,
        MACHINE="other",
        HETOCI_WORKLOADS="domain",
        DISTRO_FEATURES="hetoci xen",
    )
    assert xen == ["hetoci-containers.cfg", "hetoci-xen.cfg"]


@pytest.mark.parametrize("append", APPENDS)
def test_kernels_are_left_alone_without_the_feature(tmp_path: Path, append: str) -> None:
    assert kernel(tmp_path, append, DISTRO_FEATURES="xen") == []


SCRIPT = "dynamic-layers/xilinx/recipes-bsp/u-boot/u-boot-xlnx-scr.bbappend"
UIO = "uio_pdrv_genirq.of_id=generic-uio"


def command_lines(tmp_path: Path, **settings: str) -> list[list[str]]:
    """The words for Linux alone, and those for dom0, that AMD's boot script is made of."""
    recipe = tmp_path / "u-boot-xlnx-scr.bb"
    recipe.write_text(
        'KERNEL_COMMAND_APPEND ?= ""\nKERNEL_ROOT_SD ?= "root=/dev/x ro"\n'
        'KERNEL_ROOT_RAMDISK ?= "root=/dev/ram0 rw"\n'
    )
    given = {"MACHINE": "zcu102-zynqmp", "BOOTMODE": "generic.root", **settings}
    given["__BBAPPEND"] = str(TREE / "meta-hetoci" / SCRIPT)
    read = layer_check.parse(given, [recipe])["u-boot-xlnx-scr"]
    names = ("KERNEL_COMMAND_APPEND", "KERNEL_ROOT_SD", "KERNEL_ROOT_RAMDISK")
    return [read[name].split() for name in names]


def test_boot_scripts_of_amd_tell_the_kernel_about_uio_once(tmp_path: Path) -> None:
    root, ramdisk = ["root=/dev/x", "ro"], ["root=/dev/ram0", "rw"]
    assert command_lines(tmp_path) == [[UIO], root, ramdisk]
    kria = command_lines(tmp_path, KERNEL_COMMAND_APPEND="root=LABEL=root")
    assert kria == [["root=LABEL=root", UIO], root, ramdisk]
    # The script for Xen has no place for KERNEL_COMMAND_APPEND.
    xen = command_lines(tmp_path, BOOTMODE="xen")
    assert xen[1:] == [[*root, UIO], [*ramdisk, UIO]]


@pytest.mark.parametrize("change", [{"DISTRO_FEATURES": "xen"}, {"HETOCI_WORKLOADS": "firmware"}])
def test_boot_scripts_are_left_alone_without_accelerators(
    tmp_path: Path, change: dict[str, str]
) -> None:
    lines = command_lines(tmp_path, **change, BOOTMODE="xen")
    assert lines == [[], ["root=/dev/x", "ro"], ["root=/dev/ram0", "rw"]]


def test_a_root_that_is_never_written_to_has_the_byte_code() -> None:
    [file] = layer_check.recipes("hetoci-image-minimal.bb")
    for features, wanted in (("read-only-rootfs", True), ("package-management", False)):
        image = layer_check.parse({**BOARD, "IMAGE_FEATURES": features}, [file])
        installed = image["hetoci-image-minimal"]["IMAGE_INSTALL"].split()
        assert ("python3-hetoci-bytecode" in installed) == wanted


def test_engines_bring_their_packages() -> None:
    given = {**BOARD, "HETOCI_ENGINES": "containerd podman"}
    [file] = layer_check.recipes("packagegroup-hetoci.bb")
    group = layer_check.parse(given, [file])["packagegroup-hetoci"]
    wanted = set(group["RDEPENDS:packagegroup-hetoci-runtime"].split())
    assert wanted == {
        "hetoci-conf", "hetoci-conf-containerd", "hetoci-conf-podman", "podman",
        "python3-hetoci", "virtual-containerd",
    }  # fmt: skip


COMPILED = {
    "fw-crash": ["crash.elf", "labels.json"],
    "fw-echo": ["echo.elf", "labels.json"],
    "hetoci-guest": ["ramdisk"],
    "hetoci-lab-scenarios": ["hetoci-lab-0.1.0.tar.gz"],
    "rtos-jitter": ["rtos.bin", "labels.json"],
    "pl-both": ["both", *(f"accelerator/{name}-slot3.dtbo" for name in ("vadd", "sha256"))],
    "vboard-el3": ["el3.elf"],
    "pl-sha256": ["sha256", "labels.json", *(f"accelerator/sha256-slot{n}.dtbo" for n in range(4))],
    "pl-vadd": ["vadd", "labels.json", *(f"accelerator/vadd-slot{n}.bit.bin" for n in range(4))],
    "vboard-pl": ["pl-shell.bit.bin", *(f"{d}-slot{n}.{kind}" for d in ("sha256", "vadd")
                                        for n in range(4) for kind in ("bit.bin", "dtbo"))],
}  # fmt: skip


def run_task(pn: str, task: str, work: Path) -> dict[str, str]:
    """Run a recipe's task in `work`, on what its SRC_URI names; return the recipe."""
    [file] = layer_check.recipes(f"{pn}_*.bb")
    settings = {**BOARD, "TARGET_PREFIX": "aarch64-linux-gnu-", "CC": "aarch64-linux-gnu-gcc"}
    settings |= {"LDFLAGS": "", "SOURCE_DATE_EPOCH": "1", "PYTHON": sys.executable}
    settings |= {"WORKDIR": str(work), "D": str(work / "image")}
    recipe = layer_check.parse(settings, [file])[pn]
    for name in names(recipe):
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (TREE / name).is_dir() else shutil.copy
        copy(TREE / name, target)
    Path(recipe["B"]).mkdir(exist_ok=True)
    script = f'oe_runmake() {{ make -s "$@"; }}\n{recipe[task]}'
    subprocess.run(["/bin/sh", "-ec", script], check=True, cwd=recipe["B"])
    return recipe


@pytest.mark.parametrize("pn", COMPILED)
def test_the_sources_named_are_enough_to_compile(tmp_path: Path, pn: str) -> None:
    """The recipe's own do_compile, with Debian's compilers and nothing but its SRC_URI."""
    build = Path(run_task(pn, "do_compile", tmp_path)["B"])
    assert [name for name in COMPILED[pn] if not (build / name).is_file()] == []


def test_the_exported_scenarios_run_without_the_repository(tmp_path: Path) -> None:
    build = Path(run_task("hetoci-lab-scenarios", "do_compile", tmp_path)["B"])
    [archive] = build.glob("*.tar.gz")
    subprocess.run(["tar", "-C", tmp_path, "-xzf", archive], check=True)
    [tree] = tmp_path.glob("hetoci-lab-*")
    done = subprocess.run(
        [sys.executable, "-m", "hetoci_lab.cli", "run", "smoke", "--env", "kria", "--dry-run"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path),
             "PYTHONPATH": f"{tree}/pylib/hetoci_lab/src:{tree}/pylib/hetoci/src"},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{tree}/labtests" in done.stdout
    assert f"{tree}/labtests/env/kria.yaml" in done.stdout


@pytest.mark.parametrize(("pn", "packages"), [("python3-hetoci", 2), ("hetoci-conf", 6)])
def test_every_file_that_do_install_leaves_has_one_package(
    tmp_path: Path, pn: str, packages: int
) -> None:
    recipe = run_task(pn, "do_install", tmp_path)
    image = tmp_path / "image"
    files = {f"/{path.relative_to(image)}" for path in image.rglob("*")
             if path.is_symlink() or not path.is_dir()}  # fmt: skip
    owners = [value for name, value in recipe.items() if name.startswith("FILES:")]
    assert len(owners) == packages
    owners += [OTHERS] if pn == "python3-hetoci" else []
    # bitbake gives a file to the first package that wants it, and this one comes first.
    compiled = recipe.get(f"FILES:{pn}-bytecode", "")
    files -= {path for path in files if covered(path, compiled)}
    assert not any("__pycache__" in path for path in files)
    wanted = [owner for owner in owners if owner != compiled]
    assert {path for path in files if sum(covered(path, owner) for owner in wanted) != 1} == set()
    empty = [pattern for owner in owners[:packages] for pattern in owner.split()
             if not list(image.glob(pattern.lstrip("/")))]  # fmt: skip
    assert empty == []


def test_the_engines_of_an_image_read_what_is_installed(tmp_path: Path) -> None:
    conf = run_task("hetoci-conf", "do_install", tmp_path)
    place = tmp_path / "image/etc"
    assert conf["RRECOMMENDS:hetoci-conf-containerd"] == "hetoci-conf-containerd-imports"
    main = tomllib.loads((place / "containerd/config.toml").read_text())
    assert main == {"version": 2, "imports": ["/etc/containerd/conf.d/*.toml"]}
    assert tomllib.loads((place / "containerd/conf.d/50-hetoci.toml").read_text())["version"] == 2
    docker = json.loads((place / "docker/daemon.json").read_text())
    assert docker["features"] == {"cdi": True, "containerd-snapshotter": True}


def test_the_board_names_its_shell_as_in_the_quick_build(tmp_path: Path) -> None:
    run_task("hetoci-conf", "do_install", tmp_path)
    settings = (tmp_path / "image/etc/hetoci/hetoci.conf").read_text()
    assert re.findall(r"^shells = .*", settings, re.M) == [
        "shells = /usr/lib/firmware/pl-shell.dtbo"
    ]


def test_docker_keeps_its_command_beside_podman() -> None:
    dynamic = TREE / "meta-hetoci/dynamic-layers/virtualization-layer"
    text = (dynamic / "recipes-containers/podman/podman-hetoci.inc").read_text()
    for name in ("PACKAGECONFIG", "PODMAN_FEATURES"):  # scarthgap's recipe, wrynose's
        assert f"{name}:remove = \"${{@bb.utils.filter('HETOCI_ENGINES', 'docker', d)}}\"" in text


def test_runqemu_gets_the_board_of_the_quick_build(recipes: Recipes) -> None:
    machine = recipes["vboard-el3"]
    loaders = machine["QB_OPT_APPEND"].split()[1::2]
    place = "loader,file=@DEPLOY_DIR_IMAGE@"
    assert loaders == [
        f"loader,addr=0x0,data={qemu.branch(0, memmap.value('VB_EL3_BASE')):#x},data-len=4",
        f"{place}/vboard-el3.elf",
        f"{place}/Image,addr={memmap.value('VB_KERNEL_BASE'):#x},force-raw=on",
        f"{place}/vboard-linux.dtb,addr={memmap.value('VB_DTB_BASE'):#x},force-raw=on",
    ]
    assert machine["QB_MACHINE"].split()[1] == devicetree.MACHINE
    assert machine["QB_MEM"] == f"-m {devicetree.MEMORY}"


def test_runqemu_starts_the_image_with_xen_under_xen(recipes: Recipes) -> None:
    loaders = recipes["hetoci-image-xen"]["QB_OPT_APPEND"].split()[1::2][2:]
    place = "loader,file=@DEPLOY_DIR_IMAGE@"
    assert loaders == [
        f"{place}/xen-hetoci-vboard,addr={memmap.value('VB_KERNEL_BASE'):#x},force-raw=on",
        f"{place}/vboard-xen.dtb,addr={memmap.value('VB_DTB_BASE'):#x},force-raw=on",
        f"{place}/Image,addr={memmap.value('VB_DOM0_KERNEL_BASE'):#x},force-raw=on",
    ]


def test_a_read_only_image_is_mounted_so_from_the_start() -> None:
    [file] = layer_check.recipes("vboard-devicetree_*.bb")
    for features, wanted in (("read-only-rootfs", "ro"), ("", "rw")):
        tree = layer_check.parse({**BOARD, "EXTRA_IMAGE_FEATURES": features}, [file])
        words = tree["vboard-devicetree"]["VBOARD_ROOTARGS"].split()
        assert words[:2] == ["root=/dev/vda", wanted]


def test_what_runqemu_loads_is_deployed(recipes: Recipes) -> None:
    deployed = "".join(recipe.get("do_deploy", "") for recipe in recipes.values())
    for name in ("vboard-el3.elf", "vboard-linux.dtb", "vboard-xen.dtb"):
        assert f"${{DEPLOYDIR}}/{name}" in deployed
    wanted = recipes["vboard-el3"]["EXTRA_IMAGEDEPENDS"].split()
    assert set(wanted) == {"vboard-el3", "vboard-devicetree"}
    off = layer_check.parse({**BOARD, "DISTRO_FEATURES": ""})["vboard-el3"]
    assert off["EXTRA_IMAGEDEPENDS"].split() == []
