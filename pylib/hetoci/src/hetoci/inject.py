# SPDX-License-Identifier: MIT
"""Devices into the container: edits of config.json (docs/spec/devices.md, D3 to D8)."""

from __future__ import annotations

from . import cdi
from .errors import BundleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .bundle import Bundle

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


def edited(bundle: Bundle, devices: Sequence[Device], description: str) -> dict[str, Any]:
    """config.json for the delegate: the bundle's own, with `devices`, their access rules and
    the description, and with paths that mean the same from another directory.

    Raises BundleError for a container that cannot have them.
    """
    config = dict(bundle.config)
    linux = _object(config, "linux")
    check(bundle, [device.path for device in devices])
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
                "uid": user.get("uid", 0),
                "gid": user.get("gid", 0),
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
        isinstance(first, dict)
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
        words = {word for word in (*options, mount.get("type")) if isinstance(word, str)}
        if words & {"bind", "rbind"} and isinstance(source, str) and not source.startswith("/"):
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


def check(bundle: Bundle, paths: Sequence[str]) -> None:
    """Raise BundleError for a container that cannot have devices at `paths`."""
    mounts = bundle.section("mounts") or []
    if not isinstance(mounts, list) or not all(isinstance(mount, dict) for mount in mounts):
        raise BundleError("mounts in config.json is no list of objects")
    places = {str(m.get("destination", "")).rstrip("/"): m for m in mounts}
    for namespace in bundle.section("linux", "namespaces") or []:
        if isinstance(namespace, dict) and namespace.get("type") == "user":
            raise BundleError(
                "a container with a user namespace of its own cannot have accelerators",
                hint="run it without (docs/spec/devices.md, D8)",
            )
    if "bind" in str([places.get("/dev", {}).get(key) for key in ("options", "type")]):
        raise BundleError("the container's /dev is the host's: accelerators would show there")
    if DESCRIPTION in places:
        raise BundleError(f"the container has a mount at {DESCRIPTION} already")
    have = [d for d in bundle.section("linux", "devices") or [] if isinstance(d, dict)]
    there = {d.get("path") for d in have} | set(places)
    for path in paths:
        if path in there:
            raise BundleError(f"the container has something at {path} already")


def _numbers(linux: dict[str, Any], devices: Sequence[Device]) -> None:
    """Raise BundleError if the container has one of `devices` already."""
    have = [d for d in linux.get("devices") or [] if isinstance(d, dict)]
    numbers = {(d.get("type"), d.get("major"), d.get("minor")) for d in have}
    for device in devices:
        if (device.type, device.major, device.minor) in numbers:
            raise BundleError(
                f"the container has the device {device.type} {device.major}:{device.minor},"
                f" which belongs to {device.path}, already"
            )
