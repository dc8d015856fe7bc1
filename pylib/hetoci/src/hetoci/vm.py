# SPDX-License-Identifier: MIT
"""`vm` of config.json (runtime-spec, config-vm.md) as hetoci takes it (docs/spec/mapping.md, 2).

It has the strength of the user, and its paths are the host's. Pure: no I/O. Members that
runtime-spec does not know are ignored, as it asks for.
"""

from __future__ import annotations

from .gather import VM
from .keys import TYPES, short
from .metadata import PREFIX, WORKLOAD
from .workloads import PageRange, VmConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .gather import Entry, Found, Problems

#: What `vm` and a key both say: name of the key and of VmConfig's attribute -> member of vm.
_BOTH = {
    "kernel": "kernel.path",
    "ramdisk": "kernel.initrd",
    "cmdline": "kernel.parameters",
    "disk": "image.path",
    "memory": "hwConfig.memory",
    "vcpus": "hwConfig.vcpus",
}

#: Interrupts of devices (SPI) as xl counts them: the first, and the last that a GIC has.
_FIRST_SPI, _LAST_SPI = 32, 1019


class _Section:
    """An object of config.json, read member by member; what is wrong goes to `problems`."""

    def __init__(self, where: str, value: Any, problems: Problems) -> None:
        self.where = where
        self.problems = problems
        self.members: dict[str, Any] = {}
        if isinstance(value, dict):
            self.members = value
        elif value is not None:
            problems.add(where, "is no object, one is needed")

    def wrong(self, name: str, reason: str) -> None:
        self.problems.add(f"{self.where}.{name}", reason)

    def section(self, name: str) -> _Section:
        return _Section(f"{self.where}.{name}", self.members.get(name), self.problems)

    def given(self, *names: str) -> list[str]:
        """Those of `names` that say something: Go programs write empty members, too."""
        return [name for name in names if self.members.get(name)]

    def path(self, name: str) -> str:
        """A path on the host, "" for none."""
        value = self.members.get(name) or ""
        if not value or (isinstance(value, str) and value[0] == "/" and value.isprintable()):
            return str(value)
        self.wrong(name, f"is {short(str(value))}, an absolute path on the host is needed")
        return ""

    def number(self, name: str, first: int, last: int, default: int = 0) -> int:
        """A whole number first..last, `default` for none."""
        value = self.members.get(name)
        if value is None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and first <= value <= last:
            return value
        self.wrong(name, f"is {short(str(value))}, a whole number {first} to {last} is needed")
        return default

    def list(self, name: str) -> Iterator[tuple[str, Any]]:
        """The entries of a list, each with its name for messages."""
        value = self.members.get(name)
        if isinstance(value, list):
            yield from ((f"{name}[{number}]", entry) for number, entry in enumerate(value))
        elif value is not None:
            self.wrong(name, "is no list, one is needed")


def parse(value: Any, problems: Problems) -> VmConfig:
    """What `vm` asks for. Everything that is wrong is added to `problems`."""
    vm = _Section(VM, value, problems)
    hypervisor = vm.section("hypervisor")
    for name in hypervisor.given("path", "parameters"):
        hypervisor.wrong(name, "is the operator's to choose, leave it out")
    found = VmConfig()
    _kernel(vm.section("kernel"), found)
    _image(vm.section("image"), found)
    if {"hwConfig", "hwconfig"} <= set(vm.members):
        vm.wrong("hwConfig", "stands beside hwconfig, which is the same; keep one")
    else:
        _hardware(vm.section("hwconfig" if "hwconfig" in vm.members else "hwConfig"), found)
    return found


