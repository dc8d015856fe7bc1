# SPDX-License-Identifier: MIT
"""The image extension's specification, read by a program.

docs/spec/schema/ is the source of the keys, their types and their status; this module checks
documents against it, adds the rules between keys that JSON Schema cannot hold
(docs/spec/metadata.md, "Rules between keys"), and says what is wrong in sentences.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from hetoci_lab.errors import LabError
from hetoci_lab.paths import tree

PREFIX = "io.hetoci."
WORKLOAD = "io.hetoci.workload"
METADATA = "metadata"

#: Where an image carries its labels for engines that drop them, and how large that may be.
LABELS_FILE = "/.hetoci/labels.json"
LABELS_LIMIT = 64 << 10

#: A key with its value, in bytes: what containerd's store takes (pkg/labels, Validate).
PAIR_LIMIT = 4096
#: A key without prefix in Kubernetes' sense, in characters (Kubernetes, Annotations, Syntax).
KEY_LIMIT = 63
#: Keys of ours in one source, and devices in one container.
KEYS_LIMIT = 256
DEVICES_LIMIT = 16

_NAMED = re.compile(r"io\.hetoci\.(accelerator|endpoint)\.([^.]*)\.(.*)", re.DOTALL)
_DEVICE = re.compile(r"io\.hetoci\.(accelerator|endpoint)\.")
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,14}[a-z0-9])?")
#: The key that makes a name a device.
_MAKERS = {"accelerator": "bitstream", "endpoint": "service"}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. where: the key, or the place as a JSON pointer."""

    where: str
    reason: str

    def __str__(self) -> str:
        where = self.where if self.where.isprintable() else repr(self.where)
        return f"{where or 'the document'} {self.reason}"


@dataclass(frozen=True)
class Key:
    """A key as the schema has it. name: with <name> for a device's name; default: "" if none;
    values: status of each value, where that differs from the key's."""

    name: str
    type: str
    status: str
    workloads: tuple[str, ...]
    default: str
    example: str
    description: str
    values: Mapping[str, str]

    def spelt(self, device: str = "hash") -> str:
        """The key for a device called `device`."""
        return self.name.replace("<name>", device)


def folder() -> Path:
    """docs/spec in this checkout."""
    return tree() / "docs" / "spec"


@functools.cache
def schema(name: str) -> dict[str, Any]:
    """The schema `name`. Raises LabError, naming those that exist."""
    path = folder() / "schema" / f"{name}.schema.json"
    if not path.is_file():
        existing = sorted(p.name.removesuffix(".schema.json") for p in path.parent.glob("*.json"))
        raise LabError(f"There is no schema {name!r}.", hint=f"There are: {', '.join(existing)}.")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@functools.cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


@functools.cache
def known_keys() -> tuple[Key, ...]:
    """All keys of the extension, in the schema's order."""
    found = schema(METADATA)
    named = {
        entry["x-key"]: entry for entry in found["patternProperties"].values() if entry is not True
    }
    return tuple(
        Key(
            name,
            entry["x-type"],
            entry["x-status"],
            tuple(entry["x-workloads"]),
            str(entry.get("default", "")),
            entry["examples"][0],
            entry["description"],
            entry.get("x-value-status", {}),
        )
        for name, entry in {**found["properties"], **named}.items()
    )


def aliases() -> Mapping[str, Mapping[str, str]]:
    """Keys of other projects: name -> from, key (ours) and x-status."""
    found: Mapping[str, Mapping[str, str]] = schema(METADATA)["x-aliases"]
    return found


