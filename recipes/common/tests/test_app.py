# SPDX-License-Identifier: MIT
"""The programs of the accelerators' images, on this host: what needs no accelerator."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

RECIPES = Path(__file__).parents[2]
VBOARD = RECIPES.parent / "meta-hetoci/recipes-bsp/vboard/files"
SHARED = ("app", "accelerator", "designs", "devices", "json")
VADD_ID = 0x44444156


@pytest.fixture(scope="module")
def vadd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of pl-vadd, compiled for this host."""
    program = tmp_path_factory.mktemp("app") / "vadd"
    sources = [RECIPES / "pl-vadd/app/vadd.c", VBOARD / "common/sha256.c"]
    sources += [RECIPES / f"common/app/{name}.c" for name in SHARED]
    includes = [RECIPES / "common/app", *(VBOARD / name for name in ("pl", "include", "common"))]
    command = ["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined"]
    command += [f"-I{folder}" for folder in includes]
    subprocess.run([*command, "-o", program, *sources], check=True)
    return program


def run(program: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *words], capture_output=True, text=True, check=False, timeout=30
    )


def description(path: Path) -> dict[str, Any]:
    """What /run/hetoci/devices.json says of an accelerator `vadd` whose device is `path`."""
    node = {
        "node": "vadd",
        "path": str(path),
        "windows": [
            {"address": "0xfffc1000", "size": 4096},
            {"address": "0x3f100000", "size": 4096},
        ],
    }
    device = {"name": "vadd", "kind": "accelerator", "slot": "slot1", "nodes": [node]}
    other = {"name": "other", "kind": "endpoint", "note": 'a "name": [1, {"vadd": 2}]', "nodes": []}
    return {"specVersion": "1.0", "devices": [other, device]}


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A file with two pages where a UIO device has its two maps."""
    path = tmp_path / "device"
    path.write_bytes(bytes(8192))
    return path


def test_a_design_that_is_another_one_is_refused(vadd: Path, device: Path, tmp_path: Path) -> None:
    (tmp_path / "devices.json").write_text(json.dumps(description(device), indent=2))
    done = run(vadd, "--devices", tmp_path / "devices.json")
    assert done.returncode == 1
    assert done.stderr == (
        f"vadd: {device}: the ID register is 0x00000000, right would be 0x{VADD_ID:08x}\n"
    )


def test_the_device_is_found_and_described(vadd: Path, device: Path, tmp_path: Path) -> None:
    device.write_bytes(VADD_ID.to_bytes(4, "little") + bytes(8188))
    # Too little memory for the first job, so it ends before it needs an interrupt.
    (tmp_path / "devices.json").write_text(json.dumps(description(device)))
    done = run(vadd, "--devices", tmp_path / "devices.json")
    assert f"vadd: {device} in slot1, version 0.0, 4 KiB of memory at 0x3f100000" in done.stdout
    assert done.returncode == 1
    assert "do not fit 4096 bytes" in done.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "No such file or directory; does this container run under hetoci?"),
        ("", "has no accelerator vadd"),
        ("[]", "has no accelerator vadd"),
        ("{", "has no accelerator vadd"),
        ('{"devices": [', "has no accelerator vadd"),
        ("[" * 100000, "has no accelerator vadd"),
        ('{"devices": [{"name": "vadd", "kind": "endpoint"}]}', "has no accelerator vadd"),
        ('{"devices": [{"name": "vadd", "kind": "accelerator"}]}', "has no device file"),
        (
            '{"devices": [{"name": "vadd", "kind": "accelerator", "nodes": [{"path": "/x"}]}]}',
            "/x has 0 windows, registers and memory are needed",
        ),
        (
            '{"devices": [{"name": "vadd", "kind": "accelerator", "nodes": [{"path": "/x",'
            ' "windows": [{"address": 5, "size": 4096}]}]}]}',
            "window 0 of /x lacks address or size",
        ),
    ],
)
def test_a_bad_description_gets_a_sentence(
    vadd: Path, tmp_path: Path, text: str | None, sentence: str
) -> None:
    path = tmp_path / "devices.json"
    if text is not None:
        path.write_text(text)
    done = run(vadd, "--devices", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--rounds", "x"], ["--what"], ["word"]])
def test_wrong_usage_ends_with_status_2(vadd: Path, words: list[str]) -> None:
    assert run(vadd, *words).returncode == 2


def test_help_names_every_option(vadd: Path) -> None:
    done = run(vadd, "--help")
    assert done.returncode == 0
    assert all(f"--{name}" in done.stdout for name in ("rounds", "forever", "interval", "devices"))
