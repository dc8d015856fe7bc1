# SPDX-License-Identifier: MIT
"""The keys of the image extension: their names, types and bounds.

The tables say what docs/spec/schema/metadata.schema.json says, in the same words; a test
compares them. Imported only for containers that have keys.
"""

from __future__ import annotations

from . import grammar
from .metadata import ARM_CORE, PLATFORM, PREFIX, SPEC, WORKLOAD
from .workloads import ClockRate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .grammar import Check

_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_HERTZ = {"": 0, "k": 3, "M": 6, "G": 9}

#: How far from a single rate a clock may be: 1 in this many.
_TOLERANCE = 100


class Type:
    """What values of one type look like. fits: whether a text is one; right: what would be
    right, for messages; convert: from a value that fits to what workloads hold."""

    __slots__ = ("convert", "fits", "right")

    def __init__(self, fits: Check, right: str, convert: Callable[[str], Any]) -> None:
        self.fits = fits
        self.right = right
        self.convert = convert

    def objection(self, text: str) -> str | None:
        """What is wrong with `text`, None if nothing is."""
        if self.fits(text):
            return None
        return f"is {short(text)}, right would be {self.right}"


class Clocks(Type):
    """Rates and ranges of rates of clocks."""

    __slots__ = ()

    def objection(self, text: str) -> str | None:
        """What is wrong with `text`, None if nothing is."""
        found = super().objection(text)
        if found:
            return found
        for entry in text.split(","):
            low, dash, high = entry.rpartition("=")[2].strip().partition("-")
            if dash and hertz(low) > hertz(high):
                return f"has the range {low}-{high}, whose end is below its beginning"
        return None


class Choice(Type):
    """One of a few words."""

    __slots__ = ("words",)

    def __init__(self, *words: str) -> None:
        super().__init__(grammar.one_of(*words), "", str)
        self.words = words

    def objection(self, text: str) -> str | None:
        """What is wrong with `text`, None if nothing is."""
        if text in self.words:
            return None
        return f"is {short(text)}, there are: {', '.join(self.words)}"


def short(value: str) -> str:
    """`value` quoted, and cut if it is long."""
    return repr(value if len(value) <= 60 else value[:57] + "...")


def _path(text: str) -> str:
    return "/" + text.lstrip("/")


