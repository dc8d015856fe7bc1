# SPDX-License-Identifier: MIT
"""Devices into the container: edits of config.json (docs/spec/devices.md, D3 to D8)."""

from __future__ import annotations

import os

from . import cdi
from .bundle import meaning
from .errors import BundleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .bundle import Bundle
    from .host import Host

#: Where a program finds the description of its devices.
DESCRIPTION = "/run/hetoci/devices.json"

_MODE = 0o660


class Device:
    """A device file as the container sees it: `type` c or b."""

    __slots__ = ("major", "minor", "path", "type")

    def __init__(self, path: str, kind: str, major: int, minor: int) -> None:
        self.path = path
        self.type = kind
        self.major = major
        self.minor = minor


def edited(
    host: Host, bundle: Bundle, devices: Sequence[Device], description: str
) -> dict[str, Any]:
    """config.json for the delegate: the bundle's own, with `devices`, their access rules and
    the description, and with paths that mean the same from another directory.

    Raises BundleError for a container that cannot have them.
    """
    check(host, bundle, [device.path for device in devices])
    config = dict(bundle.config)
    linux = _object(config, "linux")
    _numbers(linux, devices)
    user = _object(_object(config, "process"), "user")
    linux["devices"] = [
        *(linux.get("devices") or []),
        *(
            {
                "path": device.path,
                "type": device.type,
                "major": device.major,
                "minor": device.minor,
                "fileMode": _MODE,
                "uid": user.get("uid") or 0,
                "gid": user.get("gid") or 0,
            }
            for device in devices
        ),
    ]
    resources = _object(linux, "resources")
    resources["devices"] = _rules(resources.get("devices") or [], devices)
    linux["resources"] = resources
    config["linux"] = linux
    config["mounts"] = [*_mounts(bundle), _bind(description)]
    config["root"] = {**_object(config, "root"), "path": bundle.rootfs}
    return config


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    found = parent.get(name)
    return dict(found) if isinstance(found, dict) else {}


def _rules(rules: list[Any], devices: Sequence[Device]) -> list[Any]:
    first = rules[0] if rules else None
    denies_all = (
        first is not None
        and first.get("allow") is False
        and first.get("type", "a") == "a"
        and first.get("major") in (None, -1)
        and first.get("minor") in (None, -1)
    )
    head: list[Any] = [] if denies_all else [{"allow": False, "access": "rwm"}]
    own = [
        {"allow": True, "type": d.type, "major": d.major, "minor": d.minor, "access": "rw"}
        for d in devices
    ]
    return [*head, *rules, *own]


def _mounts(bundle: Bundle) -> list[Any]:
    """The bundle's mounts without CDI's requests; relative sources begin at the bundle
    (runtime-spec, config.md)."""
    mounts = []
    for mount in bundle.section("mounts") or []:
        if cdi.is_request(mount):
            continue
        source = mount.get("source")
        options = mount.get("options") or []
        words = {*options, mount.get("type")}
        if words & {"bind", "rbind"} and source and not source.startswith("/"):
            mount = {**mount, "source": f"{bundle.path}/{source}"}
        mounts.append(mount)
    return mounts


def _bind(description: str) -> dict[str, Any]:
    return {
        "destination": DESCRIPTION,
        "type": "bind",
        "source": description,
        "options": ["bind", "ro", "nosuid", "nodev", "noexec"],
    }


def check(host: Host, bundle: Bundle, paths: Sequence[str]) -> None:
    """Raise BundleError for a container that cannot have devices at `paths`, and for what
    `edited` could not work with."""
    mounts = _objects(bundle, "mounts")
    for number, mount in enumerate(mounts):
        _typed(mount, f"mounts[{number}]", _MOUNT)
    for section in (("process",), ("process", "user"), ("linux",), ("linux", "resources")):
        if not isinstance(bundle.section(*section) or {}, dict):
            raise BundleError(f"{'.'.join(section)} in config.json is no object")
    _typed(bundle.section("process", "user") or {}, "process.user", _USER)
    _objects(bundle, "linux", "resources", "devices")
    have = _objects(bundle, "linux", "devices")
    for number, device in enumerate(have):
        _typed(device, f"linux.devices[{number}]", _DEVICE)
    for namespace in _objects(bundle, "linux", "namespaces"):
        if namespace.get("type") == "user":
            raise BundleError(
                "a container with a user namespace of its own cannot have accelerators",
                hint="run it without (docs/spec/devices.md, D8)",
            )
    rootfs = bundle.rootfs or ""
    _free(paths, [(meaning(host, rootfs, m.get("destination") or ""), m) for m in mounts], have)


#: Members that are read here, and what they are (runtime-spec, config.md and config-linux.md).
_MOUNT = {
    "destination": "string",
    "source": "string",
    "type": "string",
    "options": "list of strings",
}
_USER = {"uid": "number", "gid": "number"}
_DEVICE = {"path": "string", "type": "string", "major": "number", "minor": "number"}


def _objects(bundle: Bundle, *names: str) -> list[dict[str, Any]]:
    """The list of objects at `names`, [] if there is nothing. Raises BundleError."""
    found = bundle.section(*names)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise BundleError(f"{'.'.join(names)} in config.json is no list of objects")
    return found


def _typed(found: dict[str, Any], where: str, members: dict[str, str]) -> None:
    """Raise BundleError for a member of `found` that is there and is something else."""
    for name, kind in members.items():
        value = found.get(name)
        if value is None:
            continue
        if kind == "list of strings":
            right = isinstance(value, list) and all(isinstance(word, str) for word in value)
        else:
            right = type(value) is (int if kind == "number" else str)
        if not right:
            raise BundleError(f"{where}.{name} in config.json is no {kind}")


def _normal(path: str | None) -> str:
    """`path` in the container without `..`, `.` and needless slashes."""
    return os.path.normpath("/" + (path or "").lstrip("/"))


def _free(
    paths: Sequence[str], mounts: Sequence[tuple[str, dict[str, Any]]], have: list[dict[str, Any]]
) -> None:
    """Raise BundleError if a device file at one of `paths` would be in something else.

    The delegate makes device files after all mounts: in one of the host's they would be the
    host's. mounts: with their places."""
    for place, mount in mounts:
        words = {mount.get("type"), *(mount.get("options") or ())}
        if place in ("/", "/dev") and words & {"bind", "rbind", "devtmpfs"}:
            raise BundleError("the container's /dev is the host's: accelerators would show there")
        if place == DESCRIPTION:
            raise BundleError(f"the container has a mount at {DESCRIPTION} already")
        for path in paths if place not in ("/", "/dev") else ():
            if place != path and f"{path}/".startswith(f"{place}/"):
                raise BundleError(f"the container has a mount at {place}, where {path} has to be")
    places = [*(place for place, _ in mounts), *(_normal(d.get("path")) for d in have)]
    for path in paths:
        if any(f"{place}/".startswith(f"{path}/") for place in places):
            raise BundleError(f"the container has something at {path} already")


def _numbers(linux: dict[str, Any], devices: Sequence[Device]) -> None:
    """Raise BundleError if the container has one of `devices` already."""
    have = linux.get("devices") or []
    numbers = {(d.get("type"), d.get("major"), d.get("minor")) for d in have}
    for device in devices:
        if (device.type, device.major, device.minor) in numbers:
            raise BundleError(
                f"the container has the device {device.type} {device.major}:{device.minor},"
                f" which belongs to {device.path}, already"
            )
