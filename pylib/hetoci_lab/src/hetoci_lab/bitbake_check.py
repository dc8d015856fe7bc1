# SPDX-License-Identifier: MIT
"""Checks of meta-hetoci by the real bitbake, over checkouts of the layers it is used with.

`python -m hetoci_lab.bitbake_check --layers scarthgap=DIR --layers wrynose=DIR` prints a verdict
a check, and --out writes them as a table. What passes parses, resolves (`bitbake -g`), dry-runs
(`bitbake -n`), passes yocto-check-layer, or packages (stand_ins.py says what that is). No image
is built. What cannot be tried is in the table as well, with the reason.
"""

import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from hetoci_lab import bitbake, layer_check, paths, stand_ins
from hetoci_lab import run as lab_run
from hetoci_lab.errors import LabError

CHECKS = ("parses", "resolves", "dry-runs", "check-layer", "packages")
IMAGES = ("hetoci-image-minimal", "hetoci-image-full", "hetoci-image-xen")
OCI_IMAGES = tuple(
    f"hetoci-oci-{name}"
    for name in ("fw-echo", "fw-crash", "pl-vadd", "pl-sha256", "pl-both", "rtos-jitter")
)
PARSED = re.compile(r"Parsing of (\d+) \.bb files complete .* (\d+) errors")
CHECKED = re.compile(r"^INFO: (test_\S+) \([^)]*\)(?:\nINFO: )? \.\.\. (.+)$", re.M)
"""A test of yocto-check-layer and what it said, in one line or in two."""
PASSED = ("ok", "unexpected success")
ABSENT = {"zephyr-jitter": "meta-zephyr-core"}
"""Recipes of ours for layers that no configuration here has."""
OF_GUESTS = ("hetoci-guest", "hetoci-guest-kernel", "packagegroup-hetoci-xen")
"""The domains' kernel, and what depends on it."""
FORMATS = ("deb", "ipk", "rpm")
ASIDE = re.compile(r"-(bytecode|dbg|dev|doc)_")
"""Packages that no image has unless it asks for them; they do not count as installed."""


class Verdict(NamedTuple):
    """What one check said: `outcome` is ok, FAILED or not run."""

    series: str
    machine: str
    check: str
    what: str
    outcome: str
    detail: str
    seconds: float


PLACE = {"scarthgap": 'TCLIBCAPPEND = ""\n'}
"""What puts packages into the same folder, tmp/, on every series; wrynose does so by itself."""


class Trial(NamedTuple):
    """Checkouts of a series, and where to work and log."""

    series: str
    checkout: bitbake.Checkout
    work: Path
    kernel: Path | None
    source: Path | None = None
    extra: tuple[str, ...] = ()
    """Files of kas/feature beyond PRODUCT."""

    def log(self, name: str) -> Path:
        """Return the file that keeps what bitbake prints for `name`."""
        return self.work / "log" / f"{self.series}-{name}.log"


def judge(trial: Trial, machine: str, check: str, what: str, done: bitbake.Outcome) -> Verdict:
    """Return the verdict on a run of bitbake: any ERROR line or status fails it."""
    errors = done.lines("ERROR")
    failed = bool(done.status or errors)
    parsed = PARSED.search(done.text)
    detail = f"{parsed[1]} recipes" if parsed and check == "parses" else ""
    detail = errors[0] if errors else detail
    if failed and not detail:
        detail = f"status {done.status}: {done.text.strip().splitlines()[-1:]}"
    outcome = "FAILED" if failed else "ok"
    return Verdict(trial.series, machine, check, what, outcome, detail, done.seconds)


def images(machine: str) -> list[str]:
    """Return the images to try for one of kas/machine."""
    return [*IMAGES, *(OCI_IMAGES if machine == "hetoci-vboard" else ())]


def machine_checks(trial: Trial, machine: str, checks: tuple[str, ...]) -> Iterator[Verdict]:
    """Parse, resolve and dry-run with everything that makes sense on one of kas/machine."""
    wanted = [name for name in CHECKS[:3] if name in checks]
    if not wanted:
        return
    asked = (*layer_check.PRODUCT, *trial.extra)
    features = [n for n in asked if (machine, n) not in layer_check.NONSENSE]
    resolved = layer_check.dump(layer_check.files(trial.series, machine, features))
    missing = trial.checkout.missing(resolved)
    if missing:
        reason = f"no checkout of {', '.join(missing)}"
        yield from (
            Verdict(trial.series, machine, name, "", "not run", reason, 0) for name in wanted
        )
        return
    build = trial.work / trial.series  # one for all machines: they share a cache of parsed code
    trial.checkout.prepare(resolved, build)
    for check in wanted:
        whole = ["all layers"] if check == "parses" else images(machine)
        verdict = bitbake_run(trial, machine, check, whole, build)
        yield verdict
        if verdict.outcome == "FAILED" and check != "parses":
            # Together, because each run computes the same thousands of tasks; now one by one.
            for image in whole:
                yield bitbake_run(trial, machine, check, [image], build)


