# SPDX-License-Identifier: MIT
"""Keys from all sources, put together, checked against each other, and made a workload
(docs/spec/carriers.md, 2 to 4; docs/spec/metadata.md, Rules between keys).

Imported only for containers that have keys of ours. Pure: no I/O.
"""

from __future__ import annotations

from . import SPEC_VERSION, __version__, metadata
from .errors import MetadataError, PolicyDenied
from .keys import ALIASES, DEVICE_KEYS, TYPES, VARIABLES, device_of, short, type_of, why_unknown
from .metadata import FIRMWARE, PLATFORM, PREFIX, SPEC, WORKLOAD, matches
from .workloads import (
    AcceleratorRequest,
    AcceleratorWorkload,
    DomainWorkload,
    EndpointRequest,
    FirmwareWorkload,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .config import Config
    from .keys import Alias
    from .metadata import Sources
    from .workloads import Workload

#: Bounds of docs/spec/metadata.md, Names: keys of ours in one source, devices of a container,
#: characters of a value, bytes of a key with its value.
MAX_KEYS = 256
MAX_DEVICES = 16
MAX_VALUE = 4000
MAX_BYTES = 4096

#: Where containerd and CRI-O write a container's name in its pod.
_CONTAINER_NAMES = ("io.kubernetes.cri.container-name", "io.kubernetes.container.name")

#: (what keys begin with, the workloads they are for)
_NEEDS = (
    ("io.hetoci.firmware", ("firmware",)),
    ("io.hetoci.domain", ("domain",)),
    ("io.hetoci.accelerator", ("accelerator", "domain")),
    ("io.hetoci.endpoint", ("accelerator",)),
)
_DEVICES = ("io.hetoci.accelerator.", "io.hetoci.endpoint.")
_NO_DEVICE = (
    "is accelerator, and there is neither an accelerator's bitstream nor an endpoint's service"
)
_KERNEL = "io.hetoci.domain.kernel"
_BESIDE_KERNEL = tuple(f"io.hetoci.domain.{rest}" for rest in ("cmdline", "disk", "ramdisk"))


class Entry:
    """One key that was found. key: ours; spelt, source: as it stands and where, for messages;
    type: of the value, None for an unknown key; value: as found, then as workloads hold it;
    user: it is the user's, not the image's."""

    __slots__ = ("key", "source", "spelt", "type", "user", "value")

    def __init__(self, key: str, source: str, spelt: str, value: Any, *, user: bool) -> None:
        self.key = key
        self.type = type_of(key)
        self.source = source
        self.spelt = spelt
        self.value = value
        self.user = user

    def __str__(self) -> str:
        plain = self.spelt and " " not in self.spelt and self.spelt.isprintable()
        name = self.spelt if plain else repr(self.spelt)
        return f"{self.source} {name if len(name) <= 100 else name[:97] + '...'}"


class Problems:
    """What is wrong, by key, in the order found."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[tuple[str, str, str]] = []  # key, who (for the message), reason

    def add(self, who: Entry | str, reason: str) -> None:
        """`who` is wrong, for `reason`."""
        self.found.append((who.key if isinstance(who, Entry) else "", str(who), reason))

    def explain_unknown(self, more: str) -> None:
        """Say `more` about every key that is unknown."""
        self.found = [
            (key, who, reason + more if reason.startswith("is unknown") else reason)
            for key, who, reason in self.found
        ]

    def has(self, key: str) -> bool:
        """True if something is wrong with `key` already."""
        return any(key == wrong for wrong, _, _ in self.found)

    def sentences(self) -> list[str]:
        """Every reason, without those that only follow from another one."""
        bad_device = any(key.startswith(_DEVICES) for key, _, _ in self.found)
        bad_workload = any(k == WORKLOAD and r != _NO_DEVICE for k, _, r in self.found)
        return [
            f"{who} {reason}"
            for _, who, reason in self.found
            if not (bad_device and reason == _NO_DEVICE)
            and not (bad_workload and reason.startswith(f"needs {WORKLOAD}="))
        ]


def workload(
    user: Mapping[str, Any],
    image: Sequence[tuple[str, Mapping[str, Any]]],
    sources: Sources,
    settings: Config,
) -> Workload | None:
    """The workload that the keys ask for; None if none of them does.

    user, image: the keys that concern us in `sources`. Raises MetadataError or PolicyDenied.
    """
    _check_number(user, image)
    problems = Problems()
    users = _users_entries(user, sources.annotations, problems)
    images = _images_entries(image)
    for entries in (users, images):
        _drop_unlisted(entries, settings.image_keys)
    kind, asked_by = _kind(users, images)
    _drop_conditional(users, images, kind)
    if kind == "domain":
        images = {**_variables(sources.env), **images}
    _check_allowed(images, settings.image_keys)
    found = {**_own_names(images), **_own_names(users)}
    for entry in found.values():
        _check(entry, problems)
    _check_version(found, problems)
    bad = {key for key, _, _ in problems.found}
    for entry, objection in (*_rules(found, kind), *_group_rules(found, problems)):
        if entry.key not in bad:
            problems.add(entry, objection)
    if asked_by is not None and not problems.has(asked_by.key):
        _check_implemented(found, kind, asked_by, problems)
    if problems.found:
        raise MetadataError(problems.sentences())
    if kind == "firmware":
        result: Workload | None = _firmware(found, sources, problems)
    elif kind == "accelerator":
        result = AcceleratorWorkload(
            _accelerators(found), _endpoints(found), _value(found, PLATFORM, ())
        )
    elif kind == "domain":
        result = _domain(found)
    else:
        result = None
    if problems.found:
        raise MetadataError(problems.sentences())
    return result


# sources


def _check_number(user: Mapping[str, Any], image: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Refuse too many keys before any work is done on them."""
    counts = [("the user's annotations", len(user))]
    counts.append(("the image", sum(len(keys) for _, keys in image)))
    reasons = [
        f"{who} {'have' if who.endswith('s') else 'has'} {number} keys of the extension,"
        f" {MAX_KEYS} are allowed"
        for who, number in counts
        if number > MAX_KEYS
    ]
    if reasons:
        raise MetadataError(reasons)


def _users_entries(
    keys: Mapping[str, Any], annotations: Mapping[str, Any], problems: Problems
) -> dict[str, Entry]:
    """The user's keys; in a pod KEY/CONTAINER is KEY, for the container of that name only."""
    names = [annotations[key] for key in _CONTAINER_NAMES if key in annotations]
    plain: dict[str, Entry] = {}
    scoped: dict[str, Entry] = {}
    for spelt, value in keys.items():
        key, slash, container = spelt.partition("/")
        if not slash:
            plain[key] = Entry(key, "annotation", spelt, value, user=True)
        elif container in names:
            scoped[key] = Entry(key, "annotation", spelt, value, user=True)
        elif not names and type_of(key) is None:
            plain[spelt] = Entry(spelt, "annotation", spelt, value, user=True)
        elif not names:
            who = Entry(key, "annotation", spelt, value, user=True)
            problems.add(who, "is unknown outside of a pod, the part after '/' names a container")
    return {**plain, **scoped}


def _images_entries(image: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for source, keys in image:
        for key, value in keys.items():
            found.setdefault(key, Entry(key, source, key, value, user=False))
    return found


def _drop_unlisted(entries: dict[str, Entry], globs: Sequence[str]) -> None:
    """`board` and `mcu` have no prefix, so others may mean something else by them: they count
    only together, and only if the operator's list names them."""
    pair = [key for key, alias in ALIASES.items() if alias.when == "board and mcu"]
    if not all(key in entries and matches(key, globs) for key in pair):
        for key in pair:
            entries.pop(key, None)


def _kind(
    users: Mapping[str, Entry], images: Mapping[str, Entry]
) -> tuple[str | None, Entry | None]:
    """The workload, and the entry that asks for it: what is stated wins over what an alias
    implies, and the user over the image."""
    stated = users.get(WORKLOAD) or images.get(WORKLOAD)
    if stated is not None:
        return (stated.value if isinstance(stated.value, str) else None), stated
    for entries in (users, images):
        for key, entry in entries.items():
            alias = ALIASES.get(key)
            if alias is not None and alias.implies:
                return alias.implies, entry
    return None, None


def _drop_conditional(users: dict[str, Entry], images: dict[str, Entry], kind: str | None) -> None:
    """Leave out the aliases whose condition is not met: as other foreign keys they mean
    nothing to us."""
    stated = users.get(WORKLOAD)
    true = {
        "domain": kind == "domain",
        "user's domain": stated is not None and stated.value == "domain",
    }
    for entries in (users, images):
        for key in [key for key in entries if key in ALIASES]:
            if not true.get(ALIASES[key].when, True):
                del entries[key]


def _variables(env: Sequence[str]) -> dict[str, Entry]:
    """runX's variables. Nobody can tell who set them, so they count as the image's."""
    pairs = (variable.partition("=") for variable in env if isinstance(variable, str))
    return {
        name: Entry(name, "variable", name, value, user=False)
        for name, equals, value in pairs
        if equals and name in VARIABLES
    }


def _check_allowed(images: Mapping[str, Entry], globs: Sequence[str]) -> None:
    refused = [entry for key, entry in sorted(images.items()) if not matches(key, globs)]
    if refused:
        allowed = " ".join(globs) or "none"
        raise PolicyDenied(
            "the image may not set what it sets",
            [f"{entry} is not among the allowed image-keys ({allowed})" for entry in refused],
        )


def _own_names(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries of one source by our keys: an alias counts where ours is not there."""
    found = {}
    for key, entry in entries.items():
        alias: Alias | None = ALIASES.get(key) or VARIABLES.get(key)
        if alias is None:
            found[key] = entry
        elif alias.key not in entries:
            entry.key, entry.type = alias.key, alias.type
            found.setdefault(alias.key, entry)
    return found


# one key


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


def _check_version(found: Mapping[str, Entry], problems: Problems) -> None:
    """Another major version is refused; of a later minor one, keys that we do not know."""
    entry = found.get(SPEC)
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


def _rules(found: Mapping[str, Entry], kind: str | None) -> Iterator[tuple[Entry, str]]:
    """What is wrong with keys because of what stands, or does not stand, beside them."""
    for prefix, workloads in _NEEDS:
        keys = [key for key in found if key == prefix or key.startswith(prefix + ".")]
        if keys and kind not in workloads:
            right = f"{WORKLOAD}={' or ='.join(workloads)}"
            yield found[min(keys)], f"needs {right} beside it"
    beside = [key for key in _BESIDE_KERNEL if key in found]
    if beside and _KERNEL not in found:
        yield found[min(beside)], f"needs {_KERNEL} beside it"
    if kind == "accelerator" and not any(_makes_device(key) for key in found):
        yield found[WORKLOAD], _NO_DEVICE


def _makes_device(key: str) -> bool:
    device = device_of(key)
    return device is not None and device[2] == next(iter(DEVICE_KEYS[device[0]]))


def _group_rules(found: Mapping[str, Entry], problems: Problems) -> Iterator[tuple[Entry, str]]:
    """Rules about devices: their number, what makes them, one space of names."""
    groups: dict[tuple[str, str], list[str]] = {}
    for key, entry in found.items():
        device = device_of(key)
        if device is not None and entry.type is not None:
            groups.setdefault(device[:2], []).append(key)
    if len(groups) > MAX_DEVICES:
        problems.add("the metadata", f"names {len(groups)} devices, {MAX_DEVICES} are allowed")
    for (kind, name), keys in sorted(groups.items()):
        guilty = found[min(keys)]
        maker = f"{PREFIX}{kind}.{name}.{next(iter(DEVICE_KEYS[kind]))}"
        if maker not in found:
            yield guilty, f"needs {maker} beside it"
        if kind == "endpoint" and ("accelerator", name) in groups:
            yield guilty, f"uses the name {name!r}, which an accelerator has"


def _check_implemented(
    found: Mapping[str, Entry], kind: str | None, asked_by: Entry, problems: Problems
) -> None:
    """Refuse what is understood, but not done yet."""
    if kind not in metadata.WORKLOADS:
        runs = ", ".join(metadata.WORKLOADS)
        problems.add(
            asked_by,
            f"asks for the workload {kind}, which hetoci {__version__} does not run yet;"
            f" it runs: {runs}",
        )
    for key in metadata.PLANNED:
        if key in found and not problems.has(key):
            problems.add(found[key], f"is not acted on yet by hetoci {__version__}")


# workloads


def _value(found: Mapping[str, Entry], key: str, default: Any) -> Any:
    entry = found.get(key)
    return default if entry is None else entry.value


def _firmware(found: Mapping[str, Entry], sources: Sources, problems: Problems) -> FirmwareWorkload:
    path = _value(found, FIRMWARE, None)
    if path is None:
        path = _entry_point(sources, problems)
    platform = found.get(PLATFORM)
    by_model = platform is not None and platform.type == "model"
    return FirmwareWorkload(
        path,
        core=_value(found, f"{FIRMWARE}.core", ""),
        digest=_value(found, f"{FIRMWARE}.digest", ""),
        consoles=_value(found, f"{FIRMWARE}.console", ("trace", "rpmsg-tty")),
        stop_timeout=_value(found, f"{FIRMWARE}.stop-timeout", 10.0),
        clocks=_value(found, f"{FIRMWARE}.clocks", ()),
        endpoints=_value(found, f"{FIRMWARE}.endpoints", ()),
        platform=() if by_model else _value(found, PLATFORM, ()),
        model=_value(found, PLATFORM, "") if by_model else "",
    )


def _entry_point(sources: Sources, problems: Problems) -> str:
    """The firmware's path by the first word of the image's entry point."""
    path = sources.args[0] if sources.args else ""
    if not path:
        problems.add("no firmware is named:", f"set {FIRMWARE} or the image's entry point")
        return ""
    if not path.startswith("/"):
        path = f"{sources.cwd.rstrip('/')}/{path}"
    if ".." in path.split("/"):
        problems.add("the image's entry point", f"is {short(path)}, a path without '..' is needed")
    return "/" + path.lstrip("/")


def _names(found: Mapping[str, Entry], kind: str) -> list[str]:
    devices = (device_of(key) for key in found)
    return sorted({device[1] for device in devices if device is not None and device[0] == kind})


def _accelerators(found: Mapping[str, Entry]) -> list[AcceleratorRequest]:
    requests = []
    for name in _names(found, "accelerator"):
        base = f"{PREFIX}accelerator.{name}."
        flags = _value(found, base + "flags", ())
        requests.append(
            AcceleratorRequest(
                name,
                found[base + "bitstream"].value,
                overlay=_value(found, base + "overlay", ""),
                digests=_value(found, base + "digest", ()),
                slot=_value(found, base + "slot", "*"),
                parts=_value(found, base + "part", ()),
                shells=_value(found, base + "shell", ()),
                partial="partial" in flags,
                encrypted="encrypted" in flags,
                clocks=_value(found, base + "clocks", ()),
                memory=_value(found, base + "memory", 0),
                nodes=_value(found, base + "devices", ()),
                timeout=_value(found, base + "timeout", 10.0),
            )
        )
    return requests


def _endpoints(found: Mapping[str, Entry]) -> list[EndpointRequest]:
    return [
        EndpointRequest(
            name,
            found[f"{PREFIX}endpoint.{name}.service"].value,
            core=_value(found, f"{PREFIX}endpoint.{name}.core", "*"),
            timeout=_value(found, f"{PREFIX}endpoint.{name}.timeout", 10.0),
        )
        for name in _names(found, "endpoint")
    ]


def _domain(found: Mapping[str, Entry]) -> DomainWorkload:
    base = f"{PREFIX}domain."
    return DomainWorkload(
        kernel=_value(found, _KERNEL, ""),
        ramdisk=_value(found, base + "ramdisk", ""),
        cmdline=_value(found, base + "cmdline", ""),
        disk=_value(found, base + "disk", ""),
        digests=_value(found, base + "digest", ()),
        memory=_value(found, base + "memory", 0),
        vcpus=_value(found, base + "vcpus", 0),
        console=_value(found, base + "console", "pv"),
        boot_timeout=_value(found, base + "boot-timeout", None),
        stop_method=_value(found, base + "stop-method", "shutdown"),
        stop_timeout=_value(found, base + "stop-timeout", 10.0),
        on_crash=_value(found, base + "on-crash", "destroy"),
        accelerators=_accelerators(found),
        platform=_value(found, PLATFORM, ()),
    )
