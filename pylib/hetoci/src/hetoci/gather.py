# SPDX-License-Identifier: MIT
"""The keys of all sources: what stands where, and which of it counts (docs/spec/carriers.md,
2 to 4; docs/spec/mapping.md, 4 to 9)."""

from __future__ import annotations

from .errors import MetadataError, PolicyDenied
from .keys import ALIASES, VARIABLES, type_of
from .metadata import WORKLOAD, matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .config import Config
    from .keys import Alias
    from .metadata import Sources

#: Keys of ours in one source (docs/spec/metadata.md, Names).
MAX_KEYS = 256

#: Where containerd and CRI-O write a container's name in its pod.
_CONTAINER_NAMES = ("io.kubernetes.cri.container-name", "io.kubernetes.container.name")

VM = "config.json's vm"

_DEVICES = ("io.hetoci.accelerator.", "io.hetoci.endpoint.")
NO_DEVICE = (
    "is accelerator, and there is neither an accelerator's bitstream nor an endpoint's service"
)


class Entry:
    """One key that was found. key: ours; spelt, source: as it stands and where, for messages;
    type: of the value, None for an unknown key; value: as found, then as workloads hold it;
    user: it is the user's, not the image's."""

    __slots__ = ("key", "source", "spelt", "type", "user", "value")

    def __init__(self, key: str, source: str, spelt: str, value: Any, *, user: bool) -> None:
        self.key = key
        self.type = type_of(key)
        self.source = source
        self.spelt = spelt
        self.value = value
        self.user = user

    def __str__(self) -> str:
        plain = self.spelt and " " not in self.spelt and self.spelt.isprintable()
        name = self.spelt if plain else repr(self.spelt)
        return f"{self.source} {name if len(name) <= 100 else name[:97] + '...'}"


class Problems:
    """What is wrong, by key, in the order found."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[tuple[str, str, str]] = []  # key, who (for the message), reason

    def add(self, who: Entry | str, reason: str) -> None:
        """`who` is wrong, for `reason`."""
        self.found.append((who.key if isinstance(who, Entry) else "", str(who), reason))

    def explain_unknown(self, more: str) -> None:
        """Say `more` about every key that is unknown."""
        self.found = [
            (key, who, reason + more if reason.startswith("is unknown") else reason)
            for key, who, reason in self.found
        ]

    def has(self, key: str) -> bool:
        """True if something is wrong with `key` already."""
        return any(key == wrong for wrong, _, _ in self.found)

    def sentences(self) -> list[str]:
        """Every reason, without those that only follow from another one."""
        bad_device = any(key.startswith(_DEVICES) for key, _, _ in self.found)
        bad_workload = any(k == WORKLOAD and r != NO_DEVICE for k, _, r in self.found)
        return [
            f"{who} {reason}"
            for _, who, reason in self.found
            if not (bad_device and reason == NO_DEVICE)
            and not (bad_workload and reason.startswith(f"needs {WORKLOAD}="))
        ]


class Found:
    """What all sources together say. keys: the entries that count, by our keys; kind: the
    workload, None for none; asked_by: what asks for it, for messages."""

    __slots__ = ("asked_by", "keys", "kind")

    def __init__(self, keys: dict[str, Entry], kind: str | None, asked_by: Entry | str) -> None:
        self.keys = keys
        self.kind = kind
        self.asked_by = asked_by

    def value(self, key: str, default: Any) -> Any:
        """The value of one of our keys, `default` if nobody sets it."""
        entry = self.keys.get(key)
        return default if entry is None else entry.value


def gather(
    user: Mapping[str, Any],
    image: Sequence[tuple[str, Mapping[str, Any]]],
    sources: Sources,
    settings: Config,
    problems: Problems,
) -> Found:
    """The keys that count in `user` and `image`, which are those of `sources` that concern us.

    Raises MetadataError for too many keys, PolicyDenied for what the image may not set.
    """
    _check_number(user, image)
    users = _users_entries(user, sources.annotations, problems)
    images = _images_entries(image)
    for entries in (users, images):
        _drop_unlisted(entries, settings.image_keys)
    kind, asked_by = _kind(users, images)
    users_domain = WORKLOAD in users and kind == "domain"
    if sources.vm is not None:
        kind, asked_by, users_domain = "domain", VM, True
        images.pop(WORKLOAD, None)
    for entries in (users, images):
        _drop_conditional(entries, kind == "domain", users_domain)
    if kind == "domain":
        images = {**_variables(sources.env), **images}
    _check_allowed(images, settings.image_keys)
    return Found({**_own_names(images), **_own_names(users)}, kind, asked_by)


def _check_number(user: Mapping[str, Any], image: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Refuse too many keys before any work is done on them."""
    counts = [("the user's annotations", len(user))]
    counts.append(("the image", sum(len(keys) for _, keys in image)))
    reasons = [
        f"{who} {'have' if who.endswith('s') else 'has'} {number} keys of the extension,"
        f" {MAX_KEYS} are allowed"
        for who, number in counts
        if number > MAX_KEYS
    ]
    if reasons:
        raise MetadataError(reasons)


