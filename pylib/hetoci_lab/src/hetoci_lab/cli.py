# SPDX-License-Identifier: MIT
"""The command `hetoci-lab`."""

import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hetoci_lab import (
    __version__,
    build,
    demo,
    lava_cli,
    places,
    qemu,
    remote_shell,
    report,
    runner,
    scenarios,
    session,
    shell,
    site,
    virtual_bench,
)
from hetoci_lab import (
    bench as measuring,
)
from hetoci_lab.errors import BOOT_FAILED, INTERRUPTED, LabError
from hetoci_lab.machine import Machine

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Build the virtual board, run it or a real one, and show what it can do.",
)
app.add_typer(lava_cli.app, name="lava")

Variant = Annotated[str, typer.Option(help=f"The virtual board's: {' or '.join(qemu.VARIANTS)}.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the command, run nothing.")]
AtPlace = Annotated[
    str | None, typer.Option("--place", "-p", help="A labgrid place instead of a local board.")
]
Env = Annotated[str | None, typer.Option("--env", "-e", help="Environment in labtests/env.")]


def tell(text: str) -> None:
    """Print a line for programs and people alike: no colours, no wrapping."""
    typer.echo(text)


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        tell(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Options before the command."""


@app.command("build")
def build_command(
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Take the newest packages, not those kept.")
    ] = False,
    manifest: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Use exactly the package versions of an earlier build's manifest.json.",
        ),
    ] = None,
) -> None:
    """Build the virtual board into build/vboard; finished parts come from the cache."""
    tell(str(build.build(refresh=refresh, manifest=manifest)))


@app.command("demo")
def demo_command() -> None:
    """Build the board and start firmware on its Cortex-R5 as a container."""
    demo.run(build.build())


@app.command("boot")
def boot_command(variant: Variant = "xen", dry_run: DryRun = False) -> None:
    """Boot the virtual board until containerd answers, say how long it took, switch it off."""
    board = build.build()
    if dry_run:
        with session.Session(board, variant, on=False) as off:
            tell(shlex.join(off.command()))
        return
    console = Console(stderr=True)
    with session.Session(board, variant) as running, console.status("power on") as status:
        seconds = running.wait_ready(lambda line: status.update(line[:100] or "power on"))
    tell(f"containerd was ready after {seconds:.1f} s")


@app.command("shell")
def shell_command(
    place: AtPlace = None, env: Env = None, variant: Variant = "xen", dry_run: DryRun = False
) -> None:
    """A board's console on this terminal, ssh beside it; local or at a place."""
    if place:
        raise typer.Exit(remote_shell.run(place, env, dry_run=dry_run, say=tell))
    board = build.build()
    if dry_run:
        with Machine(board, variant) as machine:
            tell(shlex.join(machine.command(shell.CONSOLE)))
        return
    raise typer.Exit(shell.run(board, variant))


@app.command("run")
def run_command(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(metavar="SCENARIO", help="NAME, NAME::test or smoke; none: all of them."),
    ] = None,
    env: Env = None,
    place: AtPlace = None,
    bench: Annotated[
        bool, typer.Option("--bench", help="At a place of a virtual bench of its own.")
    ] = False,
    deployed: Annotated[
        list[str] | None,
        typer.Option("--deploy", help="Package or container image for the board; repeatable."),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="Folder of the image to boot (TFTP, SD-mux).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Run scenarios and write a report.

    Exit status: 0 all passed, 1 some failed, 96 the board did not boot, 97 it was lost.
    """
    raise typer.Exit(
        runner.run(
            wanted or [],
            env=env,
            place=place,
            bench=bench,
            out=out,
            dry_run=dry_run,
            say=tell,
            deployed=deployed,
            image=image,
        )
    )


@app.command("places")
def places_command() -> None:
    """List the coordinator's places, who has them, since when, and the local environments."""
    with places.Coordinator(site.load().coordinator) as coordinator:
        table = Table("place", "taken by", "since", "resources", "")
        for row in coordinator.places():
            missing = [name for name, there in row.resources.items() if not there]
            state = f"{len(row.resources)} there" if not missing else f"missing {missing}"
            table.add_row(row.name, row.holder or "", places.since(row), state, row.comment)
    Console().print(table)
    tell(f"environments: {', '.join(scenarios.environments())}")
    tell(f"scenarios: {', '.join([*scenarios.names(), scenarios.SMOKE])}")


@app.command("report")
def report_command(
    folders: Annotated[list[Path], typer.Argument(help="Runs, or a folder of runs.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
) -> None:
    """Write one HTML page about runs; of a folder of runs also their history."""
    tell(str(report.write(report.find_runs(folders), out)))


@app.command("bench")
def bench_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Scripts in labtests/bench.")
    ] = None,
    variant: Variant = "xen",
    out: Annotated[Path | None, typer.Option("--json", help="Save the measurements.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Run the measuring scripts of labtests/bench on a freshly booted virtual board."""
    if dry_run:
        measuring.dry_run(names or [], variant, tell)
        return
    measuring.run(names or [], variant, out, tell)


@app.command("serve")
def serve_command(
    count: Annotated[int, typer.Option("--places", min=1, max=8, help="How many boards.")] = 1,
    variant: Variant = "xen",
    port: Annotated[int, typer.Option(help="The coordinator's, on loopback.")] = 20408,
    dry_run: DryRun = False,
) -> None:
    """Virtual boards behind a labgrid coordinator and exporter of their own, until Ctrl-C."""
    bench = virtual_bench.Bench(build.build(), variant, count, port)
    if dry_run:
        for command in bench.commands():
            tell(shlex.join(command))
        return
    with bench as running:
        tell(running.describe())
        running.wait()


def main() -> None:
    """Run the command line; a user's error is one message and exit status 1 or 96.

    SIGTERM ends it as Ctrl-C does: with everything given back. Ctrl-C counts also where a shell
    ignores it, for a command in the background.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, runner.terminated)
    try:
        app(prog_name="hetoci-lab")
    except session.BoardSilent as error:
        typer.echo(f"hetoci-lab: {error}", err=True)
        sys.exit(BOOT_FAILED)
    except LabError as error:
        typer.echo(f"hetoci-lab: {error}", err=True)
        sys.exit(1)
    except SystemExit as ended:  # typer's answer to KeyboardInterrupt
        if ended.code == INTERRUPTED:
            typer.echo("hetoci-lab: stopped.", err=True)
        raise


if __name__ == "__main__":
    main()
