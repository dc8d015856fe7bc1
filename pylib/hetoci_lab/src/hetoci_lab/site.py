# SPDX-License-Identifier: MIT
"""Site facts: what differs from one laboratory to the next, in one file outside the tree.

The file is `$HETOCI_SITE`, or `hetoci/site.yaml` in the XDG configuration folder. All of it is
optional; without a file, everything runs on this machine. See docs/lab.md for an example.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from hetoci_lab.errors import LabError

DEFAULT_COORDINATOR = "127.0.0.1:20408"
TEXT = {"type": "string", "minLength": 1}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "coordinator": TEXT,
        "places": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["env"],
                "properties": {"env": TEXT, "ssh_key": TEXT},
            },
        },
        "lava_devices": {
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": TEXT},
        },
        "lava": {
            "type": "object",
            "additionalProperties": False,
            "required": ["url", "user", "token_file"],
            "properties": {"url": TEXT, "user": TEXT, "token_file": TEXT},
        },
    },
}


@dataclass(frozen=True)
class Place:
    """A labgrid place: the environment its tests run in, the key its board lets in."""

    name: str
    env: str
    ssh_key: Path


@dataclass(frozen=True)
class Site:
    """The site file, or what is so without one."""

    coordinator: str = DEFAULT_COORDINATOR
    places: dict[str, Place] = field(default_factory=dict)
    lava: dict[str, str] = field(default_factory=dict)
    lava_devices: dict[str, dict[str, str]] = field(default_factory=dict)

    def place(self, name: str, env: str | None = None) -> Place:
        """Return a place of this site; `env` overrides or replaces the file's word.

        Raises LabError if nothing says in which environment its tests run.
        """
        known = self.places.get(name)
        if env is None and known is None:
            named = ", ".join(sorted(self.places)) or "none"
            raise LabError(
                f"Nothing says in which environment place {name} runs its tests "
                f"(places of {path()}: {named}).",
                hint="Add it to that file, or name one with --env.",
            )
        key = known.ssh_key if known else _key(None)
        return Place(name, env or (known.env if known else ""), key)


def path() -> Path:
    """Return where the site file is, or would be."""
    override = os.environ.get("HETOCI_SITE")
    if override:
        return Path(override)
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "hetoci" / "site.yaml"


def load() -> Site:
    """Read the site file. Raises LabError, with the line, if it cannot be understood."""
    file = path()
    if not file.exists():
        if os.environ.get("HETOCI_SITE"):
            raise LabError(f"HETOCI_SITE names {file}, which does not exist.")
        return Site(coordinator=os.environ.get("LG_COORDINATOR", DEFAULT_COORDINATOR))
    data = read_yaml(file)
    errors = list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(data))
    if errors:
        said = "; ".join(
            f"{'.'.join(str(word) for word in error.absolute_path) or 'the file'}: {error.message}"
            for error in errors
        )
        raise LabError(f"{file}: {said}.", hint="docs/lab.md has an example.")
    coordinator = os.environ.get("LG_COORDINATOR") or data.get("coordinator", DEFAULT_COORDINATOR)
    places = {
        name: Place(name, row["env"], _key(row.get("ssh_key")))
        for name, row in data.get("places", {}).items()
    }
    return Site(coordinator, places, data.get("lava", {}), data.get("lava_devices", {}))


def read_yaml(file: Path) -> Any:
    """Read a YAML file; a mistake in it is a LabError with file and line."""
    try:
        return yaml.load(file.read_text(), Loader=_Loader) or {}  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise LabError(f"Cannot read {file}: {error.strerror}.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else "?"
        raise LabError(f"{file}, line {line}: {error.problem or 'broken YAML'}.") from error


class _Loader(yaml.SafeLoader):
    """A SafeLoader that takes labgrid's !template for the text it is."""


_Loader.add_constructor(
    "!template",
    lambda loader, node: loader.construct_scalar(node),  # type: ignore[arg-type]
)


def _key(word: str | None) -> Path:
    from hetoci_lab import build

    return Path(word).expanduser() if word else build.board_folder() / "id_ed25519"
