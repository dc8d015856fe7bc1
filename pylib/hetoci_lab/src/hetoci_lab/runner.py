# SPDX-License-Identifier: MIT
"""`hetoci-lab run`: scenarios on a board, local or at a place, into a folder of their own."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from hetoci_lab import build, deploy, paths, places, report, scenarios, site
from hetoci_lab.errors import BOARD_LOST, BOOT_FAILED, LabError
from hetoci_lab.virtual_bench import ENVIRONMENT, Bench

PATIENCE = 60.0
"""Seconds that pytest gets to switch the board off after Ctrl-C."""


def run_folder(env: str, parent: Path | None = None) -> Path:
    """Return a new folder's path for a run; it sorts by time."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return (parent or paths.build() / "runs") / f"{stamp}-{env}"


def command(wanted: list[str], env: str, folder: Path) -> list[str]:
    """Return the pytest command line of a run."""
    words = [sys.executable, "-m", "pytest", *scenarios.pytest_words(wanted)]
    words += ["--lg-env", str(scenarios.environment(env)), "--lg-log", str(folder / "console")]
    return [*words, "--junitxml", str(folder / "junit.xml"), "--run-folder", str(folder)]


def place_variables(facts: site.Site, place: site.Place) -> dict[str, str]:
    """Return what an environment with a RemotePlace takes from the site."""
    return {
        "LG_COORDINATOR": facts.coordinator,
        "LG_PLACE": place.name,
        "LG_SSH_KEY": str(place.ssh_key.absolute()),
    }


def run(
    wanted: list[str],
    *,
    env: str | None,
    place: str | None,
    bench: bool,
    out: Path | None,
    dry_run: bool,
    say: Callable[[str], None],
    deployed: list[str] | None = None,
    image: Path | None = None,
) -> int:
    """Run scenarios and write report.html; return the run's exit status.

    A run at a place holds it for that long; with `bench` the place is one of a virtual bench
    that lives as long as the run. `deployed` are packages and container images for the board,
    `image` the folder that it boots from. Raises LabError before anything is switched on.
    """
    if bench and place:
        raise LabError("--bench brings a place of its own; leave out --place.")
    brought = deploy_variables(deployed or [], image)
    with ExitStack() as stack:
        facts = site.load()
        if bench:
            board, place, env = build.build(), "vboard-1", env or ENVIRONMENT
            running = Bench(board, "xen", 1, 0)
            if dry_run:
                for words in running.commands():
                    say(shlex.join(words))
            else:
                stack.enter_context(running)
            facts = replace(facts, coordinator=running.address)
        return _run(facts, brought, wanted, env, place, out, dry_run, say)


def deploy_variables(files: list[str], image: Path | None) -> dict[str, str]:
    """Return what the strategy takes from the environment of its process."""
    if image and not image.is_dir():
        raise LabError(f"{image} is no folder with an image.")
    paths = ":".join(str(file) for file in deploy.checked(files))
    found = {"HETOCI_DEPLOY": paths, "HETOCI_IMAGE_FOLDER": str(image.absolute()) if image else ""}
    return {name: value for name, value in found.items() if value}


def _run(
    facts: site.Site,
    brought: dict[str, str],
    wanted: list[str],
    env: str | None,
    place: str | None,
    out: Path | None,
    dry_run: bool,
    say: Callable[[str], None],
) -> int:
    at = facts.place(place, env) if place else None
    name = at.env if at else env or "vboard-xen"
    folder = (out or run_folder(Path(name).stem)).absolute()
    words = command(wanted, name, folder)
    variables = brought | (place_variables(facts, at) if at else {})
    if dry_run:
        pairs = [f"{key}={shlex.quote(value)}" for key, value in variables.items()]
        say(" ".join([*pairs, shlex.join(words)]))
        return 0
    if not at and "vboard" in name:
        build.build()
    folder.mkdir(parents=True, exist_ok=True)
    with places.held(facts.coordinator, at.name) if at else nullcontext():
        status = _wait(words, os.environ | variables)
    page = report.write([folder], folder / "report.html")
    say(f"{outcome(status)}. Report: {page}")
    return status


def terminated(number: int, _frame: object) -> None:
    """Handle SIGTERM: end as Ctrl-C does."""
    raise KeyboardInterrupt(number)


def _wait(words: list[str], env: dict[str, str]) -> int:
    """Run pytest; Ctrl-C reaches it too, and it gets the time to switch the board off."""
    child = subprocess.Popen(words, env=env)
    try:
        return child.wait()
    except KeyboardInterrupt as error:
        if error.args == (signal.SIGTERM,):  # a signal to this process alone
            child.send_signal(signal.SIGINT)
        try:
            child.wait(PATIENCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            child.kill()
            child.wait()
        raise
    except BaseException:
        child.send_signal(signal.SIGTERM)
        child.wait()
        raise


def outcome(status: int) -> str:
    """Return what a run's exit status means, in words."""
    words = {
        0: "All passed",
        1: "Some tests failed",
        2: "Stopped before the end",
        5: "No test ran",
        BOOT_FAILED: "The board did not boot: nothing is known about the product",
        BOARD_LOST: "The board was lost: what ran before that is in the report",
    }
    return words.get(status, f"pytest ended with status {status}")
