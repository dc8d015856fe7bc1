# SPDX-License-Identifier: MIT
"""Data without a program: OCI artifacts made, attached, refused, and put into images."""

import json
import tarfile
from pathlib import Path
from typing import Any

import imagemaker as make
import pytest
from click.testing import CliRunner

from hetoci_lab.errors import LabError
from hetoci_lab.image import artifact, build, cli, keys, model, validate

TYPE = "application/vnd.hetoci.bitstream.v1"
LABELS = {
    "io.hetoci.workload": "accelerator",
    "io.hetoci.accelerator.sum.bitstream": "/accelerator/sum-{slot}.bit",
    "io.hetoci.accelerator.sum.overlay": "/accelerator/sum-{slot}.dtbo",
    "io.hetoci.accelerator.sum.flags": "partial",
}


@pytest.fixture
def bit(tmp_path: Path) -> Path:
    path = tmp_path / "sum-slot0.bit"
    path.write_bytes(make.vbit(0))
    return path


def manifest(archive: Path) -> Any:
    """The manifest of the only thing in an archive."""
    with tarfile.open(archive) as tar:

        def load(name: str) -> Any:
            file = tar.extractfile(name)
            assert file
            return json.load(file)

        (entry,) = load("index.json")["manifests"]
        return load("blobs/" + entry["digest"].replace(":", "/"))


def test_an_artifact_has_the_type_the_empty_configuration_and_one_layer(
    bit: Path, tmp_path: Path
) -> None:
    made = artifact.make(bit, "bitstream", tmp_path / "out", tag="localhost/sum:1")
    assert made == tmp_path / "out/sum-slot0.bit.oci.tar"
    value = manifest(made)
    assert (value["schemaVersion"], value["artifactType"]) == (2, TYPE)
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2}
    assert value["config"] == {**empty, "digest": make.digest(b"{}")}
    (layer,) = value["layers"]
    assert (layer["mediaType"], layer["digest"]) == (TYPE, make.digest(bit.read_bytes()))
    assert "subject" not in value
    found = artifact.read(made)
    assert (found.role, found.title, found.data) == ("bitstream", bit.name, bit.read_bytes())


def test_the_same_file_gives_the_same_bytes(bit: Path, tmp_path: Path) -> None:
    first = artifact.make(bit, "bitstream", tmp_path / "first.tar")
    bit.touch()
    second = artifact.make(bit, "bitstream", tmp_path / "second.tar")
    assert first.read_bytes() == second.read_bytes()


def test_an_artifact_may_belong_to_an_image(bit: Path, tmp_path: Path) -> None:
    image = make.layout(tmp_path / "image", [make.layer([make.file("a")])])
    made = artifact.make(bit, "bitstream", tmp_path / "a.tar", subject=image)
    with model.opened(image) as opened:
        assert manifest(made)["subject"]["digest"] == opened.digest


