# SPDX-License-Identifier: MIT
"""Disks of domains: which files are taken, who may write them, and what dom0 is asked for."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakexenstore import FakeStore

from hetoci import bundle as bundles
from hetoci import digest
from hetoci.config import Config
from hetoci.domain import disks, planning
from hetoci.domain.disks import Disk
from hetoci.domain.plan import Plan
from hetoci.errors import BundleError, DeviceBusy, HetociError, XenError
from hetoci.host import Host
from hetoci.workloads import DomainWorkload, VmConfig

KERNEL = bytes(56) + b"ARM\x64" + bytes(100)
DATA = bytes(3 * 512)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A machine with a bundle whose image has a kernel and a disk, and a disk of its own."""
    rootfs = tmp_path / "bundle/rootfs"
    (rootfs / "boot").mkdir(parents=True)
    (rootfs / "boot/kernel").write_bytes(KERNEL)
    (rootfs / "boot/disk").write_bytes(DATA)
    (rootfs / "boot/odd").write_bytes(bytes(513))
    (rootfs / "boot/empty").touch()
    (rootfs / "boot/link").symlink_to("/boot/disk")
    (rootfs / "boot/out").symlink_to("../../../../../../disk")
    os.mkfifo(rootfs / "boot/pipe")
    (tmp_path / "disk").write_bytes(DATA + bytes(512))
    yield Host(str(tmp_path))


def make(host: Host, settings: Config | None = None, **keys: Any) -> Plan:
    """The plan of a domain with the image's kernel."""
    root = {"path": "rootfs", **keys.pop("root", {})}
    config = {"root": root, "linux": {"namespaces": [{"type": "network"}]}}
    workload = DomainWorkload(**{"kernel": "/boot/kernel", **keys})
    bundle = bundles.Bundle("/bundle", config)
    return planning.make(host, bundle, settings or Config({}), workload, "hetoci-x")


def disk_of(plan: Plan) -> Disk:
    assert plan.disk
    return plan.disk


def vm(path: str) -> VmConfig:
    found = VmConfig()
    found.kernel, found.disk = "/bundle/rootfs/boot/kernel", path
    return found


@pytest.mark.parametrize("path", ["/boot/disk", "boot/link"])
def test_a_disk_of_the_image_is_opened_and_may_be_written(host: Host, path: str) -> None:
    disk = disk_of(make(host, disk=path))
    assert os.fstat(disk.descriptor).st_size == len(DATA)
    assert not disk.read_only
    disk.close()
    disk.close()


def test_a_disk_of_the_host_comes_from_vm(host: Host) -> None:
    disk = disk_of(make(host, kernel="", vm=vm("/disk")))
    assert os.fstat(disk.descriptor).st_size == len(DATA) + 512
    disk.close()