def _kernel(kernel: _Section, found: VmConfig) -> None:
    found.kernel = kernel.path("path")
    found.ramdisk = kernel.path("initrd")
    words = []
    for name, word in kernel.list("parameters"):
        if isinstance(word, str) and word.isascii() and word.isprintable() and word:
            words.append(word)
        else:
            kernel.wrong(name, f"is {short(str(word))}, a word of printable ASCII is needed")
            continue
        if set(word) & set(" '\""):
            kernel.wrong(name, f"is {short(word)}, parameters with blanks or quotes are refused")
    found.cmdline = " ".join(words)
    objection = TYPES["cmdline"].objection(found.cmdline)
    if objection:
        kernel.wrong("parameters", f"together {objection}")
    if not kernel.members.get("path"):
        for name in kernel.given("initrd", "parameters"):
            kernel.wrong(name, "needs path beside it")


def _image(image: _Section, found: VmConfig) -> None:
    found.disk = image.path("path")
    kind = image.members.get("format") or ""
    if (found.disk or kind) and kind != "raw":
        image.wrong("format", f"is {short(str(kind))}, there is: raw")


def _hardware(hardware: _Section, found: VmConfig) -> None:
    found.device_tree = hardware.path("deviceTree")
    found.vcpus = hardware.number("vcpus", 1, 128) if hardware.given("vcpus") else 0
    found.memory = hardware.number("memory", 1, 1 << 48) if hardware.given("memory") else 0
    found.dtdevs = tuple(
        node for name, node in hardware.list("dtdevs") if _is_node(hardware, name, node)
    )
    found.irqs = tuple(
        _Section(hardware.where, {name: value}, hardware.problems).number(
            name, _FIRST_SPI, _LAST_SPI, _FIRST_SPI
        )
        for name, value in hardware.list("irqs")
    )
    found.iomems = tuple(
        _pages(_Section(f"{hardware.where}.{name}", value, hardware.problems))
        for name, value in hardware.list("iomems")
    )


def _is_node(hardware: _Section, name: str, value: Any) -> bool:
    if isinstance(value, str) and value.startswith("/") and value.isprintable():
        return True
    hardware.wrong(name, f"is {short(str(value))}, the path of a device-tree node is needed")
    return False


def _pages(entry: _Section) -> PageRange:
    for name in ("firstMFN", "nrMFNs"):
        if entry.members.get(name) is None:
            entry.wrong(name, "is missing")
    last = (1 << 36) - 1
    first = entry.number("firstMFN", 0, last)
    guest = entry.number("firstGFN", 0, last, first)
    return PageRange(first, entry.number("nrMFNs", 1, last, 1), guest)


def merge(found: Found, vm: VmConfig, problems: Problems) -> None:
    """Lay `vm` over the keys: the image's give way, the user's must not say something else.

    Values of keys have been converted. With a kernel of the host, the ramdisk and command
    line of the image's kernel have no meaning either.
    """
    stated = found.keys.get(WORKLOAD)
    if stated is not None and stated.value != "domain" and not problems.has(WORKLOAD):
        problems.add(stated, f"is {stated.value}, and config.json has vm, which makes a domain")
    for name, member in _BOTH.items():
        entry = found.keys.get(f"{PREFIX}domain.{name}")
        if entry is None:
            continue
        theirs = getattr(vm, name)
        if not entry.user:
            if theirs or (vm.kernel and name in ("ramdisk", "cmdline")):
                del found.keys[entry.key]
        elif theirs and not problems.has(entry.key):
            _compare(entry, name in ("kernel", "ramdisk", "disk"), theirs, member, problems)
    if vm.disk and not vm.kernel and f"{PREFIX}domain.kernel" not in found.keys:
        problems.add(f"{VM}.{_BOTH['disk']}", "needs a kernel beside it")


def _compare(entry: Entry, is_file: bool, theirs: Any, member: str, problems: Problems) -> None:
    if is_file:
        problems.add(entry, f"names a file of the image, {VM}.{member} one of the host; keep one")
    elif entry.value != theirs:
        problems.add(entry, f"means {short(str(entry.value))}, {VM}.{member} {short(str(theirs))}")
