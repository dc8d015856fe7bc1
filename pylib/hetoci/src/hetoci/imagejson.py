# SPDX-License-Identifier: MIT
"""What an image's manifest and configuration have to look like (image-spec, manifest.md and
config.md), as far as hetoci reads them. Engines read them into types and refuse the rest."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_OBJECT, _STRINGS, _WORDS, _TEXT, _LIST = (
    "an object",
    "an object of strings",
    "a list of strings",
    "a string",
    "a list of descriptors",
)
_MANIFEST = {"config": _OBJECT, "layers": _LIST, "annotations": _STRINGS}
_CONFIG = {"config": _OBJECT}
_PROCESS = {
    "Labels": _STRINGS,
    "Entrypoint": _WORDS,
    "Cmd": _WORDS,
    "Env": _WORDS,
    "WorkingDir": _TEXT,
}


def problems(manifest: Any, config: Any) -> Iterator[tuple[str, str]]:
    """What is wrong, each with its path. A member that is null is as good as none."""
    yield from _of(manifest, "manifest", _MANIFEST)
    yield from _of(config, "configuration", _CONFIG)
    process = config.get("config")
    if isinstance(process, dict):
        yield from _of(process, "configuration: config", _PROCESS)


def shape(value: Any, wanted: str) -> str:
    """Why `value` is not `wanted`, as the end of a sentence; "" if it is."""
    right = {_OBJECT: dict, _STRINGS: dict, _WORDS: list, _TEXT: str, _LIST: list}[wanted]
    if value is None or isinstance(value, right):
        return ""
    return f"is {_shown(value)}, right would be {wanted}"


def _of(document: dict[str, Any], where: str, members: dict[str, str]) -> Iterator[tuple[str, str]]:
    joint = ": " if ":" not in where else "."
    for name, wanted in members.items():
        value = document.get(name)
        path = f"{where}{joint}{name}"
        reason = shape(value, wanted)
        if reason:
            yield path, reason
        elif value and wanted in (_STRINGS, _WORDS, _LIST):
            inner = _OBJECT if wanted == _LIST else _TEXT
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            for key, member in pairs:
                reason = f"is null, right would be {inner}" if member is None else ""
                reason = reason or shape(member, inner)
                if reason:
                    yield f"{path}[{_shown(key)}]", reason


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
