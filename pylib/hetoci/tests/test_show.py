# SPDX-License-Identifier: MIT
"""What `hetoci ps` calls a container."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

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
