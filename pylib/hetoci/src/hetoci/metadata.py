# SPDX-License-Identifier: MIT
"""From key-value metadata to a workload.

Sources, strongest first: the user's annotations in config.json, then the image's labels
file. Pure: no I/O. Everything that is wrong is reported at once.
"""

from __future__ import annotations

from .errors import MetadataError, PolicyDenied
from .workloads import FirmwareWorkload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

PREFIX = "io.hetoci."
WORKLOAD = "io.hetoci.workload"
FIRMWARE = "io.hetoci.firmware"
DIGEST = "io.hetoci.firmware.digest"
CORE = "io.hetoci.firmware.core"
CONSOLE = "io.hetoci.firmware.console"
STOP_TIMEOUT = "io.hetoci.firmware.stop-timeout"

#: The annotation of Arm's remoteproc-runtime; images made for it run here.
ARM_CORE = "remoteproc.name"

KEYS = (WORKLOAD, FIRMWARE, DIGEST, CORE, CONSOLE, STOP_TIMEOUT)
WORKLOADS = ("firmware",)
CONSOLES = ("trace", "rpmsg-tty")

#: Longest value of a key, in characters, and of key and value together, in bytes: what engines
#: keep of a label (docs/spec/metadata.md, "Names").
MAX_VALUE = 4000
MAX_BYTES = 4096
MAX_STOP_TIMEOUT = 3600.0


#: What containerd's and CRI-O's CRI say of a pod's own container (docs/decisions/0206).
SANDBOX = {
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri-o.ContainerType": "sandbox",
}


def concerns_us(key: str) -> bool:
    """True if `key` is one that hetoci reads."""
    return key == ARM_CORE or key.startswith(PREFIX)


def workload(
    annotations: Mapping[str, Any],
    labels: Mapping[str, Any],
    args: Sequence[str],
    cwd: str,
    image_keys: Sequence[str],
) -> FirmwareWorkload | None:
    """The workload that the metadata asks for; None for a plain container.

    A pod's own (pause) container is always plain, though engines hand it the pod's annotations.
    labels: the image's own; image_keys: globs of keys that an image may set. args and cwd
    are the process's. Raises MetadataError or PolicyDenied with every reason.
    """
    if any(annotations.get(key) == value for key, value in SANDBOX.items()):
        return None
    ours = {key: value for key, value in annotations.items() if concerns_us(key)}
    from_image = {key: value for key, value in labels.items() if concerns_us(key)}
    if not ours and not from_image:
        return None
    _check_allowed(from_image, image_keys)
    keys = {**from_image, **ours}
    reasons = _misspelt(keys, ours)
    values = {**_own_names(from_image), **_own_names(ours)}
    if ARM_CORE in keys:
        values.setdefault(WORKLOAD, "firmware")
    result = _firmware(values, args, cwd, reasons)
    if reasons:
        raise MetadataError(reasons)
    return result


def _own_names(source: Mapping[str, Any]) -> dict[str, str]:
    """The strings of one source with aliases replaced, unless our own key is there too: so a
    user's alias wins over the image's key."""
    values = {key: value for key, value in source.items() if isinstance(value, str)}
    if ARM_CORE in values:
        values.setdefault(CORE, values.pop(ARM_CORE))
    return values


def _check_allowed(from_image: Mapping[str, Any], globs: Sequence[str]) -> None:
    refused = [key for key in sorted(from_image) if not matches(key, globs)]
    if refused:
        allowed = " ".join(globs) or "none"
        raise PolicyDenied(
            "the image may not set what it sets",
            [f"{key} is not among the allowed image-keys ({allowed})" for key in refused],
        )


