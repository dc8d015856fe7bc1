# SPDX-License-Identifier: MIT
"""Checks of meta-hetoci and kas/ that need neither oe-core nor a network.

`python -m hetoci_lab.layer_check` lints the recipes (oelint-adv), has bitbake's parser read them
and kas resolve every configuration. What passes lints, parses or resolves; nothing is built.
"""

import contextlib
import importlib
import io
import itertools
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hetoci_lab import paths
from hetoci_lab.errors import LabError

LAYER = "meta-hetoci"
SERIES = ("scarthgap", "wrynose")
MACHINES = ("hetoci-vboard", "qemuarm64", "zcu102", "k26", "zynqmp", "versal")
"""The files in kas/machine/ to choose from."""
AMD = ("zcu102", "k26", "zynqmp", "versal")
FEATURES = (
    "amp", "fpga", "xen", "containerd", "podman", "docker", "crio", "debug", "read-only",
    "signed", "testimage",
)  # fmt: skip
"""The files in kas/feature/ to choose from."""
FIXED_SERIES = dict.fromkeys(AMD, "scarthgap")
"""Machines whose vendor's layers are for one series; their files include it."""
UNLOCKED = {("scarthgap", "meta-kria")}
"""Repositories that follow a branch, because no revision of it could be looked at."""
NONSENSE = {
    ("hetoci-vboard", "signed"): "its EL3 firmware starts the kernel; there is no U-Boot",
    ("qemuarm64", "signed"): "runqemu starts the kernel; there is no U-Boot",
    ("qemuarm64", "amp"): "it has no real-time core",
    ("qemuarm64", "fpga"): "it has no programmable logic",
    **{("signed", name): "anybody is root, so a signature says nothing"
       for name in ("debug", "testimage")},
}  # fmt: skip
"""Pairs of kas files that make no sense together, with the reason."""
PRODUCT = ("amp", "fpga", "xen", "containerd", "podman", "docker", "crio")
"""What a machine can have at once; `combinations` has one list with all that makes sense."""

KAS_NETWORK_STEPS = (
    "repo_setup_loop",
    "repos_checkout",
    "finish_setup_repos",
    "repos_apply_patches",
    "setup_environ",
    "write_bbconfig",
    "setup_home",
)
"""Steps of `kas dump` to skip: fetching, and what rests on the fetched layers."""

SUPPRESSED = {
    "oelint.var.mandatoryvar.HOMEPAGE": "the project has no home page yet",
    "oelint.vars.fileextrapaths": "sources lie beside the layer, found through this class",
    "oelint.vars.outofcontext": "the same finding, once for each recipe that uses the class",
    "oelint.var.filesoverride": "a package holds exactly what its recipe names",
    "oelint.vars.insaneskip": "fw.inc: an ELF file for another processor than the package's",
    "oelint.file.requirenotfound": "zephyr-jitter requires an include file of meta-zephyr's",
    "oelint.vars.noncoreoverride": "linux-hetoci.inc is read only with the distro feature",
}
"""Findings of oelint-adv that are not heeded, with the reason; `info` is not asked for."""
KNOWN_VARIABLE = re.compile(
    r"oelint\.vars\.mispell\.unknown:'((HETOCI|VBOARD|ZEPHYR|PREFERRED_VERSION|OCI_IMAGE|PODMAN)_"
    r"|EXTRA_DT_INCLUDE_FILES|IMAGE_CONTAINER_NO_DUMMY"
    r"|KERNEL_(COMMAND_APPEND|ROOT_SD|ROOT_RAMDISK))"
)
"""Variables of ours and of other layers, which oelint-adv takes for misspelt."""

