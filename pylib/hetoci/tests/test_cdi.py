# SPDX-License-Identifier: MIT
"""CDI devices as requests for slots and cores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import Board
from hetoci import cdi, config
from hetoci.bundle import Bundle
from hetoci.errors import MetadataError
from hetoci.host import Host

SUM = "io.hetoci.accelerator.sum"
HASH = "io.hetoci.accelerator.hash"
IMAGE = (f"{SUM}.bitstream", f"{HASH}.bitstream", "io.hetoci.workload")


def mount(kind: str, name: str) -> dict[str, Any]:
    return {"source": f"/run/hetoci/cdi/{kind}/{name}.json", "destination": f"/x/{name}"}


def test_each_core_becomes_a_device_that_is_a_mount(board: Board) -> None:
    assert cdi.refresh(board.host, config.Config({})) == ["hetoci.io/core=r5f_0"]
    spec = json.loads((board.root / "var/run/cdi/hetoci.io-core.json").read_text())
    assert spec["kind"] == "hetoci.io/core"
    (device,) = spec["devices"]
    (edit,) = device["containerEdits"]["mounts"]
    assert list(device["containerEdits"]) == ["mounts"]
    assert (board.root / edit["hostPath"].lstrip("/")).exists()
    assert not (board.root / "var/run/cdi/hetoci.io-slot.json").exists()


def test_a_device_that_is_not_there_any_more_loses_its_files(board: Board) -> None:
    cdi.refresh(board.host, config.Config({}))
    assert cdi.refresh(board.host, config.Config({"cores": "other"})) == []
    assert not (board.root / "var/run/cdi/hetoci.io-core.json").exists()
    assert list((board.root / "run/hetoci/cdi/core").iterdir()) == []


def test_a_core_asked_for_by_device_is_the_one_the_firmware_gets(two_cores: Board) -> None:
    board = two_cores
    board.ok("reap")
    path = board.bundle(mounts=[mount("core", "r5f_1")])
    plan = board.ok("plan", "--json", path).json()
    assert plan["cores"] == ["remoteproc1"]


def test_requests_are_found_by_their_source_alone(tmp_path: Path) -> None:
    files = tmp_path / "run/hetoci/cdi/slot"
    files.mkdir(parents=True)
    for name in ("slot1", "slot0"):
        (files / f"{name}.json").write_text(json.dumps({"name": name}))
    mounts = [
        mount("slot", "slot1"),
        {"source": "/etc", "destination": "/e"},
        mount("slot", "slot0"),
    ]
    found = cdi.requests(Host(str(tmp_path)), Bundle("/b", {"mounts": mounts}))
    assert found == {"slot": ["slot0", "slot1"]}


def test_a_request_without_its_file_is_refused(tmp_path: Path) -> None:
    bundle = Bundle("/b", {"mounts": [mount("slot", "slot7")]})
    with pytest.raises(MetadataError, match=r"slot7\.json is for a device that this board has not"):
        cdi.requests(Host(str(tmp_path)), bundle)


def test_slots_go_to_the_accelerators_in_order() -> None:
    keys = cdi.as_keys({"slot": ["slot1", "slot3"]}, {}, IMAGE)
    assert keys == {f"{HASH}.slot": "slot1", f"{SUM}.slot": "slot3"}


def test_a_slot_of_the_users_choice_is_not_asked_for_twice() -> None:
    keys = cdi.as_keys({"slot": ["slot1", "slot3"]}, {f"{HASH}.slot": "slot3"}, IMAGE)
    assert keys == {f"{SUM}.slot": "slot1"}


@pytest.mark.parametrize(
    ("asked", "user", "sentence"),
    [
        ({"slot": ["a", "b", "c"]}, {}, "request for slot c is left over"),
        ({"core": ["r5f_0"]}, {"io.hetoci.firmware.core": "r5f_1"}, "core r5f_0 contradicts"),
        ({"core": ["r5f_0", "r5f_1"]}, {}, "core r5f_1 contradicts"),
    ],
)
def test_what_does_not_go_together_is_refused(
    asked: dict[str, list[str]], user: dict[str, str], sentence: str
) -> None:
    with pytest.raises(MetadataError, match=sentence):
        cdi.as_keys(asked, user, IMAGE)
