# SPDX-License-Identifier: MIT
"""RPMsg services of firmware as device files (docs/spec/devices.md, 4).

Interfaces: Documentation/ABI/testing/sysfs-bus-rpmsg, uapi/linux/rpmsg.h. A channel that a
driver has bound has a device file; for another one an endpoint device is made on the core's
control device. Those that hetoci made have a name that begins with PREFIX.
"""

from __future__ import annotations

import os

from .. import designs
from ..errors import BackendError
from ..host import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..designs import DeviceFile
    from ..host import Host

DEVICES = "/sys/bus/rpmsg/devices"
CLASS = "/sys/class/rpmsg"
PREFIX = "h!"

#: RPMSG_NAME_SIZE less its NUL (include/linux/mod_devicetable.h).
_NAME_MAX = 31


class Channel:
    """A service that a core's firmware has announced: sysfs directory, name, and the address
    to send to. files: its device files, if a driver has bound it."""

    __slots__ = ("address", "files", "service", "sysfs")

    def __init__(
        self, sysfs: str, service: str, address: int, files: tuple[DeviceFile, ...]
    ) -> None:
        self.sysfs = sysfs
        self.service = service
        self.address = address
        self.files = files


def key_of(instance: str, service: str) -> str:
    """Name of the claim on `service` of the core `instance`."""
    return f"endpoint.{instance}.{service}"


def channels(host: Host, instance: str) -> list[Channel]:
    """The services that the firmware on core `instance` offers now."""
    found = []
    for name in host.listing(DEVICES):
        path = host.resolve(f"{DEVICES}/{name}")
        service = host.text(f"{path}/name") or ""
        if instance not in path.split("/") or not service or service == "rpmsg_ctrl":
            continue
        address = int(host.text(f"{path}/dst") or "0", 0)
        found.append(Channel(path, service, address, tuple(designs.files_of(host, path))))
    return found


def open_endpoint(host: Host, instance: str, channel: Channel) -> DeviceFile:
    """Make a device file for a channel that has none. Raises BackendError."""
    service = channel.service
    control = _control(host, instance)
    name = PREFIX + service
    if control is None or len(name) > _NAME_MAX:
        reason = (
            "the kernel has no RPMsg control device for it (CONFIG_RPMSG_CTRL)"
            if control is None
            else f"its name is longer than {_NAME_MAX - len(PREFIX)} characters"
        )
        raise BackendError(
            f"service {service} of core {instance} cannot be opened: {reason}", op="open"
        )
    try:
        host.create_endpoint(control.host_path, name, channel.address)
    except OSError as error:
        raise BackendError(
            f"service {service} of core {instance} cannot be opened ({control.host_path}):"
            f" {explain(error)}",
            op="open",
            path=control.host_path,
            errno=error.errno or 0,
        ) from error
    made = next((file for key, file in _made(host) if key == key_of(instance, service)), None)
    if made is None:
        raise BackendError(f"{control.host_path} made no device for service {service}", op="open")
    return made


def _control(host: Host, instance: str) -> DeviceFile | None:
    for name in host.listing(DEVICES):
        path = host.resolve(f"{DEVICES}/{name}")
        if instance in path.split("/") and host.text(f"{path}/name") == "rpmsg_ctrl":
            return next(iter(designs.files_of(host, path)), None)
    return None


def _made(host: Host) -> Iterator[tuple[str, DeviceFile]]:
    """(claim's name, device file) of the endpoints that hetoci made."""
    for name in host.listing(CLASS):
        path = host.resolve(f"{CLASS}/{name}")
        service = host.text(f"{path}/name") or ""
        cores = [part for part in path.split("/") if part.startswith("remoteproc")]
        core = next((part for part in reversed(cores) if part[10:].isdecimal()), "")
        if service.startswith(PREFIX) and core:
            file = designs.file_of(host, path)
            if file is not None:
                yield key_of(core, service[len(PREFIX) :]), file


def clear(host: Host, key: str) -> None:
    """Remove the endpoint device that was made for the claim `key`, if there is one. Raises
    BackendError."""
    for made, file in list(_made(host)):
        if made != key:
            continue
        try:
            host.destroy_endpoint(file.host_path)
        except FileNotFoundError:  # the firmware ended, and its devices with it
            continue
        except OSError as error:
            raise BackendError(
                f"endpoint {file.host_path} cannot be removed: {explain(error)}",
                op="clear",
                path=file.host_path,
                errno=error.errno or 0,
            ) from error


def leftovers(host: Host) -> list[str]:
    """Claim keys of the endpoints that hetoci made."""
    return sorted({key for key, _ in _made(host)}) if os.path.isdir(host.path(CLASS)) else []
