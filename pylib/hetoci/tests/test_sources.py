# SPDX-License-Identifier: MIT
"""Where a container's keys come from, and what the board says to them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import Board
from fakekernel import BoardHost
from hetoci import bundle, config, metadata
from hetoci.errors import HetociError, PolicyDenied
from hetoci.verbs import create
from hetoci.workloads import FirmwareWorkload, Workload

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


@pytest.mark.parametrize(
    ("clocks", "words"),
    [
        ("500M", ""),
        ("core=450M-500M", ""),
        ("503M", ""),
        ("600M", "has the clock core at 500000000 Hz, 594000000-606000000 Hz is needed"),
        ("core=501M-2G", "has the clock core at 500000000 Hz, core=501000000-2000000000 Hz is"),
        ("bus=500M", "has no clock bus whose rate is known"),
    ],
)
def test_firmware_goes_to_a_core_with_its_clock(board: Board, clocks: str, words: str) -> None:
    base = board.root / "sys/firmware/devicetree/base"
    (base / "pll").mkdir()
    tree(board, "pll/phandle", (0x77).to_bytes(4, "big"))
    tree(board, "pll/clock-frequency", (500_000_000).to_bytes(4, "big"))
    tree(board, "remoteproc/r5f@0/clocks", (0x77).to_bytes(4, "big"))
    tree(board, "remoteproc/r5f@0/clock-names", b"core\0")
    annotations = {W: "firmware", "io.hetoci.firmware.clocks": clocks}
    result = board.hetoci("plan", board.bundle(annotations=annotations))
    assert (result.code == 0) == (not words)
    assert words in result.err


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


def store(board: Board, path: str, document: Any) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    (board.root / path[1:] / "hetoci-image.json").write_text(text)


def image(labels: dict[str, Any], annotations: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "specVersion": "1.0",
        "source": "containerd",
        "labels": labels,
        "annotations": annotations or {},
    }


def firmware(board: Board, path: str, **settings: str) -> FirmwareWorkload:
    found = workload(board, path, **settings)
    assert isinstance(found, FirmwareWorkload)
    return found


def test_the_engines_store_says_what_the_image_is(board: Board) -> None:
    path = board.bundle(annotations={})
    store(board, path, image({CORE: "a"}, {W: "firmware", CORE: "b"}))
    assert firmware(board, path).core == "a"


def test_the_user_wins_over_the_engines_store(board: Board) -> None:
    path = board.bundle(annotations={CORE: "user"})
    store(board, path, image({W: "firmware", CORE: "image"}))
    assert firmware(board, path).core == "user"


def test_store_and_labels_file_are_never_mixed(board: Board) -> None:
    path = board.bundle(annotations={})
    label(board, path, {W: "firmware", CORE: "inherited"})
    store(board, path, image({W: "firmware"}))
    assert firmware(board, path).core == ""


@pytest.mark.parametrize("labels", [{}, {"org.opencontainers.image.title": "x"}])
def test_a_store_without_keys_of_ours_leaves_the_labels_file(
    board: Board, labels: dict[str, str]
) -> None:
    path = board.bundle(annotations={})
    label(board, path, {W: "firmware", CORE: "file"})
    store(board, path, image(labels))
    assert firmware(board, path).core == "file"


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("labels", r"image label io\.hetoci\.firmware\.core is ''"),
        ("annotations", r"image annotation io\.hetoci\.firmware\.core is ''"),
    ],
)
def test_a_message_says_which_part_of_the_store_is_wrong(
    board: Board, where: str, words: str
) -> None:
    path = board.bundle(annotations={W: "firmware"})
    store(board, path, {**image({}), where: {CORE: ""}})
    with pytest.raises(HetociError, match=words):
        workload(board, path)


def test_what_the_store_says_passes_the_operators_list(board: Board) -> None:
    path = board.bundle(annotations={})
    store(board, path, image({W: "firmware", CORE: "a"}))
    with pytest.raises(HetociError, match=rf"image label {CORE} is not among the allowed"):
        workload(board, path, **{"image-keys": W})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"labels": {}, "labels": {}}', "the member 'labels' stands there more than once"),
        (json.dumps(image({})) + " " * (1 << 20), "is larger than 1 MiB"),
        ({"labels": {}}, "lacks specVersion, source, annotations"),
        ({**image({}), "trusted": True}, "has unknown members: trusted"),
        ({**image({}), "specVersion": "2.0"}, "has the specVersion '2.0', 1.x is needed"),
        ({**image({}), "specVersion": 1.0}, "1.x is needed"),
        ({**image({}), "source": ""}, "has no source"),
        ({**image({}), "name": 1}, "has a name that is no string"),
        ({**image({}), "digest": "latest"}, "has the digest 'latest', sha256:<64 hex digits>"),
        ({**image({}), "labels": []}, "has labels that are no object"),
        (image({}, {"a": None}), "has annotations in which 'a' is no string"),
        (image({"": "x"}), "has labels with a key of 0 characters"),
        (image({"a" * 257: "x"}), "has labels with a key of 257 characters"),
        (image({"a": "x" * 4097}), "in which 'a' has more than 4096 characters"),
        (image({f"a{n}": "" for n in range(257)}), "has 257 labels, 256 are allowed"),
    ],
)
def test_a_store_file_that_does_not_fit_is_refused(board: Board, document: Any, words: str) -> None:
    path = board.bundle(annotations={})
    store(board, path, document)
    result = board.hetoci("plan", path)
    assert result.code == 1
    assert "hetoci-image.json" in result.err
    assert words in result.err


def test_a_store_file_that_cannot_be_read_is_refused(board: Board) -> None:
    path = board.bundle(annotations={})
    (board.root / path[1:] / "hetoci-image.json").mkdir()
    with pytest.raises(HetociError, match=r"cannot read .*Is a directory"):
        workload(board, path)


def test_a_pods_own_container_is_plain_without_a_look_at_the_image(board: Board) -> None:
    path = board.bundle(annotations={W: "firmware", "io.kubernetes.cri.container-type": "sandbox"})
    store(board, path, "nonsense")
    assert workload(board, path) is None


# the operator's wishes

ACCELERATOR = {
    W: "accelerator",
    "io.hetoci.accelerator.a.bitstream": "/a",
    "io.hetoci.accelerator.a.flags": "encrypted",
    "io.hetoci.accelerator.b.bitstream": "/b",
    "io.hetoci.accelerator.b.digest": "sha256:" + "0" * 64,
}


@pytest.mark.parametrize(
    ("labels", "settings", "words"),
    [
        ({W: "firmware"}, {"require-digest": "yes"}, ["io.hetoci.firmware.digest is missing"]),
        (
            {W: "firmware", "io.hetoci.firmware.digest": "sha256:" + "0" * 64},
            {"require-digest": "user"},
            ["labels file's io.hetoci.firmware.digest is the image's, it has to come from"],
        ),
        (ACCELERATOR, {"require-digest": "yes"}, ["io.hetoci.accelerator.a.digest is missing"]),
        (
            ACCELERATOR,
            {"require-digest": "user", "require-encryption": "yes"},
            [
                "io.hetoci.accelerator.a.digest is missing",
                "labels file's io.hetoci.accelerator.b.digest is the image's",
                "io.hetoci.accelerator.b.flags lacks encrypted",
            ],
        ),
        (
            {W: "domain", "io.hetoci.domain.kernel": "/k"},
            {"require-digest": "yes"},
            ["io.hetoci.domain.digest is missing"],
        ),
    ],
)
def test_what_the_operator_wants_checked_has_to_be(
    board: Board,
    monkeypatch: pytest.MonkeyPatch,
    labels: dict[str, str],
    settings: dict[str, str],
    words: list[str],
) -> None:
    monkeypatch.setattr(metadata, "WORKLOADS", ("firmware", "accelerator", "domain"))
    path = board.bundle(annotations={})
    label(board, path, labels)
    with pytest.raises(PolicyDenied) as caught:
        workload(board, path, **settings)
    assert len(caught.value.reasons) == len(words)
    assert all(w in r for w, r in zip(words, caught.value.reasons, strict=True))


def test_what_the_user_has_checked_satisfies_the_operator(board: Board) -> None:
    keys = {W: "firmware", "io.hetoci.firmware.digest": "sha256:" + "0" * 64}
    path = board.bundle(annotations=keys)
    settings = {"require-digest": "user", "require-encryption": "yes"}
    assert firmware(board, path, **settings).digest == keys["io.hetoci.firmware.digest"]


def test_a_domain_of_the_programs_alone_needs_no_digest(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "WORKLOADS", ("domain",))
    path = board.bundle(annotations={W: "domain"})
    assert workload(board, path, **{"require-digest": "user"}) is not None