@pytest.mark.parametrize(
    ("role", "data", "words"),
    [
        ("bitstream", make.vbit(0)[:-1], "is no usable bitstream: it is damaged: its header says"),
        ("firmware", b"#!/bin/sh\n", "is no usable firmware: it "),
        ("overlay", b"\0" * 100, "is no usable overlay: it "),
        ("ramdisk", b"", "is no usable ramdisk: it is empty"),
        ("overlay", b"\0" * ((1 << 20) + 1), "more than the 1 MiB that its kind (overlay) may"),
    ],
)
def test_a_file_that_is_not_what_it_is_said_to_be_becomes_no_artifact(
    tmp_path: Path, role: str, data: bytes, words: str
) -> None:
    file = tmp_path / "x"
    file.write_bytes(data)
    with pytest.raises(LabError) as caught:
        artifact.make(file, role, tmp_path / "out")
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def changed(archive: Path, folder: Path, change: Any) -> Path:
    """The artifact as a layout in `folder` with another manifest."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    index = json.loads((folder / "index.json").read_text())
    (entry,) = index["manifests"]
    value = json.loads((folder / "blobs" / entry["digest"].replace(":", "/")).read_text())
    change(value)
    data = json.dumps(value).encode()
    (folder / "blobs" / make.digest(data).replace(":", "/")).write_bytes(data)
    entry |= {"digest": make.digest(data), "size": len(data)}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("artifactType"), "is no artifact. Right would be application/vnd.hetoci"),
        (lambda m: m.update(artifactType="x/y"), "is an artifact of the type x/y. Right would be"),
        (lambda m: m["layers"].append(m["layers"][0]), "has 2 layers, one of the type"),
        (lambda m: m["layers"][0].update(mediaType="x/y"), "has 1 layers, one of the type"),
        (lambda m: m["layers"][0].update(size=3), "the layer has 192 bytes, its descriptor says 3"),
    ],
)
def test_what_is_no_artifact_of_ours_is_not_read(
    bit: Path, tmp_path: Path, change: Any, words: str
) -> None:
    made = artifact.make(bit, "bitstream", tmp_path / "a.tar")
    with pytest.raises(LabError) as caught:
        artifact.read(changed(made, tmp_path / "layout", change))
    assert words in str(caught.value)


def test_an_artifact_is_no_image(bit: Path, tmp_path: Path) -> None:
    made = artifact.make(bit, "bitstream", tmp_path / "a.tar")
    words = rf"is an artifact \({TYPE}\), no image"
    with pytest.raises(LabError, match=words), model.opened(made):
        pass


@pytest.mark.parametrize("text", ["a.tar", "a.tar:", "a.tar:x", "a.tar:/../x", ":/x", "a.tar:/"])
def test_where_an_artifact_goes_has_to_be_said(text: str) -> None:
    with pytest.raises(LabError, match="does not say which artifact goes where"):
        artifact.parse(text)


def test_an_image_of_artifacts_is_built_and_says_what_lies_in_which_layer(
    bit: Path, tmp_path: Path
) -> None:
    overlay = tmp_path / "sum-slot0.dtbo"
    overlay.write_bytes(make.overlay("slot0"))
    context = tmp_path / "sum"
    context.mkdir()
    words = " ".join(f'{key}="{value}"' for key, value in LABELS.items())
    lines = ["FROM scratch", f"LABEL {words}", "COPY --chmod=0755 sum /bin/sum", ""]
    (context / "Containerfile").write_text("\n".join(lines))
    (context / "sum").write_bytes(b"program")
    given = []
    for file, role in ((bit, "bitstream"), (overlay, "overlay")):
        runner = CliRunner()
        done = runner.invoke(cli.cli, ["artifact", str(file), "--type", role, "-o", str(tmp_path)])
        assert done.exit_code == 0
        given.append(f"{done.output.strip()}:/accelerator/{file.name}")
    options = build.Options(digests=True, artifacts=given)
    archive, findings = build.build(context, tmp_path / "out", options)
    assert findings == []
    with model.opened(archive) as image:
        assert validate.check(image).good
        node = image.tree.find("/accelerator/sum-slot0.bit")
        assert image.tree.read(node, 1 << 20) == bit.read_bytes()
        assert [layer.role for layer in image.layers] == ["", "bitstream", "overlay", "metadata"]
        digests = keys.words(image.labels, "io.hetoci.accelerator.sum.digest")
        assert sorted(digests) == sorted(make.digest(f.read_bytes()) for f in (bit, overlay))


@pytest.mark.parametrize(
    ("files", "role"),
    [
        (["sum-slot0.bit"], "bitstream"),
        (["sum-slot0.dtbo"], "overlay"),
        (["sum-slot0.bit", "sum-slot0.dtbo"], "bitstream"),
        (["sum-slot0.bit", "README"], ""),
    ],
)
def test_layers_with_data_alone_say_so(tmp_path: Path, files: list[str], role: str) -> None:
    data = {".bit": make.vbit(0), ".dtbo": make.overlay("slot0"), "": b"read me"}
    there = ["sum-slot0.bit", "sum-slot0.dtbo"]
    layers = [
        make.layer([make.file(f"accelerator/{n}", data[Path(n).suffix]) for n in names])
        for names in ([name for name in there if name not in files] or ["other"], files)
    ]
    folder = make.layout(tmp_path / "image", layers, LABELS)
    build.finish(folder, digests=False, platform="linux/arm64")
    with model.opened(folder) as image:
        assert image.layers[1].role == role
        assert image.layers[2].role == "metadata"
