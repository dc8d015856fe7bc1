# SPDX-License-Identifier: MIT
"""The nouns: what the board has, what would be done.

Plain classes with slots, because `dataclasses` costs more at start-up than all of hetoci.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .workloads import FirmwareWorkload

#: remoteproc states (Documentation/ABI/testing/sysfs-class-remoteproc) in which a core may
#: be executing or holds the resources of a firmware.
OCCUPIED_STATES = frozenset(("running", "crashed", "attached", "suspended"))


class MemoryRange:
    """Device addresses first..end-1 that a core's firmware may use.

    loadable: segments may be loaded there (a buffer that RPMsg owns is not).
    """

    __slots__ = ("end", "first", "loadable", "name")

    def __init__(self, name: str, first: int, size: int, *, loadable: bool = True) -> None:
        self.name = name
        self.first = first
        self.end = first + size
        self.loadable = loadable

    def __str__(self) -> str:
        return f"{self.name} {span(self.first, self.end)}"

    def holds(self, first: int, size: int) -> bool:
        """True if all of first..first+size-1 lies in this range."""
        return self.first <= first and first + size <= self.end


def span(first: int, end: int) -> str:
    """Addresses first..end-1 as a person writes them."""
    return f"0x{first:x}-0x{max(first, end - 1):x}"


class CoreType:
    """What is known of cores with a certain device-tree compatible.

    machines: accepted (ELF class bits, e_machine) pairs, empty if unknown;
    memory_from_tree: the node's `reg` holds device addresses as the core sees them.
    """

    __slots__ = ("default_memory", "machines", "memory_from_tree", "title")

    def __init__(
        self,
        title: str,
        machines: Sequence[tuple[int, int]],
        *,
        memory_from_tree: bool = False,
        default_memory: Sequence[tuple[str, int, int]] = (),
    ) -> None:
        self.title = title
        self.machines = tuple(machines)
        self.memory_from_tree = memory_from_tree
        self.default_memory = tuple(default_memory)


class Core:
    """One remoteproc instance as discovered now.

    instance: `remoteprocN`; name: the sysfs attribute; memory: None if the tree does not
    tell; holder: what the claim file says, None if the claim is free; clocks: Hz by name, of
    those that the tree fixes, if they were asked for.
    """

    __slots__ = (
        "cdev",
        "clocks",
        "compatible",
        "firmware",
        "holder",
        "instance",
        "iommu",
        "memory",
        "name",
        "node",
        "state",
        "type",
    )

    def __init__(self, instance: str, name: str, kind: CoreType) -> None:
        self.instance = instance
        self.name = name
        self.type = kind
        self.state = "invalid"
        self.firmware = ""
        self.compatible: tuple[str, ...] = ()
        self.node = ""
        self.memory: tuple[MemoryRange, ...] | None = None
        self.iommu = False
        self.cdev = False
        self.clocks: dict[str, int] = {}
        self.holder: Holder | None = None

    @property
    def key(self) -> str:
        """Name of the claim on this core."""
        return f"remoteproc.{self.instance}"

    def names(self) -> tuple[str, ...]:
        """Every name by which a user may ask for this core."""
        return (self.name, self.instance, self.node.rpartition("/")[2])

    def to_json(self) -> dict[str, Any]:
        """For `hetoci devices --json`; sizes in bytes, addresses as hexadecimal strings."""
        return {
            "device": self.instance,
            "backend": "remoteproc",
            "name": self.name,
            "type": self.type.title,
            "compatible": list(self.compatible),
            "state": self.state,
            "firmware": self.firmware,
            "stopsWithHolder": self.cdev,
            "memory": None
            if self.memory is None
            else [
                {"name": m.name, "first": hex(m.first), "size": m.end - m.first}
                for m in self.memory
            ],
            "holder": None if self.holder is None else self.holder.to_json(),
        }


#: `group` of a holder that holds no lock, and whose control group is not its own.
UNLOCKED = "-"

#: `group` of a keeper whose container is a Xen domain: the domain holds the claim as well.
DOMAIN = "@domain"


class Holder:
    """Who holds a claim: the container, the engine's --root, and the process whose life it is
    bound to. group: control group whose processes hold it too, UNLOCKED for none, "" if the
    process holds the claim's lock, DOMAIN if the container's domain holds it too."""

    __slots__ = ("container", "group", "pid", "root", "start")

    def __init__(self, container: str, root: str, pid: int, start: str, group: str = "") -> None:
        self.container = container
        self.root = root
        self.pid = pid
        self.start = start
        self.group = group

    def __str__(self) -> str:
        where = f" of {self.root}" if self.root else ""
        return f"container {self.container}{where} (pid {self.pid})"

    def to_json(self) -> dict[str, Any]:
        """For `hetoci devices --json`."""
        return {"container": self.container, "root": self.root, "pid": self.pid}


class Step:
    """One thing a plan would do: an operation, the device, and its parameters."""

    __slots__ = ("details", "device", "op")

    def __init__(self, op: str, device: str, **details: Any) -> None:
        self.op = op
        self.device = device
        self.details = details

    def to_json(self) -> dict[str, Any]:
        """For `hetoci plan`."""
        return {"op": self.op, "device": self.device, **self.details}


class Plan:
    """What create and start would do, in order, on the first core of `candidates` that can
    be claimed. Pure data: making it changed nothing."""

    __slots__ = ("candidates", "refused", "steps", "workload")

    def __init__(
        self,
        workload: FirmwareWorkload,
        candidates: Sequence[Core],
        refused: Sequence[tuple[Core, Sequence[str]]],
        steps: Sequence[Step],
    ) -> None:
        self.workload = workload
        self.candidates = tuple(candidates)
        self.refused = tuple((core, tuple(reasons)) for core, reasons in refused)
        self.steps = tuple(steps)

    def to_json(self) -> dict[str, Any]:
        """For `hetoci plan`."""
        return {
            "workload": self.workload.kind,
            "cores": [core.instance for core in self.candidates],
            "refused": [
                {"core": core.instance, "reasons": list(reasons)} for core, reasons in self.refused
            ],
            "steps": [step.to_json() for step in self.steps],
        }
