# SPDX-License-Identifier: MIT
"""`hetoci plan IMAGE`: image layouts and archives of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import firmware
from conftest import Board

LABELS = {"io.hetoci.workload": "firmware", "org.example.other": "x"}


def layer(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def file(name: str, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), data


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member, b""


class Layout:
    """An image layout in a directory."""

    def __init__(self, place: Path, *layers: bytes, labels: Any = LABELS) -> None:
        self.place = place
        (place / "blobs/sha256").mkdir(parents=True)
        (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        config = {"config": {"Entrypoint": ["/x.elf"], "Labels": labels}}
        manifest = {
            "config": self.blob(json.dumps(config).encode()),
            "layers": [self.blob(data) for data in layers],
        }
        index = {"manifests": [self.blob(json.dumps(manifest).encode())]}
        (place / "index.json").write_text(json.dumps(index))

    def blob(self, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (self.place / "blobs/sha256" / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def archive(self, path: Path) -> Path:
        with tarfile.open(path, "w") as tar:
            tar.add(self.place, ".")
        return path


ELF = firmware.scripted("say hello")


def test_a_layout_is_planned_by_its_labels(board: Board) -> None:
    Layout(board.root / "image", layer(file("x.elf", ELF)))
    plan = board.ok("plan", "--json", "/image").json()
    assert (plan["workload"], plan["cores"]) == ("firmware", ["remoteproc0"])
    assert list((board.root / "tmp").iterdir()) == []


def test_an_archive_says_the_same_as_its_layout(board: Board) -> None:
    made = Layout(board.root / "image", layer(file("x.elf", ELF)))
    made.archive(board.root / "image.tar")
    assert board.ok("plan", "/image.tar").out == board.ok("plan", "/image").out


def test_a_later_layer_takes_away_what_it_whites_out(board: Board) -> None:
    Layout(board.root / "image", layer(file("x.elf", ELF)), layer(file(".wh.x.elf", b"")))
    assert "/x.elf does not exist in the image" in board.hetoci("plan", "/image").err


def outside(place: Path) -> None:
    Layout(place, layer(file("../../evil", b"x")))


def whiteout_of_the_folder_above(place: Path) -> None:
    Layout(place, layer(file(".wh...", b"")))


def extended(records: bytes, size: int) -> bytes:
    """A layer that begins with an extension of a stated size."""
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, size
    body = records + bytes(-len(records) % 512)
    return member.tobuf(tarfile.GNU_FORMAT) + body + gzip.decompress(layer(file("x.elf", ELF)))


def negative_size(place: Path) -> None:
    Layout(place, extended(b"13 size=-512\n", 13))


def extension_of_gigabytes(place: Path) -> None:
    Layout(place, extended(b"", 1 << 33))


def extensions_of_extensions(place: Path) -> None:
    Layout(place, extended(b"", 0)[:512] * 3000)


def damaged_compression(place: Path) -> None:
    Layout(place, layer(file("x.elf", ELF))[:40] + bytes(100))


def layer_that_is_a_fifo(place: Path) -> None:
    made = Layout(place, layer(file("x.elf", ELF)))
    path = max((made.place / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    path.unlink()
    os.mkfifo(path)


def broken_index(place: Path) -> None:
    Layout(place)
    (place / "index.json").write_text("[")


def missing_blob(place: Path) -> None:
    Layout(place, layer(file("x.elf", ELF)))
    for blob in (place / "blobs/sha256").iterdir():
        blob.unlink()


def digest_that_is_a_path(place: Path) -> None:
    Layout(place)
    index = {"manifests": [{"digest": "sha256:../../../etc/passwd"}]}
    (place / "index.json").write_text(json.dumps(index))


def foreign_platform(place: Path) -> None:
    Layout(place)
    index = json.loads((place / "index.json").read_text())
    index["manifests"][0]["platform"] = {"architecture": "s390x", "os": "linux"}
    (place / "index.json").write_text(json.dumps(index))


def platform_that_is_a_string(place: Path) -> None:
    Layout(place)
    index = json.loads((place / "index.json").read_text())
    index["manifests"][0]["platform"] = "linux"
    (place / "index.json").write_text(json.dumps(index))


def labels_that_are_a_list(place: Path) -> None:
    Layout(place, labels=["a"])


def label_that_is_a_number(place: Path) -> None:
    Layout(place, labels={"org.example.other": 5})


def no_archive(place: Path) -> None:
    place.write_bytes(b"no tar")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (outside, "'../../evil' (layer 1) leads out of the image"),
        (whiteout_of_the_folder_above, "hides no file of its directory"),
        (negative_size, "layer 1 is no tar archive, or is damaged: an entry has the size -512"),
        (extension_of_gigabytes, "a header announces 8589934592 bytes"),
        (extensions_of_extensions, "recursion"),
        (damaged_compression, "layer 1 is no tar archive, or is damaged: "),
        (layer_that_is_a_fifo, "in the image is a FIFO, a regular file is needed"),
        (broken_index, "index.json: "),
        (missing_blob, "it has no blobs/sha256/"),
        (digest_that_is_a_path, "a descriptor has the digest"),
        (foreign_platform, "no manifest for this machine's platform"),
        (platform_that_is_a_string, "index.json: a manifest's platform is no object"),
        (labels_that_are_a_list, "config.Labels is a list, right would be an object of strings"),
        (label_that_is_a_number, 'Labels["org.example.other"] is 5, right would be a string'),
        (no_archive, "it is no tar archive"),
    ],
)
def test_what_is_no_image_is_refused_in_a_sentence(
    board: Board, make: Callable[[Path], None], sentence: str
) -> None:
    make(board.root / "image")
    result = board.hetoci("plan", "/image")
    assert result.code == 1
    assert sentence in result.err
    assert "\n" not in result.err.strip()
    assert list((board.root / "tmp").iterdir()) == []
