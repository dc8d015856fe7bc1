# SPDX-License-Identifier: MIT
"""Bitstreams and overlays as images bring them, and the shell's overlay, for the tests.

Numbers are the virtual board's (docs/virtual-board.md).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence

from hetoci import fdt

PART = 0x0E70C093
SHELL = 0x48450001
SLOTS = 4
REGS, REGS_SIZE = 0xFFFC0000, 0x1000
DMA, DMA_SIZE = 0x3F000000, 0x100000
DECOUPLERS = 0xFFFC5000
FIRST_LINE = 60
_HEADER = struct.Struct("<4sHHIIIIII32s32sI28s")


def bitstream(
    slot: int = 0,
    *,
    part: int = PART,
    shell: int = SHELL,
    partial: bool = True,
    content: bytes = b"design",
) -> bytes:
    """A bitstream with the virtual board's header."""

    def pack(digest: bytes) -> bytes:
        fields = (b"VBIT", 1, 128, part, int(partial), slot, shell, len(content), 0)
        return _HEADER.pack(*fields, digest, b"design", 0, b"") + content

    return pack(hashlib.sha256(pack(bytes(32))).digest())


def overlay(
    target: str,
    body: fdt.Node,
    fixups: Mapping[str, Sequence[str]] | None = None,
    local: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
) -> fdt.Node:
    """An overlay as dtc makes one, with one fragment.

    target: a label, or a path; fixups: label -> places below __overlay__; local: path below
    __overlay__ -> property -> offsets."""
    root = fdt.Node("")
    fragment = root.add("fragment@0")
    places = {label: list(found) for label, found in (fixups or {}).items()}
    places = {
        label: [f"/fragment@0/__overlay__{place}" for place in found]
        for label, found in places.items()
    }
    if target.startswith("/"):
        fragment.properties["target-path"] = fdt.from_strings(target)
    elif target:
        fragment.properties["target"] = fdt.from_cells(0xFFFFFFFF)
        places.setdefault(target, []).insert(0, "/fragment@0:target:0")
    body.name = "__overlay__"
    fragment.children.append(body)
    if places:
        node = root.add("__fixups__")
        for label, found in places.items():
            node.properties[label] = fdt.from_strings(*found)
    for path, properties in (local or {}).items():
        node = root.child("__local_fixups__") or root.add("__local_fixups__")
        for part in f"fragment@0/__overlay__{path}".split("/"):
            node = node.child(part) or node.add(part)
        for name, offsets in properties.items():
            node.properties[name] = fdt.from_cells(*offsets)
    return root


def design(slot: int = 0, name: str = "sha256", **properties: bytes) -> fdt.Node:
    """The body of a slot's overlay: one node with registers, DMA memory and an interrupt.

    properties: of the node instead; an underscore in their names stands for a dash."""
    body = fdt.Node(
        "",
        {
            "firmware-name": fdt.from_strings(f"{name}-slot{slot}.bit.bin"),
            "partial-fpga-config": b"",
            "#address-cells": fdt.from_cells(2),
            "#size-cells": fdt.from_cells(2),
        },
    )
    body.add(
        f"{name}@{REGS + slot * REGS_SIZE:x}",
        {
            "compatible": fdt.from_strings(f"hetoci,{name}", "generic-uio"),
            "reg": window(slot) + memory(slot),
            "interrupts": line(slot),
            **{key.replace("_", "-"): value for key, value in properties.items()},
        },
    )
    return body


def window(slot: int) -> bytes:
    return fdt.from_cells(0, REGS + slot * REGS_SIZE, 0, REGS_SIZE)


def memory(slot: int) -> bytes:
    return fdt.from_cells(0, DMA + slot * DMA_SIZE, 0, DMA_SIZE)


def line(slot: int) -> bytes:
    return fdt.from_cells(0, FIRST_LINE + slot, 1)


def slot_overlay(slot: int = 0, name: str = "sha256", **properties: bytes) -> bytes:
    """The overlay of a design in a slot."""
    return fdt.build(overlay(f"slot{slot}", design(slot, name, **properties)))


def shell_overlay(
    shell: int = SHELL, slots: int = SLOTS, firmware: str = "pl-shell.bit.bin"
) -> bytes:
    """The overlay of the virtual board's shell (pl-shell.dtso); slots have one clock more, whose
    rate the tree does not fix."""
    body = fdt.Node(
        "",
        {
            "firmware-name": fdt.from_strings(firmware),
            "hetoci,shell-id": fdt.from_cells(shell),
            "#address-cells": fdt.from_cells(2),
            "#size-cells": fdt.from_cells(2),
        },
    )
    fixups: dict[str, list[str]] = {"pl_clk": [], "clk_mux": []}
    local = {}
    symbols = {}
    for n in range(slots):
        decoupler = f"decoupler@{DECOUPLERS + n * REGS_SIZE:x}"
        body.add(
            decoupler,
            {
                "compatible": fdt.from_strings("xlnx,pr-decoupler"),
                "reg": fdt.from_cells(0, DECOUPLERS + n * REGS_SIZE, 0, 0x10),
                "clocks": fdt.from_cells(0xFFFFFFFF),
                "phandle": fdt.from_cells(1 + 2 * n),
            },
        )
        slot = f"slot{n}@{REGS + n * REGS_SIZE:x}"
        same = tuple(fdt.cells(window(n) + memory(n)))
        body.add(
            slot,
            {
                "label": fdt.from_strings(f"slot{n}"),
                "compatible": fdt.from_strings("fpga-region"),
                "fpga-bridges": fdt.from_cells(1 + 2 * n),
                "#address-cells": fdt.from_cells(2),
                "#size-cells": fdt.from_cells(2),
                "ranges": fdt.from_cells(
                    *(same[at] for at in (0, 1, 0, 1, 2, 3, 4, 5, 4, 5, 6, 7))
                ),
                "memory-region": fdt.from_cells(0xFFFFFFFF),
                "interrupts": line(n),
                "clocks": fdt.from_cells(0xFFFFFFFF, 0xFFFFFFFF, 0),
                "clock-names": fdt.from_strings("aclk", "mux"),
                "phandle": fdt.from_cells(2 + 2 * n),
            },
        )
        fixups["pl_clk"] += [f"/{decoupler}:clocks:0", f"/{slot}:clocks:0"]
        fixups["clk_mux"] += [f"/{slot}:clocks:4"]
        fixups[f"pl_dma{n}"] = [f"/{slot}:memory-region:0"]
        local[f"/{slot}"] = {"fpga-bridges": (0,)}
        symbols[f"slot{n}"] = fdt.from_strings(f"/fragment@0/__overlay__/{slot}")
    root = overlay("fpga_full", body, fixups, local)
    root.add("__symbols__", symbols)
    return fdt.build(root)


def full_overlay(name: str = "sha256", address: int = REGS) -> bytes:
    """The overlay of a full bitstream with one design."""
    body = design(0, name)
    del body.properties["partial-fpga-config"]
    return fdt.build(overlay("fpga_full", body))
