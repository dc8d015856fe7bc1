# SPDX-License-Identifier: MIT
"""What a domain is built from: read and checked, nothing changed."""

from __future__ import annotations

import os

from .. import bundle as bundles
from .. import digest
from ..backends import xen
from ..errors import BundleError
from ..host import explain
from . import program
from .plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bundle import Bundle
    from ..config import Config
    from ..host import Host
    from ..workloads import DomainWorkload
    from .disks import Disk

#: The domain's kernel says nothing but what it dies of, and dies at once.
_CMDLINE = "console=hvc0 quiet panic=1"

#: Less than this and no kernel boots, MiB.
_LEAST = 8

#: How long hetoci's kernel may take to its agent, s, if no key says so.
_BOOT_TIMEOUT = 30.0

#: Places and values that tell a kernel that Xen loads on Arm: Image (kernel,
#: Documentation/arch/arm64/booting.rst), zImage of 32 bits, and what gzip made of either.
_MAGIC = ((56, b"ARM\x64"), (36, b"\x18\x28\x6f\x01"), (0, b"\x1f\x8b\x08"))


def make(host: Host, bundle: Bundle, settings: Config, workload: DomainWorkload, name: str) -> Plan:
    """The plan for domain `name`. Raises BundleError."""
    if bundle.rootfs is None:
        raise BundleError(f"{bundle.path}/config.json has no root.path")
    _refuse_what_is_not_there(bundle, workload)
    facts: dict[str, str | int | Sequence[str | int]] = {
        "name": name,
        "uuid": xen.domain_uuid(name),
        "memory": _memory(bundle, workload, settings),
        "vcpus": _vcpus(bundle, workload),
        "on_poweroff": "preserve",
        "on_reboot": "preserve",
        "on_crash": "preserve",
    }
    own = _has_own_kernel(workload)
    plan = Plan(name, facts, workload.boot_timeout or (0.0 if own else _BOOT_TIMEOUT))
    plan.network = _network(bundle, workload)
    if workload.on_crash == "coredump":
        from . import dumps

        plan.dumps = dumps.directory(host, settings)
    if own:
        _own_kernel(host, bundle, settings, workload, plan)
    else:
        _linux_program(host, bundle, bundle.rootfs, settings, plan)
    _hardware(host, settings, workload, plan)
    if workload.accelerators and not own:
        _expect_devices(host, bundle, workload, plan)
    plan.disk = _disk(host, bundle, settings, workload)  # last: it is a file that is open
    return plan


def _linux_program(host: Host, bundle: Bundle, rootfs: str, settings: Config, plan: Plan) -> None:
    """The image's program on hetoci's kernel. Raises BundleError."""
    for path in (settings.domain_kernel, settings.domain_ramdisk):
        if not host.exists(path):
            raise BundleError(
                f"{path} is missing, without which hetoci cannot run Linux programs in domains",
                hint="install hetoci's guest kernel and ramdisk, or set domain-kernel and"
                " domain-ramdisk in hetoci.conf",
            )
    plan.settings["kernel"] = host.path(settings.domain_kernel)
    plan.settings["ramdisk"] = host.path(settings.domain_ramdisk)
    plan.settings["cmdline"] = _CMDLINE
    plan.items = program.container(bundle, plan.shares)
    plan.root = (host.path(rootfs), bundle.section("root", "readonly") is True)
    if not os.path.isdir(plan.root[0]):
        raise BundleError(f"the root file system {rootfs} is no directory")


def _hardware(host: Host, settings: Config, workload: DomainWorkload, plan: Plan) -> None:
    """What vm.hwConfig assigns. The accelerators come to it once slots are chosen."""
    if workload.vm or workload.accelerators:
        from . import hardware

        plan.hardware = hardware.of_vm(host, settings, workload.vm)
        if not workload.accelerators:
            hardware.settle(plan.hardware, plan)


def _expect_devices(host: Host, bundle: Bundle, workload: DomainWorkload, plan: Plan) -> None:
    """Raises BundleError for a container that cannot have devices."""
    from .. import describe, inject
    from .hardware import UIO

    inject.check(host, bundle, [f"{describe.DIRECTORY}/{a.name}" for a in workload.accelerators])
    own = [m.get("type") for m in bundle.section("mounts") or () if m.get("destination") == "/dev"]
    if "tmpfs" not in own:
        raise BundleError("the container has no tmpfs at /dev, where its device files would be")
    user = bundle.section("process", "user") or {}
    plan.owner = (int(user.get("uid") or 0), int(user.get("gid") or 0))
    plan.settings["cmdline"] = f"{_CMDLINE} uio_pdrv_genirq.of_id={UIO}"


def _refuse_what_is_not_there(bundle: Bundle, workload: DomainWorkload) -> None:
    """What a domain would silently do without is refused."""
    if "user" in _namespaces(bundle):
        raise BundleError("a domain has no user namespace of dom0's", hint="run it without one")
    for phase in ("createContainer", "startContainer"):
        if bundle.section("hooks", phase):
            raise BundleError(
                f"hooks.{phase} in config.json would have to run in the container's namespaces,"
                " which are in the domain's own kernel",
                hint="prestart, createRuntime, poststart and poststop hooks run",
            )
    if workload.console != "pv" and not _has_own_kernel(workload):
        raise BundleError(
            f"io.hetoci.domain.console={workload.console} needs a kernel of the image's own:"
            " with hetoci's the program has no console"
        )


def _has_own_kernel(workload: DomainWorkload) -> bool:
    return bool(workload.kernel or (workload.vm and workload.vm.kernel))