def _words(text: str) -> tuple[str, ...]:
    """The words of a list with commas, each once."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def _size(text: str) -> int:
    digits = text.rstrip("KMG")
    return int(digits) * _BYTES[text[len(digits) :]]


def hertz(text: str) -> float:
    """A rate such as 33.333M in Hz, exact as far as a float is."""
    digits = text.rstrip("kMG")
    return float(f"{digits}e{_HERTZ[text[len(digits) :]]}")


def _clocks(text: str) -> tuple[ClockRate, ...]:
    found = []
    for entry in text.split(","):
        clock, _, rates = entry.strip().rpartition("=")
        low, dash, high = rates.partition("-")
        rate = hertz(low)
        slack = rate / _TOLERANCE
        found.append(
            ClockRate(clock, rate, hertz(high))
            if dash
            else ClockRate(clock, rate - slack, rate + slack)
        )
    return tuple(found)


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


TYPES: dict[str, Type] = {
    "version": Type(
        grammar.version,
        "two numbers with a point between, such as 1.0",
        _version,
    ),
    "path": Type(
        grammar.path,
        "a path in the image, not empty and without '..', such as /firmware/echo.elf",
        _path,
    ),
    "template": Type(
        grammar.template,
        "a path in the image without '..', in which {slot}, {shell} and {part} may stand,"
        " such as /accelerator/hash-{slot}.bit.bin",
        _path,
    ),
    "digest": Type(grammar.digest, "sha256: and 64 lower-case hexadecimal digits", str),
    "digests": Type(
        grammar.list_of(grammar.digest, 32),
        "up to 32 times sha256: and 64 lower-case hexadecimal digits, with commas between",
        _words,
    ),
    "glob": Type(
        grammar.up_to(255),
        "a name, or a pattern with * ? and [...], of at most 255 characters",
        str,
    ),
    "consoles": Type(
        grammar.consoles,
        "trace, rpmsg-tty, both with a comma between, or nothing",
        _words,
    ),
    "seconds": Type(
        grammar.seconds,
        "seconds above 0 and up to 3600, such as 2.5 or 10s",
        _seconds,
    ),
    "clocks": Clocks(
        grammar.clocks,
        "rates or ranges of rates in Hz, each after a clock's name and '=' if there are"
        " several, such as 125M or aclk=100M-125M,bclk=33.333M",
        _clocks,
    ),
    "size": Type(
        grammar.size,
        "bytes, or a number with K, M or G (powers of 1024), such as 64M",
        _size,
    ),
    "vcpus": Type(grammar.vcpus, "a whole number from 1 to 128", int),
    "ids": Type(
        grammar.list_of(grammar.identifier, 16),
        "identifiers of letters, digits and . _ -, with commas between, such as 0x0e70c093,xck26",
        _words,
    ),
    "compatibles": Type(
        grammar.compatibles,
        "compatible strings of a device tree with blanks between, such as"
        " xlnx,zynqmp-zcu102 xlnx,zynqmp",
        lambda text: tuple(text.split()),
    ),
    "flags": Type(
        grammar.list_of(grammar.one_of("partial", "encrypted"), 2, empty=True),
        "partial, encrypted, both with a comma between, or nothing",
        _words,
    ),
    "nodes": Type(
        grammar.list_of(grammar.node, 8),
        "up to 8 device-tree node names without their unit address, with commas between,"
        " such as sha256,dma",
        _words,
    ),
    "service": Type(
        grammar.service,
        "an RPMsg channel name of at most 31 letters, digits and . _ : -, such as rpmsg-raw",
        str,
    ),
    "services": Type(
        grammar.list_of(grammar.service, 16, empty=True),
        "RPMsg channel names with commas between, or nothing, such as rpmsg-raw,rpmsg-tty",
        _words,
    ),
    "cmdline": Type(grammar.command_line, "at most 2047 printable ASCII characters", str),
    "workload": Choice("firmware", "accelerator", "domain"),
    "guest console": Choice("pv", "vuart"),
    "stop method": Choice("shutdown", "destroy"),
    "crash": Choice("destroy", "coredump"),
    "network": Choice("engine", "none"),
    # Of aliases only.
    "model": Type(grammar.up_to(255), "the device tree's model, of at most 255 characters", str),
    "mebibytes": Type(
        grammar.whole(9), "a whole number of MiB above 0", lambda text: int(text) << 20
    ),
}

#: key -> type
KEYS = {
    SPEC: "version",
    WORKLOAD: "workload",
    PLATFORM: "compatibles",
    "io.hetoci.firmware": "path",
    "io.hetoci.firmware.digest": "digest",
    "io.hetoci.firmware.core": "glob",
    "io.hetoci.firmware.console": "consoles",
    "io.hetoci.firmware.stop-timeout": "seconds",
    "io.hetoci.firmware.clocks": "clocks",
    "io.hetoci.firmware.endpoints": "services",
    "io.hetoci.domain.kernel": "path",
    "io.hetoci.domain.ramdisk": "path",
    "io.hetoci.domain.cmdline": "cmdline",
    "io.hetoci.domain.disk": "path",
    "io.hetoci.domain.digest": "digests",
    "io.hetoci.domain.memory": "size",
    "io.hetoci.domain.vcpus": "vcpus",
    "io.hetoci.domain.console": "guest console",
    "io.hetoci.domain.boot-timeout": "seconds",
    "io.hetoci.domain.stop-method": "stop method",
    "io.hetoci.domain.stop-timeout": "seconds",
    "io.hetoci.domain.on-crash": "crash",
    "io.hetoci.domain.network": "network",
}

#: kind of device -> what follows its name in a key -> type. The first one makes the device.
DEVICE_KEYS = {
    "accelerator": {
        "bitstream": "template",
        "overlay": "template",
        "digest": "digests",
        "slot": "glob",
        "part": "ids",
        "shell": "ids",
        "flags": "flags",
        "clocks": "clocks",
        "memory": "size",
        "devices": "nodes",
        "timeout": "seconds",
    },
    "endpoint": {"service": "service", "core": "glob", "timeout": "seconds"},
}


class Alias:
    """A key of another project. key: ours; type: of the alias's value; when: what has to be
    true for it to count (`gather` knows the words); implies: the workload that it asks for."""

    __slots__ = ("implies", "key", "type", "when")

    def __init__(self, key: str, type_: str = "", *, when: str = "", implies: str = "") -> None:
        self.key = key
        self.type = type_ or KEYS[key]
        self.when = when
        self.implies = implies


#: Which projects these are from, and why others are missing: docs/spec/mapping.md.
ALIASES = {
    ARM_CORE: Alias("io.hetoci.firmware.core", implies="firmware"),
    "mcu": Alias("io.hetoci.firmware.core", when="board and mcu", implies="firmware"),
    "board": Alias(PLATFORM, "model", when="board and mcu", implies="firmware"),
    "org.lfedge.eci.artifact.kernel": Alias("io.hetoci.domain.kernel", implies="domain"),
    "org.lfedge.eci.artifact.initrd": Alias("io.hetoci.domain.ramdisk"),
    "org.lfedge.eci.artifact.root": Alias("io.hetoci.domain.disk"),
    "com.urunc.unikernel.binary": Alias("io.hetoci.domain.kernel", when="user's domain"),
    "com.urunc.unikernel.initrd": Alias("io.hetoci.domain.ramdisk", when="user's domain"),
    "com.urunc.unikernel.cmdline": Alias("io.hetoci.domain.cmdline", when="user's domain"),
    "com.urunc.unikernel.block": Alias("io.hetoci.domain.disk", when="user's domain"),
    "krun.cpus": Alias("io.hetoci.domain.vcpus", when="domain"),
    "krun.ram_mib": Alias("io.hetoci.domain.memory", "mebibytes", when="domain"),
}

#: Variables of process.env that count as keys of the image, where it is a domain already.
VARIABLES = {
    "RUNX_KERNEL": Alias("io.hetoci.domain.kernel", when="domain"),
    "RUNX_RAMDISK": Alias("io.hetoci.domain.ramdisk", when="domain"),
}


def device_of(key: str) -> tuple[str, str, str] | None:
    """(kind, name, rest) of a key about a device, whether or not name and rest are good."""
    if not key.startswith(PREFIX):
        return None
    kind, _, tail = key[len(PREFIX) :].partition(".")
    name, dot, rest = tail.partition(".")
    return (kind, name, rest) if kind in DEVICE_KEYS and dot else None


def general_name(key: str) -> str:
    """`key` with <name> in the place of a device's name."""
    device = device_of(key)
    return f"{PREFIX}{device[0]}.<name>.{device[2]}" if device else key