def bitbake_run(trial: Trial, machine: str, check: str, targets: list[str], build: Path) -> Verdict:
    """Run bitbake for one check on one or more targets."""
    option = {"parses": ["-p"], "resolves": ["-g", *targets], "dry-runs": ["-n", *targets]}
    log = trial.log(f"{machine}-{check}-{targets[0].replace(' ', '-')}")
    done = trial.checkout.run(build, ["bitbake", *option[check]], log)
    what = " ".join([*targets, *(f"+{name}" for name in trial.extra)])
    return judge(trial, machine, check, what, done)


def check_layer(trial: Trial) -> Iterator[Verdict]:
    """Run yocto-check-layer with oe-core as the only other layer."""
    build = trial.work / f"{trial.series}-check-layer"
    for name in ("conf", "tmp", "tmp-glibc"):  # cache/ stays: it has parsed code by its text
        shutil.rmtree(build / name, ignore_errors=True)
    names = ["kas/base.yml", f"kas/series/{trial.series}.yml", "kas/machine/qemuarm64.yml"]
    resolved = layer_check.dump(names)
    others = {name: value for name, value in resolved["repos"].items() if name != bitbake.OWN}
    alone = {**resolved, "repos": others, "local_conf_header": {}}
    trial.checkout.prepare(alone, build)
    command = ["yocto-check-layer", str(paths.tree() / layer_check.LAYER)]
    done = trial.checkout.run(build, command, trial.log("check-layer"))
    yield judge_layer(trial, done)


def judge_layer(trial: Trial, done: bitbake.Outcome) -> Verdict:
    """Return the verdict on a run of yocto-check-layer: its status, and each of its tests."""
    results = CHECKED.findall(done.text)
    bad = [f"{name}: {said}" for name, said in results if not said.startswith((*PASSED, "skipped"))]
    failed = bool(done.status or bad or not results)
    good = sum(said.startswith(PASSED) for _, said in results)
    detail = "; ".join(bad) or f"{good} tests passed, {len(results) - good} do not apply"
    if failed and not bad:
        detail = "; ".join(done.lines("ERROR"))[:300] or f"status {done.status}"
    outcome = "FAILED" if failed else "ok"
    return Verdict(trial.series, "", "check-layer", "core alone", outcome, detail, done.seconds)


def package(trial: Trial, recipes: tuple[str, ...]) -> Iterator[Verdict]:
    """Package our recipes to .deb, .ipk and .rpm, package QA included.

    All of them, from nothing; or `recipes`, beside what an earlier run left.
    """
    build = trial.work / f"{trial.series}-packages"
    if not recipes:
        shutil.rmtree(build / "tmp", ignore_errors=True)
    build.mkdir(parents=True, exist_ok=True)
    stand_in = build / "stand-ins"
    stand_ins.make(stand_in, trial.series)
    kernel = stand_ins.kernel(trial.kernel, build) if trial.kernel else None
    names = layer_check.files(trial.series, "hetoci-vboard", ("amp", "fpga", "xen"))
    local_conf = stand_ins.local_conf(stand_in, kernel, trial.source) + PLACE.get(trial.series, "")
    trial.checkout.prepare(layer_check.dump(names), build, local_conf, [stand_in])
    for recipe in recipes or stand_ins.packaged():
        reason = ""
        if recipe == "of-overlay-configfs" and kernel is None:
            reason = "no kernel to build a module for: name one with --kernel"
        elif recipe in OF_GUESTS and trial.source is None:
            reason = "no sources of a kernel: name some with --kernel-source"
        elif recipe in ABSENT:
            reason = f"no file of kas/ has its layer, {ABSENT[recipe]}"
        if reason:
            yield Verdict(trial.series, "hetoci-vboard", "packages", recipe, "not run", reason, 0)
            continue
        log = trial.log(f"packages-{recipe}")
        done = trial.checkout.run(build, ["bitbake", recipe], log, [stand_in / "bin"])
        verdict = judge(trial, "hetoci-vboard", "packages", recipe, done)
        if verdict.outcome == "ok":
            verdict = verdict._replace(detail=written(build / "tmp/deploy", recipe))
        yield verdict


def written(deploy: Path, recipe: str) -> str:
    """Say how many packages of each format a recipe made, and what its .debs take installed."""
    longer = tuple(name for name in stand_ins.packaged() if name.startswith(f"{recipe}-"))
    names = {
        kind: [
            file
            for file in deploy.glob(f"{kind}/*/{recipe}[-_]*.{kind}")
            if not file.name.startswith(longer)
        ]
        for kind in FORMATS
    }
    if recipe.startswith("of-overlay"):  # module packages are named after the kernel
        for kind, found in names.items():
            found += deploy.glob(f"{kind}/*/kernel-module-{recipe}[-_]*.{kind}")
    if not any(names.values()):
        return "deploys only"
    total = sum(installed(deb) for deb in names["deb"] if not ASIDE.search(deb.name))
    counts = ", ".join(f"{len(found)} .{kind}" for kind, found in names.items())
    return f"{counts}; {total / 1024:.0f} KiB installed"


