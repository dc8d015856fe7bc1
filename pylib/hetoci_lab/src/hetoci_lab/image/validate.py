# SPDX-License-Identifier: MIT
"""What is wrong with an image, as far as that can be told without a board.

Findings are errors (the runtime refuses the image, or it does not do what its author means) or
warnings (some engine or board will not take it as it is).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hetoci import bitstream as formats
from hetoci_lab import spec
from hetoci_lab.image import contents, keys
from hetoci_lab.image.contents import Content
from hetoci_lab.image.keys import Keys, NamedFile
from hetoci_lab.image.model import Image
from hetoci_lab.image.source import printable
from hetoci_lab.image.tree import Node, NotThere

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. where: a key or a path in the image; remedy: "" if the reason
    says it."""

    level: str
    where: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        sentence = f"{self.level}: {self.where} {self.reason}."
        return printable(f"{sentence} {self.remedy}" if self.remedy else sentence)

    def to_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass
class File:
    """A file that a key names, as found. digest: "" if it was not read."""

    named: NamedFile
    node: Node
    digest: str
    content: Content


@dataclass
class Report:
    """All that is known of an image: its keys, the files they name, and what is wrong."""

    image: Image
    keys: Keys
    values: Mapping[str, str]
    files: list[File]
    findings: list[Finding]

    @property
    def good(self) -> bool:
        """Whether there is no error."""
        return all(finding.level != ERROR for finding in self.findings)


def check(image: Image) -> Report:
    """Check everything of an image that a board is not needed for."""
    found = keys.of(image)
    values = keys.own_names(found.values)
    report = Report(image, found, values, [], [])
    wrong = [*image.misshapen, *image.tree.faults]
    report.findings += [Finding(ERROR, where, reason) for where, reason in wrong]
    report.findings += _keys(found)
    report.findings += _labels_file(found)
    if not any(finding.level == ERROR for finding in report.findings):
        # Files are looked for by keys, so keys that are wrong would be reported twice.
        for named in keys.files(image, values):
            _file(report, named)
        report.findings += _workload(report)
    return report


def _keys(found: Keys) -> Iterator[Finding]:
    for problem in spec.metadata_problems(found.values):
        origin = found.origin.get(problem.where)
        name = problem.where or "the image"
        where = f"{name} ({origin})" if origin else name
        yield Finding(ERROR, where, problem.reason)
    if found.in_file != found.values:  # else it would be said twice
        for problem in found.problems:
            yield Finding(ERROR, problem.where, problem.reason)


def _labels_file(found: Keys) -> Iterator[Finding]:
    """Podman and CRI-O give a runtime no labels; the file has to say the same."""
    again = "`hetoci-image build` writes it from the labels."
    if not found.stored or found.problems:
        return
    if found.in_file is None:
        yield Finding(
            WARNING,
            spec.LABELS_FILE,
            "is not in the image, so under Podman and CRI-O it has no keys",
            again,
        )
        return
    other = sorted(
        key
        for key in {*found.values, *found.in_file}
        if found.values.get(key) != found.in_file.get(key)
    )
    if other:
        yield Finding(
            ERROR, spec.LABELS_FILE, f"and the labels differ in {', '.join(other[:10])}", again
        )


def _file(report: Report, named: NamedFile) -> None:
    """Find and read a file that a key names; add it or what is wrong."""
    image = report.image
    try:
        node = image.tree.find(named.path)
        if named.role == "disk":
            content, digest = contents.disk(node.size), image.tree.digest(node)
        else:
            data = image.tree.read(node, keys.LIMITS[named.role] or 0)
            content = contents.READERS[named.role](data, named.path)
            digest = image.tree.digest(node)
    except NotThere as error:
        report.findings.append(_absent(named, str(error)))
        return
    report.files.append(File(named, node, digest, content))
    report.findings += [
        Finding(ERROR, f"{named.path} ({named.key})", problem) for problem in content.problems
    ]


def _absent(named: NamedFile, reason: str) -> Finding:
    if "{" in named.path:
        return Finding(
            ERROR,
            named.key,
            f"is {named.path}, and no file in the image fits it",
            "COPY the files there, one a slot, or correct the key.",
        )
    missing = reason == "is not in the image"
    remedy = "COPY it there, or correct the key." if missing else ""
    return Finding(ERROR, f"{named.path} ({named.key})", reason, remedy)


def _workload(report: Report) -> Iterator[Finding]:
    workload = report.values.get(spec.WORKLOAD)
    if workload == "firmware" and not report.files and report.good:
        yield Finding(
            ERROR,
            "the image",
            "names no firmware",
            "Set the label io.hetoci.firmware, or the entry point.",
        )
    yield from _digests(report)
    for device in keys.accelerators(report.values):
        yield from _accelerator(report, device)
    if workload in ("accelerator", "domain") and report.image.platform != "linux/arm64":
        yield Finding(
            WARNING,
            "the image",
            f"is for {report.image.platform}, the boards are linux/arm64",
            "Build it with --platform linux/arm64.",
        )


