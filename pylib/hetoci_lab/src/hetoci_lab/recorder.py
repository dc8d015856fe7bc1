# SPDX-License-Identifier: MIT
"""What a run leaves beside its JUnit file: run.json, with versions, times and container events.

A pytest plugin that labtests/conftest.py registers; it is told when a board is up and before it
goes off. Nothing it fails to find out fails a test.
"""

import calendar
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

import pytest

from hetoci_lab import build, paths
from hetoci_lab.listen import Listener

EVENTS = "/run/lab-events.log"
# `ctr events` ends with its containerd; tests kill that.
LISTEN = (
    f"setsid -f sh -c 'while :; do ctr events >> {EVENTS} 2>/dev/null; sleep 0.2; done' "
    "> /dev/null 2>&1 < /dev/null"
)
EVENT = re.compile(
    r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d+)? \+0000 UTC (\S+) (/\S+) (\{.*\})$", re.MULTILINE
)
VERSIONS = {
    "kernel": "uname -sr",
    "xen": "xl info | sed -n 's/^xen_version *: //p'",
    "containerd": "containerd --version | cut -d' ' -f3",
    "hetoci": "hetoci --version | head -n 1",
    "crun": "crun --version | head -n 1",
    "runc": "runc --version | head -n 1",
    "compatible": "tr '\\0' ' ' < /proc/device-tree/compatible",
}


class Shell(Protocol):
    """What the recorder needs of a board."""

    def output(self, command: str) -> str:
        """Run a shell command and return what it printed, whatever its status."""


class Recorder:
    """Collects a run and writes `folder`/run.json at its end, whatever that is."""

    def __init__(self, folder: Path, environment: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.data: dict[str, Any] = {
            "environment": environment.stem,
            "place": os.environ.get("LG_PLACE") if at_a_place(facts) else None,
            "features": facts.get("features", []),
            "emulated": facts.get("emulated", []),
            "started": time.time(),
            "tree": tree_state(),
            "host": host_versions(),
            "board": board_manifest(),
            "target": {},
            "tests": [],
            "events": [],
            "consoles": {},
            "message": "",
        }
        self._clock = 0.0
        self._listener: Listener | None = None

    def board_is_up(self, shell: Shell) -> None:
        """Ask the board for its versions and its clock, and listen to containerd's events."""
        self._clock = time.time() - float(shell.output("date +%s.%N") or time.time())
        lines = [f'echo "{name}|$({command})"' for name, command in VERSIONS.items()]
        for line in shell.output(f"({'; '.join(lines)}) 2>/dev/null").splitlines():
            name, _, said = line.partition("|")
            if said.strip():
                self.data["target"][name] = said.strip()
        shell.output(LISTEN)

    def board_goes_off(self, shell: Shell) -> None:
        """Fetch the events."""
        self.data["events"] = parse_events(shell.output(f"cat {EVENTS}"), self._clock)

    def console(self, name: str, text: str) -> None:
        """Keep a console's text that no labgrid log has."""
        place = self.folder / "console" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def listen(self, port: Any | None) -> None:
        """Write down what an exported second console says from now on."""
        if port is not None:
            place = self.folder / "console"
            place.mkdir(parents=True, exist_ok=True)
            self._listener = Listener(port, place / "uart1")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Keep the reason of a run that ended early."""
        if isinstance(excinfo.value, pytest.exit.Exception):
            self.data["message"] = str(excinfo.value)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the times of each test; a test that failed before its body counts too."""
        if report.when == "call" or not report.passed:
            self.data["tests"].append(
                {
                    "id": Path(report.nodeid.partition("::")[0]).name
                    + "".join(report.nodeid.partition("::")[1:]),
                    "outcome": report.outcome if report.when == "call" else _early(report),
                    "start": report.start,
                    "stop": report.stop,
                    "properties": dict(report.user_properties),
                }
            )

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write run.json."""
        if self._listener:
            self._listener.close()
        self.data["ended"] = time.time()
        self.data["status"] = int(exitstatus)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "run.json").write_text(json.dumps(self.data, indent=1) + "\n")


def at_a_place(facts: dict[str, Any]) -> bool:
    """Whether an environment's board is at a labgrid place."""
    return "RemotePlace" in facts.get("resources", {})


def _early(report: pytest.TestReport) -> str:
    return "skipped" if report.skipped else "error"


def parse_events(text: str, clock: float) -> list[dict[str, Any]]:
    """Return containerd's events about tasks and containers, with the host's times."""
    found = []
    for stamp, fraction, namespace, topic, body in EVENT.findall(text):
        kind = topic.strip("/").replace("/", ".")
        if not re.fullmatch(r"(tasks|containers)\.[a-z-]+", kind):
            continue
        try:
            details = json.loads(body)
        except ValueError:
            continue
        seconds = calendar.timegm(time.strptime(stamp, "%Y-%m-%d %H:%M:%S"))
        found.append(
            {
                "time": seconds + float(fraction or 0) + clock,
                "namespace": namespace,
                "what": kind,
                "container": details.get("container_id") or details.get("id", ""),
                "image": details.get("image", ""),
                "status": details.get("exit_status"),
            }
        )
    return found


def tree_state() -> dict[str, Any]:
    """Return the checkout's commit and whether it has changes; empty outside git."""
    git = ["git", "-C", str(paths.tree())]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    except OSError:
        return {}
    return {"commit": commit.stdout.strip(), "changed": bool(changes.stdout.strip())}


def host_versions() -> dict[str, str]:
    """Return the versions of what ran on the host."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("hetoci-lab", "labgrid", "pytest"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    qemu = shutil.which("qemu-system-aarch64")
    if qemu:
        said = subprocess.run([qemu, "--version"], capture_output=True, text=True).stdout
        found["qemu"] = said.splitlines()[0]
    return found


def board_manifest() -> dict[str, Any]:
    """Return the built board's hashes and versions; empty if none was built."""
    try:
        data = json.loads((build.board_folder() / "manifest.json").read_text())
    except (OSError, ValueError):
        return {}
    return {key: data.get(key) for key in ("suite", "qemu", "kernel", "files")}
