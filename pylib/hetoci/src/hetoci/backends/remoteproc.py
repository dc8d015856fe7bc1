# SPDX-License-Identifier: MIT
"""Remote cores through the kernel's remoteproc framework, whatever driver is below it.

Interfaces: Documentation/ABI/testing/sysfs-class-remoteproc, uapi/linux/remoteproc_cdev.h.
"""

from __future__ import annotations

import errno
import os

from .. import devicetree, staging
from ..elf import EM_ARM, EM_TI_C6000, EM_TI_PRU
from ..errors import BackendTimeout, RemoteprocError
from ..host import explain
from ..model import OCCUPIED_STATES, Core, CoreType, MemoryRange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..host import Host

CLASS = "/sys/class/remoteproc"
DEBUG = "/sys/kernel/debug/remoteproc"

_ARM32 = ((32, EM_ARM),)
_TCM = (("atcm", 0x0, 0x10000), ("btcm", 0x20000, 0x10000))  # xlnx_r5_remoteproc.c, no `reg`
_R5F = CoreType("Cortex-R5F", _ARM32, memory_from_tree=True, default_memory=_TCM)
_R52 = CoreType("Cortex-R52", _ARM32, memory_from_tree=True)

#: (vendor, part of the compatible's rest, type): Documentation/devicetree/bindings/remoteproc.
#: Device addresses of the other vendors' cores are tables inside their drivers, so that
#: there the kernel alone can judge where a segment may lie.
CORE_TYPES = (
    ("xlnx", "-r5f", _R5F),
    ("xlnx", "-r52f", _R52),
    ("st", "stm32mp1-m4", CoreType("Cortex-M4", _ARM32)),
    ("st", "-m33", CoreType("Cortex-M33", _ARM32)),
    ("fsl", "-cm33", CoreType("Cortex-M33", _ARM32)),
    ("fsl", "-cm4", CoreType("Cortex-M4", _ARM32)),
    ("fsl", "-cm7", CoreType("Cortex-M7", _ARM32)),
    ("ti", "-r5f", CoreType("Cortex-R5F", _ARM32)),
    ("ti", "-m4f", CoreType("Cortex-M4F", _ARM32)),
    ("ti", "-ipu", CoreType("Cortex-M4 IPU", _ARM32)),
    ("ti", "-pru", CoreType("PRU", ((32, EM_TI_PRU),))),
    ("ti", "-rtu", CoreType("PRU", ((32, EM_TI_PRU),))),
    ("ti", "-c66-dsp", CoreType("C66x DSP", ((32, EM_TI_C6000),))),
)

#: What start's errno means, from remoteproc_core.c and the ELF loader.
_START_ERRORS = {
    errno.ENOENT: "the kernel did not find the staged firmware in its search path",
    errno.EINVAL: "the kernel refused the firmware's headers, segments or resource table",
    errno.ENOMEM: "the kernel could not allocate the carve-outs the firmware asks for",
    errno.EBUSY: "the core is in use",
    errno.ENODEV: "the core's driver is being removed",
    errno.EACCES: "the platform firmware refused access to the core",
    errno.ETIMEDOUT: "the platform firmware or the core did not answer",
}


def core_type(compatible: tuple[str, ...]) -> CoreType:
    """What is known of a core with these compatibles; nothing for an unknown one."""
    for name in compatible:
        vendor, _, rest = name.partition(",")
        for known_vendor, part, kind in CORE_TYPES:
            if vendor == known_vendor and part in rest:
                return kind
    return CoreType("unknown", ())


def discover(host: Host) -> list[Core]:
    """The board's remote cores as they are now, without holders."""
    return [describe(host, name) for name in host.listing(CLASS) if name.startswith("remoteproc")]


def describe(host: Host, instance: str) -> Core:
    """One remoteproc instance as it is now."""
    base = f"{CLASS}/{instance}"
    node = f"{base}/device/of_node"
    compatible = devicetree.strings(host, node, "compatible")
    core = Core(instance, host.text(f"{base}/name") or instance, core_type(compatible))
    core.compatible = compatible
    core.state = state(host, instance)
    core.firmware = host.text(f"{base}/firmware") or ""
    core.cdev = host.exists(f"/dev/{instance}")
    if compatible:
        core.node = host.resolve(node)
        core.iommu = devicetree.raw(host, core.node, "iommus") is not None
        core.memory = _memory(host, core.node, core.type)
    return core


