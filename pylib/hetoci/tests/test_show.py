# SPDX-License-Identifier: MIT
"""What `hetoci ps` calls a container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hetoci import state
from hetoci.host import Host
from hetoci.verbs import show

#: Starts a process, says its number, and waits for its end.
PARENT = "sleep 60 & echo $!; wait"


@pytest.fixture
def child_of(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of a process whose parent has the command line of the parameter."""
    name, *words = request.param
    command = [name, "-c", PARENT, *words]
    parent = subprocess.Popen(command, executable="/bin/sh", stdout=subprocess.PIPE)
    assert parent.stdout
    child = int(parent.stdout.readline())
    yield child
    os.kill(child, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()


@pytest.mark.parametrize(
    ("child_of", "name"),
    [
        (["/usr/bin/conmon", "-b", "/run/1f2e", "-r", "/usr/bin/hetoci", "-n", "web"], "web"),
        (["/usr/libexec/podman/conmon", "--name", "web"], "web"),
        (["/usr/bin/conmon", "-b", "/run/1f2e"], ""),
        (["/usr/bin/dockerd", "-n", "web"], ""),
    ],
    indirect=["child_of"],
)
def test_podmans_name_is_what_its_monitor_was_told(child_of: int, name: str) -> None:
    assert show._monitors_name(Host(), child_of) == name


def test_what_has_ended_has_no_monitor() -> None:
    assert show._monitors_name(Host(), 0) == ""


def test_the_names_that_kubernetes_gives_are_in_annotations() -> None:
    names = {"io.kubernetes.cri.sandbox-name": "pod", "io.kubernetes.cri.container-name": "web"}
    assert show._engines_name(names) == "pod/web"
    assert show._engines_name({}) == ""


@pytest.mark.parametrize(
    ("mounts", "name"),
    [
        ([{"source": "/docker/containers/c1/resolv.conf"}], "web"),
        ([{"type": "proc"}, {"source": "/docker/containers/another/resolv.conf"}], "web"),
        ([{"source": "/pods/c1/resolv.conf"}], ""),
        ([{"source": "/docker/containers/c1/resolv.conf/"}, 1], ""),
        (None, ""),
    ],
)
def test_dockers_name_is_in_its_note_beside_what_it_mounts(
    tmp_path: Path, mounts: Any, name: str
) -> None:
    note = tmp_path / "docker/containers/c1/config.v2.json"
    for file, content in (
        (note, {"ID": "c1", "Name": "/web"}),
        (tmp_path / "bundle/config.json", {"mounts": mounts}),
    ):
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(content))
    host = Host(os.fspath(tmp_path))
    record = state.Record(host, "/record", {"id": "c1", "bundle": "/bundle"})
    assert show._dockers_name(host, record) == name
    note.write_text("[]")
    assert show._dockers_name(host, record) == ""