def matches(name: str, globs: Sequence[str]) -> bool:
    """True if `name` is one of `globs` or fits one of them (*, ?, [...])."""
    if name in globs or "*" in globs:
        return True
    patterns = [glob for glob in globs if any(mark in glob for mark in "*?[")]
    if not patterns:
        return False
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _misspelt(keys: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    reasons = []
    for key, value in sorted(keys.items()):
        source = "annotation" if key in ours else "image label"
        if key != ARM_CORE and key not in KEYS:
            reasons.append(f"{source} {key!r} is unknown, did you mean {nearest(key)}?")
        elif not isinstance(value, str):
            reasons.append(f"{source} {key} is {_json_type(value)}, a string is needed")
        elif len(value) > MAX_VALUE:
            reasons.append(f"{source} {key} has {len(value)} characters, {MAX_VALUE} are allowed")
        elif len((key + value).encode("utf-8", "surrogatepass")) > MAX_BYTES:
            reasons.append(f"{source} {key} and its value have more than {MAX_BYTES} bytes")
        elif not value.isprintable():
            reasons.append(f"{source} {key} has control characters in {value!r}")
    return reasons


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"


def nearest(key: str) -> str:
    """The known key with the smallest edit distance from `key`."""
    return min(KEYS, key=lambda known: _distance(key[:100], known))


def _distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            previous, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, previous + (left != right)),
            )
    return row[-1]


def _firmware(
    values: Mapping[str, str], args: Sequence[str], cwd: str, reasons: list[str]
) -> FirmwareWorkload | None:
    kind = values.get(WORKLOAD)
    if kind is None:
        needing = [key for key in KEYS[1:] if key in values]
        if needing:
            reasons.append(f"{needing[0]} needs {WORKLOAD}=firmware beside it")
        return None
    if kind not in WORKLOADS:
        reasons.append(f"{WORKLOAD}={kind} is unknown, there is: {', '.join(WORKLOADS)}")
        return None
    return FirmwareWorkload(
        _path(values, args, cwd, reasons),
        core=values.get(CORE, ""),
        digest=_digest(values.get(DIGEST, ""), reasons),
        consoles=_consoles(values.get(CONSOLE), reasons),
        stop_timeout=_seconds(values.get(STOP_TIMEOUT), reasons),
    )


def _path(values: Mapping[str, str], args: Sequence[str], cwd: str, reasons: list[str]) -> str:
    path = values.get(FIRMWARE)
    source = FIRMWARE
    if path is None:
        source = "the image's entry point"
        path = args[0] if args else ""
        if not path:
            reasons.append(f"no firmware is named: set {FIRMWARE} or the image's entry point")
            return ""
        if not path.startswith("/"):
            path = f"{cwd.rstrip('/')}/{path}"
    if not path:
        reasons.append(f"{source} is empty, the firmware's path in the image is needed")
    elif ".." in path.split("/"):
        reasons.append(f"{source} is {path}, a path without '..' is needed")
    return "/" + path.lstrip("/")


def _digest(value: str, reasons: list[str]) -> str:
    algorithm, _, digits = value.partition(":")
    if value and (algorithm != "sha256" or len(digits) != 64 or digits.strip("0123456789abcdef")):
        reasons.append(f"{DIGEST}={value} is no digest, sha256:<64 lower-case hex digits> is")
    return value


def _consoles(value: str | None, reasons: list[str]) -> tuple[str, ...]:
    if value is None:
        return CONSOLES
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    for name in names:
        if name not in CONSOLES:
            reasons.append(f"{CONSOLE} names {name!r}, there are: {', '.join(CONSOLES)}")
    return names


def _seconds(value: str | None, reasons: list[str]) -> float:
    if value is None:
        return 10.0
    digits = value.removesuffix("s").strip()
    if digits.replace(".", "", 1).isdecimal() and digits.isascii():
        seconds = float(digits)
        if 0 < seconds <= MAX_STOP_TIMEOUT:
            return seconds
    reasons.append(
        f"{STOP_TIMEOUT}={value} is no number of seconds above 0 and up to {MAX_STOP_TIMEOUT:.0f}"
    )
    return 10.0
