# SPDX-License-Identifier: MIT
"""Images are read as engines unpack them, and bad ones are refused in a sentence."""

import gzip
import io
import json
import os
import random
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagemaker as make
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagemaker import Layout, file, layer

from hetoci_lab.errors import LabError
from hetoci_lab.image import model, source
from hetoci_lab.image.tree import NotThere, Tree


def tree(*layers: list[make.Entry]) -> Tree:
    made = Tree()
    for number, entries in enumerate(layers, 1):
        made.apply(io.BytesIO(layer(entries)), f"layer {number}")
    return made


def content(made: Tree, path: str) -> bytes:
    return made.read(made.find(path), 1 << 20)


def paths(made: Tree) -> list[str]:
    return [path for path, _ in made.files()]


def test_a_later_layer_wins() -> None:
    made = tree([file("a/x", "old"), file("a/y", "stays")], [file("a/x", "new")])
    assert (content(made, "/a/x"), content(made, "a/y")) == (b"new", b"stays")


def test_a_file_in_place_of_a_folder_hides_what_was_in_it() -> None:
    made = tree([file("a/b/c", "old")], [file("a/b", "file")])
    assert paths(made) == ["/a/b"]


def test_whiteouts_hide_what_lower_layers_have() -> None:
    made = tree([file("a/x"), file("a/y")], [file("a/.wh.x")])
    assert paths(made) == ["/a/y"]


def test_an_opaque_folder_hides_lower_layers_and_keeps_its_own() -> None:
    lower = [file("a/x"), file("a/b/y")]
    made = tree(lower, [file("a/new"), file("a/.wh..wh..opq"), file("a/b/z")])
    assert paths(made) == ["/a/b/z", "/a/new"]


def test_a_whiteout_does_not_hide_its_own_layer() -> None:
    assert paths(tree([file("x", "1")], [file("x", "2"), file(".wh.x")])) == ["/x"]


def test_hard_links_have_the_content_of_what_they_name() -> None:
    made = tree([file("a", "content")], [("b", "a", "hard")], [file(".wh.a")])
    assert (content(made, "b"), paths(made)) == (b"content", ["/b"])


@pytest.mark.parametrize("target", ["/data/x", "../data/x", "../../../data/x", "/etc/../data/x"])
def test_links_are_followed_as_in_the_container(target: str) -> None:
    made = tree([file("data/x", "content"), ("bin/x", target, "link"), ("etc", "", "dir")])
    assert content(made, "/bin/x") == b"content"


def test_entries_below_a_linked_folder_land_where_it_leads() -> None:
    made = tree([("lib", "/usr/lib", "link"), ("usr/lib", "", "dir")], [file("lib/x", "1")])
    assert content(made, "/usr/lib/x") == b"1"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", "is not in the image"),
        ("/dangling", "is not in the image"),
        ("/file/below", "goes through a regular file"),
        ("/folder", "is a directory, a regular file is needed"),
        ("/null", "is a character device, a regular file is needed"),
        ("/pipe", "is a FIFO, a regular file is needed"),
        ("/loop", "follows more than 40 links"),
        ("/deep", "follows more than 40 links"),
        ("/", "is a directory, a regular file is needed"),
    ],
)
def test_what_is_no_regular_file_is_refused_with_what_it_is(path: str, reason: str) -> None:
    made = tree(
        [
            file("file"),
            ("folder", "", "dir"),
            ("null", "", "char"),
            ("pipe", "", "fifo"),
            ("dangling", "/nowhere", "link"),
            ("loop", "loop", "link"),
            ("deep", "deep/" * 200, "link"),
        ]
    )
    with pytest.raises(NotThere, match=reason):
        made.find(path)