def test_a_read_only_root_and_a_digest_make_the_disk_read_only(host: Host) -> None:
    for keys in (
        {"root": {"readonly": True}},
        {"digests": [digest.name(KERNEL), digest.name(DATA)]},
    ):
        disk = disk_of(make(host, disk="/boot/disk", **keys))
        assert disk.read_only
        disk.close()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"disk": "/boot/none"}, "/boot/none does not exist in the image"),
        ({"disk": "/boot/out"}, "/boot/out does not exist in the image"),
        ({"disk": "/boot"}, "/boot in the image is a directory, a regular file is needed"),
        ({"disk": "/boot/pipe"}, "/boot/pipe in the image is a FIFO, a regular file is needed"),
        ({"disk": "/boot/odd"}, "has 513 bytes, a raw disk image has a multiple of 512"),
        ({"disk": "/boot/empty"}, "has 0 bytes"),
        ({"disk": "/boot/disk", "digests": [digest.name(KERNEL)]}, "/boot/disk has the digest"),
        ({"kernel": "", "vm": vm("/none")}, "vm.image.path in config.json: /none: No such file"),
        ({"kernel": "", "vm": vm("/bundle")}, "/bundle is no regular file"),
        ({"kernel": "", "vm": vm("/bundle/rootfs/boot/pipe")}, "pipe is no regular file"),
    ],
)
def test_what_is_no_disk_image_is_refused(host: Host, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        make(host, **keys)


def test_a_disk_has_the_operators_size_at_most(host: Host) -> None:
    with pytest.raises(BundleError, match="has 1536 bytes, more than the 1024 allowed"):
        make(host, Config({"disk-max-size": "1K"}), disk="/boot/disk")


def test_an_emulated_uart_is_for_kernels_of_the_images_own(host: Host) -> None:
    plan = make(host, console="vuart")
    assert (plan.settings["vuart"], plan.serial) == ("sbsa_uart", "vuart")
    with pytest.raises(BundleError, match="console=vuart needs a kernel"):
        make(host, kernel="", console="vuart")


# attaching


def opened(path: Path, *, read_only: bool = False) -> Disk:
    return Disk(os.open(path, os.O_RDONLY), str(path), read_only=read_only)


def attach(
    host: Host, monkeypatch: pytest.MonkeyPatch, disk: Disk, store: Any, answers: list[int]
) -> int:
    """`attach` with a kernel whose loop devices are busy where `answers` has an errno."""
    (Path(host.path("/dev"))).mkdir(exist_ok=True)
    for name in ("loop-control", "loop0", "loop1"):
        Path(host.path(f"/dev/{name}")).touch()
    served = Path(host.path("/sys/bus/xen-backend/devices/vbd-7-51712"))
    served.mkdir(parents=True, exist_ok=True)
    (served / "physical_device").touch()
    free = iter(range(len(answers)))

    def ioctl(_device: int, number: int, ask: bytes = b"") -> int:
        if number == 0x4C82:
            return next(free)
        assert number == 0x4C0A
        assert len(ask) == 304  # struct loop_config
        file, block, flags = struct.unpack_from("=II52xI", ask)
        fcntl.fcntl(file, fcntl.F_GETFD)
        assert (block, flags) == (512, 4 | int(disk.read_only))
        assert ask[64:].startswith(b"hetoci-x\0")
        error = answers.pop(0)
        if error:
            raise OSError(error, os.strerror(error))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    return disks.attach(host, store, 7, "hetoci-x", disk)


def test_a_disk_is_offered_by_both_nodes_and_the_number_of_its_device(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FakeStore()
    disk = opened(Path(host.path("/disk")))
    os.close(attach(host, monkeypatch, disk, store, [16, 0]))
    back, front = "/local/domain/0/backend/vbd/7/51712", "/local/domain/7/device/vbd/51712"
    assert store.nodes[f"{back}/domain"] == "hetoci-x"
    assert store.nodes[f"{back}/mode"] == "w"
    assert store.nodes[f"{back}/physical-device"] == "0:0"
    assert store.nodes[f"{front}/backend"] == back
    assert store.nodes[f"{front}/state"] == store.nodes[f"{back}/state"] == "1"
    assert not any(str(disk.name) in value for value in store.nodes.values())
    disk.close()


def test_a_kernel_without_loop_devices_is_named(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = opened(Path(host.path("/disk")))
    with pytest.raises(XenError, match=r"cannot be made a block device.*CONFIG_BLK_DEV_LOOP"):
        attach(host, monkeypatch, disk, FakeStore(), [25])
    disk.close()


def test_a_disk_has_one_writer_or_readers(host: Host) -> None:
    path = Path(host.path("/disk"))
    writer, reader = opened(path), opened(path, read_only=True)
    held = disks._reopened(writer)
    for other in (writer, reader):
        with pytest.raises(DeviceBusy, match="is the disk of another domain"):
            disks._reopened(other)
    os.close(held)
    readers = [disks._reopened(reader), disks._reopened(reader)]
    with pytest.raises(HetociError, match="another domain"):
        disks._reopened(writer)
    for descriptor in readers:
        os.close(descriptor)
    writer.close()
    reader.close()
