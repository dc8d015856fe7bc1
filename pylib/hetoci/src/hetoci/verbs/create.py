# SPDX-License-Identifier: MIT
"""create and run: look at the bundle; plain containers go on to the delegate."""

from __future__ import annotations

import os

from .. import bundle as bundles
from .. import config, delegate, metadata
from ..errors import BundleError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bundle import Bundle
    from ..cmdline import CommandLine
    from ..config import Config
    from ..host import Host
    from ..model import Plan
    from ..plan import Firmware
    from ..state import Record
    from ..workloads import FirmwareWorkload, Workload

#: Longest container id (runc has no limit of its own, file names have).
_MAX_ID = 1024
_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")


def create(host: Host, line: CommandLine) -> int:
    """`create [options] ID`."""
    bundle, settings, workload = _look(host, line)
    if workload is None:
        return delegate.replace_us(host, line.argv)
    _create_firmware(host, line, bundle, settings, workload)
    return 0


def run(host: Host, line: CommandLine) -> int:
    """`run [options] ID`: create, start, wait, delete; with --detach only the first two."""
    bundle, settings, workload = _look(host, line)
    if workload is None:
        return delegate.replace_us(host, line.argv)
    from . import firmware

    record = _create_firmware(host, line, bundle, settings, workload)
    return firmware.run_created(host, line, record, detach=line.flag("detach", "d"))


def _look(host: Host, line: CommandLine) -> tuple[Bundle, Config, FirmwareWorkload | None]:
    path = os.path.abspath(line.value("bundle", "b") or os.getcwd())
    bundle = bundles.load(host, path)
    settings = config.load(host)
    return bundle, settings, firmware_only(workload_of(host, bundle, settings))


def firmware_only(workload: Workload | None) -> FirmwareWorkload | None:
    """`workload`, if the verbs can run it. Raises UsageError otherwise."""
    if workload is None:
        return None
    from ..workloads import FirmwareWorkload

    if isinstance(workload, FirmwareWorkload):
        return workload
    raise UsageError(f"hetoci cannot run a container of kind {workload.kind} yet")


def workload_of(host: Host, bundle: Bundle, settings: Config) -> Workload | None:
    """What the bundle's metadata asks for; None for a plain container.

    Raises MetadataError or PolicyDenied with every reason against it, DeviceNotFound if it is
    for another board.
    """
    if metadata.is_sandbox(bundle.annotations):
        return None
    cwd = bundle.section("process", "cwd")
    sources = metadata.Sources(
        bundle.annotations,
        [("labels file's", bundles.image_labels(host, bundle))],
        args=_strings(bundle.section("process", "args")),
        cwd=cwd if isinstance(cwd, str) else "/",
        env=_strings(bundle.section("process", "env")),
        vm=bundle.section("vm"),
    )
    workload = metadata.workload(sources, settings)
    if workload is not None:
        from .. import inventory

        inventory.check_platform(host, workload)
    return workload


def _strings(value: object) -> Sequence[str]:
    """`value` if it is a list of strings, else nothing."""
    return value if isinstance(value, list) and all(isinstance(v, str) for v in value) else ()


def _create_firmware(
    host: Host, line: CommandLine, bundle: Bundle, settings: Config, workload: FirmwareWorkload
) -> Record:
    from .. import execute
    from . import reap

    container = _container_id(line)
    reap.quick(host)
    plan, firmware, image = make_plan(host, bundle, settings, workload)
    return execute.create(host, line, container, bundle, plan, firmware, image)


def make_plan(
    host: Host, bundle: Bundle, settings: Config, workload: FirmwareWorkload
) -> tuple[Plan, Firmware, bytes]:
    """Read the firmware, check it against the board, and choose; changes nothing."""
    from .. import inventory, plan

    image = _read_firmware(host, bundle, workload, settings.firmware_max_size)
    firmware = plan.examine(image, workload.path)
    return (
        plan.make(workload, firmware, inventory.cores(host), settings.cores),
        firmware,
        image,
    )


def _read_firmware(host: Host, bundle: Bundle, workload: FirmwareWorkload, limit: int) -> bytes:
    if bundle.rootfs is None:
        raise BundleError(f"{bundle.path}/config.json has no root.path")
    try:
        image = bundles.read_inside(host, bundle.rootfs, workload.path, limit)
    except FileNotFoundError:
        raise BundleError(
            f"firmware {workload.path} does not exist in the image",
            hint=f"set {metadata.FIRMWARE} to the ELF file's path in the image",
        ) from None
    if workload.digest:
        import hashlib

        actual = "sha256:" + hashlib.sha256(image).hexdigest()
        if actual != workload.digest:
            raise BundleError(
                f"firmware {workload.path} has the digest {actual}, the metadata says"
                f" {workload.digest}"
            )
    return image


def _container_id(line: CommandLine) -> str:
    if len(line.positional) != 1:
        raise UsageError(f"{line.verb} needs one container id, {len(line.positional)} were given")
    name = line.positional[0]
    if not name or name in (".", "..") or len(name) > _MAX_ID or set(name) - _ID_CHARACTERS:
        raise UsageError(
            f"invalid container id {name!r}",
            hint="letters, digits and _ + - . are allowed",
        )
    return name
