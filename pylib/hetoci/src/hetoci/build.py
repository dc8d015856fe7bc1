# SPDX-License-Identifier: MIT
"""Workloads from keys that were found good (docs/spec/metadata.md)."""

from __future__ import annotations

from .keys import device_of, short
from .metadata import FIRMWARE, PLATFORM, PREFIX
from .workloads import (
    AcceleratorRequest,
    AcceleratorWorkload,
    DomainWorkload,
    EndpointRequest,
    FirmwareWorkload,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config
    from .gather import Found, Problems
    from .metadata import Sources
    from .workloads import VmConfig, Workload


def workload(
    found: Found, vm: VmConfig | None, sources: Sources, problems: Problems
) -> Workload | None:
    """The workload that `found` describes, None for none. What is wrong with the image's
    entry point is added to `problems`."""
    if found.kind == "firmware":
        return _firmware(found, sources, problems)
    if found.kind == "accelerator":
        platform = found.value(PLATFORM, ())
        return AcceleratorWorkload(_accelerators(found), _endpoints(found), platform)
    return _domain(found, vm) if found.kind == "domain" else None


def _firmware(found: Found, sources: Sources, problems: Problems) -> FirmwareWorkload:
    path = found.value(FIRMWARE, None)
    if path is None:
        path = _entry_point(sources, problems)
    platform = found.keys.get(PLATFORM)
    by_model = platform is not None and platform.type == "model"
    return FirmwareWorkload(
        path,
        core=found.value(f"{FIRMWARE}.core", ""),
        digest=found.value(f"{FIRMWARE}.digest", ""),
        consoles=found.value(f"{FIRMWARE}.console", ("trace", "rpmsg-tty")),
        stop_timeout=found.value(f"{FIRMWARE}.stop-timeout", 10.0),
        clocks=found.value(f"{FIRMWARE}.clocks", ()),
        endpoints=found.value(f"{FIRMWARE}.endpoints", ()),
        platform=() if by_model else found.value(PLATFORM, ()),
        model=found.value(PLATFORM, "") if by_model else "",
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


def _names(found: Found, kind: str) -> list[str]:
    devices = (device_of(key) for key in found.keys)
    return sorted({device[1] for device in devices if device is not None and device[0] == kind})


def _accelerators(found: Found) -> list[AcceleratorRequest]:
    requests = []
    for name in _names(found, "accelerator"):
        base = f"{PREFIX}accelerator.{name}."
        flags = found.value(base + "flags", ())
        requests.append(
            AcceleratorRequest(
                name,
                found.keys[base + "bitstream"].value,
                overlay=found.value(base + "overlay", ""),
                digests=found.value(base + "digest", ()),
                slot=found.value(base + "slot", "*"),
                parts=found.value(base + "part", ()),
                shells=found.value(base + "shell", ()),
                partial="partial" in flags,
                encrypted="encrypted" in flags,
                clocks=found.value(base + "clocks", ()),
                memory=found.value(base + "memory", 0),
                nodes=found.value(base + "devices", ()),
                timeout=found.value(base + "timeout", 10.0),
            )
        )
    return requests


def _endpoints(found: Found) -> list[EndpointRequest]:
    return [
        EndpointRequest(
            name,
            found.keys[f"{PREFIX}endpoint.{name}.service"].value,
            core=found.value(f"{PREFIX}endpoint.{name}.core", "*"),
            timeout=found.value(f"{PREFIX}endpoint.{name}.timeout", 10.0),
        )
        for name in _names(found, "endpoint")
    ]


def _domain(found: Found, vm: VmConfig | None) -> DomainWorkload:
    base = f"{PREFIX}domain."
    result = DomainWorkload(
        kernel=found.value(base + "kernel", ""),
        ramdisk=found.value(base + "ramdisk", ""),
        cmdline=found.value(base + "cmdline", ""),
        disk=found.value(base + "disk", ""),
        digests=found.value(base + "digest", ()),
        memory=found.value(base + "memory", 0),
        vcpus=found.value(base + "vcpus", 0),
        console=found.value(base + "console", "pv"),
        boot_timeout=found.value(base + "boot-timeout", None),
        stop_method=found.value(base + "stop-method", "shutdown"),
        stop_timeout=found.value(base + "stop-timeout", 10.0),
        on_crash=found.value(base + "on-crash", "destroy"),
        network=found.value(base + "network", "engine"),
        accelerators=_accelerators(found),
        platform=found.value(PLATFORM, ()),
        vm=vm,
    )
    if vm is not None:
        result.cmdline = vm.cmdline or result.cmdline
        result.memory = vm.memory or result.memory
        result.vcpus = vm.vcpus or result.vcpus
    return result


# the operator's policy


def policy_objections(found: Found, settings: Config) -> list[str]:
    """What the operator wants to have a digest or to be encrypted, and is not (security.md, S8)."""
    reasons = []
    for key in _digest_keys(found) if settings.require_digest != "no" else ():
        entry = found.keys.get(key)
        if entry is None:
            reasons.append(f"{key} is missing")
        elif settings.require_digest == "user" and not entry.user:
            reasons.append(f"{entry} is the image's, it has to come from the user")
    if settings.require_encryption:
        flags = [f"{PREFIX}accelerator.{name}.flags" for name in _names(found, "accelerator")]
        reasons += [f"{key} lacks encrypted" for key in flags if not _encrypted(found, key)]
    return reasons


def _encrypted(found: Found, key: str) -> bool:
    value = found.value(key, ())
    return isinstance(value, tuple) and "encrypted" in value


def _digest_keys(found: Found) -> list[str]:
    """The keys that bind the files of the image that the workload uses."""
    keys = [f"{PREFIX}accelerator.{name}.digest" for name in _names(found, "accelerator")]
    if found.kind == "firmware":
        keys.append(f"{FIRMWARE}.digest")
    if any(f"{PREFIX}domain.{name}" in found.keys for name in ("kernel", "ramdisk", "disk")):
        keys.append(f"{PREFIX}domain.digest")
    return keys
