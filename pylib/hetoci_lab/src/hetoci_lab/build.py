# SPDX-License-Identifier: MIT
"""The quick build: from Debian packages and the checkout to a board that boots.

Each artefact is cached by the hash of what it is made from; the board's folder, build/vboard,
links to them and holds manifest.json.
"""

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hetoci_lab import (
    cache,
    debian,
    devicetree,
    guest,
    images,
    kernel,
    packaged,
    parts,
    paths,
    rootfs,
    run,
    silicon,
)
from hetoci_lab.console import say, step
from hetoci_lab.errors import LabError

PACKAGES = {"source": "linux-source-6.12", "xen": "xen-hypervisor-4.20-arm64"}
BUSYBOX = "busybox-static"
NEEDED_BYTES = 12 << 30
MODULES = Path(__file__).parent
IMAGE_CODE = ("images.py", "image/build.py", "image/keys.py")
"""What makes an image's bytes."""


def board_folder() -> Path:
    """Return the folder of the built board."""
    return paths.build() / "vboard"


def build(*, refresh: bool = False, manifest: Path | None = None) -> Path:
    """Build what is not in the cache and return the board's folder.

    `refresh` takes the newest packages instead of those fetched before; `manifest` takes
    exactly the versions of an earlier build's manifest.json. Raises LabError.
    """
    paths.build().mkdir(exist_ok=True)
    with cache.locked(paths.build(), "build"):
        return _build(refresh, _pins(manifest) if manifest else {})


def _build(refresh: bool, pins: dict[str, str]) -> Path:
    begun = time.monotonic()
    _check_space()
    if refresh:
        for kind in ("debs", "rootfs"):
            cache.remove(paths.cache() / kind)
    debs = _debs(pins)
    found = {"debs": debs}
    # What has many processes gives way to what has one, and would be the last to end.
    _together(
        {
            "kernel": lambda: found.update(kernel=_patient(lambda: _kernel(debs))),
            "guest": lambda: found.update(guest=_patient(lambda: _guest(debs))),
            "rootfs": lambda: found.update(rootfs=_rootfs(pins)),
            "images": lambda: found.update(
                silicon=_packaged(_silicon()), keys=_keys(), images=_images(debs)
            ),
        }
    )
    found["parts"] = _parts(found)
    found["trees"] = _trees(found["kernel"])
    board = _assemble(found)
    say("build", f"board ready in {time.monotonic() - begun:.1f} s: {board}")
    return board


def _log(name: str) -> Path:
    return paths.build() / "log" / f"{name}.log"


def _check_space() -> None:
    home = paths.cache()
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    built = all(any((home / kind).glob("[!t]*")) for kind in ("kernel", "rootfs"))
    if free < NEEDED_BYTES and not built:
        raise LabError(
            f"{home} has {free / 2**30:.1f} GiB free, the first build needs "
            f"{NEEDED_BYTES >> 30} GiB.",
            hint="Free some space, or set HETOCI_CACHE to a folder on another disk.",
        )