def test_a_file_beyond_its_bound_is_not_read() -> None:
    made = tree([file("x", bytes(100))])
    with pytest.raises(NotThere, match="has 100 bytes, 99 are allowed"):
        made.read(made.find("x"), 99)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (file("../x"), "leads out of the image"),
        (file("a/../../x"), "leads out of the image"),
        (file("d/" * 300 + "x"), "has more than 256 components"),
        (file("there/x"), "lies below a regular file"),
        (file("there/x/y"), "lies below something that goes through a regular file"),
        (("x", "missing", "hard"), "is a hard link to 'missing', which is not in the image"),
        (("x", "../etc/passwd", "hard"), "out of the image"),
        (("x", "folder", "hard"), "is a hard link to the directory 'folder'"),
    ],
)
def test_entries_that_no_engine_unpacks_are_named(entry: make.Entry, reason: str) -> None:
    made = tree([file("there"), ("folder", "", "dir"), entry])
    [(where, found)] = made.faults
    assert "(layer 1)" in where
    assert reason in found
    assert "x" not in made.root.children


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["folder", "archive", "archive.gz"])
def test_an_image_is_read_from_a_layout_and_an_archive(
    tmp_path: Path, kind: str, packed: bool
) -> None:
    layers = [layer([file("a", "1")]), layer([file("b", "2")])]
    path = make.layout(tmp_path / "image", layers, {"key": "value"}, packed=packed)
    if kind != "folder":
        path = make.archive(path, tmp_path / "image.tar")
    if kind == "archive.gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    with model.opened(path) as image:
        assert (image.labels, image.platform) == ({"key": "value"}, "linux/arm64")
        assert [content(image.tree, name) for name in "ab"] == [b"1", b"2"]


def docker(path: Path, tags: list[str], count: int = 1) -> Path:
    """What `docker save` writes: no digests but in the configuration."""
    data = layer([file("a", "1")])
    config = {"os": "linux", "architecture": "arm64", "config": {"Labels": {"key": "value"}}}
    config["rootfs"] = {"type": "layers", "diff_ids": [make.digest(data)]}
    entry = {"Config": "c.json", "RepoTags": tags, "Layers": ["l/layer.tar"]}
    files = [
        file("c.json", json.dumps(config)),
        file("l/layer.tar", data),
        file("manifest.json", json.dumps([entry] * count)),
    ]
    path.write_bytes(layer(files))
    return path


def test_an_archive_of_docker_save_is_read(tmp_path: Path) -> None:
    with model.opened(docker(tmp_path / "x.tar", ["localhost/x:1"])) as image:
        assert (image.name, image.labels) == ("localhost/x:1", {"key": "value"})
        assert content(image.tree, "a") == b"1"


@pytest.mark.parametrize("way", ["{}/secret", "../secret", "link/secret"])
def test_names_in_a_folder_lead_nowhere_else(tmp_path: Path, way: str) -> None:
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "image").mkdir()
    (tmp_path / "image/link").symlink_to(tmp_path)
    entry = {"Config": way.format(tmp_path), "Layers": []}
    (tmp_path / "image/manifest.json").write_text(json.dumps([entry]))
    with pytest.raises(LabError, match="leads out of"), model.opened(tmp_path / "image"):
        pass


def test_of_several_images_one_is_chosen_by_name_or_platform(tmp_path: Path) -> None:
    made = Layout(tmp_path)
    first, second = (made.image([layer([file("a", text)])]) for text in "12")
    inner = made.json(
        {
            "manifests": [
                {**made.image([], os="x"), "platform": {"os": "linux", "architecture": "amd64"}},
                {**second, "platform": {"os": "linux", "architecture": "arm64"}},
            ]
        },
        "application/vnd.oci.image.index.v1+json",
    )
    made.index(
        {**first, "annotations": {model.NAME: "one"}},
        {**inner, "annotations": {model.NAME: "two"}},
    )
    for name, expected in (("one", b"1"), ("two", b"2")):
        with model.opened(tmp_path, name=name) as image:
            assert (image.name, content(image.tree, "a")) == (name, expected)
    for name, complaint in (("", "There are 2 images: one, two"), ("three", "there are: one, two")):
        with pytest.raises(LabError, match=complaint), model.opened(tmp_path, name=name):
            pass


def swap(folder: Path, old: bytes, new: bytes) -> None:
    """Replace bytes in the blob that has them, and in no digest of it."""
    for path in (folder / "blobs/sha256").iterdir():
        path.write_bytes(path.read_bytes().replace(old, new))


