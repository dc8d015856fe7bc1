# SPDX-License-Identifier: MIT
"""The environments' lists of tests that must run are complete."""

import re
from pathlib import Path

import pytest

from hetoci_lab import paths, site


def written() -> set[str]:
    """Every board test, as file::function."""
    return {
        f"{file.name}::{name}"
        for file in (paths.tree() / "labtests").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }


def listed(environment: Path) -> set[str]:
    return set(site.read_yaml(environment)["must_run"])


def environments() -> list[Path]:
    return sorted((paths.tree() / "labtests/env").glob("*.yaml"))


def test_every_board_test_must_run_somewhere() -> None:
    assert set().union(*(listed(file) for file in environments())) == written()


@pytest.mark.parametrize("environment", environments(), ids=lambda file: file.stem)
def test_a_list_names_only_tests_that_exist(environment: Path) -> None:
    assert listed(environment) <= written()


def test_the_second_board_has_files_that_exist() -> None:
    environment = site.read_yaml(paths.tree() / "labtests/env/vboard-xen.yaml")
    files = {name.split("::")[0] for name in environment["must_run"]}
    assert set(environment["second_board"]) < files