def type_of(key: str) -> str | None:
    """The type of one of our keys, None if there is no such key."""
    found = KEYS.get(key)
    if found is None:
        device = device_of(key)
        if device is not None and grammar.device_name(device[1]):
            found = DEVICE_KEYS[device[0]].get(device[2])
    return found


def why_unknown(key: str) -> str:
    """What is wrong with a key that has no type."""
    device = device_of(key)
    if device and device[2] in DEVICE_KEYS[device[0]]:
        return (
            f"has the device name {short(device[1])}, right would be up to 16 lower-case letters,"
            " digits and '-', beginning with a letter and not ending with '-'"
        )
    return f"is unknown, did you mean {nearest(key)}?"


def nearest(key: str) -> str:
    """The key of ours that is most like `key`: the share of neighbouring letters that both
    have, which stays cheap for hundreds of long keys."""
    device = device_of(key)
    name = device[1] if device and grammar.device_name(device[1]) else "<name>"
    candidates = [
        *KEYS,
        *(f"{PREFIX}{kind}.{name}.{rest}" for kind, rests in DEVICE_KEYS.items() for rest in rests),
    ]
    wanted = _pairs(key[:100].lower())
    return max(candidates, key=lambda known: _likeness(wanted, _pairs(known)))


def _pairs(key: str) -> set[str]:
    framed = f"^{key.removeprefix(PREFIX)}$"
    return {framed[at : at + 2] for at in range(len(framed) - 1)}


def _likeness(a: set[str], b: set[str]) -> float:
    return 2 * len(a & b) / (len(a) + len(b))


def all_names() -> Sequence[str]:
    """Every key, with <name> for a device's name."""
    devices = (
        f"{PREFIX}{kind}.<name>.{rest}" for kind, rests in DEVICE_KEYS.items() for rest in rests
    )
    return (*KEYS, *devices)
