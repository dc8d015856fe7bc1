# SPDX-License-Identifier: MIT
"""`hetoci-lab lava …`."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hetoci_lab import build, lava, lava_server, paths, report, runner, site
from hetoci_lab.errors import LabError

app = typer.Typer(no_args_is_help=True, help="Jobs for LAVA: render, validate, run, submit.")

Target = Annotated[str, typer.Argument(help="A file of lava/targets.")]
Image = Annotated[str | None, typer.Option(help="Folder or URL of what the target boots from.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the job and its results.")]
Scenarios = Annotated[
    list[str] | None,
    typer.Option("--scenario", "-s", help="Run by labgrid from inside the job; more than once."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the command, run nothing.")]


def _render(
    target: str, image: str | None, out: Path | None, scenarios: list[str] | None
) -> lava.Rendered:
    place = (out or paths.build() / "lava" / target).absolute()
    if image is None and "variant" in lava.target(target):
        image = str(build.build())
    if image is None:
        raise LabError(f"{target} needs --image: a folder or URL of its image.")
    return lava.render(target, image, place, scenarios or [])


@app.command("render")
def render_command(
    target: Target, image: Image = None, out: Out = None, scenario: Scenarios = None
) -> None:
    """Write the job, the device dictionary and the device for lava-run."""
    typer.echo(str(_render(target, image, out, scenario).folder))


@app.command("validate")
def validate_command(
    target: Target, image: Image = None, out: Out = None, scenario: Scenarios = None
) -> None:
    """Render, and hold the result to LAVA's own schemas."""
    rendered = _render(target, image, out, scenario)
    lava.validate(rendered)
    typer.echo(f"{rendered.job} and {rendered.device} are as LAVA wants them.")


@app.command("run")
def run_command(
    target: Target,
    image: Image = None,
    out: Out = None,
    scenario: Scenarios = None,
    dry_run: DryRun = False,
) -> None:
    """Run the job with lava-run on this machine, without a server; write a report."""
    folder = out or runner.run_folder(f"lava-{target}")
    rendered = _render(target, image, folder, scenario)
    lava.validate(rendered)
    if dry_run:
        words, env = lava.command(rendered)
        typer.echo(f"PYTHONPATH={env['PYTHONPATH']} {shlex.join(words)}")
        return
    _finish(rendered, lambda: lava.run(rendered, typer.echo))


@app.command("submit")
def submit_command(
    target: Target,
    image: Image = None,
    out: Out = None,
    dry_run: DryRun = False,
) -> None:
    """Submit the job to the site's LAVA server with lavacli; print the job's number."""
    facts = site.load().lava
    if not facts:
        raise LabError(f"{site.path()} names no LAVA server.", hint="docs/lab.md has an example.")
    rendered = _render(target, image, out, None)
    lava.validate(rendered)
    if dry_run:
        words, env = lava.submit_command(Path("SETTINGS"))
        typer.echo(f"PYTHONPATH={env['PYTHONPATH']} {shlex.join([*words, str(rendered.job)])}")
        return
    typer.echo(str(lava.submit(rendered.job, facts, _token(facts["token_file"]))))


def _token(name: str) -> str:
    try:
        return Path(name).expanduser().read_text().strip()
    except OSError as error:
        raise LabError(f"Cannot read the LAVA token in {name}: {error.strerror}.") from error


@app.command("server")
def server_command(
    target: Target = "vboard",
    out: Out = None,
    scenario: Scenarios = None,
) -> None:
    """Bring up a LAVA server on loopback, submit the job to it, fetch the results as JUnit."""
    folder = out or runner.run_folder(f"lava-server-{target}")
    rendered = _render(target, None, folder, scenario)
    lava.validate(rendered)
    _finish(rendered, lambda: lava_server.run_job(rendered, target, typer.echo))


def _finish(rendered: lava.Rendered, job: Callable[[], int]) -> None:
    """Run a job, write the report, end with the job's status."""
    try:
        status = job()
    finally:
        rendered.scratch.unlink(missing_ok=True)
    page = report.write(report.find_runs([rendered.folder]), rendered.folder / "report.html")
    typer.echo(f"{runner.outcome(status)}. Report: {page}")
    raise typer.Exit(status)
