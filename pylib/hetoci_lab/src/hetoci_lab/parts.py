# SPDX-License-Identifier: MIT
"""hetoci's own files on the board: a small squashfs over the root of Debian packages.

It is made in a second, so a change in our Python or C never rebuilds the root file system.
"""

import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from hetoci_lab import kernel, packaged, paths, rootfs, run

IMAGES = "usr/share/hetoci/images"
FIRMWARE = "usr/lib/firmware"
GUEST = "usr/lib/hetoci/guest"
EXAMPLES = "usr/share/doc/hetoci/examples"
CRI = f"""  sandbox_image = "localhost/pause:latest"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/{rootfs.CNI}"
"""
"""Goes on where the example ends: in the table of the CRI plugin."""


def build(folder: Path, artefacts: Mapping[str, Path], log: Path) -> None:
    """Make parts.sqfs in `folder` from `artefacts`: kernel, silicon, images, keys, guest."""
    root = folder / "root"
    shutil.copytree(rootfs.BOARD / "parts", root)
    _runtime(root, log)
    _engines(root)
    _modules(root, artefacts["kernel"], folder, log)
    firmware = root / FIRMWARE
    firmware.mkdir(parents=True)
    for pattern in ("*.bit.bin", "*.dtbo"):
        for file in sorted(artefacts["silicon"].glob(pattern)):
            shutil.copy(file, firmware)
    (root / IMAGES).mkdir(parents=True)
    for file in sorted(artefacts["images"].glob("*.oci.tar")):
        shutil.copy(file, root / IMAGES)
    _guest(root, artefacts["guest"], log)
    _ssh(root, artefacts["keys"])
    _enable(root)
    archive = folder / "parts.tar"
    _pack(root, archive)
    rootfs.squash(archive, folder / "parts.sqfs", log)
    archive.unlink()
    shutil.rmtree(root)
    shutil.rmtree(folder / "module")


def _runtime(root: Path, log: Path) -> None:
    """Install hetoci from the tree, or from the packages that bitbake made of it."""
    place = packaged.folder()
    if place:
        packaged.install(place, root, log)
        return
    install: list[str | Path] = ["make", "-C", paths.tree() / "pylib/hetoci", "install"]
    run.logged([*install, f"DESTDIR={root}", "PREFIX=/usr"], log)
    _settings(root)


def _guest(root: Path, own: Path, log: Path) -> None:
    """What domains boot: the quick build's, or what bitbake packaged of it."""
    (root / GUEST).mkdir()
    for name in ("kernel", "ramdisk"):
        shutil.copy(own / name, root / GUEST)
    place = packaged.folder()
    if place:
        packaged.guest(place, root, log)


def _settings(root: Path) -> None:
    """What this board's operator says in hetoci.conf beyond the defaults."""
    with (root / "etc/hetoci/hetoci.conf").open("a") as settings:
        settings.write("\n# The virtual board's shell, loaded when a container needs a slot.\n")
        settings.write(f"shells = /{FIRMWARE}/pl-shell.dtbo\n")


def _engines(root: Path) -> None:
    """Configure the engines as an integrator does: hetoci's examples, and what this board needs.

    There is no registry, so the pods' pause image is one of ours. Pods get a network of the
    board's own, Docker's containers none unless somebody makes one. Docker keeps its images in
    containerd, as it does by default from version 29.
    """
    examples = root / EXAMPLES
    for folder in ("containerd", "containers/containers.conf.d", "docker"):
        (root / "etc" / folder).mkdir(parents=True, exist_ok=True)
    containerd = (examples / "containerd.toml").read_text() + CRI
    (root / "etc/containerd/config.toml").write_text(containerd)
    shutil.copy(examples / "podman.conf", root / "etc/containers/containers.conf.d/50-hetoci.conf")
    docker = json.loads((examples / "docker-daemon.json").read_text())
    docker["features"]["containerd-snapshotter"] = True
    docker |= {"bridge": "none", "iptables": False}
    (root / "etc/docker/daemon.json").write_text(json.dumps(docker, indent=2) + "\n")


def _modules(root: Path, kernel_folder: Path, folder: Path, log: Path) -> None:
    (folder / "module").mkdir()
    module = kernel.build_module(kernel_folder, folder / "module", log)
    release = kernel.release(kernel_folder)
    place = root / "usr/lib/modules" / release
    (place / "extra").mkdir(parents=True)
    shutil.copy(module, place / "extra")
    for name in ("modules.builtin", "modules.order"):
        shutil.copy(kernel_folder / "objects" / name, place)
    # depmod looks below lib/modules of its base folder.
    run.logged(["/sbin/depmod", "-b", root / "usr", release], log)


def _ssh(root: Path, keys: Path) -> None:
    place = root / "etc/ssh"
    for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"):
        shutil.copy(keys / name, place / name)
    (place / "ssh_host_ed25519_key").chmod(0o600)
    home = root / "root/.ssh"
    home.mkdir(parents=True)
    shutil.copy(keys / "id_ed25519.pub", home / "authorized_keys")


def _enable(root: Path) -> None:
    """Enable the units that came with the parts and mask those in board/masked.txt."""
    etc = root / "etc/systemd"
    wants = etc / "system/multi-user.target.wants"
    wants.mkdir(parents=True)
    for unit in sorted((root / "usr/lib/systemd/system").glob("*.service")):
        (wants / unit.name).symlink_to(f"/usr/lib/systemd/system/{unit.name}")
    for line in (rootfs.BOARD / "masked.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            mask = etc / line
            mask.parent.mkdir(parents=True, exist_ok=True)
            mask.symlink_to("/dev/null")


def _pack(root: Path, archive: Path) -> None:
    """Write the tree as a tar archive: everything root's, times fixed, sorted by name."""

    def own(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = int(kernel.EPOCH)
        private = member.name.endswith(("_key", ".ssh")) or member.name == "root"
        everyone = 0 if private else 0o055 if member.isdir() or member.mode & 0o100 else 0o044
        owner = 0o700 if member.isdir() or member.mode & 0o100 else 0o600
        member.mode = 0o777 if member.issym() else owner | everyone
        return member

    with tarfile.open(archive, "w") as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, str(path.relative_to(root)), recursive=False, filter=own)


def make_keys(folder: Path) -> None:
    """Make the key pair to log in with and the board's host key."""
    for name in ("id_ed25519", "ssh_host_ed25519_key"):
        run.output(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vboard", "-f", folder / name]
        )
