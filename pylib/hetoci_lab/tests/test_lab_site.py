# SPDX-License-Identifier: MIT
"""The site file, scenarios and environments by name."""

from pathlib import Path

import pytest

from hetoci_lab import scenarios, site
from hetoci_lab.errors import LabError


@pytest.fixture
def site_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "site.yaml"
    monkeypatch.setenv("HETOCI_SITE", str(file))
    monkeypatch.delenv("LG_COORDINATOR", raising=False)
    return file


def test_without_a_site_file_everything_is_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HETOCI_SITE", raising=False)
    monkeypatch.delenv("LG_COORDINATOR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert site.load() == site.Site(coordinator="127.0.0.1:20408")


def test_a_site_file_gives_places_their_environment_and_key(site_file: Path) -> None:
    site_file.write_text(
        "coordinator: lab:20408\nplaces:\n  shelf-3:\n    env: zcu102\n    ssh_key: /keys/lab\n"
    )
    place = site.load().place("shelf-3")
    assert (place.env, place.ssh_key, site.load().coordinator) == (
        "zcu102",
        Path("/keys/lab"),
        "lab:20408",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("places:\n  a: {env: x\n", "site.yaml, line 3: "),
        ("plaices: {}\n", "'plaices' was unexpected"),
        ("places:\n  a: {}\n", "places.a: 'env' is a required property"),
        ("coordinator: 5\n", "coordinator: 5 is not of type 'string'"),
    ],
)
def test_a_mistake_in_the_site_file_is_named_with_its_place(
    site_file: Path, text: str, said: str
) -> None:
    site_file.write_text(text)
    with pytest.raises(LabError, match=said):
        site.load()


def test_a_site_file_that_is_named_must_exist(site_file: Path) -> None:
    with pytest.raises(LabError, match="does not exist"):
        site.load()


def test_a_place_that_nobody_describes_needs_an_environment(site_file: Path) -> None:
    site_file.write_text("places:\n  shelf-3: {env: zcu102}\n")
    with pytest.raises(LabError, match=r"place other .*places of .*: shelf-3.*--env"):
        site.load().place("other")


def test_a_scenario_is_a_file_and_perhaps_a_test() -> None:
    words = scenarios.pytest_words(["boot", "remoteproc::test_the_core_runs_on_its_own"])
    folder = scenarios.folder()
    assert words == [
        f"{folder}/test_boot.py",
        f"{folder}/test_remoteproc.py::test_the_core_runs_on_its_own",
    ]


def test_no_scenario_means_all_and_smoke_the_marked_ones() -> None:
    assert scenarios.pytest_words([]) == [str(scenarios.folder())]
    assert scenarios.pytest_words(["smoke"]) == ["-m", "smoke", str(scenarios.folder())]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("remotepro", "no scenario remotepro.*Did you mean remoteproc?"),
        ("boot::test_linux_is_domain", "boot has no test_linux_is_domain.*Did you mean"),
    ],
)
def test_an_unknown_scenario_is_refused_with_the_likely_one(wanted: str, said: str) -> None:
    with pytest.raises(LabError, match=said):
        scenarios.pytest_words([wanted])


def test_an_unknown_environment_is_refused_with_those_there_are() -> None:
    with pytest.raises(LabError, match=r"no environment vbaord; .*vboard-xen.*mean vboard\?"):
        scenarios.environment("vbaord")


def test_a_broken_environment_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("targets:\n  main:\n    features: [a\n    drivers: {}\n")
    with pytest.raises(LabError, match=r"mine\.yaml, line 4: "):
        scenarios.environment(str(file))
    file.write_text("targets: {}\n")
    with pytest.raises(LabError, match="no target `main`"):
        scenarios.environment(str(file))
