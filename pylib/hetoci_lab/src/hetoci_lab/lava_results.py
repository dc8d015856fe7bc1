# SPDX-License-Identifier: MIT
"""lava-run's log as the folder of a run: JUnit, run.json, console.

lava-run alone writes its results into its log only, and a failing test case leaves the job
"complete"; here a failed case is a failure.
"""

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import junit_xml
import yaml

from hetoci_lab import recorder
from hetoci_lab.errors import BOOT_FAILED, LabError

CONTROL = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd]")
BOOT_ERRORS = re.compile(r"auto-login-action|boot-|execute-qemu|bootloader|login")
STATES = {"pass": "passed", "fail": "failed", "skip": "skipped", "unknown": "error"}


@dataclass
class Case:
    """A result of a job: a test case of a definition, or one of LAVA's own actions."""

    suite: str
    name: str
    result: str
    seconds: float = 0.0
    measurement: float | None = None
    units: str = ""
    reason: str = ""
    console: list[str] = field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """A SafeLoader that takes what LAVA tags (numbers, as `! "7"`) for text."""


_Loader.add_constructor("!", lambda loader, node: str(node.value))


def entry(line: str) -> dict[str, Any] | None:
    """Return a line of the log as its fields; None if it is none.

    lava-run prints a JSON object a line, sometimes with a YAML tag in it; a server's log has the
    same as items of a list.
    """
    text = line.removeprefix("- ")
    if not text.startswith("{"):
        return None
    try:
        row = json.loads(text)
    except ValueError:
        try:
            row = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
        except yaml.YAMLError:
            return None
    return row if isinstance(row, dict) else None


def shown(line: str) -> str:
    """Return what a person following the job wants of a line: results, errors."""
    row = entry(line)
    if row is None:
        return line.rstrip() if line.strip() else ""
    if row.get("lvl") == "results":
        msg = row["msg"]
        return f"{msg.get('definition')}: {msg.get('case')}: {msg.get('result')}"
    return str(row.get("msg")) if row.get("lvl") == "error" else ""


def parse(log: str) -> tuple[list[Case], list[str]]:
    """Return the results of a log in their order, and the board's console."""
    cases: list[Case] = []
    console: list[str] = []
    said: list[str] = []
    for line in log.splitlines():
        row = entry(line)
        if row is None:
            continue
        text = CONTROL.sub("", str(row.get("msg", "")))
        if row.get("lvl") in ("target", "feedback"):
            console.append(text)
            said.append(text)
        elif row.get("lvl") == "results" and isinstance(row["msg"], dict):
            cases.append(_case(row["msg"], said))
            said = []
    return cases, console


def _case(msg: dict[str, Any], said: list[str]) -> Case:
    measurement = msg.get("measurement")
    return Case(
        suite=re.sub(r"^\d+_", "", str(msg.get("definition", "lava"))),
        name=re.sub(r"[^a-z0-9_.-]", "-", str(msg.get("case", "")).lower()),
        result=str(msg.get("result", "unknown")),
        seconds=float(msg.get("duration") or 0),
        measurement=float(measurement) if measurement is not None else None,
        units=str(msg.get("units") or ""),
        reason=str(msg.get("error_msg") or (msg.get("extra") or {}).get("fail") or ""),
        console=said,
    )


def junit(cases: list[Case]) -> str:
    """Return JUnit: a suite a definition, measurements as properties, console in system-out."""
    suites: dict[str, list[Any]] = defaultdict(list)
    properties: dict[str, dict[str, str]] = defaultdict(dict)
    for case in cases:
        made = junit_xml.TestCase(
            case.name, f"lava.{case.suite}", case.seconds, "\n".join(case.console)
        )
        if case.result == "fail":
            made.add_failure_info(case.reason or "LAVA says: fail", case.reason)
        elif case.result == "skip":
            made.add_skipped_info("LAVA says: skip")
        elif case.result != "pass":
            made.add_error_info(f"LAVA says: {case.result}")
        if case.measurement is not None:
            words = f"{case.measurement:g} {case.units or '1'}"
            properties[case.suite][f"measure.{case.name}"] = words
        suites[case.suite].append(made)
    return str(
        junit_xml.to_xml_report_string(
            [junit_xml.TestSuite(n, c, properties=properties[n]) for n, c in suites.items()]
        )
    )


def convert(folder: Path, environment: str) -> int:
    """Write junit.xml, run.json and the console beside lava.log; return the run's status."""
    log = folder / "lava.log"
    try:
        text = log.read_text(errors="replace")
    except OSError as error:
        raise LabError(f"Cannot read {log}: {error.strerror}.") from error
    cases, console = parse(text)
    if not cases:
        tail = "\n  ".join(text.splitlines()[-8:])
        raise LabError(f"{log} holds no result; it ends with:\n  {tail}")
    (folder / "junit.xml").write_text(junit(cases))
    (folder / "console").mkdir(exist_ok=True)
    (folder / "console/uart0").write_text("\n".join(console) + "\n")
    status = status_of(cases)
    data = {
        "environment": environment,
        "status": status,
        "tree": recorder.tree_state(),
        "host": recorder.host_versions(),
        "board": recorder.board_manifest(),
        "target": {},
        "emulated": ["The whole board, by QEMU, started by LAVA's dispatcher."],
    }
    (folder / "run.json").write_text(json.dumps(data, indent=1) + "\n")
    return status


def status_of(cases: list[Case]) -> int:
    """Return 0 if all passed, 1 if some did not, 96 if the board did not boot."""
    bad = [case for case in cases if case.result not in ("pass", "skip")]
    own = [case for case in bad if case.suite == "lava"]
    tested = any(case.suite != "lava" for case in cases)
    if own and not tested and any(BOOT_ERRORS.search(case.name) for case in own):
        return BOOT_FAILED
    return 1 if bad else 0
