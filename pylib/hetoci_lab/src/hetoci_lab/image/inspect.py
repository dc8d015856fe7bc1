# SPDX-License-Identifier: MIT
"""What an image is: its keys with their meaning, its files with what they say of themselves."""

import textwrap
from collections.abc import Iterator
from typing import Any

from hetoci_lab import spec
from hetoci_lab.image import keys
from hetoci_lab.image.source import printable
from hetoci_lab.image.validate import File, Report


def to_json(report: Report) -> dict[str, Any]:
    """The whole report, for programs."""
    image = report.image
    return {
        "image": {
            "path": str(image.path),
            "name": image.name or None,
            "digest": image.digest or None,
            "platform": image.platform,
            "layers": [
                {
                    "digest": layer.digest or None,
                    "size": layer.size,
                    "mediaType": layer.media_type,
                    "role": layer.role or None,
                }
                for layer in image.layers
            ],
        },
        "workload": report.values.get(spec.WORKLOAD),
        "keys": [
            {"key": key, "value": value, "from": origin, "meaning": meaning}
            for key, value, origin, meaning in keys.described(report.keys)
        ],
        "files": [_file_json(file) for file in report.files],
        "findings": [finding.to_json() for finding in report.findings],
    }


def _file_json(file: File) -> dict[str, Any]:
    named = file.named
    places = {"slot": named.slot, "shell": named.shell, "part": named.part}
    return {
        "path": named.path,
        "role": named.role,
        "key": named.key,
        "size": file.node.size,
        "digest": file.digest,
        **({"for": {k: v for k, v in places.items() if v}} if any(places.values()) else {}),
        "content": file.content.facts,
    }


def to_text(report: Report) -> Iterator[str]:
    """The report in lines for people."""
    return map(printable, _lines(report))


def _lines(report: Report) -> Iterator[str]:
    image = report.image
    yield f"image     {image.name or image.path}"
    if image.digest:
        yield f"digest    {image.digest}"
    yield f"platform  {image.platform}"
    yield f"workload  {report.values.get(spec.WORKLOAD, 'none: a plain container')}"
    yield ""
    yield "layers"
    for number, layer in enumerate(image.layers, 1):
        words = [f"{layer.size:>10}", layer.digest or layer.media_type, layer.role]
        yield f"  {number}  {'  '.join(word for word in words if word)}"
    if report.keys.values:
        yield ""
        yield "keys"
    for key, value, origin, meaning in keys.described(report.keys):
        yield f"  {key} ({origin})"
        yield from textwrap.wrap(meaning, 94, initial_indent="      ", subsequent_indent="      ")
        yield from (f"      = {word}" for word in _broken(value))
    if report.files:
        yield ""
        yield "files"
    for file in report.files:
        yield f"  {file.named.path}  {file.node.size} bytes  {file.named.role}"
        yield f"      {file.digest}"
        yield from (f"      {line}" for line in _facts(file))


def _broken(value: str) -> list[str]:
    """Lists of digests are long: one a line."""
    return [word.strip() for word in value.split(",")] if len(value) > 90 else [value]


def _facts(file: File) -> Iterator[str]:
    facts = file.content.facts
    match file.named.role:
        case "firmware" if "entry" in facts:
            yield f"ELF, {facts['class']}-bit {facts['machine']}, entry point {facts['entry']}"
            for segment in facts["segments"]:
                yield f"segment at {segment['address']}, {segment['size']} bytes"
            for entry in facts.get("resources", ()):
                place = f"at {entry['address']}" if entry["address"] else "anywhere"
                yield f"{entry['type']} {entry['name']} {place}, {entry['size']} bytes"
        case "bitstream":
            kind = {True: "partial", False: "full", None: ""}[facts.get("partial")]
            words = [str(facts["format"]), kind]
            words += [f"{name} {facts[name]}" for name in ("part", "shell") if facts.get(name)]
            yield ", ".join(word for word in [*words, str(facts.get("slot", ""))] if word)
        case "overlay" if "target" in facts:
            yield f"targets {facts['target']}"
            for node, compatible in facts["nodes"].items():
                yield f"node {node}: {', '.join(compatible) or 'no compatible'}"
        case _:
            yield str(facts.get("format", ""))