def edited(change: Callable[[dict[str, Any]], object], of: str) -> Callable[[Path], None]:
    """Change the manifest or the configuration, with all digests right."""

    def apply(folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text())
        made = Layout.__new__(Layout)
        made.folder = folder
        [entry] = index["manifests"]
        manifest = json.loads((folder / source.blob_name(entry["digest"])).read_text())
        config = json.loads((folder / source.blob_name(manifest["config"]["digest"])).read_text())
        change({"config": config, "manifest": manifest}[of])
        if of == "config":
            manifest["config"] = made.json(config)
        made.index(made.json(manifest))

    return apply


def fifo(folder: Path) -> None:
    (folder / "index.json").unlink()
    os.mkfifo(folder / "index.json")
    # has() asks for a regular file
    (folder / "manifest.json").write_text("[]")


def layer_by_link(folder: Path) -> None:
    blobs = sorted((folder / "blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
    blobs[-1].rename(folder / "elsewhere")
    blobs[-1].symlink_to("../../elsewhere")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: (f / "index.json").unlink(), "has no index.json, so it is no OCI image layout"),
        (lambda f: (f / "index.json").write_text("{"), "index.json is not JSON"),
        (lambda f: (f / "index.json").write_text("[]"), "index.json is no JSON object"),
        (lambda f: (f / "index.json").write_text('{"a":1,"a":2}'), "has 'a' more than once"),
        (lambda f: (f / "index.json").write_text("{}"), "There are 0 images"),
        (lambda f: (f / "index.json").write_text('{"manifests":[{}]}'), "lacks a digest or a size"),
        (
            lambda f: (f / "index.json").write_text(
                '{"manifests":[{"digest":"sha256:../../../etc/passwd","size":1}]}'
            ),
            "is no digest",
        ),
        (lambda f: (f / "index.json").write_text(" " * (5 << 20)), "has more than 4 MiB"),
        (lambda f: swap(f, b"content", b"tampered"), "its descriptor says"),
        (lambda f: swap(f, b"content", b"CONTENT"), "layer 1 has the digest sha256:"),
        (edited(lambda m: m.pop("config"), "manifest"), "names no configuration"),
        (edited(lambda m: m["layers"][0].pop("size"), "manifest"), "lacks a digest or a size"),
        (edited(lambda m: m["layers"].clear(), "manifest"), "has 0 layers, its configuration 1"),
        (
            edited(lambda m: m.update(layers=m["layers"] * 200), "manifest"),
            "has 200 layers, 128 are allowed",
        ),
        (
            edited(lambda c: c["rootfs"].update(diff_ids=["sha256:" + "0" * 64]), "config"),
            "unpacked, it should be sha256:000",
        ),
        (edited(lambda c: c["rootfs"].update(diff_ids=[5]), "config"), "digest of a layer that is"),
        (edited(lambda c: c.update(rootfs=[]), "config"), "has 1 layers, its configuration 0"),
        (layer_by_link, "cannot be opened: Too many levels of symbolic links"),
        (fifo, "has 0 images"),
    ],
)
def test_an_image_that_is_wrong_is_refused_in_a_sentence(
    tmp_path: Path, change: Callable[[Path], object], sentence: str
) -> None:
    folder = make.layout(tmp_path / "image", [layer([file("a", "content")])])
    change(folder)
    with pytest.raises(LabError, match=sentence), model.opened(folder):
        pass


