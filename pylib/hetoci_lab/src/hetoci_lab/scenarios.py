# SPDX-License-Identifier: MIT
"""Environments and scenarios by the names a person types."""

import difflib
import re
from pathlib import Path

from hetoci_lab import paths, site
from hetoci_lab.errors import LabError

SMOKE = "smoke"


def folder() -> Path:
    """Return the folder of the board tests."""
    return paths.tree() / "labtests"


def names() -> list[str]:
    """Return the scenarios: labtests/test_NAME.py."""
    return sorted(file.stem.removeprefix("test_") for file in folder().glob("test_*.py"))


def environments() -> list[str]:
    """Return the names of the environments in labtests/env."""
    return sorted(file.stem for file in (folder() / "env").glob("*.yaml"))


def environment(name: str) -> Path:
    """Return an environment's file, given its name or a path; it must be readable YAML."""
    file = Path(name) if name.endswith(".yaml") else folder() / "env" / f"{name}.yaml"
    if not file.is_file():
        raise LabError(
            f"There is no environment {name}; there are: {', '.join(environments())}."
            f"{_near(name, environments())}"
        )
    data = site.read_yaml(file)
    if not isinstance(data, dict) or "main" not in (data.get("targets") or {}):
        raise LabError(f"{file} is no environment: it has no target `main`.")
    return file


def pytest_words(wanted: list[str]) -> list[str]:
    """Return pytest's arguments for scenarios: NAME, NAME::test, `smoke`; none means all.

    Raises LabError for a scenario or a test that does not exist.
    """
    words: list[str] = []
    for word in wanted:
        name, _, test = word.partition("::")
        if name == SMOKE and not test:
            words += ["-m", SMOKE]
            continue
        file = folder() / f"test_{name.removeprefix('test_').removesuffix('.py')}.py"
        if not file.is_file():
            raise LabError(
                f"There is no scenario {name}; there are: {', '.join([*names(), SMOKE])}."
                f"{_near(name, names())}"
            )
        tests = re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
        if test and test.split("[")[0] not in tests:
            raise LabError(
                f"Scenario {name} has no {test}; it has: {', '.join(tests)}.{_near(test, tests)}"
            )
        words.append(f"{file}::{test}" if test else str(file))
    if not any(not word.startswith("-") and word != SMOKE for word in words):
        words.append(str(folder()))
    return words


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {close[0]}?" if close else ""
