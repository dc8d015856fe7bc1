# SPDX-License-Identifier: MIT
"""Programmable logic as the board has it: regions and slots.

A backend fills these in; everything above it knows no more of a vendor than this.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .model import Holder, MemoryRange

#: kind of a fabric: the whole logic behind one manager, or a part of it that takes partial
#: bitstreams.
REGION, SLOT = "region", "slot"


class Fabric:
    """One region or slot as discovered now.

    backend: name of the module in hetoci.backends that has it; instance: the kernel's name;
    place: stable identity, of which the claim's name is made (a device-tree path, say);
    state: what the manager says; part: FPGA device, shell: the static design loaded (of a
    slot: around it), "" if unknown or none; clocks: Hz by name; memory: DMA memory; windows:
    addresses that a design's registers may have; interrupts: specifiers of the lines that
    end in it; None where the tree does not say; design: what is in it, "" for nothing;
    ours: `design` was put there by hetoci; parent: `place` of a slot's region; overlays:
    takes device-tree overlays; for_domains: its windows and lines are kept for Xen domains and
    do not reach this system; blocker: why nothing can be programmed here, "" if it can.
    """

    __slots__ = (
        "backend",
        "blocker",
        "clocks",
        "compatible",
        "design",
        "for_domains",
        "holder",
        "instance",
        "interrupts",
        "kind",
        "memory",
        "name",
        "ours",
        "overlays",
        "parent",
        "part",
        "place",
        "shell",
        "state",
        "windows",
    )

    def __init__(self, backend: str, instance: str, kind: str, name: str, place: str) -> None:
        self.backend = backend
        self.instance = instance
        self.kind = kind
        self.name = name
        self.place = place
        self.parent = ""
        self.state = "unknown"
        self.part = ""
        self.shell = ""
        self.compatible: tuple[str, ...] = ()
        self.clocks: dict[str, int] = {}
        self.memory: tuple[MemoryRange, ...] = ()
        self.windows: tuple[MemoryRange, ...] | None = None
        self.interrupts: tuple[tuple[int, ...], ...] | None = None
        self.design = ""
        self.ours = False
        self.overlays = False
        self.for_domains = False
        self.blocker = ""
        self.holder: Holder | None = None

    @property
    def key(self) -> str:
        """Name of the claim on it."""
        return f"fpga.{self.place.strip('/').replace('/', '+')}"

    def names(self) -> tuple[str, ...]:
        """Every name by which a user may ask for it."""
        return (self.name, self.instance)

    def to_json(self) -> dict[str, Any]:
        """For `hetoci devices --json` (docs/spec/schema/inventory.schema.json)."""
        return {
            "device": self.instance,
            "backend": self.backend,
            "name": self.name,
            "type": self.kind,
            "kind": self.kind,
            "compatible": list(self.compatible),
            "state": self.state,
            "part": self.part or None,
            "shell": self.shell or None,
            "clocks": self.clocks,
            "design": self.design or None,
            "forDomains": self.for_domains,
            "memory": [
                {"name": m.name, "first": hex(m.first), "size": m.end - m.first}
                for m in self.memory
            ],
            "holder": None if self.holder is None else self.holder.to_json(),
        }


def xen_number(line: tuple[int, ...]) -> int:
    """The number by which Xen knows a shared interrupt of a GIC (three cells, the first one 0);
    0 for another one."""
    return 32 + line[1] if len(line) == 3 and line[0] == 0 and line[1] < 988 else 0


class Programming:
    """What goes into a fabric: `bitstream` as the manager takes it, the device-tree overlay
    with the design's nodes (b"" for none), and the flags."""

    __slots__ = ("bitstream", "encrypted", "overlay", "partial")

    def __init__(self, bitstream: bytes, overlay: bytes, *, partial: bool, encrypted: bool) -> None:
        self.bitstream = bitstream
        self.overlay = overlay
        self.partial = partial
        self.encrypted = encrypted

    def without_nodes(self) -> Programming:
        """The same, and the kernel here gets no nodes of the design."""
        return Programming(self.bitstream, b"", partial=self.partial, encrypted=self.encrypted)
