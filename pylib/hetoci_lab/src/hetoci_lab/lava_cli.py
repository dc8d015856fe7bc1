# SPDX-License-Identifier: MIT
"""`hetoci-lab lava …`."""

import shlex
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from hetoci_lab import build, lava, paths, report, runner, site
from hetoci_lab.errors import LabError

app = typer.Typer(no_args_is_help=True, help="Jobs for LAVA: render, validate, run, submit.")

Target = Annotated[str, typer.Argument(help="A file of lava/targets.")]
Image = Annotated[str | None, typer.Option(help="Folder or URL of what the target boots from.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the job and its results.")]
Scenarios = Annotated[
    list[str] | None,
    typer.Option("--scenario", "-s", help="Run by labgrid from inside the job; more than once."),
]


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command.")] = False,
) -> None:
    """Run the job with lava-run on this machine, without a server; write a report."""
    folder = out or runner.run_folder(f"lava-{target}")
    rendered = _render(target, image, folder, scenario)
    lava.validate(rendered)
    if dry_run:
        words, env = lava.command(rendered)
        typer.echo(f"PYTHONPATH={env['PYTHONPATH']} {shlex.join(words)}")
        return
    status = lava.run(rendered, typer.echo)
    page = report.write(report.find_runs([rendered.folder]), rendered.folder / "report.html")
    typer.echo(f"{runner.outcome(status)}. Report: {page}")
    raise typer.Exit(status)


@app.command("submit")
def submit_command(target: Target, image: Image = None, out: Out = None) -> None:
    """Submit the job to the site's LAVA server with lavacli; print the job's number."""
    facts = site.load().lava
    if not facts:
        raise LabError(f"{site.path()} names no LAVA server.", hint="docs/lab.md has an example.")
    rendered = _render(target, image, out, None)
    lava.validate(rendered)
    token = Path(facts["token_file"]).expanduser().read_text().strip()
    scheme, _, rest = facts["url"].partition("://")
    uri = f"{scheme}://{facts['user']}:{token}@{rest}"
    words = ["lavacli", "--uri", uri, "jobs", "submit", str(rendered.job)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise LabError("lavacli is not installed.", hint="`pip install lavacli`.") from error
    if done.returncode:
        said = (done.stdout + done.stderr).replace(token, "…").strip()
        raise LabError(f"The LAVA server refused {rendered.job}: {said}")
    typer.echo(done.stdout.strip())