def _memory(host: Host, node: str, kind: CoreType) -> tuple[MemoryRange, ...] | None:
    """Device addresses the core's firmware may use, None if only the driver knows them."""
    if not kind.memory_from_tree:
        return None
    names = devicetree.strings(host, node, "reg-names")
    ranges = [
        # The driver uses the low 32 bits of the untranslated address as device address.
        MemoryRange(names[n] if n < len(names) else f"reg{n}", address & 0xFFFFFFFF, size)
        for n, (address, size) in enumerate(devicetree.reg(host, node))
    ] or [MemoryRange(*bank) for bank in kind.default_memory]
    reserved = f"{devicetree.BASE}/reserved-memory"
    for prop, below in (("memory-region", reserved), ("sram", devicetree.BASE)):
        for phandle in devicetree.cells(host, node, prop):
            target = devicetree.by_phandle(host, phandle, below)
            for address, size in devicetree.reg(host, target) if target else ():
                name = target.rpartition("/")[2].partition("@")[0] if target else ""
                loadable = not name.startswith("vdev")
                ranges.append(MemoryRange(name, address, size, loadable=loadable))
    return tuple(ranges)


def state(host: Host, instance: str) -> str:
    """The sysfs state: offline, running, crashed, ...; `deleted` if the instance is gone."""
    return host.text(f"{CLASS}/{instance}/state") or "deleted"


# prepare: bring the firmware to where the kernel looks for it


def staged_name(instance: str) -> str:
    """File name of the firmware staged for `instance`: exclusive, because the claim is, and
    a mark by which a core that runs it is known to be ours."""
    return f"hetoci-{instance}.elf"


def stage(host: Host, instance: str, image: bytes) -> tuple[str, str]:
    """Put `image` where request_firmware() finds it; return (file's path, firmware name).

    Raises RemoteprocError.
    """
    try:
        return staging.stage(host, staged_name(instance), image)
    except staging.StagingError as error:
        raise RemoteprocError(
            error.message, op="stage", path=error.path, errno=error.errno, hint=error.hint
        ) from error


def is_staged(host: Host, instance: str) -> bool:
    """True if firmware of ours lies ready for `instance`."""
    return bool(staging.staged(host, staged_name(instance)))


def unstage(host: Host, instance: str) -> None:
    """Remove what is staged for `instance`; the caller holds its claim."""
    staging.unstage(host, staged_name(instance))


# activate and deactivate


class Running:
    """A core that this process started; `release` must follow, or the process's end."""

    __slots__ = ("_descriptor", "_former", "_host", "instance")

    def __init__(self, host: Host, instance: str, descriptor: int, former: dict[str, str]) -> None:
        self._host = host
        self.instance = instance
        self._descriptor = descriptor
        self._former = former

    def release(self) -> None:
        """Stop the core if it still runs, and put its attributes back as they were."""
        try:
            stop(self._host, self.instance)
            restore(self._host, self.instance, self._former)
            self._host.shutdown_on_release(self._descriptor, False)
        finally:
            os.close(self._descriptor)


def attributes(host: Host, instance: str) -> dict[str, str]:
    """The sysfs attributes that `activate` changes, with their values now."""
    return {
        name: value
        for name in ("firmware", "recovery")
        if (value := host.text(f"{CLASS}/{instance}/{name}")) is not None
    }


def keep_on_release(host: Host, instance: str) -> None:
    """Take back what a killed keeper has set on the device: that closing it stops the core."""
    try:
        descriptor = host.open(f"/dev/{instance}", os.O_RDWR)
    except OSError:
        return
    try:
        host.shutdown_on_release(descriptor, False)
    finally:
        os.close(descriptor)


