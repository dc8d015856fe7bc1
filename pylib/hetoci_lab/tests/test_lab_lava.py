# SPDX-License-Identifier: MIT
"""LAVA: everything rendered is as LAVA's schemas want it; logs become JUnit."""

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from hetoci_lab import (
    lava,
    lava_cli,
    lava_results,
    lava_server,
    lava_tools,
    memmap,
    paths,
    qemu,
    results,
)
from hetoci_lab.errors import BOOT_FAILED, LabError

LOG = """\
{"dt": "1", "lvl": "target", "msg": "[    0.000000] Linux version 6.12 \\u001b[0m"}
{"dt": "2", "lvl": "results", "msg": {"case": "login-action", "definition": "lava", \
"duration": "28.14", "result": "pass"}}
{"dt": "3", "lvl": "target", "msg": "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=starts RESULT=pass>"}
{"dt": "4", "lvl": "results", "msg": {"case": "starts", "definition": "0_hetoci-smoke", \
"endtc": ! "7", "measurement": ! "7371.0", "result": "pass", "units": "ms"}}
"""
FAILED = """\
{"dt": "5", "lvl": "results", "msg": {"case": "Core Runs", "definition": "0_hetoci-smoke", \
"result": "fail", "extra": {"fail": "core is off"}}}
"""
JOB_END = (
    '{"dt": "6", "lvl": "results", "msg": {"case": "job", "definition": "lava", "result": "%s"}}\n'
)


@pytest.fixture
def site_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "site.yaml"
    commands = ("connection_command", "power_on_command", "power_off_command", "hard_reset_command")
    rows = "".join(f"    {name}: relay {name}\n" for name in commands)
    file.write_text(f"lava_devices:\n  zcu102:\n{rows}  kria:\n{rows}")
    monkeypatch.setenv("HETOCI_SITE", str(file))
    return file


@pytest.fixture
def image(tmp_path: Path, board_folder: Path) -> Path:
    """A folder with what every target boots from."""
    for name in lava.targets():
        for file in lava.target(name).get("image", {}).values():
            (board_folder / file).write_bytes(b"x")
    (board_folder / "Image").write_bytes(bytes(0x38) + b"ARM\x64")
    return board_folder


def has_lava() -> bool:
    """Whether this host's distribution has LAVA's packages."""
    found = subprocess.run(
        ["apt-cache", "show", "lava-dispatcher"], capture_output=True, check=False
    )
    return found.returncode == 0


needs_lava = pytest.mark.skipif(not has_lava(), reason="no LAVA package in this distribution")


@needs_lava
@pytest.mark.parametrize("scenarios", [[], ["smoke"]])
@pytest.mark.parametrize("name", lava.targets())
def test_everything_rendered_is_as_lava_wants_it(
    tmp_path: Path, site_file: Path, image: Path, name: str, scenarios: list[str]
) -> None:
    rendered = lava.render(name, str(image), tmp_path / "out", scenarios)
    lava.validate(rendered)
    job = yaml.safe_load(rendered.job.read_text())
    assert job["device_type"] == lava.target(name)["device_type"]
    assert any("command" in action for action in job["actions"]) == bool(scenarios)


@needs_lava
def test_the_virtual_boards_device_has_the_quick_builds_qemu(
    tmp_path: Path, board_folder: Path
) -> None:
    rendered = lava.render("vboard", str(board_folder), tmp_path / "out", [])
    device = yaml.safe_load(rendered.device.read_text())
    options = device["actions"]["boot"]["methods"]["qemu"]["parameters"]["options"]
    deploy = yaml.safe_load(rendered.job.read_text())["actions"][0]["deploy"]
    images = {name: row for name, row in deploy["images"].items() if name != "overlay"}
    words = set(" ".join([*options, *(row["image_arg"] for row in images.values())]).split())
    ours = set(" ".join(qemu.arguments(Path("/b"), "xen", Path("/d"), [])).split())
    same = {word for word in ours if not any(part in word for part in ("file=", "user,id=n0"))}
    assert same <= words
    assert f"loader,file={{kernel}},addr={memmap.value('VB_KERNEL_BASE'):#x},force-raw=on" in words


