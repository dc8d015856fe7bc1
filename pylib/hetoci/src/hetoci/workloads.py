# SPDX-License-Identifier: MIT
"""What a container asks for: the keys of its metadata as values (docs/spec/metadata.md).

Plain classes with slots, because `dataclasses` costs more at start-up than all of hetoci.
Names, grammars and defaults are the specification's; nothing here has been looked up yet.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ClockRate:
    """A rate that a clock has to have: low..high in Hz; clock "" means the only one."""

    __slots__ = ("clock", "high", "low")

    def __init__(self, clock: str, low: float, high: float) -> None:
        self.clock = clock
        self.low = low
        self.high = high

    def __str__(self) -> str:
        rate = f"{self.low:.0f}-{self.high:.0f} Hz"
        return f"{self.clock}={rate}" if self.clock else rate

    def unmet(self, rates: Mapping[str, int]) -> str:
        """Why a device whose clocks have `rates` does not do, "" if it does."""
        name = self.clock or (next(iter(rates)) if len(rates) == 1 else "")
        if name not in rates:
            return f"has no clock {self.clock or 'of its own'} whose rate is known"
        if not self.low <= rates[name] <= self.high:
            return f"has the clock {name} at {rates[name]} Hz, {self} is needed"
        return ""


class FirmwareWorkload:
    """A container whose payload is firmware for a remote core.

    path: the ELF file, as a path in the image; core: name or glob, "" for any;
    consoles: sources of the container's log; digest: "sha256:<hex>" or "";
    stop_timeout: seconds; clocks: rates that the core's clocks have to have; endpoints: RPMsg
    services that containers outside of the pod may use; platform: compatibles, () for any;
    model: what the root node's model has to be, "" for any.
    """

    __slots__ = (
        "clocks",
        "consoles",
        "core",
        "digest",
        "endpoints",
        "model",
        "path",
        "platform",
        "stop_timeout",
    )
    kind = "firmware"

    def __init__(
        self,
        path: str,
        *,
        core: str = "",
        digest: str = "",
        consoles: Sequence[str] = ("trace", "rpmsg-tty"),
        stop_timeout: float = 10.0,
        clocks: Sequence[ClockRate] = (),
        endpoints: Sequence[str] = (),
        platform: Sequence[str] = (),
        model: str = "",
    ) -> None:
        self.path = path
        self.core = core
        self.digest = digest
        self.consoles = tuple(consoles)
        self.stop_timeout = stop_timeout
        self.clocks = tuple(clocks)
        self.endpoints = tuple(endpoints)
        self.platform = tuple(platform)
        self.model = model


class AcceleratorRequest:
    """One accelerator that the image brings.

    bitstream, overlay: templates with {slot}, {shell}, {part}, overlay "" for none; digests:
    "sha256:<hex>" of which each file has to have one, () for unchecked; slot: name or glob;
    parts, shells: ids that fit, () for any; partial, encrypted: the flags; memory: bytes of
    DMA memory the slot has to have at least; nodes: node names without unit address, the main
    one first, () for the only one; timeout: seconds until the devices have to be there.
    """

    __slots__ = (
        "bitstream",
        "clocks",
        "digests",
        "encrypted",
        "memory",
        "name",
        "nodes",
        "overlay",
        "partial",
        "parts",
        "shells",
        "slot",
        "timeout",
    )

    def __init__(
        self,
        name: str,
        bitstream: str,
        *,
        overlay: str = "",
        digests: Sequence[str] = (),
        slot: str = "*",
        parts: Sequence[str] = (),
        shells: Sequence[str] = (),
        partial: bool = False,
        encrypted: bool = False,
        clocks: Sequence[ClockRate] = (),
        memory: int = 0,
        nodes: Sequence[str] = (),
        timeout: float = 10.0,
    ) -> None:
        self.name = name
        self.bitstream = bitstream
        self.overlay = overlay
        self.digests = tuple(digests)
        self.slot = slot
        self.parts = tuple(parts)
        self.shells = tuple(shells)
        self.partial = partial
        self.encrypted = encrypted
        self.clocks = tuple(clocks)
        self.memory = memory
        self.nodes = tuple(nodes)
        self.timeout = timeout


class EndpointRequest:
    """An RPMsg service of firmware in another container; timeout in seconds."""

    __slots__ = ("core", "name", "service", "timeout")

    def __init__(self, name: str, service: str, *, core: str = "*", timeout: float = 10.0) -> None:
        self.name = name
        self.service = service
        self.core = core
        self.timeout = timeout


class AcceleratorWorkload:
    """A Linux program, run by the delegate, with accelerators and endpoints as devices;
    both sorted by name, at least one of them. platform: compatibles, () for any."""

    __slots__ = ("accelerators", "endpoints", "platform")
    kind = "accelerator"

    def __init__(
        self,
        accelerators: Sequence[AcceleratorRequest] = (),
        endpoints: Sequence[EndpointRequest] = (),
        platform: Sequence[str] = (),
    ) -> None:
        self.accelerators = tuple(accelerators)
        self.endpoints = tuple(endpoints)
        self.platform = tuple(platform)


class PageRange:
    """`count` pages of 4 KiB of the host from page `first`, in the guest from page `guest`."""

    __slots__ = ("count", "first", "guest")

    def __init__(self, first: int, count: int, guest: int) -> None:
        self.first = first
        self.count = count
        self.guest = guest


class VmConfig:
    """What `vm` in config.json says of a domain (docs/spec/mapping.md, 2). Paths are the host's.

    kernel, ramdisk, disk, device_tree: "" for none; cmdline: the kernel's; vcpus, memory (in
    bytes): 0 for none; dtdevs: paths of the host's device-tree nodes; irqs: as xl counts
    them, SPI + 32.
    """

    __slots__ = (
        "cmdline",
        "device_tree",
        "disk",
        "dtdevs",
        "iomems",
        "irqs",
        "kernel",
        "memory",
        "ramdisk",
        "vcpus",
    )

    def __init__(self) -> None:
        self.kernel = ""
        self.ramdisk = ""
        self.cmdline = ""
        self.disk = ""
        self.device_tree = ""
        self.vcpus = 0
        self.memory = 0
        self.dtdevs: tuple[str, ...] = ()
        self.iomems: tuple[PageRange, ...] = ()
        self.irqs: tuple[int, ...] = ()


class DomainWorkload:
    """A domain of its own for the image's Linux program, or for its kernel.

    kernel, ramdisk, disk: paths in the image, "" for none (without a kernel hetoci's own runs
    the image's program); cmdline: the kernel's; memory: bytes, 0 for the operator's default;
    vcpus: 0 for the default; console: pv or vuart; boot_timeout: seconds, None for the
    default; stop_method: shutdown or destroy; stop_timeout: seconds; on_crash: destroy or
    coredump; network: engine or none; accelerators: hardware of the guest; vm: what config.json
    says of it, None for nothing. Its kernel, ramdisk and disk are files of the host and come in the
    place of the image's, which are "" then; its command line, memory and vcpus are here as well.
    """

    __slots__ = (
        "accelerators",
        "boot_timeout",
        "cmdline",
        "console",
        "digests",
        "disk",
        "kernel",
        "memory",
        "network",
        "on_crash",
        "platform",
        "ramdisk",
        "stop_method",
        "stop_timeout",
        "vcpus",
        "vm",
    )
    kind = "domain"

    def __init__(
        self,
        *,
        kernel: str = "",
        ramdisk: str = "",
        cmdline: str = "",
        disk: str = "",
        digests: Sequence[str] = (),
        memory: int = 0,
        vcpus: int = 0,
        console: str = "pv",
        boot_timeout: float | None = None,
        stop_method: str = "shutdown",
        stop_timeout: float = 10.0,
        on_crash: str = "destroy",
        network: str = "engine",
        accelerators: Sequence[AcceleratorRequest] = (),
        platform: Sequence[str] = (),
        vm: VmConfig | None = None,
    ) -> None:
        self.kernel = kernel
        self.ramdisk = ramdisk
        self.cmdline = cmdline
        self.disk = disk
        self.digests = tuple(digests)
        self.memory = memory
        self.vcpus = vcpus
        self.console = console
        self.boot_timeout = boot_timeout
        self.stop_method = stop_method
        self.stop_timeout = stop_timeout
        self.on_crash = on_crash
        self.network = network
        self.accelerators = tuple(accelerators)
        self.platform = tuple(platform)
        self.vm = vm


Workload = FirmwareWorkload | AcceleratorWorkload | DomainWorkload