def _namespaces(bundle: Bundle) -> dict[str, str]:
    """Types of linux.namespaces, each with its path, "" for a new one."""
    spaces = bundle.section("linux", "namespaces")
    listed = spaces if isinstance(spaces, list) else ()
    return {
        str(space.get("type")): str(space.get("path") or "")
        for space in listed
        if isinstance(space, dict)
    }


def _network(bundle: Bundle, workload: DomainWorkload) -> str | None:
    """As Plan.network. A kernel of the image's own may do without; a Linux program that expects
    the host's network is not run without it. Raises BundleError."""
    if workload.network == "none":
        return None
    path = _namespaces(bundle).get("network")
    if path is not None and not (path and _is_hosts(path)):
        return path
    if _has_own_kernel(workload):
        return None
    raise BundleError(
        "config.json asks for the host's network, which a domain cannot share",
        hint="run it with a network namespace of its own, or without network by"
        " io.hetoci.domain.network=none",
    )


def _is_hosts(path: str) -> bool:
    try:
        return os.path.samefile(path, "/proc/self/ns/net")
    except OSError as error:
        raise BundleError(f"the network namespace {path}: {explain(error)}") from error


def _memory(bundle: Bundle, workload: DomainWorkload, settings: Config) -> int:
    """MiB."""
    limit = bundle.section("linux", "resources", "memory", "limit")
    wanted = limit if isinstance(limit, int) and limit > 0 else 0
    wanted = wanted or workload.memory or settings.domain_memory
    size = -(-wanted // (1 << 20))
    if size < _LEAST:
        raise BundleError(
            f"{wanted} bytes are too little memory for a domain", hint=f"{_LEAST}M is the least"
        )
    return size


def _vcpus(bundle: Bundle, workload: DomainWorkload) -> int:
    quota = bundle.section("linux", "resources", "cpu", "quota")
    period = bundle.section("linux", "resources", "cpu", "period") or 100000
    if isinstance(quota, int) and quota > 0 and isinstance(period, int) and period > 0:
        return min(-(-quota // period), 128)
    return workload.vcpus or 1


# the image's own kernel


def _own_kernel(
    host: Host, bundle: Bundle, settings: Config, workload: DomainWorkload, plan: Plan
) -> None:
    vm = workload.vm
    if vm and vm.kernel:
        _check_kernel(_of_host(host, vm.kernel, "vm.kernel.path"), vm.kernel)
        plan.settings["kernel"] = host.path(vm.kernel)
    else:
        kernel = _read(host, bundle, workload, workload.kernel, settings.kernel_max_size, "kernel")
        _check_kernel(kernel, f"{workload.kernel} in the image")
        plan.files["kernel"] = kernel
    if vm and vm.ramdisk:
        _of_host(host, vm.ramdisk, "vm.kernel.initrd")
        plan.settings["ramdisk"] = host.path(vm.ramdisk)
    elif workload.ramdisk:
        plan.files["ramdisk"] = _read(
            host, bundle, workload, workload.ramdisk, settings.ramdisk_max_size, "ramdisk"
        )
    if workload.cmdline:
        plan.settings["cmdline"] = workload.cmdline
    if workload.console == "vuart":
        plan.settings["vuart"] = "sbsa_uart"
        plan.serial = workload.console
    xen.configuration(plan.settings)  # what xl cannot be told is refused before anything changes


def _check_kernel(head: bytes, where: str) -> None:
    if not any(head[at : at + len(magic)] == magic for at, magic in _MAGIC):
        raise BundleError(
            f"{where} is no kernel that Xen loads",
            hint="an arm64 Image, a zImage, or one of them packed with gzip is",
        )


def _of_host(host: Host, path: str, member: str) -> bytes:
    """The beginning of a file of the host that `vm` names."""
    try:
        return host.read(path, 4096)
    except OSError as error:
        raise BundleError(f"{member} in config.json: {path}: {explain(error)}") from error


def _read(
    host: Host, bundle: Bundle, workload: DomainWorkload, path: str, limit: int, key: str
) -> bytes:
    try:
        data = bundles.read_inside(host, bundle.rootfs or "", path, limit)
    except FileNotFoundError:
        raise _missing(path, key) from None
    if workload.digests:
        _compare(path, digest.name(data), workload)
    return data


def _missing(path: str, key: str) -> BundleError:
    return BundleError(
        f"{path} does not exist in the image",
        hint=f"set io.hetoci.domain.{key} to a path in the image",
    )


def _compare(path: str, actual: str, workload: DomainWorkload) -> None:
    if actual not in workload.digests:
        raise BundleError(
            f"{path} has the digest {actual}, which is none of the metadata's"
            f" ({', '.join(workload.digests)})"
        )


def _disk(host: Host, bundle: Bundle, settings: Config, workload: DomainWorkload) -> Disk | None:
    """The first block device of an image's own kernel. What was held to a digest stays as it is."""
    vm, limit = workload.vm, settings.disk_max_size
    read_only = bundle.section("root", "readonly") is True
    if not (workload.disk or (vm and vm.disk)):
        return None
    from . import disks

    if vm and vm.disk:
        return disks.of_host(host, vm.disk, limit, read_only=read_only)
    try:
        descriptor = bundles.open_inside(host, bundle.rootfs or "", workload.disk)
    except FileNotFoundError:
        raise _missing(workload.disk, "disk") from None
    disk = disks.Disk(
        descriptor,
        f"{workload.disk} in the image",
        read_only=read_only or bool(workload.digests),
    )
    disks.check(disk, limit)
    if workload.digests:
        try:
            _compare(workload.disk, digest.of_file(descriptor), workload)
        except BundleError:
            disk.close()
            raise
    return disk