def runs_ours(host: Host, instance: str) -> bool:
    """True if the firmware set for the core is one that hetoci staged."""
    name = host.text(f"{CLASS}/{instance}/firmware") or ""
    return name.rpartition("/")[2] == staged_name(instance)


def restore(host: Host, instance: str, former: Mapping[str, str]) -> None:
    """Write back what `attributes` returned; a value the kernel no longer takes is left."""
    for name, value in former.items():
        try:
            host.poke(f"{CLASS}/{instance}/{name}", value)
        except OSError:  # an empty default firmware name cannot be written back (EINVAL)
            continue


def activate(host: Host, instance: str, firmware: str) -> Running:
    """Load `firmware` (a name in the kernel's search path) and start the core.

    From here on the kernel stops the core when this process ends, in whatever way. Raises
    RemoteprocError; then the core is off and nothing is held.
    """
    _require_offline(host, instance)
    former = attributes(host, instance)
    device = f"/dev/{instance}"
    try:
        descriptor = host.open(device, os.O_RDWR)
    except OSError as error:
        raise _failed("open", device, error, instance) from error
    running = Running(host, instance, descriptor, former)
    path = device
    try:
        host.shutdown_on_release(descriptor, True)
        path = f"{CLASS}/{instance}/firmware"
        host.poke(path, firmware)
        path = f"{CLASS}/{instance}/recovery"
        host.poke(path, "disabled")
        path = device
        host.start_core(descriptor)
    except OSError as error:
        running.release()
        raise _failed("start", path, error, instance) from error
    return running


def _require_offline(host: Host, instance: str) -> None:
    # "start" on a running core only counts one more user and succeeds (rproc_boot()).
    now = state(host, instance)
    if now != "offline":
        raise RemoteprocError(
            f"core {instance} is {now}, it must be offline before a start",
            op="start",
            device=instance,
        )


def _failed(op: str, path: str, error: OSError, instance: str) -> RemoteprocError:
    number = error.errno or 0
    meaning = _START_ERRORS.get(number) if op == "start" else None
    if op == "open" and number == errno.ENOENT:
        meaning = "the kernel needs CONFIG_REMOTEPROC_CDEV=y"
    words = explain(error) + (f": {meaning}" if meaning else "")
    return RemoteprocError(
        f"cannot {op} core {instance} ({path}): {words}",
        op=op,
        path=path,
        errno=number,
        device=instance,
        hint="the kernel's log (dmesg) has the details" if op == "start" else None,
    )


#: Uses of a core that others may have added by `echo start`; each stop takes one away.
_MAX_STOPS = 8


def stop(host: Host, instance: str) -> None:
    """Stop the core; that it is off already is success.

    Raises RemoteprocError with the kernel's reason, BackendTimeout if it stays on.
    """
    path = f"{CLASS}/{instance}/state"
    for _ in range(_MAX_STOPS):
        if state(host, instance) not in OCCUPIED_STATES:
            return
        try:
            host.poke(path, "stop")
        except OSError as error:
            # EINVAL: it went off between the look and the write.
            if error.errno != errno.EINVAL or state(host, instance) in OCCUPIED_STATES:
                raise _failed("stop", path, error, instance) from error
    if state(host, instance) in OCCUPIED_STATES:
        raise BackendTimeout(
            f"core {instance} is still {state(host, instance)} after {_MAX_STOPS} stops",
            op="stop",
            path=path,
            device=instance,
        )


# logs


def trace(host: Host, instance: str, number: int) -> bytes | None:
    """The text in the firmware's trace buffer `number` (the n-th RSC_TRACE entry) up to its
    first NUL; None while the kernel shows none."""
    return host.read_or_none(f"{DEBUG}/{instance}/trace{number}")


def consoles(host: Host, instance: str) -> list[str]:
    """Names of the RPMsg terminals that the core's firmware has announced."""
    names: list[str] = []
    devices = "/sys/bus/rpmsg/devices"
    for device in host.listing(devices):
        path = f"{devices}/{device}"
        if instance in host.resolve(path).split("/"):
            names.extend(host.listing(f"{path}/tty"))
    return names