def _pins(manifest: Path) -> dict[str, str]:
    try:
        rows = json.loads(manifest.read_text())["packages"]
        return {row["name"]: row["version"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"{manifest} is no manifest of a build: {error}.",
            hint="Use build/vboard/manifest.json.",
        ) from error


def _together(jobs: dict[str, Callable[[], None]]) -> None:
    """Run jobs at the same time; when all have ended, raise the first error."""
    errors: list[BaseException] = []

    def guard(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guard, args=(job,), name=name) for name, job in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _patient(job: Callable[[], Path]) -> Path:
    """Do a job with a lower priority, which is this thread's and that of what it starts."""
    os.nice(5)
    return job()


def source_debs() -> Path:
    """Return the folder with the packages that the build fetches, Linux among them."""
    return _debs({})


def _debs(pins: dict[str, str]) -> Path:
    names = [*PACKAGES.values(), BUSYBOX]
    wanted = [f"{name}={pins[name]}" if name in pins else name for name in names]

    def make(folder: Path) -> None:
        with step("packages", f"fetching {', '.join(wanted)}"):
            debian.fetch(wanted, folder, _log("packages"))
            shutil.rmtree(folder / "apt")

    return cache.artefact("debs", cache.digest_of([debian.SUITE, *wanted]), make)


def _deb(debs: Path, name: str) -> Path:
    return next(debs.glob(f"{name}_*.deb"))


def _kernel(debs: Path) -> Path:
    deb = _deb(debs, PACKAGES["source"])
    key = cache.digest_of([deb, *kernel.fragments(), cache.code(MODULES / "kernel.py")])

    def make(folder: Path) -> None:
        with step("kernel", f"building Linux {debian.version_of(deb)} (about 5 minutes)") as now:
            kernel.build(deb, folder, _log("kernel"), now)

    return cache.artefact("kernel", key, make)


def _guest(debs: Path) -> Path:
    """The domains' kernel, and with it the ramdisk: a change in the agent rebuilds only that."""
    deb = _deb(debs, PACKAGES["source"])
    how = [cache.code(MODULES / name) for name in ("guest.py", "kernel.py")]
    kernel_key = cache.digest_of([deb, paths.tree() / guest.CONFIG, *how, _compilers()])

    def make_kernel(folder: Path) -> None:
        with step("guest", "building the domains' kernel (about 3 minutes)") as now:
            guest.build_kernel(deb, folder, _log("guest"), now)

    made = cache.artefact("guest-kernel", kernel_key, make_kernel)
    # made.name stands for the code and the compilers.
    key = cache.digest_of([made.name, paths.tree() / guest.AGENT])
    return cache.artefact("guest", key, lambda folder: guest.build(made, folder, _log("agent")))


def _rootfs(pins: dict[str, str]) -> Path:
    key = cache.digest_of(
        [
            debian.SUITE,
            rootfs.BOARD / "packages.txt",
            rootfs.BOARD / "customize.sh",
            rootfs.BOARD / "native.sh",
            rootfs.BOARD / "base",
            cache.code(MODULES / "rootfs.py"),
            json.dumps(pins, sort_keys=True),
        ]
    )

    def make(folder: Path) -> None:
        count = len(rootfs.packages())
        with step(
            "rootfs", f"installing {count} Debian packages and their dependencies (about 5 minutes)"
        ) as now:
            rootfs.build(folder, _log("rootfs"), now, pins or None)

    return cache.artefact("rootfs", key, make)


def _silicon() -> Path:
    def make(folder: Path) -> None:
        with step("silicon", "building the EL3 firmware, bitstreams and overlays"):
            silicon.build(folder, _log("silicon"))

    key = cache.digest_of([*silicon.sources(), cache.code(MODULES / "silicon.py"), _compilers()])
    return cache.artefact("silicon", key, make)


def _packaged(own: Path) -> Path:
    """Return the silicon artefact, with bitbake's files in it if HETOCI_PACKAGES says so."""
    place = packaged.folder()
    if place is None:
        return own

    def make(folder: Path) -> None:
        with step("packages", f"taking {packaged.report(place)}"):
            packaged.silicon(place, own, folder, _log("silicon"))

    key = cache.digest_of([own.name, *packaged.parts(place), cache.code(MODULES / "packaged.py")])
    return cache.artefact("silicon", key, make)


def _compilers() -> str:
    """What the C compilers of this host call themselves: their output is cached."""
    tools = ("aarch64-linux-gnu-gcc", "arm-none-eabi-gcc")
    return "".join(run.output([tool, "--version"]) for tool in tools)


def _images(debs: Path) -> Path:
    busybox = _deb(debs, BUSYBOX)
    recipes = paths.tree() / "recipes"
    key = cache.digest_of(
        [
            recipes,
            *(
                paths.tree() / devicetree.VBOARD / part
                for part in ("common", "dts", "include", "pl")
            ),
            busybox,
            *(cache.code(MODULES / name) for name in IMAGE_CODE),
            _compilers(),
        ]
    )

    def make(folder: Path) -> None:
        with step("images", f"building {len(images.recipes())} OCI images"):
            images.build(folder, busybox, _log("images"))

    return cache.artefact("images", key, make)


def _keys() -> Path:
    return cache.artefact("keys", "ssh", parts.make_keys)


def _parts(found: dict[str, Path]) -> Path:
    tree = paths.tree()
    names = ("kernel", "silicon", "images", "keys", "guest")
    place = packaged.folder()
    key = cache.digest_of(
        [
            *(packaged.parts(place) if place else ()),
            *(f"{name}={found[name].name}" for name in names),
            tree / "pylib/hetoci",
            tree / kernel.MODULE,
            rootfs.BOARD / "parts",
            rootfs.BOARD / "masked.txt",
            cache.code(MODULES / "parts.py"),
            cache.code(MODULES / "packaged.py"),
        ]
    )

    def make(folder: Path) -> None:
        with step("parts", "packing hetoci's own files"):
            parts.build(folder, found, _log("parts"))

    return cache.artefact("parts", key, make)


def _trees(kernel_folder: Path) -> Path:
    size = (kernel_folder / "Image").stat().st_size
    key = cache.digest_of(
        [
            paths.tree() / devicetree.VBOARD / "dts",
            paths.tree() / devicetree.VBOARD / "include",
            cache.code(MODULES / "devicetree.py"),
            run.output([devicetree.QEMU, "--version"]),
            str(size),
        ]
    )

    def make(folder: Path) -> None:
        with step("trees", "compiling the device trees"):
            devicetree.build(folder, size, _log("trees"))

    return cache.artefact("trees", key, make)


def _assemble(found: dict[str, Path]) -> Path:
    """Link the artefacts into the board's folder and write the manifest."""
    board = board_folder()
    shutil.rmtree(board, ignore_errors=True)
    board.mkdir(parents=True)
    xen = board / "xen"
    run.output(["dpkg-deb", "-x", _deb(found["debs"], PACKAGES["xen"]), board / "xen.deb"])
    packed = next((board / "xen.deb/boot").glob("xen-*-arm64"))
    shutil.copy(packed, xen)
    shutil.rmtree(board / "xen.deb")
    links = {
        "Image": found["kernel"] / "Image",
        "root.sqfs": found["rootfs"] / "root.sqfs",
        "parts.sqfs": found["parts"] / "parts.sqfs",
        "el3.elf": found["silicon"] / "el3.elf",
        "linux.dtb": found["trees"] / "linux.dtb",
        "xen.dtb": found["trees"] / "xen.dtb",
        "id_ed25519": found["keys"] / "id_ed25519",
        "bitstreams": found["silicon"],
    }
    for name, target in links.items():
        (board / name).symlink_to(target)
    rows = [line.split() for line in (found["rootfs"] / "packages").read_text().splitlines()]
    packages = [
        dict(zip(("name", "version", "architecture", "sha256"), row, strict=True)) for row in rows
    ]
    packages += [_package(_deb(found["debs"], name)) for name in PACKAGES.values()]
    files = {
        name: hashlib.sha256((board / name).read_bytes()).hexdigest()
        for name in sorted([*links, "xen"])
        if (board / name).is_file() and name != "id_ed25519"
    }
    manifest = {
        "suite": debian.SUITE,
        "qemu": run.output([devicetree.QEMU, "--version"]).splitlines()[0],
        "kernel": kernel.release(found["kernel"]),
        "files": files,
        "packages": packages,
    }
    (board / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return board


def _package(deb: Path) -> dict[str, str]:
    fields = run.output(["dpkg-deb", "-f", deb, "Package", "Version", "Architecture"])
    values = dict(line.split(": ", 1) for line in fields.splitlines())
    return {
        "name": values["Package"],
        "version": values["Version"],
        "architecture": values["Architecture"],
        "sha256": hashlib.sha256(deb.read_bytes()).hexdigest(),
    }
