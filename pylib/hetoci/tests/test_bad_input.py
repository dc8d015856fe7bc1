# SPDX-License-Identifier: MIT
"""Every kind of bad input that an image or a user can bring, by way of create: one sentence, and
the board is as it was. The parsers' own tables and property tests have the details."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import accelerator as make
import firmware
from conftest import Board
from hetoci import elf
from plboard import PlBoard, keys

A = "io.hetoci.accelerator.hash"
BIT = "accelerator/sha256-slot0.bit.bin"
DTBO = "accelerator/sha256-slot0.dtbo"
SLOT0 = keys(slot="slot0")

#: What is done to the image in a bundle's root file system, after its keys.
Change = Callable[[Path], object]


def refused(board: Board, bundle: str) -> str:
    before = PlBoard.snapshot(board)
    result = board.hetoci("create", "--bundle", bundle, "c")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("hetoci: ")
    assert result.err.count("\n") == 1
    assert PlBoard.snapshot(board) == before
    return result.err


def replaced(name: str, data: bytes) -> Change:
    def change(rootfs: Path) -> None:
        (rootfs / name).write_bytes(data)

    return change


def instead(name: str, make_it: Callable[[Path], object]) -> Change:
    def change(rootfs: Path) -> None:
        (rootfs / name).unlink()
        make_it(rootfs / name)

    return change


def two_gigabytes(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2_000_000_000)


def nothing(rootfs: Path) -> None:
    assert rootfs.is_dir()


@pytest.mark.parametrize(
    ("annotations", "change", "words"),
    [
        pytest.param(
            {**SLOT0, f"{A}.bitstraem": "/a"},
            nothing,
            f"annotation {A}.bitstraem is unknown, did you mean {A}.bitstream?",
            id="a misspelt key",
        ),
        pytest.param(
            {**SLOT0, f"{A}.memory": "lots"},
            nothing,
            f"{A}.memory is 'lots', right would be bytes, or a number with K, M or G",
            id="a wrong type",
        ),
        pytest.param(
            {**SLOT0, f"{A}.memory": 64},
            nothing,
            f"{A}.memory is a number, a string is needed",
            id="a wrong type of JSON",
        ),
        pytest.param(
            {**SLOT0, f"{A}.bitstream": "/../../etc/shadow"},
            nothing,
            "right would be a path in the image without '..'",
            id="a path outside of the root file system",
        ),
        pytest.param(
            SLOT0,
            instead(BIT, lambda path: path.symlink_to("../../../../etc/passwd")),
            f"would take /{BIT}, which does not exist in the image",
            id="a symbolic link out of it",
        ),
        pytest.param(
            SLOT0,
            instead(BIT, lambda path: os.mknod(path, 0o20600, os.makedev(1, 5))),
            f"/{BIT} in the image is a character device, a regular file is needed",
            id="a device node instead of a file",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="making device nodes needs root"),
        ),
        pytest.param(
            SLOT0,
            instead(BIT, os.mkfifo),
            f"/{BIT} in the image is a FIFO, a regular file is needed",
            id="a FIFO instead of a file",
        ),
        pytest.param(
            SLOT0,
            instead(BIT, two_gigabytes),
            f"/{BIT} in the image has 2000000000 bytes, more than the 268435456 allowed",
            id="a bitstream of 2 GB",
        ),
        pytest.param(
            {**SLOT0, f"{A}.digest": "sha256:" + 64 * "0"},
            nothing,
            f"/{BIT} has the digest sha256:",
            id="a bitstream whose digest differs from the label",
        ),
        pytest.param(
            SLOT0,
            replaced(DTBO, make.slot_overlay(1)),
            "its target is &slot1, it has to be its region /fpga-region/slot0",
            id="an overlay that targets something other than its region",
        ),
        pytest.param(
            {f"{A}.x{n}": "y" for n in range(10_000)},
            nothing,
            "annotations have 10001 keys of the extension, 256 are allowed",
            id="10,000 keys of the user",
        ),
    ],
)
def test_bad_input_of_an_accelerator(
    pl: PlBoard, annotations: dict[str, Any], change: Change, words: str
) -> None:
    bundle = pl.accelerator(annotations)
    change(pl.root / bundle[1:] / "rootfs")
    assert words in refused(pl, bundle)
    assert pl.fpga.loads == []


def labels(values: dict[str, Any]) -> Change:
    def change(rootfs: Path) -> None:
        (rootfs / ".hetoci").mkdir()
        text = json.dumps({"io.hetoci.workload": "firmware", **values})
        (rootfs / ".hetoci/labels.json").write_text(text)

    return change


F = "io.hetoci.firmware"
CODE = (firmware.ATCM, b"code", 0x100, 5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            replaced("x.elf", firmware.elf([CODE], machine=elf.EM_AARCH64)),
            "the ELF is 32-bit AArch64, a Cortex-R5F needs 32-bit Arm (EM_ARM)",
            id="an ELF file for another machine",
        ),
        pytest.param(
            replaced("x.elf", firmware.elf([CODE, (0x50000000, b"x", 16, 6)])),
            "segment 1 (0x50000000-0x5000000f) lies outside the core's memory",
            id="a segment outside of the carve-outs",
        ),
        pytest.param(
            labels({f"{F}.core": "r5f_0"}),
            f"labels file's {F}.core is not among the allowed image-keys (io.hetoci.workload)",
            id="a key that the operator does not allow",
        ),
        pytest.param(
            labels({f"{F}.k{n}": "v" for n in range(256)}),
            "the image has 257 keys of the extension, 256 are allowed",
            id="hundreds of labels",
        ),
        pytest.param(
            labels({f"{F}.k{n}": "v" for n in range(10_000)}),
            "/.hetoci/labels.json in the image has",
            id="10,000 labels",
        ),
        pytest.param(
            labels({f"{F}.core": "a\nhetoci: all is well"}),
            f"labels file's {F}.core has unprintable characters in 'a\\nhetoci: all is well'",
            id="a label with a newline",
        ),
        pytest.param(
            labels({f"{F}.stop-timeout": "\"1' 'or' 1"}),
            f"{F}.stop-timeout is '\"1\\' \\'or\\' 1', right would be seconds",
            id="a label with quotes",
        ),
    ],
)
def test_bad_input_of_firmware(board: Board, change: Change, words: str) -> None:
    (board.root / "etc/hetoci").mkdir()
    if "not among the allowed" in words:
        (board.root / "etc/hetoci/hetoci.conf").write_text("image-keys = io.hetoci.workload\n")
    bundle = board.bundle(
        annotations={} if "label" in words else {"io.hetoci.workload": "firmware"}
    )
    change(board.root / bundle[1:] / "rootfs")
    assert words in refused(board, bundle)
    assert board.core.state == "offline"
