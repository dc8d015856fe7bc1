# SPDX-License-Identifier: MIT
"""CDI: asking for a slot or a core by `--device` (docs/spec/devices.md, 6).

A slot cannot be put into a container before it is programmed, so the CDI device is a request:
a mount of a file that describes it. `refresh` writes specifications and files, `requests` finds
them in config.json. Container Device Interface Specification 1.1.0; version 0.5.0 has all that
is used here.
"""

from __future__ import annotations

from .errors import HetociError, MetadataError
from .host import RUN
from .metadata import matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .bundle import Bundle
    from .config import Config
    from .host import Host

#: Where engines look for specifications of devices that come and go.
SPECS = "/var/run/cdi"
VERSION = "0.5.0"

#: Where the files lie that the mounts of requests bind, by kind.
FILES = f"{RUN}/cdi"
TARGETS = "/run/hetoci/requests"
KINDS = ("core", "slot")

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


# what the board has


def refresh(host: Host, settings: Config) -> list[str]:
    """Bring specifications and files up to date; the names of all CDI devices.

    What is free now does not matter: a request for a device that is taken is refused with its
    holder's name.
    """
    from . import inventory
    from .fabric import SLOT

    cores = {
        core.name: core.instance
        for core in inventory.cores(host)
        if any(matches(name, settings.cores) for name in core.names())
    }
    slots = {
        fabric.name: fabric.instance
        for fabric in inventory.fabrics(host, settings.part)
        if fabric.kind == SLOT and any(matches(name, settings.slots) for name in fabric.names())
    }
    slots = slots or _slots_of_shells(host, settings)
    names = []
    for kind, devices in (("core", cores), ("slot", slots)):
        _write(host, kind, devices)
        names += [f"hetoci.io/{kind}={_safe(name)}" for name in devices]
    return names


def _slots_of_shells(host: Host, settings: Config) -> dict[str, str]:
    """Slots that there would be with the operator's first shell, by name."""
    from . import shells

    try:
        found = shells.read(host, settings)
    except HetociError:  # said when a container needs it
        return {}
    names = found[0].slots if found else ()
    return {name: "" for name in names if matches(name, settings.slots)}


def _write(host: Host, kind: str, devices: Mapping[str, str]) -> None:
    from json import dumps

    spec = f"{SPECS}/hetoci.io-{kind}.json"
    directory = f"{FILES}/{kind}"
    wanted = {f"{_safe(name)}.json": (name, device) for name, device in devices.items()}
    if wanted:
        host.make_directory(directory, 0o755)
        host.make_directory(SPECS, 0o755)
    for file, (name, device) in wanted.items():
        told = {"device": device, "name": name, "kind": kind}
        host.put(f"{directory}/{file}", (dumps(told, indent=2) + "\n").encode(), 0o444)
    if wanted:
        host.put(spec, (dumps(_spec(kind, wanted), indent=2) + "\n").encode(), 0o644)
    else:
        host.remove(spec)
    for file in host.listing(directory):
        if file not in wanted and not host.being_put(file):
            host.remove(f"{directory}/{file}")


def _spec(kind: str, files: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cdiVersion": VERSION,
        "kind": f"hetoci.io/{kind}",
        "devices": [
            {
                "name": file.removesuffix(".json"),
                "containerEdits": {
                    "mounts": [
                        {
                            "hostPath": f"{FILES}/{kind}/{file}",
                            "containerPath": f"{TARGETS}/{kind}/{file}",
                            "options": ["bind", "ro", "nosuid", "nodev", "noexec"],
                        }
                    ]
                },
            }
            for file in sorted(files)
        ],
    }


def _safe(name: str) -> str:
    """`name` in CDI's grammar: letters, digits and `_-.`, a letter or digit at both ends."""
    return "".join(c if c in _NAME else "-" for c in name).strip("._-") or "unnamed"


# what a container asks for


def is_request(mount: Any) -> str:
    """The kind of device that `mount` of config.json asks for, "" if it is no request."""
    source = mount.get("source") if isinstance(mount, dict) else None
    for kind in KINDS:
        if isinstance(source, str) and source.startswith(f"{FILES}/{kind}/"):
            return kind
    return ""


def requests(host: Host, bundle: Bundle) -> dict[str, list[str]]:
    """The names of the devices that config.json's mounts ask for, sorted, by kind.

    Raises MetadataError for a request whose file is not there.
    """
    from . import fastjson

    found: dict[str, list[str]] = {}
    for mount in bundle.section("mounts") or []:
        kind = is_request(mount)
        if not kind:
            continue
        try:
            told = fastjson.loads(host.read(mount["source"], 1 << 16).decode())
            name = str(told["name"])
        except (OSError, ValueError, KeyError, TypeError):
            raise MetadataError(
                [f"the CDI request {mount['source']} is for a device that this board has not"]
            ) from None
        found.setdefault(kind, []).append(name)
    return {kind: sorted(names) for kind, names in found.items()}


def as_keys(
    asked: Mapping[str, Sequence[str]], user: Mapping[str, Any], image: Sequence[str]
) -> dict[str, str]:
    """The keys that the requests `asked` amount to (rule D15).

    user: keys of the user; image: names of the image's keys. Raises MetadataError for requests
    that are left over or contradict a key of the user.
    """
    keys: dict[str, str] = {}
    reasons = []
    accelerators = sorted(set(_accelerators((*user, *image))))
    open_ones = [name for name in accelerators if f"io.hetoci.accelerator.{name}.slot" not in user]
    slots = [
        slot
        for slot in asked.get("slot", ())
        if slot not in (user.get(f"io.hetoci.accelerator.{name}.slot") for name in accelerators)
    ]
    for number, slot in enumerate(slots):
        if number < len(open_ones):
            keys[f"io.hetoci.accelerator.{open_ones[number]}.slot"] = slot
        else:
            reasons.append(
                f"the CDI request for slot {slot} is left over: the container has"
                f" {len(open_ones)} accelerators without a slot of the user's choice"
            )
    core_key = "io.hetoci.firmware.core"
    for core in asked.get("core", ()):
        if keys.get(core_key, user.get(core_key, core)) != core:
            other = keys.get(core_key, user.get(core_key))
            reasons.append(f"the CDI request for core {core} contradicts {core_key}={other}")
        else:
            keys[core_key] = core
    if reasons:
        raise MetadataError(reasons)
    return keys


def _accelerators(names: Sequence[str]) -> Iterator[str]:
    head, tail = "io.hetoci.accelerator.", ".bitstream"
    for name in names:
        if name.startswith(head) and name.endswith(tail):
            yield name[len(head) : -len(tail)]
