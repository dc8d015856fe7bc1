# SPDX-License-Identifier: MIT
"""Runs read back, and the page about them; measuring scripts; the recorder's events."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hetoci_lab import bench, plots, recorder, report, results
from hetoci_lab.errors import BOARD_LOST, BOOT_FAILED, LabError

CASES = """\
<testsuites><testsuite name="pytest">
<testcase classname="labtests.test_boot" name="test_it_boots" time="1.5">
<properties><property name="measure.boot-time" value="12.5 s"/></properties></testcase>
<testcase classname="labtests.test_fpga" name="test_adds[0]" time="2">
<failure message="wrong">assert 1 == &lt;b&gt;2&lt;/b&gt;</failure>
<system-out>console &lt;script&gt;alert(1)&lt;/script&gt;</system-out></testcase>
<testcase classname="labtests.test_fpga" name="test_times" time="0">
<properties><property name="measure.latency" value="3 1 2 ms"/></properties></testcase>
<testcase classname="labtests.test_xen" name="test_dom0" time="0"><skipped message="no xen"/>
</testcase></testsuite></testsuites>
"""
EVENTS = """\
2026-04-13 20:00:01.5 +0000 UTC default /containers/create {"id":"fw","image":"localhost/fw"}
2026-04-13 20:00:02.25 +0000 UTC default /tasks/start {"container_id":"fw","pid":436}
broken line
2026-04-13 20:00:05 +0000 UTC default /tasks/exit {"container_id":"fw","exit_status":143}
2026-04-13 20:00:05.5 +0000 UTC default /snapshot/remove {"key":"fw"}
2026-04-13 20:00:06 +0000 UTC default /containers/delete {"id":"fw"}
"""


def make_run(folder: Path, started: float = 1_000_000.0, **more: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "junit.xml").write_text(CASES)
    clock = started - 1_776_110_400
    data = {
        "environment": "vboard-xen",
        "started": started,
        "ended": started + 20,
        "status": 1,
        "emulated": ["The whole <board>."],
        "target": {"kernel": "Linux 6.12"},
        "host": {"qemu": "QEMU 7.2"},
        "board": {"files": {"el3.elf": "ab" * 32}},
        "tree": {"commit": "0123456789abcdef", "changed": False},
        "events": recorder.parse_events(EVENTS, clock),
        "tests": [{"id": "test_boot.py::test_it_boots", "start": started + 1, "stop": started + 3}],
        **more,
    }
    (folder / "run.json").write_text(json.dumps(data))
    (folder / "console").mkdir()
    (folder / "console/console_main_board").write_text("\x1b[0mXen 4.20\r\nlogin: <root>\r\n")
    (folder / "console/uart1").write_text("EL3: up\n")
    return folder


class Checker(HTMLParser):
    """Notes unbalanced tags and what a page would fetch."""

    VOID = frozenset({"meta", "line", "polyline", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()


def page_of(folders: list[Path], tmp_path: Path) -> str:
    text = report.write(folders, tmp_path / "report.html").read_text()
    checker = Checker()
    checker.feed(text)
    assert (checker.open, checker.fetched) == ([], [])
    return text


def test_a_page_shows_what_ran_and_fetches_nothing(tmp_path: Path) -> None:
    text = page_of([make_run(tmp_path / "one")], tmp_path)
    for part in ("Linux 6.12", "ab" * 32, "QEMU 7.2", "0123456789", "EL3: up", "12.5", "Timeline"):
        assert part in text, part
    assert "fw: running 2.8 s" in text


def test_what_a_board_says_cannot_become_part_of_the_page(tmp_path: Path) -> None:
    text = page_of([make_run(tmp_path / "one")], tmp_path)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "The whole &lt;board&gt;." in text


def test_a_folder_of_runs_has_a_history(tmp_path: Path) -> None:
    for number in range(3):
        make_run(tmp_path / f"runs/2026-{number}", 1_000_000.0 + 3600 * number)
    runs = report.find_runs([tmp_path / "runs"])
    text = page_of(runs, tmp_path)
    assert [run.name for run in runs] == ["2026-0", "2026-1", "2026-2"]
    assert "History" in text
    assert "fpga::test_adds[0]" in text


def test_a_run_without_details_is_a_run_all_the_same(tmp_path: Path) -> None:
    run = make_run(tmp_path / "bare")
    (run / "run.json").unlink()
    shutil.rmtree(run / "console")
    assert "bare" in page_of([run], tmp_path)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(1, "failed"), (BOOT_FAILED, "board did not boot"), (BOARD_LOST, "board lost")],
)
def test_a_board_that_fails_is_not_called_a_failed_product(
    tmp_path: Path, status: int, verdict: str
) -> None:
    run = results.read(make_run(tmp_path / "run", status=status))
    assert run.verdict == verdict


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="holds no run"):
        report.find_runs([tmp_path])
    (tmp_path / "junit.xml").write_text("<testsuite>")
    with pytest.raises(LabError, match="holds a broken run"):
        results.read(tmp_path)


def test_events_carry_the_hosts_time_and_the_exit_status() -> None:
    found = recorder.parse_events(EVENTS, 100.0)
    assert [event["what"] for event in found] == [
        "containers.create",
        "tasks.start",
        "tasks.exit",
        "containers.delete",
    ]
    assert found[1]["time"] - found[0]["time"] == 0.75
    assert (found[2]["status"], found[0]["image"]) == (143, "localhost/fw")


def test_a_life_is_created_running_stopped() -> None:
    found = recorder.parse_events(EVENTS, 0.0)
    (lane,) = report.container_lanes(found, found[0]["time"], found[-1]["time"])
    kinds = [(bar.kind, round(bar.stop - bar.start, 2)) for bar in lane.bars]
    assert kinds == [("created", 0.75), ("running", 2.75), ("stopped", 1.0)]


@pytest.mark.parametrize(("end", "most"), [(0.004, 9), (1, 9), (7, 9), (95, 9), (1234, 4)])
def test_a_scale_has_a_few_round_ticks(end: float, most: int) -> None:
    found = plots.ticks(end, most)
    assert found[0] == 0
    assert end / 2 < found[-1] <= end
    assert 2 <= len(found) <= most + 1


def test_a_measuring_script_prints_json_lines_among_others() -> None:
    rows = bench.measurements('warming up\n{"name": "a-b", "unit": "ms", "values": [1, 2]}\n', "x")
    assert rows == [{"name": "a-b", "unit": "ms", "values": [1, 2]}]


@pytest.mark.parametrize(
    "line",
    ['{"name": "a"', '{"name": "A B", "unit": "s", "value": 1}', '{"name": "a", "unit": "s"}'],
)
def test_a_malformed_measurement_is_refused_with_its_script(line: str) -> None:
    with pytest.raises(LabError, match=r"speed\.py printed .* no measurement"):
        bench.measurements(line, "speed.py")


def test_an_unknown_script_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "speed.py").touch()
    assert [script.name for script in bench.scripts([], tmp_path)] == ["speed.py"]
    with pytest.raises(LabError, match=r"has no script slow; it has: speed"):
        bench.scripts(["slow"], tmp_path)


@pytest.mark.parametrize(
    ("value", "shown"), [(10012.3, "10012"), (65.321, "65.32"), (0.0123456, "0.01235"), (0, "0")]
)
def test_a_number_is_shown_without_an_exponent(value: float, shown: str) -> None:
    assert report.number(value) == shown
