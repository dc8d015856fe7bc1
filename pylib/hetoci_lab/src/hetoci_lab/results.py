# SPDX-License-Identifier: MIT
"""What a run left in its folder, read back: JUnit, run.json, consoles."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hetoci_lab.errors import BOARD_LOST, BOOT_FAILED, LabError
from hetoci_lab.session import plain_lines

CONSOLES = {
    "Application core (UART0)": ("console_main_board", "console_main_console", "uart0"),
    "EL3 firmware and Cortex-R5 (UART1)": ("uart1", "console_main_rpu"),
}
SHOWN_LINES = 600
ENDS = {2: "stopped", BOOT_FAILED: "board did not boot", BOARD_LOST: "board lost"}


@dataclass(frozen=True)
class Test:
    """A test of a run; `start` and `stop` are 0 where nobody noted them."""

    scenario: str
    name: str
    outcome: str
    seconds: float
    message: str = ""
    output: str = ""
    start: float = 0.0
    stop: float = 0.0
    measures: dict[str, tuple[list[float], str]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Return scenario and name."""
        return f"{self.scenario}::{self.name}"

    @property
    def gist(self) -> str:
        """Return the line of a failure that says what was wrong."""
        lines = [line for line in self.message.splitlines() if line.strip()]
        said = [line[1:].strip() for line in lines if line.startswith("E ")]
        return (said or lines or [self.outcome])[0]


@dataclass(frozen=True)
class Run:
    """One run of scenarios on one target."""

    folder: Path
    environment: str
    place: str
    started: float
    ended: float
    status: int
    tests: list[Test]
    data: dict[str, Any]
    consoles: dict[str, str]

    @property
    def verdict(self) -> str:
        """Return how the run ended, in a word or two."""
        if self.status in ENDS:
            return ENDS[self.status]
        return "failed" if self.status or self.count("failed") or self.count("error") else "passed"

    def count(self, outcome: str) -> int:
        """Return how many tests had this outcome."""
        return sum(test.outcome == outcome for test in self.tests)

    @property
    def title(self) -> str:
        """Return the target's name."""
        return f"{self.environment} at {self.place}" if self.place else self.environment


def read(folder: Path) -> Run:
    """Read a run's folder. Raises LabError if it holds none, or a broken one."""
    file = folder / "junit.xml"
    try:
        tree = ET.parse(file)  # noqa: S314 - written by our own run
        details = folder / "run.json"
        data = json.loads(details.read_text()) if details.exists() else {}
    except OSError as error:
        raise LabError(f"{folder} holds no run: {error.strerror}: {error.filename}.") from error
    except (ET.ParseError, ValueError) as error:
        raise LabError(f"{folder} holds a broken run: {error}.") from error
    times = {row["id"]: row for row in data.get("tests", [])}
    tests = [
        _test(case, times, _properties(suite, "./properties/property"))
        for suite in tree.iter("testsuite")
        for case in suite.iter("testcase")
    ]
    started = data.get("started") or file.stat().st_mtime
    return Run(
        folder=folder,
        environment=data.get("environment") or folder.name,
        place=data.get("place") or "",
        started=started,
        ended=data.get("ended") or started + sum(test.seconds for test in tests),
        status=int(data.get("status", 0)),
        tests=tests,
        data=data,
        consoles=_consoles(folder / "console"),
    )


def _properties(element: ET.Element, path: str) -> dict[str, str]:
    return {p.get("name", ""): p.get("value", "") for p in element.iterfind(path)}


def _test(case: ET.Element, times: dict[str, Any], shared: dict[str, str]) -> Test:
    scenario = case.get("classname", "").split(".")[-1].removeprefix("test_")
    name = case.get("name", "")
    outcome, message = "passed", ""
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            outcome = "failed" if kind == "failure" else kind
            message = found.text or found.get("message") or ""
            break
    row = times.get(f"test_{scenario}.py::{name}", {})
    properties = _properties(case, ".//property")
    own = f"measure.{name}"  # junit-xml knows properties of suites only
    if own in shared:
        properties[own] = shared[own]
    output = "\n".join(part.text or "" for part in case.iter("system-out"))
    return Test(
        scenario=scenario,
        name=name,
        outcome=outcome,
        seconds=float(case.get("time") or 0),
        message=message.strip(),
        output=output.strip(),
        start=row.get("start", 0.0),
        stop=row.get("stop", 0.0),
        measures=measures(properties),
    )


def measures(properties: dict[str, str]) -> dict[str, tuple[list[float], str]]:
    """Return the measurements among a test's properties: numbers and their unit."""
    found = {}
    for name, value in properties.items():
        match = re.fullmatch(r"((?:[-+\d.e]+ )+)(\S.*)", value or "")
        if name.startswith("measure.") and match:
            numbers = [float(word) for word in match[1].split()]
            found[name.removeprefix("measure.")] = (numbers, match[2])
    return found


def _consoles(folder: Path) -> dict[str, str]:
    found = {}
    for title, names in CONSOLES.items():
        for name in names:
            file = folder / name
            if file.exists():
                lines = plain_lines(file.read_text(errors="replace").replace("\0", ""))
                left = len(lines) - SHOWN_LINES
                cut = [f"… {left} earlier lines are in {name}"] if left > 0 else []
                found[title] = "\n".join([*cut, *lines[-SHOWN_LINES:]])
                break
    return found
