# SPDX-License-Identifier: MIT
"""Backends that other distributions bring, found by their entry points."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import HERE, Result
from hetoci import backends, errors
from hetoci.host import Host
from plboard import PlBoard, keys, valid

KEYS = keys("engine", bitstream="/acme.bin", overlay=None, flags=None)


def installed(pl: PlBoard, entry_points: str, module: str) -> Path:
    """A directory of Python's path with a distribution in it."""
    site = pl.root / "opt/site"
    (site / "acme-1.0.dist-info").mkdir(parents=True)
    (site / "acme-1.0.dist-info/entry_points.txt").write_text(entry_points)
    (site / "acme_backend.py").write_text(module)
    # hetoci looks for distributions below the board's root.
    link = pl.root / os.fspath(site)[1:]
    link.parent.mkdir(parents=True)
    link.symlink_to(site)
    return site


def call(pl: PlBoard, site: Path, *args: str, options: tuple[str, ...] = ()) -> Result:
    path = f"{HERE}:{HERE.parent / 'src'}:{site}"
    done = subprocess.run(
        [sys.executable, *options, HERE / "cli.py", pl.root, "", *args],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def test_only_the_backends_that_are_needed_are_loaded(pl: PlBoard) -> None:
    nothing = pl.root / "opt/nothing"
    bundle = pl.accelerator(args=("true",))
    words = ("run", "--detach", "--bundle", bundle, "--pid-file", "/c.pid", "c")
    result = call(pl, nothing, *words, options=("-X", "importtime"))
    assert result.code == 0, result.err
    loaded = re.findall(r"\| +hetoci\.backends\.(\w+)$", result.err, re.MULTILINE)
    assert loaded == ["fpga"]
    assert pl.exit_code("c") == 0
    assert pl.hetoci("delete", "c").code == 0


ENTRY = "[console_scripts]\nx = y:z\n[hetoci.backends]\n# ours\nacme = acme_backend\n"


def test_a_backend_of_another_distribution_serves_a_container(pl: PlBoard) -> None:
    site = installed(pl, ENTRY, (HERE / "acme_fabric.py").read_text())
    bundle = pl.accelerator(KEYS, files={"/acme.bin": b"acme"}, args=("true",))
    result = call(pl, site, "run", "--detach", "--bundle", bundle, "--pid-file", "/c.pid", "c")
    assert (result.code, result.err) == (0, "")
    (device,) = pl.config("c")["linux"]["devices"]
    assert (device["path"], device["major"], device["minor"]) == ("/dev/hetoci/engine", 99, 7)
    valid(pl.description("c"), "devices")
    assert (pl.root / "dev/acme.design").read_bytes() == b"acme"
    found = call(pl, site, "devices", "--json").json()
    valid(found, "inventory")
    assert [d["name"] for d in found if d["backend"] == "acme"] == ["acme"]
    assert pl.exit_code("c") == 0
    assert call(pl, site, "delete", "c").code == 0
    assert not (pl.root / "dev/acme.design").exists()
    assert pl.leftovers() == []


def test_what_a_backend_finds_left_over_is_reaped(pl: PlBoard) -> None:
    site = installed(pl, ENTRY, (HERE / "acme_fabric.py").read_text())
    (pl.root / "dev/acme.design").write_bytes(b"left")
    assert call(pl, site, "reap").out == "freed acme0\n"
    assert not (pl.root / "dev/acme.design").exists()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_backend_that_cannot_be_loaded_is_named(pl: PlBoard, module: str, words: str) -> None:
    site = installed(pl, ENTRY, module)
    result = call(pl, site, "create", "--bundle", pl.accelerator(), "c")
    assert (result.code, result.err) == (
        1,
        f"hetoci: the backend acme cannot be loaded: {words};"
        " repair or remove the distribution that has the module acme_backend\n",
    )
    assert pl.leftovers() == []


def test_devices_of_a_backend_that_is_gone_are_named_at_delete(pl: PlBoard) -> None:
    site = installed(pl, ENTRY, (HERE / "acme_fabric.py").read_text())
    bundle = pl.accelerator(KEYS, files={"/acme.bin": b"acme"}, args=("true",))
    call(pl, site, "run", "--detach", "--bundle", bundle, "--pid-file", "/c.pid", "c")
    pl.exit_code("c")
    result = pl.hetoci("delete", "c")
    assert (result.code, result.err) == (
        1,
        "hetoci: could not give everything back: the backend acme is not installed\n",
    )
    assert call(pl, site, "reap").code == 0
    assert not (pl.root / "dev/acme.design").exists()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("[hetoci.backends]\na = b.c\n d=e \n", {"a": "b.c", "d": "e"}),
        ("a = b\n[other]\nc = d\n[hetoci.backends]\n; x = y\n\n[more]\ne = f\n", {}),
    ],
)
def test_only_entry_points_of_our_group_count(text: str, found: dict[str, str]) -> None:
    assert dict(backends._group(text)) == found


def test_a_backend_that_nobody_has_is_named() -> None:
    with pytest.raises(errors.BackendError, match="the backend nobody is not installed"):
        backends.load(Host(), "nobody")