def pax(records: bytes, size: int | None = None) -> bytes:
    """A layer that begins with an extended header of any content and stated size."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    block = bytearray(header.tobuf(tarfile.USTAR_FORMAT))
    if size is not None:
        block[124:136] = b"%011o\0" % size
        block[148:156] = b"        "
        block[148:156] = b"%06o\0 " % sum(block)
    body = records + bytes(-len(records) % 512)
    return bytes(block) + body + layer([file("a", "content")])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"no tar archive at all" * 100, id="no tar"),
        pytest.param(pax(b"16 size=-1000000\n"), id="a negative size"),
        pytest.param(pax(b"x" * 512, 1 << 33), id="a header of 8 GiB"),
        pytest.param(b"".join(pax(b"")[:512] for _ in range(3000)), id="headers of headers"),
        pytest.param(layer([file("a", bytes(5000))])[:2000], id="cut off"),
        pytest.param(b"\x28\xb5\x2f\xfd" + bytes(600), id="zstd"),
        pytest.param(b"\x1f\x8b" + bytes(600), id="no gzip"),
        pytest.param(gzip.compress(layer([file("a")]))[:-9], id="gzip cut off"),
    ],
)
def test_a_layer_that_is_no_sound_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    made = Layout(tmp_path)
    config = made.json({"rootfs": {"diff_ids": [make.digest(unpacked(data))]}})
    made.index(made.json({"config": config, "layers": [made.blob(data)]}))
    with pytest.raises(LabError, match=r"layer 1 (is|has|ends)"), model.opened(tmp_path) as image:
        image.tree.digest(image.tree.find("a"))


def unpacked(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return data


def test_a_bomb_stops_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "UNPACKED_LIMIT", 10 << 20)
    layers = [layer([file("zeros", bytes(6 << 20))]), layer([file("more", bytes(6 << 20))])]
    folder = make.layout(tmp_path / "image", layers, packed=True)
    with pytest.raises(LabError, match="layer 2 has more than 3 MiB unpacked"):
        model.opened(folder).__enter__()


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "ENTRIES_LIMIT", 10)
    layers = [layer([file(f"{n}/{m}") for m in range(8)]) for n in range(2)]
    folder = make.layout(tmp_path / "image", layers)
    with pytest.raises(LabError, match="layer 2 has more than 2 entries"), model.opened(folder):
        pass


def test_nothing_stays_in_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    folder = make.layout(tmp_path / "image", [layer([file("a", "1")])], packed=True)
    with model.opened(folder):
        assert not list(scratch.iterdir())


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
entries = st.lists(st.tuples(names, st.binary(max_size=3), st.sampled_from(["file", "dir"])))


@given(st.lists(entries, max_size=3))
def test_files_and_folders_lie_as_a_plain_unpacking_puts_them(layers: list[Any]) -> None:
    made = tree(*layers)
    expected: dict[str, bytes | None] = {}
    for path, data, kind in [entry for entries in layers for entry in entries]:
        above = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)]
        if any(expected.get(name) is not None for name in above):
            continue  # below a file: refused
        expected.update(dict.fromkeys(above))
        if kind == "dir" and path in expected and expected[path] is None:
            continue
        expected = {p: d for p, d in expected.items() if not p.startswith(f"{path}/")}
        expected[path] = data if kind == "file" else None
    files = {f"/{path}": data for path, data in expected.items() if data is not None}
    assert {path: content(made, path) for path, _ in made.files()} == files


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("sound")
    layers = [layer([file("a", "1"), ("b", "a", "link"), ("c", "a", "hard")])]
    made = make.layout(folder / "image", layers, {"io.hetoci.workload": "firmware"}, packed=True)
    return make.archive(made, folder / "image.tar").read_bytes()


@given(st.integers(), st.integers(1, 30))
@settings(max_examples=200)
def test_a_damaged_archive_is_read_or_refused_in_a_sentence(
    sound: bytes, tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    numbers = random.Random(seed)  # noqa: S311 - test data
    data = bytearray(sound)
    for _ in range(count):
        at = numbers.randrange(len(data))
        data[at : at + numbers.choice((1, 1, 0, 8))] = numbers.randbytes(numbers.choice((1, 1, 8)))
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    path.write_bytes(data)
    check_readable(path)


@given(st.lists(st.tuples(names, st.binary(max_size=700), st.sampled_from(sorted(make.TYPES)))))
def test_any_layer_is_read(entries: list[Any]) -> None:
    kinds = {"link", "hard"}
    made = tree([(n, d.hex()[:9] or "a" if k in kinds else d, k) for n, d, k in entries])
    for path in paths(made):
        try:
            made.digest(made.find(path))
        except NotThere as error:
            assert str(error)


def check_readable(path: Path) -> None:
    try:
        with model.opened(path) as image:
            for name in paths(image.tree):
                try:
                    image.tree.read(image.tree.find(name), 1 << 20)
                except NotThere:
                    continue
    except LabError as error:
        assert str(error).isprintable() or "\n" not in error.message
