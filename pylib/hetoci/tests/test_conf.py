# SPDX-License-Identifier: MIT
"""The engines' configurations that are installed as examples."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from hetoci.__main__ import HANDLERS
from hetoci.cmdline import CONTAINER_VERBS
from hetoci.config import DEFAULTS
from hetoci.keys import DEVICE_KEYS, KEYS
from hetoci.metadata import ALIASES, WORKLOAD

PACKAGE = Path(__file__).parents[1]
CRI = "io.containerd.grpc.v1.cri"


def example(name: str) -> Any:
    text = (PACKAGE / "conf" / name).read_text()
    return json.loads(text) if name.endswith(".json") else tomllib.loads(text)


@pytest.fixture(scope="module")
def installed() -> set[str]:
    command = ["make", "-s", "--no-print-directory", "-C", str(PACKAGE), "list"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_the_programs_that_they_name_are_installed(installed: set[str]) -> None:
    runtimes = example("containerd.toml")["plugins"][CRI]["containerd"]["runtimes"]
    shim = runtimes["hetoci"]["runtime_path"]
    named = {
        shim,
        example("crio.conf")["crio"]["runtime"]["runtimes"]["hetoci"]["runtime_path"],
        *example("podman.conf")["engine"]["runtimes"]["hetoci"],
    }
    assert named <= installed
    # containerd makes containerd-shim-NAME-VERSION of io.containerd.NAME.VERSION.
    kind = example("docker-daemon.json")["runtimes"]["hetoci"]["runtimeType"]
    name, version = kind.removeprefix("io.containerd.").split(".")
    assert Path(shim).name == f"containerd-shim-{name}-{version}"


def test_kubernetes_engines_hand_on_what_a_user_says_of_a_pod_and_of_a_container() -> None:
    hetoci = example("containerd.toml")["plugins"][CRI]["containerd"]["runtimes"]["hetoci"]
    globs = hetoci["pod_annotations"]
    assert globs == hetoci["container_annotations"]
    prefixes = example("crio.conf")["crio"]["runtime"]["runtimes"]["hetoci"]["allowed_annotations"]
    # mcu and board have no prefix, so that a user of Kubernetes may mean something else by them.
    keys = (ALIASES - {"mcu", "board"}) | {WORKLOAD}
    assert not {key for key in keys if not any(fnmatchcase(key, glob) for glob in globs)}
    assert not {key for key in keys if not key.startswith(tuple(prefixes))}
    assert "io.hetoci.*/*" in globs


def offered(folder: Path, *words: str) -> set[str]:
    """What the shell offers for the last of `words` after `hetoci`, in `folder`."""
    script = (
        f'source {PACKAGE}/conf/completion.bash; COMP_WORDS=(hetoci "$@"); COMP_CWORD=$#;'
        " _hetoci; echo ${COMPREPLY[*]}"
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words],
        capture_output=True, text=True, check=True, cwd=folder,
    )  # fmt: skip
    return set(done.stdout.split())


def test_the_shell_completes_every_verb_that_help_and_engines_know(tmp_path: Path) -> None:
    verbs = offered(tmp_path, "")
    assert set(HANDLERS) <= verbs
    assert CONTAINER_VERBS - {"checkpoint", "mounts"} <= verbs


def test_the_shell_completes_bundles_and_images(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "image.oci.tar").touch()
    assert offered(tmp_path, "plan", "") == {"bundle", "image.oci.tar", "--json"}
    assert offered(tmp_path, "image", "") == {"artifact", "build", "inspect", "validate"}
    assert offered(tmp_path, "image", "validate", "") == {"bundle", "image.oci.tar"}


def words_of(page: str) -> set[str]:
    """The words of a man page, without its typesetting."""
    text = (PACKAGE / "man" / page).read_text().replace("\\-", "-")
    return set(re.split(r'[\s",]+', re.sub(r"\\f.", " ", text)))


def test_the_man_pages_have_every_setting_and_key() -> None:
    assert set(DEFAULTS) <= words_of("hetoci.conf.5")
    words = words_of("hetoci.1")
    assert set(KEYS) <= words
    plain = {word.removeprefix(".").strip(";)") for word in words}
    assert {name for names in DEVICE_KEYS.values() for name in names} <= plain