def _users_entries(
    keys: Mapping[str, Any], annotations: Mapping[str, Any], problems: Problems
) -> dict[str, Entry]:
    """The user's keys; in a pod KEY/CONTAINER is KEY, for the container of that name only."""
    names = [annotations[key] for key in _CONTAINER_NAMES if key in annotations]
    plain: dict[str, Entry] = {}
    scoped: dict[str, Entry] = {}
    for spelt, value in keys.items():
        key, slash, container = spelt.partition("/")
        if not slash:
            plain[key] = Entry(key, "annotation", spelt, value, user=True)
        elif container in names:
            scoped[key] = Entry(key, "annotation", spelt, value, user=True)
        elif not names and type_of(key) is None:
            plain[spelt] = Entry(spelt, "annotation", spelt, value, user=True)
        elif not names:
            who = Entry(key, "annotation", spelt, value, user=True)
            problems.add(who, "is unknown outside of a pod, the part after '/' names a container")
    return {**plain, **scoped}


def _images_entries(image: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for source, keys in image:
        for key, value in keys.items():
            found.setdefault(key, Entry(key, source, key, value, user=False))
    return found


def _drop_unlisted(entries: dict[str, Entry], globs: Sequence[str]) -> None:
    """`board` and `mcu` have no prefix, so others may mean something else by them: they count
    only together, and only if the operator's list names them."""
    pair = [key for key, alias in ALIASES.items() if alias.when == "board and mcu"]
    if not all(key in entries and matches(key, globs) for key in pair):
        for key in pair:
            entries.pop(key, None)


def _kind(
    users: Mapping[str, Entry], images: Mapping[str, Entry]
) -> tuple[str | None, Entry | str]:
    """The workload, and the entry that asks for it: what is stated wins over what an alias
    implies, and the user over the image."""
    stated = users.get(WORKLOAD) or images.get(WORKLOAD)
    if stated is not None:
        return (stated.value if isinstance(stated.value, str) else None), stated
    for entries in (users, images):
        for key, entry in entries.items():
            alias = ALIASES.get(key)
            if alias is not None and alias.implies:
                return alias.implies, entry
    return None, ""


def _drop_conditional(entries: dict[str, Entry], domain: bool, users_domain: bool) -> None:
    """Leave out the aliases whose condition is not met: as other foreign keys they mean
    nothing to us."""
    true = {"domain": domain, "user's domain": users_domain}
    for key in [key for key in entries if key in ALIASES]:
        if not true.get(ALIASES[key].when, True):
            del entries[key]


def _variables(env: Sequence[str]) -> dict[str, Entry]:
    """runX's variables. Nobody can tell who set them, so they count as the image's."""
    pairs = (variable.partition("=") for variable in env if isinstance(variable, str))
    return {
        name: Entry(name, "variable", name, value, user=False)
        for name, equals, value in pairs
        if equals and name in VARIABLES
    }


def _check_allowed(images: Mapping[str, Entry], globs: Sequence[str]) -> None:
    refused = [entry for key, entry in sorted(images.items()) if not matches(key, globs)]
    if refused:
        allowed = " ".join(globs) or "none"
        raise PolicyDenied(
            "the image may not set what it sets",
            [f"{entry} is not among the allowed image-keys ({allowed})" for entry in refused],
        )


def _own_names(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries of one source by our keys: an alias counts where ours is not there."""
    found = {}
    for key, entry in entries.items():
        alias: Alias | None = ALIASES.get(key) or VARIABLES.get(key)
        if alias is None:
            found[key] = entry
        elif alias.key not in entries:
            entry.key, entry.type = alias.key, alias.type
            found.setdefault(alias.key, entry)
    return found
