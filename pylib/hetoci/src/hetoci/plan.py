# SPDX-License-Identifier: MIT
"""Which core a firmware goes to, and what that takes. Pure: no I/O, nothing changes."""

from __future__ import annotations

from . import elf, rsctable
from .errors import DeviceBusy, DeviceNotFound, PolicyDenied
from .metadata import matches
from .model import Plan, Step, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .elf import Elf, Segment
    from .model import Core, MemoryRange
    from .rsctable import Entry, ResourceTable
    from .workloads import FirmwareWorkload


class Firmware:
    """A firmware file that was read and parsed; size in bytes, table None if it has none."""

    __slots__ = ("elf", "size", "table")

    def __init__(self, elf: Elf, table: ResourceTable | None, size: int) -> None:
        self.elf = elf
        self.table = table
        self.size = size


def make(
    workload: FirmwareWorkload,
    firmware: Firmware,
    cores: Sequence[Core],
    allowed: Sequence[str] = ("*",),
) -> Plan:
    """The plan for `workload`: all cores it can go to now, in the inventory's order.

    allowed: the operator's globs of cores that containers may use. Raises DeviceNotFound,
    PolicyDenied with every reason of every core, or DeviceBusy naming the holders.
    """
    wanted = _wanted(workload, cores)
    fitting: list[Core] = []
    refused: list[tuple[Core, list[str]]] = []
    for core in wanted:
        reasons = objections(core, firmware, allowed)
        reasons += [reason for clock in workload.clocks if (reason := clock.unmet(core.clocks))]
        if reasons:
            refused.append((core, reasons))
        else:
            fitting.append(core)
    if not fitting:
        raise PolicyDenied(
            f"firmware {workload.path} cannot run on this board",
            _by_reason(refused),
        )
    free = [core for core in fitting if occupied(core) is None]
    if not free:
        raise DeviceBusy(
            "; ".join(f"core {core.name} {occupied(core)}" for core in fitting),
            device=fitting[0].instance,
        )
    return Plan(workload, free, refused, _steps(workload, firmware, free[0]))


def _by_reason(refused: Sequence[tuple[Core, Sequence[str]]]) -> list[str]:
    """`core, core: reason`, each reason once."""
    cores: dict[str, list[str]] = {}
    for core, reasons in refused:
        for reason in reasons:
            cores.setdefault(reason, []).append(core.name)
    return [f"{', '.join(names)}: {reason}" for reason, names in cores.items()]


def _wanted(workload: FirmwareWorkload, cores: Sequence[Core]) -> list[Core]:
    globs = (workload.core or "*",)
    wanted = [core for core in cores if any(matches(name, globs) for name in core.names())]
    if wanted:
        return wanted
    if not cores:
        raise DeviceNotFound(
            "the board has no remote core (/sys/class/remoteproc is empty)",
            hint="the kernel needs the core's remoteproc driver and device-tree node",
        )
    existing = ", ".join(f"{core.name} ({core.instance})" for core in cores)
    raise DeviceNotFound(f"no remote core is named {workload.core!r}", hint=f"there are {existing}")


def occupied(core: Core) -> str | None:
    """Why the core is not free, None if it is."""
    if core.holder is not None:
        return f"is held by {core.holder}"
    if core.state == "offline":
        return None
    return f"is {core.state} (firmware {core.firmware or 'unknown'}), not started by a container"


def objections(core: Core, firmware: Firmware, allowed: Sequence[str]) -> list[str]:
    """Every reason why `firmware` must not go to `core`; empty if it may."""
    parsed = firmware.elf
    reasons = []
    if not any(matches(name, allowed) for name in core.names()):
        reasons.append(f"is not among the cores that containers may use ({' '.join(allowed)})")
    if not core.cdev:
        reasons.append(
            f"/dev/{core.instance} is missing (CONFIG_REMOTEPROC_CDEV), without which the core"
            " would go on running if hetoci were killed"
        )
    machines = core.type.machines
    if machines and (parsed.bits, parsed.machine) not in machines:
        right = " or ".join(f"{bits}-bit {elf.machine_name(m)}" for bits, m in machines)
        reasons.append(
            f"the ELF is {parsed.bits}-bit {elf.machine_name(parsed.machine)},"
            f" a {core.type.title} needs {right}"
        )
    if not any(segment.executes(parsed.entry) for segment in parsed.segments):
        reasons.append(
            f"the entry point 0x{parsed.entry:x} lies in no executable segment"
            f" ({_segment_list(parsed.segments)})"
        )
    if core.memory is not None:
        reasons.extend(_misplaced(parsed.segments, core.memory))
    if firmware.table is not None:
        reasons.extend(_bad_resources(firmware.table, core))
        reasons.extend(_stale_exit_record(firmware.table, parsed.segments))
    return reasons


def _stale_exit_record(table: ResourceTable, segments: Sequence[Segment]) -> list[str]:
    """Memory outside the segments keeps what the last firmware left in it: an exit record
    there could end the container before it has begun."""
    return [
        f"{entry} lies in no segment, so it would not be empty at the start; place it in .bss"
        for entry in table.traces()
        if entry.name == rsctable.EXIT_RECORD
        and not any(
            s.address <= entry.address and entry.address + entry.size <= s.address + s.memory_size
            for s in segments
        )
    ]


def _segment_list(segments: Sequence[Segment]) -> str:
    code = [s for s in segments if s.flags & 1]
    parts = [f"segment {s.index} {span(s.address, s.address + s.memory_size)}" for s in code]
    return "executable are " + ", ".join(parts) if parts else "none is executable"


def _misplaced(segments: Sequence[Segment], memory: Sequence[MemoryRange]) -> list[str]:
    loadable = [m for m in memory if m.loadable]
    right = ", ".join(str(m) for m in loadable) or "no memory at all"
    return [
        f"segment {s.index} ({span(s.address, s.address + s.memory_size)}) lies outside the"
        f" core's memory ({right})"
        for s in segments
        if not any(m.holds(s.address, s.memory_size) for m in loadable)
    ]


def _bad_resources(table: ResourceTable, core: Core) -> list[str]:
    reasons = []
    for entry in table.entries:
        if entry.kind == rsctable.DEVMEM:
            if not core.iommu:
                reasons.append(f"{entry} needs an IOMMU, which the core does not have")
        elif core.memory is not None and not _granted(entry, core.memory):
            right = ", ".join(str(m) for m in core.memory)
            reasons.append(
                f"{entry} at {span(entry.address, entry.address + entry.size)} lies outside"
                f" the core's memory ({right})"
            )
    return reasons


def _granted(entry: Entry, memory: Sequence[MemoryRange]) -> bool:
    if entry.address == rsctable.ANY and entry.kind != rsctable.TRACE:
        return True
    return any(m.holds(entry.address, entry.size) for m in memory)


def _steps(workload: FirmwareWorkload, firmware: Firmware, core: Core) -> list[Step]:
    return [
        Step("claim", core.instance, core=core.name),
        Step("prepare", core.instance, firmware=workload.path, bytes=firmware.size),
        Step("activate", core.instance, consoles=list(workload.consoles)),
    ]


def examine(image: bytes, where: str) -> Firmware:
    """Parse a firmware file. Raises BundleError for one that no core could load."""
    parsed = elf.parse(image, where)
    raw = parsed.resource_table
    table = None if raw is None else rsctable.parse(raw, where)
    return Firmware(parsed, table, len(image))