@needs_lava
@pytest.mark.parametrize("name", ["zcu102", "kria"])
def test_real_boards_start_with_uio_told_what_it_serves(
    tmp_path: Path, site_file: Path, image: Path, name: str
) -> None:
    rendered = lava.render(name, str(image), tmp_path / "out", [])
    lines = rendered.device.read_text().splitlines()
    (arguments,) = (line for line in lines if "setenv bootargs" in line and "/dev/nfs" in line)
    assert " uio_pdrv_genirq.of_id=generic-uio " in arguments


@needs_lava
def test_a_job_that_lava_refuses_is_named_with_path_and_reason(
    tmp_path: Path, board_folder: Path
) -> None:
    rendered = lava.render("vboard", str(board_folder), tmp_path / "out", [])
    text = rendered.job.read_text()
    rendered.job.write_text(text.replace("method: qemu", "method: qemu\n    colour: red"))
    with pytest.raises(LabError, match=r"refuses the job .*job\.yaml: actions\[1\].*colour"):
        lava.validate(rendered)


def test_an_unknown_target_is_refused_with_those_there_are() -> None:
    with pytest.raises(LabError, match=r"no LAVA target versal; there are: kria, vboard"):
        lava.target("versal")


def test_a_device_whose_site_facts_are_missing_is_refused(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("lava_devices: {zcu102: {power_on_command: x}}\n")
    monkeypatch.setenv("HETOCI_SITE", str(file))
    with pytest.raises(LabError, match=r"does not say connection_command, power_off_command"):
        lava.render("zcu102", str(image), tmp_path / "out", [])


def test_an_image_of_another_board_is_refused(
    tmp_path: Path, site_file: Path, board_folder: Path
) -> None:
    with pytest.raises(LabError, match=r"wrong image for this board: it has no system\.dtb"):
        lava.render("zcu102", str(board_folder), tmp_path / "out", [])


def test_the_on_target_script_is_inside_the_job_and_runs_without_lava(tmp_path: Path) -> None:
    steps = lava.suite()["run"]["steps"]
    subprocess.run(["sh", "-e", "-c", "\n".join(steps[:2])], cwd=tmp_path, check=True)
    script = paths.tree() / "lava/test-definitions/hetoci-smoke/hetoci-smoke.sh"
    assert (tmp_path / "hetoci-smoke.sh").read_bytes() == script.read_bytes()
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("ctr", "hetoci", "sleep"):
        (tools / name).write_text("#!/bin/sh\nexit 1\n")
        (tools / name).chmod(0o755)
    text = script.read_text().replace("until_matches 60", "until_matches 1")
    (tmp_path / "quick.sh").write_text(text.replace("until_matches 30", "until_matches 1"))
    done = subprocess.run(
        ["sh", "quick.sh"],
        cwd=tmp_path,
        env={"PATH": f"{tools}:{Path(shutil.which('sh') or '/bin/sh').parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "core-is-free: fail" in done.stdout
    assert len(done.stdout.splitlines()) == 10


def run_of(folder: Path, log: str) -> results.Run:
    (folder / "lava.log").write_text(log)
    lava_results.convert(folder, "lava-vboard")
    return results.read(folder)


def test_a_log_becomes_junit_with_measurements_and_console(tmp_path: Path) -> None:
    run = run_of(tmp_path, LOG + JOB_END % "pass")
    tests = {test.id: test for test in run.tests}
    assert run.verdict == "passed"
    assert tests["hetoci-smoke::starts"].measures == {"starts": ([7371.0], "ms")}
    assert "TEST_CASE_ID=starts" in tests["hetoci-smoke::starts"].output
    assert tests["lava::login-action"].seconds == 28.14
    assert "Linux version 6.12" in run.consoles["Application core (UART0)"]


def test_a_failed_case_fails_the_run_though_lava_calls_the_job_complete(tmp_path: Path) -> None:
    run = run_of(tmp_path, LOG + FAILED + JOB_END % "pass")
    assert (run.verdict, run.count("failed")) == ("failed", 1)
    failed = {test.id: test for test in run.tests}["hetoci-smoke::core-runs"]
    assert "core is off" in str(failed)


def test_a_board_that_does_not_boot_is_no_failure_of_the_product(tmp_path: Path) -> None:
    failed = LOG.splitlines()[1].replace('"pass"', '"fail"') + "\n"
    run = run_of(tmp_path, failed + JOB_END % "fail")
    assert (run.status, run.verdict) == (BOOT_FAILED, "board did not boot")


def test_control_characters_do_not_break_the_xml(tmp_path: Path) -> None:
    bad = '{"dt": "1", "lvl": "target", "msg": "\\u0000\\u0007\\ud800 <&> \\u001b[31m"}\n'
    run_of(tmp_path, bad + LOG)
    ET.parse(tmp_path / "junit.xml")  # noqa: S314 - written above


def test_a_log_without_results_is_refused_with_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "lava.log").write_text("Traceback\nlava-run should be executed as root\n")
    with pytest.raises(LabError, match=r"holds no result; it ends with:\n.*\n.*as root"):
        lava_results.convert(tmp_path, "lava-vboard")


def test_a_servers_log_reads_like_lava_runs(tmp_path: Path) -> None:
    listed = "".join(f"- {line}\n" for line in (LOG + JOB_END % "pass").splitlines())
    run = run_of(tmp_path, listed)
    assert (run.verdict, run.count("passed")) == ("passed", 3)


def test_submitting_without_a_server_says_where_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("HETOCI_SITE", raising=False)
    with pytest.raises(LabError, match=r"hetoci/site\.yaml names no LAVA server.*docs/lab\.md"):
        lava_cli.submit_command("zcu102")


FACTS = {"url": "http://lab.example/RPC2", "user": "me"}
LAVACLI = """\
import pathlib, os, sys
text = pathlib.Path(os.environ["XDG_CONFIG_HOME"], "lavacli.yaml").read_text()
assert "secret" not in " ".join(sys.argv)
"""


def play_lavacli(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script in lavacli's place; it finds its settings as lavacli does."""

    def command(folder: Path) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-c", LAVACLI + script], {"XDG_CONFIG_HOME": str(folder)}

    monkeypatch.setattr(lava, "submit_command", command)


def test_the_token_is_in_lavaclis_file_and_on_no_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "assert 'token: secret' in text; print('http://lab.example/scheduler/job/17')"
    play_lavacli(monkeypatch, script)
    assert lava.submit(tmp_path / "job.yaml", FACTS, "secret") == 17


def test_a_job_that_the_server_refuses_is_told_without_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play_lavacli(monkeypatch, "print('Invalid definition: extra keys', text); sys.exit(1)")
    with pytest.raises(LabError, match=r"lab\.example/RPC2 refused .*job\.yaml: Inv") as raised:
        lava.submit(tmp_path / "job.yaml", FACTS, "secret")
    assert "secret" not in str(raised.value)


def test_lavas_programs_come_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_tools, "folder", lambda: Path("/cache/lava/key"))
    words, env = lava_tools.command(lava_tools.lava_run(), "--help")
    assert words[:2] == ["/cache/lava/key/venv/bin/python", "/cache/lava/key/root/usr/bin/lava-run"]
    assert env["PYTHONPATH"].startswith(str(lava_tools.STUBS))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lava_server.Server:
    """A server with its files written, and nothing started."""
    monkeypatch.setattr(lava_tools, "folder", lambda: Path("/cache/lava/key"))
    dictionary = tmp_path / "device.jinja2"
    dictionary.write_text("{% extends 'hetoci-vboard.jinja2' %}\n")
    made = lava_server.Server("vboard-1", dictionary, tmp_path / "lava.log")
    made.folder = tmp_path / "server"
    made.folder.mkdir()
    made._write()
    return made


def test_a_server_gets_the_device_its_type_and_a_database_by_socket(
    server: lava_server.Server,
) -> None:
    names = {str(file.relative_to(server.folder)) for file in server.folder.rglob("*.jinja2")}
    assert {"devices/vboard-1.jinja2", "types/hetoci-vboard.jinja2"} <= names
    settings = yaml.safe_load((server.folder / "settings.yaml").read_text())
    assert settings["DATABASES"]["default"]["HOST"] == "/var/run/postgresql"
    assert (server.folder / "token").stat().st_mode & 0o777 == 0o600


def test_a_server_that_ends_is_told_with_its_last_words(server: lava_server.Server) -> None:
    (server.log.parent / "worker.log").write_text("cannot register\n")
    child = subprocess.Popen(["false"])
    child.wait()
    server._children.append(("worker", child))
    with pytest.raises(LabError, match="The LAVA worker ended:\ncannot register"):
        server.check()
