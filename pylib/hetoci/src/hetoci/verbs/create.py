# SPDX-License-Identifier: MIT
"""create and run: look at the bundle; plain containers go on to the delegate."""

from __future__ import annotations

import os

from .. import bundle as bundles
from .. import config, metadata, verbs
from ..errors import DeviceNotFound, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..bundle import Bundle
    from ..cmdline import CommandLine
    from ..config import Config
    from ..host import Host
    from ..workloads import Workload

#: Longest container id (runc has no limit of its own, file names have).
_MAX_ID = 1024
_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")


def create(host: Host, line: CommandLine) -> int:
    """`create [options] ID`."""
    bundle, settings, workload = _look(host, line)
    if workload is None:
        return _delegate(host, line)
    code: int = verbs.load(workload.kind).create(host, line, bundle, settings, workload)
    return code


def run(host: Host, line: CommandLine) -> int:
    """`run [options] ID`: create, start, wait, delete; with --detach only the first two."""
    bundle, settings, workload = _look(host, line)
    if workload is None:
        return _delegate(host, line)
    code: int = verbs.load(workload.kind).run(host, line, bundle, settings, workload)
    return code


def _delegate(host: Host, line: CommandLine) -> int:
    from .. import delegate

    delegate.note(host)
    return delegate.replace_us(host, line.argv)


def _look(host: Host, line: CommandLine) -> tuple[Bundle, Config, Workload | None]:
    path = os.path.abspath(line.value("bundle", "b") or os.getcwd())
    bundle = bundles.load(host, path)
    settings = config.load(host)
    return bundle, settings, workload_of(host, bundle, settings)


def workload_of(host: Host, bundle: Bundle, settings: Config) -> Workload | None:
    """What the bundle's metadata asks for; None for a plain container.

    Raises MetadataError or PolicyDenied with every reason against it, DeviceNotFound if it is
    for another board.
    """
    if metadata.is_sandbox(bundle.annotations):
        return None
    cwd = bundle.section("process", "cwd")
    image = _image_keys(host, bundle)
    sources = metadata.Sources(
        _with_requests(host, bundle, image),
        image,
        args=_strings(bundle.section("process", "args")),
        cwd=cwd if isinstance(cwd, str) else "/",
        env=_strings(bundle.section("process", "env")),
        vm=bundle.section("vm"),
    )
    workload = metadata.workload(sources, settings)
    if workload is not None:
        _check_platform(host, workload)
    return workload


def _check_platform(host: Host, workload: Workload) -> None:
    model = getattr(workload, "model", "")
    if not workload.platform and not model:
        return
    from .. import devicetree

    if workload.platform:
        ours = devicetree.strings(host, devicetree.BASE, "compatible")
        if not set(ours) & set(workload.platform):
            raise DeviceNotFound(
                f"the image is for boards compatible with {' or '.join(workload.platform)},"
                f" this one is {' '.join(ours) or 'without a device tree'}"
            )
    if model:
        found = " ".join(devicetree.strings(host, devicetree.BASE, "model"))
        if found != model:
            raise DeviceNotFound(
                f"the image is for the board {model!r}, this one is"
                f" {repr(found) if found else 'without a model in its device tree'}"
            )


def _with_requests(
    host: Host, bundle: Bundle, image: Sequence[tuple[str, Mapping[str, Any]]]
) -> Mapping[str, Any]:
    """The user's annotations, and what CDI devices ask for (docs/spec/devices.md, D14, D15)."""
    names = [key for _, keys in image for key in keys]
    if not any(map(metadata.concerns_us, (*bundle.annotations, *names))):
        return bundle.annotations
    from .. import cdi

    asked = cdi.requests(host, bundle)
    if not asked:
        return bundle.annotations
    return {**bundle.annotations, **cdi.as_keys(asked, bundle.annotations, names)}


def _image_keys(host: Host, bundle: Bundle) -> list[tuple[str, Mapping[str, Any]]]:
    """What the image says: the engine's store if that has a key of ours, else the labels file
    in the image. The two are never mixed (docs/decisions/0202)."""
    labels, annotations = bundles.stored_keys(host, bundle)
    if any(map(metadata.concerns_us, (*labels, *annotations))):
        return [("image label", labels), ("image annotation", annotations)]
    return [("labels file's", bundles.image_labels(host, bundle))]


def _strings(value: object) -> Sequence[str]:
    """`value` if it is a list of strings, else nothing."""
    return value if isinstance(value, list) and all(isinstance(v, str) for v in value) else ()


def container_id(line: CommandLine) -> str:
    """The id in `create ID`. Raises UsageError if it is missing or no id."""
    if len(line.positional) != 1:
        raise UsageError(f"{line.verb} needs one container id, {len(line.positional)} were given")
    name = line.positional[0]
    if not name or name in (".", "..") or len(name) > _MAX_ID or set(name) - _ID_CHARACTERS:
        raise UsageError(
            f"invalid container id {name!r}",
            hint="letters, digits and _ + - . are allowed",
        )
    return name
