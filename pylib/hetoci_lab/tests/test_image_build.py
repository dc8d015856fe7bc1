# SPDX-License-Identifier: MIT
"""`hetoci-image build`: from a Containerfile to an archive, by the engine that is installed."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import imagemaker as make
import pytest
from click.testing import CliRunner, Result

from hetoci_lab import spec
from hetoci_lab.errors import LabError
from hetoci_lab.image import build, cli, keys, model, validate
from hetoci_lab.image.build import Options

ELF = make.elf()
KEYS = {"io.hetoci.workload": "firmware", "io.hetoci.firmware": "/firmware/a.elf"}


def containerfile(labels: dict[str, str], *lines: str) -> str:
    words = " ".join(f'{key}="{value}"' for key, value in labels.items())
    return "\n".join(["FROM scratch", f"LABEL {words}", *lines, ""])


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A small build context, named like an image."""
    folder = tmp_path / "context" / "small"
    folder.mkdir(parents=True)
    copies = ("COPY --chmod=0644 a.elf /firmware/a.elf", "COPY --chmod=0644 other /other")
    (folder / "Containerfile").write_text(containerfile({**KEYS, "title": "small"}, *copies))
    (folder / "a.elf").write_bytes(ELF)
    (folder / "other").write_text("other\n")
    return folder


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which has to be empty again at the end."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert not list(folder.iterdir())


def test_an_image_of_a_containerfile_is_good_and_has_what_was_asked_for(
    context: Path, tmp_path: Path, scratch: Path
) -> None:
    archive, warnings = build.build(context, tmp_path / "out", Options(digests=True))
    assert (archive, warnings) == (tmp_path / "out/small.oci.tar", [])
    with model.opened(archive) as image:
        report = validate.check(image)
        assert (image.name, image.platform) == ("localhost/small:latest", "linux/arm64")
        digest = {"io.hetoci.firmware.digest": make.digest(ELF)}
        assert image.labels == {**KEYS, **digest, "title": "small"}
        assert json.loads(image.labels_file() or b"") == image.labels
        assert [file.digest for file in report.files] == list(digest.values())
        # data in a layer of their own (docs/spec/layout.md, L9)
        assert len(image.layers) == 3


def test_the_same_context_gives_the_same_bytes(context: Path, tmp_path: Path) -> None:
    options = Options(digests=True, layers=False)
    first, _ = build.build(context, tmp_path / "first.tar", options)
    other = tmp_path / "elsewhere" / "small"
    shutil.copytree(context, other)
    for path in other.iterdir():
        path.chmod(0o600)
        os.utime(path, (1e9, 1e9))
    second, _ = build.build(other / "Containerfile", tmp_path / "second.tar", options)
    assert first.read_bytes() == second.read_bytes()


def test_what_cannot_be_built_is_refused_and_leaves_nothing(
    context: Path, tmp_path: Path, scratch: Path
) -> None:
    (context / "a.elf").unlink()
    with pytest.raises(LabError, match="Is all that its Containerfile copies in its folder"):
        build.build(context, tmp_path / "out", Options())
    assert not (tmp_path / "out").exists()


