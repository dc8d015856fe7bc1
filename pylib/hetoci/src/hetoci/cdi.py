# SPDX-License-Identifier: MIT
"""CDI: asking for a device by `--device` (docs/spec/devices.md, 6).

A slot cannot be put into a container before it is programmed, so the CDI device is a request:
a mount of a file that describes it. What is there already (`offers`) is a device node and a mount
of its description. `refresh` writes specifications and files, `requests` finds
them in config.json. Container Device Interface Specification 1.1.0; version 0.5.0 has all that
is used here.
"""

from __future__ import annotations

from .errors import HetociError, MetadataError
from .host import RUN, explain
from .metadata import matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .bundle import Bundle
    from .config import Config
    from .host import Host
    from .offers import Offer

#: Where engines look for specifications of devices that come and go.
SPECS = "/var/run/cdi"
VERSION = "0.5.0"

#: Where the files lie that the mounts of requests bind, by kind.
FILES = f"{RUN}/cdi"
TARGETS = "/run/hetoci/requests"

#: Where a container finds the descriptions of what it got by CDI, a file each.
DESCRIPTIONS = "/run/hetoci/devices.d"
KINDS = ("core", "slot")

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


# what the board has


def refresh(host: Host, settings: Config) -> list[str]:
    """Bring specifications and files up to date; the names of all CDI devices.

    Which slots and cores are free now does not matter: a request for one that is taken is
    refused with its holder's name. Raises HetociError, also for files that cannot be written:
    no container depends on them.
    """
    try:
        return _refresh(host, settings)
    except OSError as error:
        raise HetociError(trouble(error)) from error


def trouble(error: OSError) -> str:
    """The sentence for files that cannot be brought up to date."""
    return f"cannot bring CDI devices up to date ({error.filename or SPECS}): {explain(error)}"


def _refresh(host: Host, settings: Config) -> list[str]:
    from . import inventory, offers
    from .fabric import SLOT

    all_cores = inventory.cores(host)
    cores = {
        core.name: core.instance
        for core in all_cores
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
        names += [f"hetoci.io/{kind}={safe_name(name)}" for name in devices]
    for core in all_cores:
        names += refresh_endpoints(host, core.instance, core.name)
    return names + _write_offers(
        host, "accelerator", "accelerator", offers.prepared(host, settings)
    )


def refresh_endpoints(host: Host, instance: str, core: str) -> list[str]:
    """Bring the CDI devices up to date that are services of the firmware on core `instance`;
    their names. Each core has files of its own: its keeper writes them, and nobody else's.
    Raises OSError."""
    from . import offers

    found = offers.endpoints(host, instance, core)
    return _write_offers(host, "endpoint", f"endpoint-{safe_name(core)}", found)


def _write_offers(host: Host, kind: str, name: str, found: Sequence[Offer]) -> list[str]:
    from .describe import SPEC_VERSION

    directory = f"{FILES}/{name}"
    texts = {
        f"{offer.name}.json": {"specVersion": SPEC_VERSION, "devices": [offer.entry]}
        for offer in found
    }
    devices = [_offer(kind, directory, offer) for offer in found]
    _replace(host, kind, name, texts, devices)
    return [f"hetoci.io/{kind}={device['name']}" for device in devices]


def _offer(kind: str, directory: str, offer: Offer) -> dict[str, Any]:
    name = offer.name
    nodes = [
        {
            "path": device.path,
            "type": device.type,
            "major": device.major,
            "minor": device.minor,
            "permissions": "rw",
        }
        for device in offer.devices
    ]
    mount = _mount(f"{directory}/{name}.json", f"{DESCRIPTIONS}/{kind}-{name}.json")
    return {"name": name, "containerEdits": {"deviceNodes": nodes, "mounts": [mount]}}


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
    """Requests: a device is a mount of a file that tells which one is meant."""
    texts = {
        f"{safe_name(name)}.json": {"device": device, "name": name, "kind": kind}
        for name, device in devices.items()
    }
    specs = [
        {
            "name": file.removesuffix(".json"),
            "containerEdits": {
                "mounts": [_mount(f"{FILES}/{kind}/{file}", f"{TARGETS}/{kind}/{file}")]
            },
        }
        for file in sorted(texts)
    ]
    _replace(host, kind, kind, texts, specs)


def _mount(source: str, target: str) -> dict[str, Any]:
    options = ["bind", "ro", "nosuid", "nodev", "noexec"]
    return {"hostPath": source, "containerPath": target, "options": options}


def _replace(
    host: Host,
    kind: str,
    name: str,
    texts: Mapping[str, Any],
    devices: Sequence[dict[str, Any]],
) -> None:
    """Have the files `texts` in the directory `name`, and a specification of `devices`; neither
    if there are none."""
    from json import dumps

    spec = f"{SPECS}/hetoci.io-{name}.json"
    directory = f"{FILES}/{name}"
    if texts:
        host.make_directory(directory, 0o755)
        host.make_directory(SPECS, 0o755)
    for file, text in texts.items():
        _put(host, f"{directory}/{file}", dumps(text, indent=2), 0o444)
    if devices:
        value = {"cdiVersion": VERSION, "kind": f"hetoci.io/{kind}", "devices": devices}
        _put(host, spec, dumps(value, indent=2), 0o644)
    else:
        host.remove(spec)
    for file in host.listing(directory):
        if file not in texts and not host.being_put(file):
            host.remove(f"{directory}/{file}")


def _put(host: Host, path: str, text: str, mode: int) -> None:
    data = f"{text}\n".encode()
    if host.read_or_none(path) != data:
        host.put(path, data, mode)


def safe_name(name: str) -> str:
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
    mounts = bundle.section("mounts")
    for mount in mounts if isinstance(mounts, list) else ():
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
