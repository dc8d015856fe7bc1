# SPDX-License-Identifier: MIT
"""`hetoci-lab report`: runs as one static HTML page that needs no server and prints well."""

import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from hetoci_lab import plots, results
from hetoci_lab.errors import LabError
from hetoci_lab.results import Run, Test

TEMPLATES = Path(__file__).parent / "templates"
MARKS = {"passed": "✓", "failed": "✗", "error": "!", "skipped": "-", "": ""}


def find_runs(folders: list[Path]) -> list[Path]:
    """Return the runs among folders and in them, oldest first. Raises LabError for none."""
    found = set()
    for folder in folders:
        inner = [file.parent for file in folder.glob("**/junit.xml")]
        if not inner:
            raise LabError(f"{folder} holds no run: there is no junit.xml in it.")
        found.update(inner)
    return sorted(found, key=lambda run: run.name)


def write(folders: list[Path], page: Path) -> Path:
    """Write the page about the runs in `folders` and return its path."""
    runs = [results.read(folder) for folder in folders]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True
    )
    environment.filters |= {"clock": _clock, "duration": _duration, "number": number}
    latest = list({run.title: run for run in runs}.values())
    text = environment.get_template("report.html.j2").render(
        runs=latest,
        all_runs=runs,
        matrix=matrix(latest),
        timelines={run.title: Markup(timeline(run)) for run in latest},  # noqa: S704 - ours
        measures=measures(latest),
        history=history(runs),
        trends=trends(runs),
        marks=MARKS,
        made=time.time(),
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text)
    return page


def matrix(runs: list[Run]) -> dict[str, list[dict[str, Any]]]:
    """Return each scenario with its tests and counts a run."""
    scenarios = sorted({test.scenario for run in runs for test in run.tests})
    return {
        name: [_cell([test for test in run.tests if test.scenario == name]) for run in runs]
        for name in scenarios
    }


def _cell(tests: list[Test]) -> dict[str, Any]:
    count = {kind: sum(t.outcome == kind for t in tests) for kind in MARKS if kind}
    bad = count["failed"] + count["error"]
    state = "failed" if bad else "passed" if count["passed"] else "skipped" if tests else ""
    return {"state": state, "tests": tests, "bad": bad, **count}


def timeline(run: Run) -> str:
    """Return the tests and the containers of a run over time."""
    timed = [test for test in run.tests if test.stop]
    lanes = []
    if timed:
        booted = timed[0].start - run.started
        lanes.append(plots.Lane("boot", [plots.Bar(0, booted, "created", f"boot: {booted:.1f} s")]))
    for scenario in dict.fromkeys(test.scenario for test in timed):
        bars = [
            plots.Bar(
                test.start - run.started, test.stop - run.started, test.outcome,
                f"{test.name}: {test.outcome}, {test.seconds:.1f} s",
            )
            for test in timed if test.scenario == scenario
        ]  # fmt: skip
        lanes.append(plots.Lane(f"tests: {scenario}", bars))
    lanes += container_lanes(run.data.get("events", []), run.started, run.ended)
    return plots.timeline(lanes, run.ended - run.started) if lanes else ""


def container_lanes(events: list[dict[str, Any]], begun: float, end: float) -> list[plots.Lane]:
    """Return a lane a container name: created, running, stopped, from containerd's events."""
    lives: dict[str, list[plots.Bar]] = defaultdict(list)
    state: dict[str, tuple[str, float]] = {}
    follows = {"containers.create": "created", "tasks.start": "running", "tasks.exit": "stopped"}
    for event in [*events, *({"container": name} for name in {e["container"] for e in events})]:
        name = event["container"]
        at = event.get("time", end) - begun
        if name in state:
            kind, since = state.pop(name)
            status = event.get("status")
            note = f", exit status {status}" if event.get("what") == "tasks.exit" else ""
            lives[name].append(
                plots.Bar(since, at, kind, f"{name}: {kind} {at - since:.1f} s{note}")
            )
        what = follows.get(event.get("what", ""))
        if what and name:
            state[name] = (what, at)
    return [plots.Lane(name, bars) for name, bars in lives.items() if name]


def measures(runs: list[Run]) -> list[dict[str, Any]]:
    """Return each measurement of the runs, series with a plot."""
    rows = []
    for run in runs:
        for test in run.tests:
            for name, (numbers, unit) in test.measures.items():
                plot = plots.values(numbers, unit) if len(numbers) > 1 else ""
                rows.append(
                    {
                        "run": run.title,
                        "test": test.id,
                        "name": name,
                        "unit": unit,
                        "value": statistics.median(numbers),
                        "count": len(numbers),
                        "low": min(numbers),
                        "high": max(numbers),
                        "plot": Markup(plot),  # noqa: S704 - ours
                    }
                )
    return rows


def history(runs: list[Run]) -> dict[str, dict[str, Any]]:
    """Return, for each target with several runs, what became of each test that once failed."""
    found = {}
    for title in dict.fromkeys(run.title for run in runs):
        same = [run for run in runs if run.title == title]
        if len(same) < 2:
            continue
        outcomes = [{test.id: test.outcome for test in run.tests} for run in same]
        shaky = sorted(
            {
                name
                for row in outcomes
                for name, outcome in row.items()
                if outcome in ("failed", "error")
            }
        )
        found[title] = {
            "runs": same,
            "tests": {name: [row.get(name, "") for row in outcomes] for name in shaky},
        }
    return found


def trends(runs: list[Run]) -> list[dict[str, Any]]:
    """Return a plot a measurement and target that several runs made: its median over the runs."""
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for run in runs:
        for test in run.tests:
            for name, (numbers, unit) in test.measures.items():
                point = (run.started, statistics.median(numbers))
                found[run.title, name, unit].append(point)
    return [
        {
            "run": title,
            "name": name,
            "plot": Markup(  # noqa: S704 - ours
                plots.values([v for _, v in points], unit, [_clock(t) for t, _ in points])
            ),
        }
        for (title, name, unit), points in found.items()
        if len(points) > 1
    ]


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def number(value: float) -> str:
    """Return four digits of a number, and all of those before the point: 0.01234, 10012."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