# What oe-core's bitbake.conf would say, as far as our recipes use it.
BASE = {
    "BBPATH": "${LAYERDIR}:${STUBS}",
    "PN": "${@bb.parse.vars_from_file(d.getVar('FILE', False), d)[0]}",
    "PV": "${@bb.parse.vars_from_file(d.getVar('FILE', False), d)[1] or '1.0'}",
    "BPN": "${PN}",
    "FILE_DIRNAME": "${@os.path.dirname(d.getVar('FILE', False))}",
    "THISDIR": "${@os.path.dirname(d.getVar('FILE', False))}",
    "WORKDIR": "/build/${PN}",
    "S": "${WORKDIR}/${PN}-${PV}",
    "D": "/build/${PN}/image",
    "B": "${S}",
    "prefix": "/usr",
    "bindir": "${prefix}/bin",
    "datadir": "${prefix}/share",
    "sysconfdir": "/etc",
    "nonarch_base_libdir": "/usr/lib",
    "MACHINE_ARCH": "${MACHINE}",
    "TARGET_PREFIX": "aarch64-oe-linux-",
    "OVERRIDES": "aarch64:pn-${PN}:${MACHINE}:class-target",
    "CORE_IMAGE_EXTRA_INSTALL": "",
    "BBFILE_COLLECTIONS": "core arm-toolchain virtualization-layer",
    "DISTRO_FEATURES": "hetoci systemd virtualization",
}
WANTED = re.compile(r"[A-Z_]+(:[a-z0-9-]+)*|do_(compile|install|deploy)")
"""What `parse` returns: variables, and the tasks that our recipes define."""
UPSTREAM_CLASSES = (
    "bash-completion",
    "core-image",
    "deploy",
    "features_check",
    "image",
    "image-oci",
    "kernel-arch",
    "module",
    "packagegroup",
    "python3native",
    "systemd",
)
"""Classes of other layers that our recipes inherit; empty here but for CLASS_TEXT."""
CLASS_TEXT = {"bash-completion": 'PACKAGE_BEFORE_PN += "${PN}-bash-completion"\n'}
"""What a class of oe-core says that a recipe could overwrite by mistake."""
UPSTREAM_MACHINE_FILES = ("arm/armv8a/tune-cortexa72.inc", "qemu.inc")
"""What our machine takes from oe-core's conf/machine/include; empty here."""
UPSTREAM_INCLUDES = ("recipes-kernel/zephyr-kernel/zephyr-sample.inc",)
"""What our recipes require of other layers; empty here."""


def tool(name: str) -> str:
    """Return the path of a program that pip installed beside this Python."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise LabError(f"{name} is not installed beside {sys.executable}.", hint="make setup")
    return str(path)


def recipes(pattern: str = "*.bb") -> list[Path]:
    """Return the layer's files that match, sorted; there are always some."""
    found = sorted((paths.tree() / LAYER).rglob(pattern))
    if not found:
        raise LabError(f"{LAYER} has no {pattern}.")
    return found


