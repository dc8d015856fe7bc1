# SPDX-License-Identifier: MIT
"""Keys checked, each by itself and against each other, and made a workload
(docs/spec/metadata.md, Types and Rules between keys).

Imported only for containers that have keys of ours. Pure: no I/O.
"""

from __future__ import annotations

from . import SPEC_VERSION, __version__, build, metadata
from .errors import MetadataError
from .gather import NO_DEVICE, VM, Problems, gather
from .keys import DEVICE_KEYS, TYPES, device_of, general_name, short, why_unknown
from .metadata import PREFIX, SPEC, WORKLOAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .config import Config
    from .gather import Entry, Found
    from .metadata import Sources
    from .workloads import VmConfig, Workload

#: Bounds of docs/spec/metadata.md, Names: devices of a container, characters of a value, bytes
#: of a key with its value.
MAX_DEVICES = 16
MAX_VALUE = 4000
MAX_BYTES = 4096

#: (what keys begin with, the workloads they are for)
_NEEDS = (
    ("io.hetoci.firmware", ("firmware",)),
    ("io.hetoci.domain", ("domain",)),
    ("io.hetoci.accelerator", ("accelerator", "domain")),
    ("io.hetoci.endpoint", ("accelerator",)),
)
_KERNEL = "io.hetoci.domain.kernel"
_BESIDE_KERNEL = tuple(f"io.hetoci.domain.{rest}" for rest in ("cmdline", "disk", "ramdisk"))


def workload(
    user: Mapping[str, Any],
    image: Sequence[tuple[str, Mapping[str, Any]]],
    sources: Sources,
    settings: Config,
) -> Workload | None:
    """The workload that the keys ask for; None if none of them does.

    user, image: the keys that concern us in `sources`. Raises MetadataError or PolicyDenied.
    """
    problems = Problems()
    found = gather(user, image, sources, settings, problems)
    for entry in found.keys.values():
        _check(entry, problems)
    vm = _vm(found, sources.vm, problems)
    _check_version(found, problems)
    bad = {key for key, _, _ in problems.found}
    for guilty, objection in (*_rules(found, vm), *_group_rules(found, problems)):
        if guilty.key not in bad:
            problems.add(guilty, objection)
    if found.kind is not None and WORKLOAD not in bad:
        _check_implemented(found, found.kind, problems)
    result = None if problems.found else build.workload(found, vm, sources, problems)
    if problems.found:
        raise MetadataError(problems.sentences())
    if result is not None:
        build.check_policy(found, result, settings)
    return result


def _vm(found: Found, value: Any, problems: Problems) -> VmConfig | None:
    """What config.json's `vm` says, laid over the keys; None if it has none."""
    if value is None:
        return None
    from . import vm

    config = vm.parse(value, problems)
    vm.merge(found, config, problems)
    return config


def _check(entry: Entry, problems: Problems) -> None:
    """Convert the entry's value, or say what is wrong with it."""
    value = entry.value
    objection = None
    if not isinstance(value, str):
        objection = f"is {_json_type(value)}, a string is needed"
    elif not entry.spelt.isprintable():
        objection = "has unprintable characters in its name"
    elif not value.isprintable():
        objection = f"has unprintable characters in {short(value)}"
    elif len(entry.spelt.encode()) + len(value.encode()) > MAX_BYTES:
        objection = f"has more than {MAX_BYTES} bytes with its value"
    elif entry.type is None:
        objection = why_unknown(entry.key)
    elif len(value) > MAX_VALUE:
        objection = (
            f"is {short(value)}, right would be a string of at most {MAX_VALUE} printable"
            " characters"
        )
    else:
        objection = TYPES[entry.type].objection(value)
        if objection is None:
            entry.value = TYPES[entry.type].convert(value)
    if objection is not None:
        problems.add(entry, objection)


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"


# rules between keys


def _check_version(found: Found, problems: Problems) -> None:
    """Another major version is refused; of a later minor one, keys that we do not know."""
    entry = found.keys.get(SPEC)
    if entry is None or problems.has(SPEC):
        return
    ours = TYPES["version"].convert(SPEC_VERSION)
    written = ".".join(str(number) for number in entry.value)
    if entry.value[0] != ours[0]:
        problems.add(entry, f"is {written}, this hetoci knows version {SPEC_VERSION}")
    elif entry.value > ours:
        problems.explain_unknown(
            f" (the metadata is of version {written}, this hetoci knows {SPEC_VERSION})"
        )


def _rules(found: Found, vm: VmConfig | None) -> Iterator[tuple[Entry, str]]:
    """What is wrong with keys because of what stands, or does not stand, beside them."""
    for prefix, workloads in _NEEDS:
        keys = [key for key in found.keys if key == prefix or key.startswith(prefix + ".")]
        if keys and found.kind not in workloads:
            right = f"{WORKLOAD}={' or ='.join(workloads)}"
            yield found.keys[min(keys)], f"needs {right} beside it"
    beside = [key for key in _BESIDE_KERNEL if key in found.keys]
    if beside and _KERNEL not in found.keys and not (vm and vm.kernel):
        yield found.keys[min(beside)], f"needs {_KERNEL} beside it"
    if found.kind == "accelerator" and not any(_makes_device(key) for key in found.keys):
        yield found.keys[WORKLOAD], NO_DEVICE


def _makes_device(key: str) -> bool:
    device = device_of(key)
    return device is not None and device[2] == next(iter(DEVICE_KEYS[device[0]]))


def _group_rules(found: Found, problems: Problems) -> Iterator[tuple[Entry, str]]:
    """Rules about devices: their number, what makes them, one space of names."""
    groups: dict[tuple[str, str], list[str]] = {}
    for key, entry in found.keys.items():
        device = device_of(key)
        if device is not None and entry.type is not None:
            groups.setdefault(device[:2], []).append(key)
    if len(groups) > MAX_DEVICES:
        problems.add("the metadata", f"names {len(groups)} devices, {MAX_DEVICES} are allowed")
    for (kind, name), keys in sorted(groups.items()):
        guilty = found.keys[min(keys)]
        maker = f"{PREFIX}{kind}.{name}.{next(iter(DEVICE_KEYS[kind]))}"
        if maker not in found.keys:
            yield guilty, f"needs {maker} beside it"
        if kind == "endpoint" and ("accelerator", name) in groups:
            yield guilty, f"uses the name {name!r}, which an accelerator has"


def _check_implemented(found: Found, kind: str, problems: Problems) -> None:
    """Refuse what is understood, but not done yet."""
    if kind not in metadata.WORKLOADS:
        runs = ", ".join(metadata.WORKLOADS)
        problems.add(
            found.asked_by,
            f"asks for the workload {kind}, which hetoci {__version__} does not run yet;"
            f" it runs: {runs}",
        )
    elif found.asked_by == VM and "vm" in metadata.PLANNED:
        problems.add(VM, f"is not acted on yet by hetoci {__version__}")
    for key, entry in found.keys.items():
        if general_name(key) in metadata.PLANNED and not problems.has(key):
            problems.add(entry, f"is not acted on yet by hetoci {__version__}")