def _digests(report: Report) -> Iterator[Finding]:
    """Each file that a digest key speaks of has to have one of its digests."""
    groups: dict[str, list[File]] = {}
    for file in report.files:
        role = file.named.role
        base = f"accelerator.{file.named.device}" if file.named.device else "firmware"
        key = f"{spec.PREFIX}{base if role in ('firmware', 'bitstream', 'overlay') else 'domain'}"
        groups.setdefault(f"{key}.digest", []).append(file)
    for key, members in groups.items():
        wanted = keys.words(report.values, key)
        if not wanted:
            continue
        for file in members:
            if file.digest not in wanted:
                yield Finding(
                    ERROR,
                    key,
                    f"lacks {file.digest}, which {file.named.path} has",
                    "`hetoci-image build --digests` writes the key from the files.",
                )
        unused = [digest for digest in wanted if digest not in {file.digest for file in members}]
        for digest in unused:
            yield Finding(WARNING, key, f"has {digest}, which no file of it has")


def _accelerator(report: Report, device: str) -> Iterator[Finding]:
    mine = [file for file in report.files if file.named.device == device]
    bitstreams = [file for file in mine if file.named.role == "bitstream"]
    overlays = [file for file in mine if file.named.role == "overlay"]
    for file in bitstreams:
        yield from _header(report.values, device, file)
    for file in overlays:
        yield from _overlay(report.values, device, file)
    yield from _target(overlays)
    key = f"{spec.PREFIX}accelerator.{device}.overlay"
    if key not in report.values or not overlays or any("{" in f.named.path for f in mine):
        return
    yield from _pairs(key, bitstreams, overlays)


def _pairs(key: str, bitstreams: list[File], overlays: list[File]) -> Iterator[Finding]:
    """A place that has a bitstream needs an overlay, if the image brings any."""
    for file in bitstreams:
        if not any(_together(file.named, other.named) for other in overlays):
            yield Finding(ERROR, key, f"has no overlay to go with {file.named.path}")
    for file in overlays:
        if not any(_together(other.named, file.named) for other in bitstreams):
            yield Finding(WARNING, key, f"has {file.named.path} with no bitstream to it")


def _together(bitstream: NamedFile, overlay: NamedFile) -> bool:
    """Whether two files can be for one place: what both names tell agrees."""
    pairs = zip(bitstream.place, overlay.place, strict=True)
    return all(one == other or not one or not other for one, other in pairs)


def _header(values: Mapping[str, str], device: str, file: File) -> Iterator[Finding]:
    """A bitstream's header and the keys (and its name) have to fit each other."""
    facts = file.content.facts
    base = f"{spec.PREFIX}accelerator.{device}."
    if facts["format"] == "unknown":
        return
    for name in ("part", "shell"):
        wanted, found = keys.words(values, base + name), str(facts.get(name, ""))
        if found and not formats.any_id(wanted, found):
            yield _unlike(file, base + name, f"{name} {found}", ", ".join(wanted))
        named = str(getattr(file.named, name))
        if found and named and not formats.same_id(named, found):
            yield _unlike(file, file.named.key, f"{name} {found}", named)
    slot = str(facts.get("slot", ""))
    if slot and file.named.slot and slot != file.named.slot:
        yield _unlike(file, file.named.key, slot, file.named.slot)
    flags = keys.words(values, base + "flags")
    partial: Any = facts.get("partial")
    if partial is not None and partial != ("partial" in flags):
        kind = "a partial bitstream" if partial else "a full bitstream"
        yield _unlike(file, base + "flags", kind, ", ".join(flags) or "no flags")


def _unlike(file: File, key: str, header: str, said: str) -> Finding:
    return Finding(
        ERROR,
        f"{file.named.path} ({key})",
        f"is {'' if header.startswith('a ') else 'for '}{header} by its header,"
        f" the key or name says {said}",
    )


def _overlay(values: Mapping[str, str], device: str, file: File) -> Iterator[Finding]:
    facts = file.content.facts
    if "main" not in facts:
        return
    key = f"{spec.PREFIX}accelerator.{device}.devices"
    wanted = keys.words(values, key)
    there = facts["main"]
    missing = [node for node in wanted if node not in there]
    shown = ", ".join(there) or "none"
    if missing:
        yield Finding(
            ERROR, key, f"names {', '.join(missing)}; nodes of {file.named.path} are: {shown}"
        )
    elif not wanted and len(there) > 1:
        yield Finding(
            ERROR,
            f"{file.named.path} ({file.named.key})",
            f"has the nodes {shown}",
            f"Say with {key} which of them are devices, the main one first.",
        )
    elif not there:
        yield Finding(
            ERROR,
            f"{file.named.path} ({file.named.key})",
            "has no node with a compatible, so no device would appear",
        )


def _target(overlays: list[File]) -> Iterator[Finding]:
    """Labels need not be the slots' names; one that is another slot's name is a mistake."""
    slots = {file.named.slot for file in overlays if file.named.slot}
    for file in overlays:
        label = str(file.content.facts.get("target", "")).removeprefix("&")
        if file.named.slot and label in slots - {file.named.slot}:
            yield Finding(
                WARNING,
                f"{file.named.path} ({file.named.key})",
                f"is for {file.named.slot} by its name and targets &{label}",
            )