def installed(deb: Path) -> int:
    """Return the bytes of the files in a .deb."""
    listed = lab_run.output(["dpkg-deb", "-c", deb])
    sizes = [line.split() for line in listed.splitlines() if line.startswith("-")]
    return sum(int(fields[2]) for fields in sizes)


def table(verdicts: list[Verdict], commits: dict[str, dict[str, str]]) -> str:
    """Return the verdicts and the commits they hold for as Markdown."""
    lines = ["| series | repository | commit | date |", "|---|---|---|---|"]
    for series, repositories in commits.items():
        for name, value in repositories.items():
            commit, _, date = value.partition(" ")
            lines.append(f"| {series} | {name} | {commit} | {date} |")
    lines += [
        "",
        "| series | machine | check | of | verdict | | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for verdict in verdicts:
        cells = [*verdict[:6], f"{verdict.seconds:.0f}"]
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    bad = sum(verdict.outcome == "FAILED" for verdict in verdicts)
    left = sum(verdict.outcome == "not run" for verdict in verdicts)
    lines += ["", f"{len(verdicts)} verdicts, {bad} failed, {left} not run."]
    return "\n".join(lines) + "\n"


def run(
    trial: Trial, machines: tuple[str, ...], checks: tuple[str, ...], recipes: tuple[str, ...]
) -> Iterator[Verdict]:
    """Do the chosen checks of one series."""
    if "packages" in checks:
        yield from package(trial, recipes)
    if "check-layer" in checks:
        yield from check_layer(trial)
    for machine in machines:
        if layer_check.FIXED_SERIES.get(machine, trial.series) == trial.series:
            yield from machine_checks(trial, machine, checks)
        elif set(checks) & set(CHECKS[:3]):
            only = layer_check.FIXED_SERIES[machine]
            reason = f"AMD's release 2024.2 is for {only} only"
            yield Verdict(trial.series, machine, "parses", "", "not run", reason, 0)


@click.command()
@click.option("--layers", multiple=True, required=True, metavar="SERIES=DIR",
              help="Checkouts of a series, one folder a repository, named as in kas/.")  # fmt: skip
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Where to work.")
@click.option("--user", help="Run bitbake as this user; root must name one.")
@click.option("--kernel", type=click.Path(path_type=Path, exists=True),
              help="A kernel of the quick build, to package the module for.")  # fmt: skip
@click.option("--kernel-source", "source", type=click.Path(path_type=Path, exists=True),
              help="A kernel's whole sources, to package that of domains from.")  # fmt: skip
@click.option("--machine", "machines", multiple=True, type=click.Choice(layer_check.MACHINES))
@click.option("--check", "checks", multiple=True, type=click.Choice(CHECKS))
@click.option("--feature", "extra", multiple=True, type=click.Choice(layer_check.FEATURES),
              help="Also this one of kas/feature.")  # fmt: skip
@click.option("--recipe", "recipes", multiple=True, help="Package only these.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the table to this file.")
def main(
    layers: tuple[str, ...],
    work: Path,
    user: str | None,
    kernel: Path | None,
    source: Path | None,
    machines: tuple[str, ...],
    checks: tuple[str, ...],
    extra: tuple[str, ...],
    recipes: tuple[str, ...],
    out: Path | None,
) -> None:
    """Check the layer by the real bitbake."""
    unknown = sorted(set(recipes) - set(stand_ins.packaged()))
    if unknown:
        have = ", ".join(stand_ins.packaged())
        raise LabError(f"There is no recipe {unknown[0]} to package; there are: {have}.")
    verdicts: list[Verdict] = []
    commits: dict[str, dict[str, str]] = {}
    work.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    for word in layers:
        series, _, folder = word.partition("=")
        if series not in layer_check.SERIES or not folder:
            raise LabError(f"--layers {word}: write SERIES=DIR with one of {layer_check.SERIES}.")
        checkout = bitbake.Checkout(Path(folder).resolve(), user)
        commits[series] = checkout.commits()
        trial = Trial(series, checkout, work.resolve(), kernel, source, extra)
        for verdict in run(trial, machines or layer_check.MACHINES, checks or CHECKS, recipes):
            verdicts.append(verdict)
            click.echo(" ".join([f"{verdict.outcome:8}", *verdict[:4], verdict.detail[:200]]))
            if out:  # after each one: a long run that is stopped leaves what it found
                out.write_text(table(verdicts, commits))
    click.echo(table(verdicts, commits))
    click.echo(f"{time.monotonic() - begin:.0f} s")
    sys.exit(any(verdict.outcome == "FAILED" for verdict in verdicts))


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"bitbake_check: {error}")
