# SPDX-License-Identifier: MIT
"""The command `hetoci-image`."""

import json
import sys
from pathlib import Path

import click

from hetoci_lab import __version__
from hetoci_lab.errors import LabError
from hetoci_lab.image import artifact, model, validate
from hetoci_lab.image import build as building
from hetoci_lab.image import inspect as showing

BAD_IMAGE = 1
NOT_USABLE = 3

PATH = click.argument("image", type=click.Path(exists=True, path_type=Path))
NAME = click.option("--name", default="", help="Which image, if there are several.")
PLATFORM = click.option(
    "--platform",
    default="linux/arm64",
    show_default=True,
    metavar="OS/ARCH",
    help="Which image of an index; what to build for.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Build, inspect and validate images with firmware, bitstreams or kernels.

    IMAGE is a folder with an OCI image layout, an OCI archive, or an archive of `docker save`.
    Nothing of an image is unpacked to a place that it names, and nothing of it runs.

    Exit status: 0; 1 an image is wrong; 2 wrong usage; 3 an image cannot be read, or the build
    failed.
    """


@cli.command("build")
@click.argument("context", type=click.Path(exists=True, path_type=Path), default=".")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Archive (*.tar) to write, or folder for NAME.oci.tar.  [default: here]",
)
@click.option("-t", "--tag", default="", help="Name.  [default: localhost/FOLDER:latest]")
@click.option(
    "--engine",
    type=click.Choice(building.ENGINES),
    default=None,
    help="What builds.  [default: the first installed]",
)
@click.option("--digests", is_flag=True, help="Write the digest keys from the files named.")
@click.option(
    "--layers/--no-layers",
    default=True,
    show_default=True,
    help="One layer an instruction, so that data lie apart from programs; or all in one.",
)
@click.option(
    "--build-arg", "arguments", multiple=True, metavar="NAME=VALUE", help="As of buildah."
)
@click.option(
    "--artifact",
    "artifacts",
    multiple=True,
    metavar="ARCHIVE:PATH",
    help="Put the data of an artifact into the image, at PATH.",
)
@PLATFORM
def build_command(
    context: Path,
    output: Path | None,
    tag: str,
    engine: str | None,
    digests: bool,
    layers: bool,
    arguments: tuple[str, ...],
    artifacts: tuple[str, ...],
    platform: str,
) -> None:
    """Build the image of CONTEXT, a Containerfile or the folder of one, and validate it.

    The labels file, which engines that drop labels need, is made from the labels. The same input
    gives the same bytes.
    """
    options = building.Options(tag, engine or "", platform, digests, layers, arguments, artifacts)
    archive, warnings = building.build(context, output, options)
    for finding in warnings:
        click.echo(finding, err=True)
    click.echo(archive)


@cli.command("artifact")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--type", "role", required=True, type=click.Choice(list(artifact.TYPES)), help="What it is."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Archive (*.tar) to write, or folder for FILE.oci.tar.  [default: here]",
)
@click.option("-t", "--tag", default="", help="Name.  [default: none]")
@click.option(
    "--subject",
    type=click.Path(exists=True, path_type=Path),
    help="The image that it belongs to, for registries' lists of referrers.",
)
def artifact_command(
    file: Path, role: str, output: Path | None, tag: str, subject: Path | None
) -> None:
    """Make an OCI artifact of FILE: data without a program, checked as a file of an image is.

    `build --artifact` makes a file of an image of it.
    """
    click.echo(artifact.make(file, role, output, tag=tag, subject=subject))


@cli.command("inspect")
@PATH
@NAME
@PLATFORM
@JSON
def inspect_command(image: Path, name: str, platform: str, as_json: bool) -> None:
    """Show an image's keys with their meaning, and the files that they name."""
    with model.opened(image, name=name, platform=platform) as found:
        report = validate.check(found)
        if as_json:
            click.echo(json.dumps(showing.to_json(report), indent=2))
            return
        for line in showing.to_text(report):
            click.echo(line)
    for finding in report.findings:
        click.echo(finding, err=True)


@cli.command("validate")
@PATH
@NAME
@PLATFORM
@JSON
def validate_command(image: Path, name: str, platform: str, as_json: bool) -> None:
    """Check an image by the specification, as far as no board is needed.

    Keys, the files that they name, their digests and headers, and whether labels and labels file
    agree. Exit status 1 if there is an error; warnings do not count.
    """
    try:
        with model.opened(image, name=name, platform=platform) as found:
            report = validate.check(found)
    except LabError as error:
        if as_json:
            reason = validate.Finding(validate.ERROR, str(image), error.message, error.hint or "")
            _show_json(good=False, findings=[reason])
        raise
    if as_json:
        _show_json(good=report.good, findings=report.findings)
    else:
        for finding in report.findings:
            click.echo(finding)
        if report.good:
            click.echo(f"{image}: good")
    sys.exit(0 if report.good else BAD_IMAGE)


def _show_json(*, good: bool, findings: list[validate.Finding]) -> None:
    document = {"good": good, "findings": [finding.to_json() for finding in findings]}
    click.echo(json.dumps(document, indent=2))


def main() -> None:
    """Run the command line; a user's error is one message and its exit status."""
    try:
        cli.main(standalone_mode=False)
    except LabError as error:
        click.echo(f"hetoci-image: {error}", err=True)
        sys.exit(NOT_USABLE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("hetoci-image: stopped.", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