def lint(files: list[Path]) -> list[str]:
    """Return oelint-adv's findings about `files` that nothing in SUPPRESSED explains."""
    done = subprocess.run(
        [tool("oelint-adv"), "--quiet", "--hide", "info", "--exit-zero", *map(str, files)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise LabError(f"oelint-adv failed: {done.stderr.strip()}")
    lines = (done.stdout + done.stderr).splitlines()
    return sorted({line for line in lines if line.strip() and not _explained(line)})


def _explained(line: str) -> bool:
    return any(f":{rule}:" in line for rule in SUPPRESSED) or bool(KNOWN_VARIABLE.search(line))


def parse(settings: dict[str, str], files: list[Path] | None = None) -> dict[str, dict[str, str]]:
    """Return the expanded variables of every recipe, by PN, as bitbake's parser reads them.

    `settings` are variables of the configuration, MACHINE among them; `__BBAPPEND` names a
    bbappend to read after each file. Raises LabError with
    bitbake's own message for a file that it refuses. Runs in a process of its own, because the
    library changes the interpreter it is loaded into.
    """
    request = {"settings": settings, "files": [str(file) for file in files or recipes()]}
    done = subprocess.run(
        [sys.executable, "-m", "hetoci_lab.layer_check", "--parse"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise LabError(f"bitbake's parser refuses the layer: {done.stderr.strip()}")
    read: dict[str, dict[str, str]] = json.loads(done.stdout)
    return read


def _bitbake() -> Any:
    """Import bitbake's library; bitbake-setup bundles it without the servers it imports."""
    try:
        bb = importlib.import_module("bb")
    except ImportError:
        raise LabError("bitbake-setup is not installed.", hint="make setup") from None
    for name in ("hashserv", "hashserv.client", "prserv"):
        sys.modules.setdefault(name, types.ModuleType(name))
    for name in ("bb.data", "bb.event", "bb.parse", "bb.parse.parse_py.BBHandler", "bb.utils"):
        importlib.import_module(name)
    return bb


def read_recipes(settings: dict[str, str], files: list[str]) -> dict[str, dict[str, str]]:
    """Do what `parse` says, in this process."""
    bb = _bitbake()
    with tempfile.TemporaryDirectory(prefix="layer-check-") as stubs:
        for name in UPSTREAM_CLASSES:
            file = _touch(Path(stubs) / "classes" / f"{name}.bbclass")
            file.write_text(CLASS_TEXT.get(name, ""))
        for name in UPSTREAM_INCLUDES:
            _touch(Path(stubs) / name)
        for name in UPSTREAM_MACHINE_FILES:
            _touch(Path(stubs) / "conf/machine/include" / name)
        configuration = _configuration(bb, {**settings, "STUBS": stubs})
        return dict(_read(bb, configuration, file) for file in files)


def _touch(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file


def _configuration(bb: Any, settings: dict[str, str]) -> Any:
    layer = str(paths.tree() / LAYER)
    data = bb.data.init()
    for name, value in {**BASE, **settings, "LAYERDIR": layer}.items():
        data.setVar(name, value)
    data = bb.parse.handle(f"{layer}/conf/layer.conf", data, True, True)
    data.expandVarref("LAYERDIR")
    machine = Path(layer) / f"conf/machine/{data.getVar('MACHINE')}.conf"
    if machine.is_file():
        data = bb.parse.handle(str(machine), data, True, True)
    data.setVar("__bbclasstype", "global")
    for name in (data.getVar("INHERIT") or "").split():
        bb.parse.parse_py.BBHandler.inherit(name, "configuration", 0, data)
    data.setVar("__bbclasstype", "recipe")
    bb.parse.siggen = importlib.import_module("bb.siggen").init(data)
    return data


def _read(bb: Any, configuration: Any, file: str) -> tuple[str, dict[str, str]]:
    data = bb.parse.handle(file, bb.data.createCopy(configuration), 0)[""]
    variables = {}
    for name in data.keys():  # noqa: SIM118 (not a dict)
        if WANTED.fullmatch(name):
            variables[name] = str(data.getVar(name))
    return str(data.getVar("PN")), variables


def combinations() -> list[list[str]]:
    """Return every list of kas files that makes sense.

    Each machine and series alone, with each feature, with each pair of features, and with all of
    PRODUCT at once.
    """
    lists = []
    for machine in MACHINES:
        for series in SERIES:
            if FIXED_SERIES.get(machine, series) != series:
                continue
            sets: list[tuple[str, ...]] = [(), *((name,) for name in FEATURES)]
            sets += itertools.combinations(FEATURES, 2)
            sets.append(tuple(name for name in PRODUCT if (machine, name) not in NONSENSE))
            lists += [files(series, machine, names) for names in sets if sensible(machine, names)]
    return lists


def sensible(machine: str, features: tuple[str, ...]) -> bool:
    """Return whether no two of the machine and the features are in NONSENSE."""
    words = (machine, *features)
    pairs = itertools.permutations(words, 2)
    return not any(pair in NONSENSE for pair in pairs)


def files(series: str, machine: str, features: Iterable[str]) -> list[str]:
    """Return the kas files of a combination."""
    base = ["kas/base.yml", f"kas/series/{series}.yml", f"kas/machine/{machine}.yml"]
    return base + [f"kas/feature/{name}.yml" for name in features]


def presets() -> list[list[str]]:
    """Return the preset files, each as the list that kas takes."""
    files = sorted((paths.tree() / "kas").glob("*.yml"))
    return [[f"kas/{file.name}"] for file in files if file.name != "base.yml"]


def dump(files: list[str]) -> dict[str, Any]:
    """Return what kas makes of `files`, without fetching a repository; LabError if it refuses.

    The answer is kept: treat it as read-only.
    """
    if tuple(files) not in _DUMPED:
        dump_all([files])
    return _DUMPED[tuple(files)]


_DUMPED: dict[tuple[str, ...], dict[str, Any]] = {}


def dump_all(lists: list[list[str]]) -> None:
    """Have `dump` know all of `lists`; one process reads them, which is ten times faster."""
    wanted = [names for names in lists if tuple(names) not in _DUMPED]
    with tempfile.TemporaryDirectory(prefix="layer-check-") as work:
        done = subprocess.run(
            [sys.executable, "-m", "hetoci_lab.layer_check", "--dump"],
            input=json.dumps(wanted),
            capture_output=True,
            text=True,
            env={**os.environ, "KAS_WORK_DIR": work, "HOME": work},
        )
    if done.returncode:
        raise LabError(f"kas cannot resolve {done.stderr.strip().splitlines()[-1]}")
    resolved: list[dict[str, Any]] = json.loads(done.stdout)
    _DUMPED.update(zip(map(tuple, wanted), resolved, strict=True))


def read_kas(lists: list[list[str]]) -> list[Any]:
    """Do what `dump_all` says, in this process, which has no other use then."""
    kas = importlib.import_module("kas.kas")
    logging.disable()
    skips = [word for step in KAS_NETWORK_STEPS for word in ("--skip", step)]
    found = []
    for names in lists:
        printed = io.StringIO()
        config = ":".join(str(paths.tree() / name) for name in names)
        try:
            with contextlib.redirect_stdout(printed):
                kas.kas(["dump", "--format", "json", *skips, config])
        except Exception as error:  # kas has no common error, and its message is all there is
            raise LabError(f"{':'.join(names)}: {error}") from error
        found.append(json.loads(printed.getvalue()))
    return found


def unlocked(resolved: dict[str, Any]) -> set[tuple[str, str]]:
    """Return (series, repository) of each repository that has no commit in its lock file."""
    series = str(resolved["defaults"]["repos"]["branch"])
    locked = {name for name, fields in resolved["overrides"]["repos"].items() if "commit" in fields}
    foreign = {name for name, fields in resolved["repos"].items() if fields and "url" in fields}
    return {(series, name) for name in foreign - locked}


def installed(folder: Path) -> set[str]:
    """Install pylib/hetoci below `folder` by its Makefile; return the files' paths on a target."""
    command = ["make", "-s", "-C", str(paths.tree() / "pylib/hetoci"), "install"]
    subprocess.run([*command, f"DESTDIR={folder}", "PREFIX=/usr"], check=True)
    return {
        f"/{path.relative_to(folder)}"
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


def main(arguments: list[str]) -> int:
    """Print a verdict a check; return 1 if one is bad."""
    if arguments == ["--parse"]:
        json.dump(read_recipes(**json.load(sys.stdin)), sys.stdout)
        return 0
    if arguments == ["--dump"]:
        json.dump(read_kas(json.load(sys.stdin)), sys.stdout)
        return 0
    findings = lint([*recipes(), *recipes("*.bbappend")])
    print("\n".join([*findings, f"lints: {len(findings)} findings"]))
    count = len(parse({"MACHINE": "hetoci-vboard"}))
    print(f"parses: {count} recipes, by bitbake's parser without oe-core")
    lists = combinations() + presets()
    dump_all(lists)
    print(f"resolves: {len(lists)} kas configurations")
    return 1 if findings else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as error:
        sys.exit(f"layer_check: {error}")
