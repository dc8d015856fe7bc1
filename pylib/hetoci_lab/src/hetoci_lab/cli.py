# SPDX-License-Identifier: MIT
"""The command `hetoci-lab`."""

import shlex
import sys
from pathlib import Path

import click

from hetoci_lab import __version__, build, demo, qemu, shell
from hetoci_lab.errors import LabError

VARIANT = click.option(
    "--variant",
    type=click.Choice(qemu.VARIANTS),
    default="xen",
    show_default=True,
    help="Linux alone, or Xen with Linux as dom0.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Build the virtual board, run it, and show what it can do."""


@cli.command("build")
@click.option("--refresh", is_flag=True, help="Take the newest packages, not those kept.")
@click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Use exactly the package versions of an earlier build's manifest.json.",
)
def build_command(refresh: bool, manifest: Path | None) -> None:
    """Build the board into build/vboard; finished parts come from the cache."""
    click.echo(build.build(refresh=refresh, manifest=manifest))


@cli.command("demo")
def demo_command() -> None:
    """Build the board and start firmware on its Cortex-R5 as a container."""
    demo.run(build.build())


@cli.command("shell")
@VARIANT
@click.option("--dry-run", is_flag=True, help="Print the QEMU command instead of running it.")
def shell_command(variant: str, dry_run: bool) -> None:
    """Build the board and run it with its console on this terminal."""
    board = build.build()
    if dry_run:
        data, uart1 = Path("data.img"), Path("uart1.log")
        click.echo(shlex.join(qemu.command(board, variant, data, qemu.free_port(), uart1)))
        return
    sys.exit(shell.run(board, variant))


def main() -> None:
    """Run the command line; a user's error is one message and exit status 1."""
    try:
        cli.main(standalone_mode=False)
    except LabError as error:
        click.echo(f"hetoci-lab: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("hetoci-lab: stopped.", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