def read_json(text: str | bytes, where: str) -> Any:
    """Parse JSON strictly: UTF-8, no NaN, no member twice. Raises LabError."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        if twice:
            raise LabError(f"{where} has {twice[0]!r} more than once.", hint="Keep one of them.")
        return dict(pairs)

    def no_number(constant: str) -> Any:
        raise LabError(f"{where} has {constant}, which is not JSON.", hint="Write a number.")

    try:
        decoded = text if isinstance(text, str) else text.decode()
        return json.loads(decoded, object_pairs_hook=members, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise LabError(f"{where} is not JSON: {error}.") from error


def problems(name: str, document: Any) -> list[Problem]:
    """Everything that is wrong with `document` by the schema `name`; empty if it is good."""
    if name == METADATA and isinstance(document, dict):
        return metadata_problems(document)
    found = [
        Problem("".join(f"/{part}" for part in error.absolute_path), _sentence(error))
        for error in _validator(name).iter_errors(document)
    ]
    return list(dict.fromkeys(found))


def _sentence(error: ValidationError) -> str:
    """The schema's objection in words that do not change with jsonschema's version."""
    value: Any = error.instance
    expected: Any = error.validator_value
    match error.validator:
        case "required":
            return f"lacks {', '.join(name for name in expected if name not in value)}"
        case "additionalProperties":
            rule: Any = error.schema
            return f"has unknown members: {', '.join(sorted(set(value) - set(rule['properties'])))}"
        case "enum":
            return f"is {_short(str(value))}, there are: {', '.join(expected)}"
        case "pattern":
            return f"is {_short(value)}, right would be what matches {expected}"
        case "type":
            names = [expected] if isinstance(expected, str) else expected
            return f"is {_json_type(value)}, right would be: {' or '.join(names)}"
        case "minItems" | "maxItems":
            bound = "at least" if error.validator == "minItems" else "at most"
            return f"has {len(value)} entries, right would be {bound} {expected}"
    return error.message


def metadata_problems(metadata: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with a flat map of keys, by key."""
    ours = sum(key.startswith(PREFIX) for key in metadata)
    if ours > KEYS_LIMIT:  # before any other work
        return [Problem("", f"has {ours} keys of the extension, {KEYS_LIMIT} are allowed")]
    found = list(_value_problems(metadata))
    bad = {problem.where for problem in found}
    errors = _validator(METADATA).iter_errors(metadata)
    later = [p for error in errors for p in _from_schema(error, metadata)]
    later += _group_problems(metadata)
    found += [problem for problem in later if problem.where not in bad]
    found = list(_without_consequences(found))
    return sorted(dict.fromkeys(found), key=lambda problem: (problem.where, problem.reason))


def _without_consequences(found: list[Problem]) -> Iterator[Problem]:
    """Leave out what is only wrong because something else is."""
    no_device = schema(METADATA)["allOf"][-1]["x-reason"]
    bad_device = any(_DEVICE.match(problem.where) for problem in found)
    bad_workload = any(p.where == WORKLOAD and p.reason != no_device for p in found)
    for problem in found:
        if problem.reason == no_device and bad_device:
            continue
        if problem.reason.startswith(f"needs {WORKLOAD}") and bad_workload:
            continue
        yield problem


def _value_problems(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    """What is true of every value. These make other complaints about the key pointless."""
    for key, value in metadata.items():
        if not isinstance(value, str):
            yield Problem(key, f"is {_json_type(value)}, a string is needed")
        elif not key.startswith(PREFIX) and key not in aliases():
            continue
        elif not key.isprintable():
            yield Problem(key, "has unprintable characters in its name")
        elif not value.isprintable():
            yield Problem(key, f"has unprintable characters in {_short(value)}")
        elif len(key.encode()) + len(value.encode()) > PAIR_LIMIT:
            yield Problem(key, f"has more than {PAIR_LIMIT} bytes with its value")


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"


def _short(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:57] + "...")