def test_an_image_that_would_not_run_is_refused_and_leaves_nothing(
    context: Path, tmp_path: Path, scratch: Path
) -> None:
    (context / "a.elf").write_bytes(b"#!/bin/sh\n")
    with pytest.raises(LabError, match=r"would not run:\n  error: /firmware/a.elf .* no ELF file"):
        build.build(context, tmp_path / "out", Options())
    assert not (tmp_path / "out").exists()


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli.cli, [str(word) for word in words])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["{tmp}"], "has no Containerfile"),
        (["{tmp}/Not A Name"], "'not a name' cannot be an image's name. Give one with --tag."),
        (["{tmp}/x", "--engine", "podman"], "podman cannot be found. On Debian: apt install"),
    ],
)
def test_a_build_that_cannot_begin_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], complaint: str
) -> None:
    for name in ("x", "Not A Name"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    done = run("build", *(word.format(tmp=tmp_path) for word in words))
    assert isinstance(done.exception, LabError)
    assert complaint in str(done.exception)


@pytest.mark.parametrize("engine", build.ENGINES)
def test_both_engines_are_called_alike(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    calls: list[list[str]] = []

    def call(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if "push" in command:
            place = command[-1].split(":")[1]
            make.layout(Path(place), [make.layer([make.file("firmware/a.elf", ELF)])], KEYS)
        return subprocess.CompletedProcess(command, 0, "pulled\nabc123\n", "")

    monkeypatch.setattr(subprocess, "run", call)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    options = Options("localhost/x:1", engine, arguments=["A=b"])
    archive, _ = build.build(context, tmp_path, options)
    assert archive == tmp_path / "x.oci.tar"
    [(name, *building), push] = calls
    assert name == push[0] == engine
    assert {"--build-arg=A=b", "localhost/x:1", "linux/arm64", str(context)} <= set(building)
    assert push[-2] == "abc123"


@pytest.mark.parametrize("there", [None, '{"io.hetoci.workload": "domain"}', "{"])
def test_the_labels_file_is_made_from_the_labels(tmp_path: Path, there: str | None) -> None:
    """Whatever a lower layer or a base image brought along."""
    entries = [make.file("firmware/a.elf", ELF)]
    entries += [] if there is None else [make.file(spec.LABELS_FILE, there)]
    folder = make.layout(tmp_path / "image", [make.layer(entries)], {**KEYS, "title": "ü"})
    build.finish(folder, digests=False, platform="linux/arm64")
    with model.opened(folder) as image:
        assert json.loads(image.labels_file() or b"") == {**KEYS, "title": "ü"} == image.labels
        assert validate.check(image).findings == []
        names = {f"sha256/{layer.digest.partition(':')[2]}" for layer in image.layers}
    stored = {f"sha256/{path.name}" for path in (folder / "blobs/sha256").iterdir()}
    assert len(stored - names) == 2, "the manifest and the configuration before are gone"
    content = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    build.finish(folder, digests=False, platform="linux/arm64")
    again = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert again == content, "what is right already stays as it is"


def test_an_image_without_keys_gets_none(tmp_path: Path) -> None:
    folder = make.layout(tmp_path / "image", [make.layer([make.file("a")])], {"title": "x"})
    build.finish(folder, digests=True, platform="linux/arm64")
    with model.opened(folder) as image:
        assert (image.labels, len(image.layers)) == ({"title": "x"}, 1)
    assert len(list((folder / "blobs/sha256").iterdir())) == 3


def test_the_history_does_not_tell_who_built_it() -> None:
    digest = "0" * 64
    row = {"created_by": f"COPY dir:{digest} in /dir", "comment": "FROM 12", "empty_layer": True}
    assert build._history(row) == {"created_by": "COPY dir in /dir", "empty_layer": True}


def test_digests_are_written_for_all_files_and_over_none_of_the_authors(tmp_path: Path) -> None:
    author = f"sha256:{'0' * 64}"
    labels = {
        "io.hetoci.workload": "accelerator",
        "io.hetoci.accelerator.a.bitstream": "/a-{slot}",
        "io.hetoci.accelerator.b.bitstream": "/b",
        "io.hetoci.accelerator.b.digest": author,
    }
    files = {f"a-slot{slot}": make.vbit(slot) for slot in range(3)}
    entries = [make.file(name, data) for name, data in {**files, "b": make.vbit()}.items()]
    folder = make.layout(tmp_path / "image", [make.layer(entries)], labels)
    build.finish(folder, digests=True, platform="linux/arm64")
    with model.opened(folder) as image:
        found = keys.words(image.labels, "io.hetoci.accelerator.a.digest")
        assert found == [make.digest(data) for data in files.values()]
        assert image.labels["io.hetoci.accelerator.b.digest"] == author


def test_the_manual_page_has_every_command_and_option() -> None:
    page = (Path(__file__).parents[1] / "man/hetoci-image.1").read_text().replace("\\-", "-")
    for name, command in cli.cli.commands.items():
        assert f"hetoci-image {name}" in page
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                missing = [o for o in parameter.opts + parameter.secondary_opts if o not in page]
                assert not missing, f"{name}: {missing}"
