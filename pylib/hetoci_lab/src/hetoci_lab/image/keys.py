# SPDX-License-Identifier: MIT
"""An image's keys: where they come from, what they mean, and which files they name."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hetoci.keys import ALIASES
from hetoci_lab import spec
from hetoci_lab.errors import LabError
from hetoci_lab.image.model import Image
from hetoci_lab.image.tree import NotThere, Tree, components

MIB = 1 << 20
#: Bytes that a file may have (docs/spec/layout.md, 3); what an operator may change has the
#: default here. None: no bound.
LIMITS: Mapping[str, int | None] = {
    "firmware": 64 * MIB,
    "bitstream": 256 * MIB,
    "overlay": MIB,
    "kernel": 64 * MIB,
    "ramdisk": 256 * MIB,
    "disk": None,
}
_DOMAIN_FILES = ("kernel", "ramdisk", "disk")
_PLACEHOLDER = re.compile(r"\{(slot|shell|part)\}")
_VALUE = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,64}"
#: Paths that are compared with a template.
_CANDIDATES = 10_000


@dataclass(frozen=True)
class Keys:
    """The image's keys of the extension. origin: label, annotation or labels file, for each;
    problems: why the labels file cannot be used."""

    values: Mapping[str, str]
    origin: Mapping[str, str]
    in_file: Mapping[str, str] | None
    problems: list[spec.Problem]

    @property
    def stored(self) -> bool:
        """Whether labels or annotations have a key; otherwise the labels file counts."""
        return any(origin != "labels file" for origin in self.origin.values())


def concerns_us(key: str) -> bool:
    """Whether hetoci reads the key."""
    return key.startswith(spec.PREFIX) or key in spec.aliases()


def of(image: Image) -> Keys:
    """The keys that count, by the rules of docs/spec/carriers.md, 2."""
    notes = {key: value for key, value in image.annotations.items() if concerns_us(key)}
    labels = {key: value for key, value in image.labels.items() if concerns_us(key)}
    stored = {**notes, **labels}
    in_file, problems = _labels_file(image)
    if stored or in_file is None:
        origin = {key: "label" if key in labels else "annotation" for key in stored}
        return Keys(stored, origin, in_file, problems)
    return Keys(in_file, dict.fromkeys(in_file, "labels file"), in_file, problems)


def _labels_file(image: Image) -> tuple[dict[str, str] | None, list[spec.Problem]]:
    try:
        raw = image.labels_file()
    except NotThere as error:
        return None, [spec.Problem(spec.LABELS_FILE, str(error))]
    if raw is None:
        return None, []
    problems = [
        spec.Problem(f"{spec.LABELS_FILE}: {p.where}" if p.where else spec.LABELS_FILE, p.reason)
        for p in spec.labels_problems(raw)
    ]
    try:
        found = spec.read_json(raw, spec.LABELS_FILE)
    except LabError:
        return None, problems
    pairs = found.items() if isinstance(found, dict) else ()
    return {k: v for k, v in pairs if concerns_us(k) and isinstance(v, str)}, problems


def own_names(values: Mapping[str, str]) -> dict[str, str]:
    """The keys with aliases replaced by ours, where ours is not there. Aliases that count only
    when a user says so are left out."""
    found = dict(values)
    pair = {"board", "mcu"} <= values.keys()
    aliases = {
        name: alias
        for name, alias in ALIASES.items()
        if name in values
        and alias.when in (("", "domain", "board and mcu") if pair else ("", "domain"))
    }
    for alias in aliases.values():
        if alias.implies:
            found.setdefault(spec.WORKLOAD, alias.implies)
    for name, alias in aliases.items():
        if alias.when != "domain" or found.get(spec.WORKLOAD) == "domain":
            found.setdefault(alias.key, values[name])
    return found


def words(values: Mapping[str, str], key: str) -> list[str]:
    """A key's list."""
    return [word.strip() for word in values.get(key, "").split(",") if word.strip()]


def accelerators(values: Mapping[str, str]) -> list[str]:
    """Names of the accelerators."""
    pattern = re.compile(r"io\.hetoci\.accelerator\.([a-z0-9-]+)\.bitstream")
    return sorted(match[1] for match in map(pattern.fullmatch, values) if match)


@dataclass(frozen=True)
class NamedFile:
    """A file that a key names. path: in the image; role: a key of LIMITS; device: name of its
    accelerator or ""; slot, shell, part: what the placeholders stand for, "" without."""

    key: str
    role: str
    path: str
    device: str = ""
    slot: str = ""
    shell: str = ""
    part: str = ""

    @property
    def place(self) -> tuple[str, str, str]:
        """What tells the files of one accelerator apart."""
        return (self.slot, self.shell, self.part)


def files(image: Image, values: Mapping[str, str]) -> list[NamedFile]:
    """The files that keys name; of a template those that exist, or one with no placeholder
    replaced if none does. `values` has aliases replaced."""
    workload = values.get(spec.WORKLOAD)
    if workload == "firmware":
        path = values.get("io.hetoci.firmware", "")
        origin = "io.hetoci.firmware" if path else "the image's entry point"
        path = path or image.entry_point()
        return [NamedFile(origin, "firmware", absolute(path))] if path else []
    found = []
    if workload == "domain":
        for role in _DOMAIN_FILES:
            key = f"io.hetoci.domain.{role}"
            if key in values:
                found.append(NamedFile(key, role, absolute(values[key])))
    for device in accelerators(values):
        for role in ("bitstream", "overlay"):
            key = f"io.hetoci.accelerator.{device}.{role}"
            if key in values:
                found += _expanded(image.tree, key, role, values[key], device)
    return found


def absolute(path: str) -> str:
    """A key's path, from the image's root."""
    return "/" + "/".join(components(path))


def _expanded(tree: Tree, key: str, role: str, template: str, device: str) -> list[NamedFile]:
    path = absolute(template)
    if not _PLACEHOLDER.search(path):
        return [NamedFile(key, role, path, device)]
    pattern = template_pattern(path)
    first, *_, last = _PLACEHOLDER.split(path)
    names = [name for name, _ in tree.files() if name.startswith(first) and name.endswith(last)]
    if len(names) > _CANDIDATES:
        raise LabError(f"{key}: {len(names)} files may be meant, {_CANDIDATES} are allowed.")
    matches = filter(None, map(pattern.fullmatch, names))
    found = [NamedFile(key, role, match[0], device, **match.groupdict()) for match in matches]
    return found or [NamedFile(key, role, path, device)]


def template_pattern(template: str) -> re.Pattern[str]:
    """What paths a template can stand for; a placeholder used twice stands for one thing."""
    seen: set[str] = set()
    parts = []
    at = 0
    for match in _PLACEHOLDER.finditer(template):
        parts.append(re.escape(template[at : match.start()]))
        name = match[1]
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_VALUE})")
        seen.add(name)
        at = match.end()
    return re.compile("".join(parts) + re.escape(template[at:]))


def described(keys: Keys) -> Iterator[tuple[str, str, str, str]]:
    """For each key: name, value, origin, meaning."""
    for name, value in sorted(keys.values.items()):
        yield name, value, keys.origin[name], meaning(name)


def meaning(name: str) -> str:
    """What the specification says of a key."""
    alias = spec.aliases().get(name)
    if alias is not None:
        return f"{alias['key']}, as {alias['from']} calls it."
    generic = re.sub(r"^(io\.hetoci\.(?:accelerator|endpoint)\.)[^.]*\.", r"\1<name>.", name)
    for key in spec.known_keys():
        if key.name == generic:
            return key.description
    return "unknown"
