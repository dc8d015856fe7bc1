# SPDX-License-Identifier: MIT
"""Where a container's keys come from, and what the board says to them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import Board
from fakekernel import BoardHost
from hetoci import bundle, config, metadata
from hetoci.errors import HetociError
from hetoci.verbs import create
from hetoci.workloads import Workload

W = "io.hetoci.workload"
CORE = "io.hetoci.firmware.core"


def workload(board: Board, path: str, **settings: str) -> Workload | None:
    host = BoardHost(str(board.root))
    return create.workload_of(host, bundle.load(host, path), config.Config(settings))


def tree(board: Board, name: str, content: bytes) -> None:
    (board.root / "sys/firmware/devicetree/base" / name).write_bytes(content)


@pytest.mark.parametrize(
    ("platform", "fits"),
    [
        ("xlnx,zynqmp", True),
        ("ti,am64 xlnx,zynqmp-zcu102", True),
        ("ti,am64", False),
        ("xlnx,zynqmp-zcu", False),
    ],
)
def test_an_image_for_another_board_is_refused(board: Board, platform: str, fits: bool) -> None:
    tree(board, "compatible", b"xlnx,zynqmp-zcu102\0xlnx,zynqmp\0")
    annotations = {W: "firmware", "io.hetoci.platform": platform}
    result = board.hetoci("plan", board.bundle(annotations=annotations))
    assert (result.code == 0) == fits
    assert ("this one is xlnx,zynqmp-zcu102 xlnx,zynqmp" in result.err) != fits


def test_a_hybrid_runtimes_board_is_compared_with_the_model(board: Board) -> None:
    path = board.bundle(annotations={"board": "Some EVK", "mcu": "r5f*"})
    with pytest.raises(HetociError, match="without a model in its device tree"):
        workload(board, path, **{"image-keys": "board mcu"})
    tree(board, "model", b"Another EVK\0")
    with pytest.raises(HetociError, match="for the board 'Some EVK', this one is 'Another EVK'"):
        workload(board, path, **{"image-keys": "board mcu"})
    tree(board, "model", b"Some EVK\0")
    assert workload(board, path, **{"image-keys": "board mcu"}) is not None
    assert workload(board, path) is None


def test_a_workload_that_does_not_run_yet_is_refused_before_anything(board: Board) -> None:
    for kind in {"accelerator", "domain"} - set(metadata.WORKLOADS):
        keys = {W: kind, "io.hetoci.accelerator.a.bitstream": "/b"}
        result = board.create("c", board.bundle(annotations=keys))
        assert result.code == 1
        assert f"asks for the workload {kind}, which hetoci" in result.err
        assert board.leftovers() == []


def label(board: Board, path: str, labels: Any) -> None:
    place = board.root / path[1:] / "rootfs/.hetoci"
    place.mkdir()
    (place / "labels.json").write_text(labels if isinstance(labels, str) else json.dumps(labels))


def test_the_labels_file_is_named_where_its_key_is_wrong(board: Board) -> None:
    path = board.bundle(annotations={})
    label(board, path, {W: "firmware", CORE: ""})
    with pytest.raises(HetociError, match=r"labels file's io\.hetoci\.firmware\.core is ''"):
        workload(board, path)