def _from_schema(error: ValidationError, metadata: Mapping[str, Any]) -> Iterator[Problem]:
    """The schema's objection, in the words of its descriptions."""
    path = list(error.absolute_schema_path)
    if error.validator == "additionalProperties" and len(path) == 1:
        for key in metadata:
            if not is_known(key):
                yield Problem(key, _why_unknown(key))
    elif path[0] == "allOf" and isinstance(path[1], int) and path[1] > 0:
        rule = schema(METADATA)["allOf"][path[1]]
        guilty = min(key for key in metadata if re.search(rule["x-keys"], key))
        yield Problem(guilty, rule["x-reason"])
    elif error.absolute_path:
        key = str(error.absolute_path[0])
        yield Problem(key, _not_of_type(error))


def is_known(key: str) -> bool:
    """True for a key of the extension, and for a key that is none of its business."""
    found = schema(METADATA)
    patterns: Mapping[str, Any] = found["patternProperties"]
    return key in found["properties"] or any(re.search(pattern, key) for pattern in patterns)


def _why_unknown(key: str) -> str:
    match = _NAMED.match(key)
    if match and is_known(f"{PREFIX}{match[1]}.x.{match[3]}"):
        return (
            f"has the device name {match[2]!r}, right would be up to 16 lower-case letters,"
            " digits and '-', beginning with a letter and not ending with '-'"
        )
    return f"is unknown, did you mean {nearest(key)}?"


def _not_of_type(error: ValidationError) -> str:
    value = _short(str(error.instance))
    expected: Any = error.validator_value
    if error.validator == "enum":
        return f"is {value}, there are: {', '.join(expected)}"
    rule: Any = error.schema
    return f"is {value}, right would be {rule['description']}"


def nearest(key: str) -> str:
    """The key of the extension that is most like `key`."""
    match = _NAMED.match(key)
    named = match is not None and _NAME.fullmatch(match[2])
    spelt = [known.spelt(match[2]) if match and named else known.name for known in known_keys()]
    return (difflib.get_close_matches(key[:100], spelt, 1, 0.0) or spelt)[0]


def _group_problems(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    """Rules over several keys that a schema cannot state."""
    groups: dict[tuple[str, str], list[str]] = {}
    for match in filter(None, map(_NAMED.match, filter(is_known, metadata))):
        groups.setdefault((match[1], match[2]), []).append(match[0])
    if len(groups) > DEVICES_LIMIT:
        yield Problem("", f"names {len(groups)} devices, {DEVICES_LIMIT} are allowed")
    for (kind, device), members in sorted(groups.items()):
        maker = f"{PREFIX}{kind}.{device}.{_MAKERS[kind]}"
        if maker not in metadata:
            yield Problem(min(members), f"needs {maker} beside it")
        other = "endpoint" if kind == "accelerator" else "accelerator"
        if kind == "endpoint" and (other, device) in groups:
            yield Problem(min(members), f"uses the name {device!r}, which an accelerator has")
    yield from _range_problems(metadata)


def _range_problems(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in metadata.items():
        if not (key.startswith(PREFIX) and key.endswith(".clocks") and isinstance(value, str)):
            continue
        for entry in value.split(","):
            low, dash, high = entry.rpartition("=")[2].strip().partition("-")
            if dash and hertz(low) > hertz(high):
                yield Problem(key, f"has the range {low}-{high}, whose end is below its beginning")


def hertz(rate: str) -> float:
    """A rate such as 125M, 33.333M or 100000000, in Hz; 0 for what is none."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kMG]?)", rate)
    if match is None:
        return 0.0
    return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[2]]


def labels_problems(raw: bytes) -> list[Problem]:
    """What is wrong with the content of an image's labels file, size and form included."""
    if len(raw) > LABELS_LIMIT:
        return [Problem("", f"has {len(raw)} bytes, {LABELS_LIMIT} are allowed")]
    try:
        found = read_json(raw, LABELS_FILE)
    except LabError as error:
        return [Problem("", f"cannot be read: {error.message}")]
    if not isinstance(found, dict):
        return [Problem("", f"is {_json_type(found)}, an object is needed")]
    return metadata_problems(found)
