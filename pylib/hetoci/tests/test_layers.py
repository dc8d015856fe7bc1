# SPDX-License-Identifier: MIT
"""Layers from strangers: what `hetoci plan IMAGE` makes of them, and that nothing outside of its
temporary folder is read or changed."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strangers import Entry, Place, entry, folder, hard, link
from test_unpack import ELF, LABELS, Layout, layer

from conftest import Board, until
from hetoci import layers, tarball, unpack
from hetoci.bundle import exists_inside
from hetoci.errors import BundleError


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


#: Stands for the directory with the secret.
VICTIM = "OUT/secret"
UP = "../" * 12


@pytest.mark.parametrize(
    ("first", "second", "path", "content"),
    [
        ([entry("x/y", b"old")], [entry("x", b"new")], "/x", b"new"),
        ([entry("x", b"old")], [folder("x"), entry("x/y", b"new")], "/x/y", b"new"),
        ([entry("x/y", b"old")], [folder("x")], "/x/y", b"old"),
        ([link("x", VICTIM)], [entry("x", b"new")], "/x", b"new"),
        ([link("x", UP + VICTIM)], [entry("x", b"new")], "/x", b"new"),
        ([link("x", "OUT")], [folder("x"), entry("x/secret", b"new")], "/x/secret", b"new"),
        ([link("x", "OUT")], [entry("x/secret", b"new")], "OUT/secret", b"new"),
        ([link("a/x", UP + "b")], [entry("a/x/y", b"new")], "/b/y", b"new"),
        ([link("x", VICTIM)], [entry(".wh.x")], "/x", None),
        ([link("x", "OUT")], [entry("x/.wh.secret")], VICTIM, None),
        ([link("x", "OUT")], [entry("x/.wh..wh..opq")], VICTIM, None),
        ([link("x", "a"), entry("a/y", b"old")], [entry("x/.wh..wh..opq")], "/a/y", None),
        ([entry("x/y", b"old")], [entry("x/z", b"new"), entry("x/.wh..wh..opq")], "/x/z", b"new"),
        ([entry("x/y", b"old")], [folder("x"), entry(".wh.x")], "/x/y", None),
        ([entry("x", b"old")], [entry(".wh.x"), entry("x", b"new")], "/x", b"new"),
        ([link("x", VICTIM)], [hard("y", "x")], "/y", None),
        ([link("x", "OUT"), hard("y", "x")], [entry("y/secret", b"new")], VICTIM, b"new"),
        ([entry("x", b"old")], [hard("y", "/x"), entry("x", b"new")], "/y", b"old"),
        ([entry("x", b"old")], [hard("x", "x")], "/x", b"old"),
        ([link("x", VICTIM)], [], "/x", None),
        ([link("x", "/proc/self/root" + VICTIM)], [], "/x", None),
        ([entry("/x", b"new")], [], "/x", b"new"),
        ([entry("./x/.//y", b"new")], [], "/x/y", b"new"),
        ([entry("x\udcff", b"new")], [], "/x\udcff", b"new"),
        ([entry("x" * 255, b"new")], [], "/" + "x" * 255, b"new"),
    ],
)
def test_layers_are_laid_over_each_other_within_the_image(
    place: Place, first: list[Entry], second: list[Entry], path: str, content: bytes | None
) -> None:
    outside = os.fspath(place.secret.parent)
    for member, _ in first + second:
        member.linkname = member.linkname.replace("OUT", outside)
    path = path.replace("OUT", outside)
    with place.unpacked(layer(*first), layer(*second)) as rootfs:
        assert place.read(rootfs, path) == content


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([hard("x", VICTIM)], "which is not in the image"),
        ([hard("x", VICTIM), entry("x", b"overwritten")], "which is not in the image"),
        ([hard("x", UP + VICTIM)], "out of the image"),
        ([hard("x", "a/../../../secret")], "out of the image"),
        ([link("x", VICTIM), hard("y", "x/z")], "which is not in the image"),
        ([folder("d"), hard("x", "d")], "is a hard link to the directory 'd'"),
        ([entry("../x", b"new")], "'../x' (layer 1) leads out of the image"),
        ([entry("a/../../x", b"new")], "leads out of the image"),
        ([entry(UP + ".wh.x")], "leads out of the image"),
        ([entry("..")], "leads out of the image"),
        ([entry(".wh...")], "hides no file of its directory"),
        ([entry("a/.wh.")], "hides no file of its directory"),
        ([entry("x"), entry("x/y")], "lies below a regular file"),
        ([link("x", "x"), entry("x/y")], "follows more than 40 links"),
        ([link("x", "y"), link("y", "x"), entry("x/y")], "follows more than 40 links"),
        ([link("x", "x/" * 300), entry("x/y")], "follows more than 40 links"),
        ([entry("x" * 256)], "has a name of more than 255 bytes"),
        ([entry("d/" * 257 + "x")], "has more than 256 components"),
        ([link("x", "")], "is a link to a path of 0 bytes"),
        ([link("x", "a/" * 3000)], "is a link to a path of 6000 bytes"),
        ([entry("x", kind=b"Z")], "has the unknown type b'Z'"),
        (
            [folder("d/" * 200), link("x", "d/" * 200), folder("x/" + "e/" * 100)],
            "has more than 256 components",
        ),
    ],
)
def test_entries_that_no_engine_unpacks_are_refused(
    place: Place, entries: list[Entry], reason: str
) -> None:
    for member, _ in entries:
        member.linkname = member.linkname.replace("OUT", os.fspath(place.secret.parent))
    with pytest.raises(BundleError) as caught, place.unpacked(layer(*entries)):
        pass
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.CHRTYPE, "is a character device"),
        (tarfile.BLKTYPE, "is a block device"),
        (tarfile.FIFOTYPE, "is a FIFO"),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="devices are root's to make")
def test_special_files_are_told_and_have_no_driver(place: Place, kind: bytes, words: str) -> None:
    member, _ = entry("x", kind=kind)
    member.devmajor, member.devminor = 1, 3
    with place.unpacked(layer((member, b""))) as rootfs:
        assert (Path(place.host.path(rootfs)) / "x").lstat().st_rdev == 0
        with pytest.raises(BundleError, match=words):
            place.read(rootfs, "/x")


def pax(*records: tuple[str, str], name: str = "x", data: bytes = b"", kind: bytes = b"x") -> bytes:
    """A layer of one file with an extended header."""
    body = b""
    for key, value in records:
        text = f" {key}={value}\n".encode()
        size = len(text) + 1
        while len(str(size)) + len(text) != size:
            size += 1
        body += str(size).encode() + text
    header = tarfile.TarInfo("pax")
    header.type, header.size = kind, len(body)
    member = tarfile.TarInfo(name)
    member.size = len(data)
    ends = [header.tobuf(), body + bytes(-len(body) % 512), member.tobuf()]
    return b"".join(ends) + data + bytes(-len(data) % 512) + bytes(1024)


def test_names_of_extended_headers_count(place: Place) -> None:
    with place.unpacked(pax(("path", "a/" + "b" * 200), data=b"new")) as rootfs:
        assert place.read(rootfs, "/a/" + "b" * 200) == b"new"


def test_headers_for_all_that_follows_are_ignored_as_engines_do(place: Place) -> None:
    with place.unpacked(pax(("path", "y"), data=b"new", kind=tarfile.XGLTYPE)) as rootfs:
        assert (place.read(rootfs, "/x"), place.read(rootfs, "/y")) == (b"new", None)


def test_sparse_files_have_the_content_that_their_map_says(place: Place) -> None:
    records = (("GNU.sparse.map", "2,3,100,1"), ("GNU.sparse.size", "200"))
    with place.unpacked(pax(*records, data=b"abcd")) as rootfs:
        found = place.read(rootfs, "/x")
    assert found == b"\0\0abc".ljust(100, b"\0") + b"d".ljust(100, b"\0")


def test_a_file_of_nothing_but_zeros_takes_no_place(place: Place) -> None:
    with place.unpacked(layer(entry("x", bytes(8 << 20)))) as rootfs:
        found = (Path(place.host.path(rootfs)) / "x").stat()
    assert (found.st_size, found.st_blocks) == (8 << 20, 0)


SOUND = layer(entry("x", os.urandom(100_000)), entry("y", b"y"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pax(("path", "a\0b")), "has a NUL in its name"),
        (pax(("path", "../x")), "leads out of the image"),
        (pax(("size", str(2 << 30)), data=b"x"), "more than 2048 MiB unpacked"),
        (pax(("size", str(1 << 30)), data=b"x"), "ends within a file"),
        (pax(("size", str(1 << 62)), data=b"x"), "more than 2048 MiB unpacked"),
        (pax(("size", "-512"), data=b"x"), "an entry has the size -512"),
        (pax(("path", "x" * (2 << 20))), "a header announces"),
        (pax(("comment", "1" * 5000)), "a number without end"),
        (pax(("GNU.sparse.map", "5,5"), ("GNU.sparse.size", "9"), data=b"a" * 5), "no sound map"),
        (pax(("GNU.sparse.map", "-5,5"), ("GNU.sparse.size", "9"), data=b"a" * 5), "no sound map"),
        (gzip.decompress(SOUND)[:5000], "ends within a file"),
        (gzip.decompress(SOUND)[: 199 * 512] + b"no header".ljust(512, b"x"), "is damaged"),
        (SOUND[:5000], "is damaged"),
        (SOUND[:20], "is damaged"),
        (b"", "is damaged"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "is compressed with zstd"),
    ],
    ids=lambda value: value if isinstance(value, str) else "data",
)
def test_archives_that_lie_are_refused(place: Place, data: bytes, reason: str) -> None:
    began = time.monotonic()
    with pytest.raises(BundleError) as caught, place.unpacked(data):
        pass
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 10


def test_layers_that_are_large_together_are_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "_UNPACKED_LIMIT", 10 << 20)
    large = layer(entry("x", bytes(6 << 20)))
    with (
        pytest.raises(BundleError, match="layer 2 has more than 3 MiB unpacked"),
        place.unpacked(large, large + b""),
    ):
        pass


@pytest.mark.parametrize(
    ("module", "limit", "value", "reason"),
    [
        (layers, "NODES_LIMIT", 100, "has more than 100 files and directories"),
        (layers, "NAMES_LIMIT", 1000, "has more or longer names"),
        (layers, "STEPS_LIMIT", 1000, "has more or longer names"),
    ],
)
def test_many_entries_are_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch, module: Any, limit: str, value: int, reason: str
) -> None:
    monkeypatch.setattr(module, limit, value)
    packed = layer(*[entry(f"{n}/a/b/c/d") for n in range(300)])
    with pytest.raises(BundleError, match=f"layer 1 {reason}"), place.unpacked(packed):
        pass


def test_links_in_a_layouts_directory_lead_nowhere_else(place: Place) -> None:
    made = Layout(place.image, SOUND)
    (made.place / "index.json").unlink()
    (made.place / "index.json").symlink_to(place.secret)
    with pytest.raises(BundleError, match=r"it has no index\.json"), place.opened():
        pass


@pytest.fixture
def planning(board: Board) -> Iterator[Any]:
    """`plan` of an image that takes a while, once it has begun to unpack it."""
    Layout(board.root / "image", layer(entry("x.elf", ELF)))
    blob = max((board.root / "image/blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for number in range(60_000):
            tar.addfile(tarfile.TarInfo(f"{number}"))
    blob.write_bytes(data.getvalue())
    process = board.start_hetoci("plan", "/image")
    try:
        until(lambda: list((board.root / "tmp").glob("hetoci-plan-*/contents/1")))
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_plan_that_is_told_to_end_removes_its_folder(board: Board, planning: Any) -> None:
    planning.send_signal(signal.SIGTERM)
    assert planning.wait(20) == 128 + signal.SIGTERM
    assert list((board.root / "tmp").iterdir()) == []


def test_the_folder_of_a_plan_that_was_killed_is_removed_by_the_next_one(
    board: Board, planning: Any
) -> None:
    Layout(board.root / "small", SOUND)
    (board.root / "tmp/hetoci-plan-of-another-kind").touch()
    assert "hetoci-plan" not in board.hetoci("plan", "/small").err
    (living,) = (board.root / "tmp").glob("hetoci-plan-*/contents/1")
    planning.kill()
    planning.wait(20)
    assert living.exists()
    board.hetoci("plan", "/small")
    assert [p.name for p in (board.root / "tmp").iterdir()] == ["hetoci-plan-of-another-kind"]


NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
ENTRIES = st.lists(st.tuples(NAMES, st.sampled_from(["file", "dir", "white"])), max_size=6)


@given(st.lists(ENTRIES, max_size=3))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_files_lie_as_a_plain_unpacking_puts_them(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[list[tuple[str, str]]]
) -> None:
    model: dict[str, bytes | None] = {}
    packed = []
    for number, entries in enumerate(drawn):
        own: set[str] = set()
        members = []
        for path, kind in entries:
            above = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)]
            if any(model.get(name) is not None for name in above):
                continue  # below a file: refused
            model.update({name: None for name in above if name not in model})
            own.update(above)
            data = f"{number} {path}".encode()
            beneath = [p for p in model if p == path or p.startswith(f"{path}/")]
            if kind == "white":
                members.append(entry("/".join([*path.split("/")[:-1], f".wh.{path[-1]}"])))
                for name in [p for p in beneath if p not in own]:
                    del model[name]
                continue
            members.append(entry(path, data) if kind == "file" else folder(path))
            if kind == "file" or model.get(path) is not None:
                for name in beneath:
                    del model[name]
                own.difference_update(beneath)
            model[path] = data if kind == "file" else None
            own.add(path)
        packed.append(layer(*members))
    place = Place(tmp_path_factory.mktemp("plain"))
    with place.unpacked(*packed) as rootfs:
        top = Path(place.host.path(rootfs))
        found = {
            os.fspath(path.relative_to(top)): path.read_bytes() if path.is_file() else None
            for path in top.rglob("*")
        }
        assert found == model


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    st.sampled_from(["index", "manifest", "configuration", "process"]),
    st.sampled_from(
        [
            *("manifests", "config", "layers", "annotations"),
            *("Labels", "Entrypoint", "Cmd", "Env", "WorkingDir"),
        ]
    ),
    JSON | st.dictionaries(st.sampled_from(["digest", "platform", "io.hetoci.workload"]), JSON),
    st.booleans(),
)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_json_is_an_image_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, where: str, name: str, value: Any, whole: bool
) -> None:
    place = Place(tmp_path_factory.mktemp("json"))
    made = Layout.__new__(Layout)
    made.place = place.image
    (place.image / "blobs/sha256").mkdir(parents=True)

    def changed(document: dict[str, Any], which: str) -> Any:
        if which != where:
            return document
        return value if whole else {**document, name: value}

    def stored(document: Any) -> Any:
        return made.blob(json.dumps(document).encode())

    process = changed({"Labels": LABELS}, "process")
    config = stored(changed({"config": process}, "configuration"))
    manifest = stored(changed({"config": config, "layers": []}, "manifest"))
    index = changed({"manifests": [manifest]}, "index")
    (place.image / "index.json").write_text(json.dumps(index))
    try:
        with place.opened() as rootfs:
            assert not exists_inside(place.host, rootfs, "/x")
    except BundleError as error:
        assert str(error).isprintable()


@given(st.binary(max_size=2000))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_archive_or_refused_in_a_sentence(data: bytes) -> None:
    with contextlib.suppress(tarball.Damaged):
        list(tarball.members(io.BytesIO(data + bytes(512)), 1 << 20))
