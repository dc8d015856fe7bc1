# SPDX-License-Identifier: MIT
"""labels.py and build-image.sh, and the Containerfiles they work on."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

RECIPES = Path(__file__).parents[2]
COMMON = RECIPES / "common"
CONTAINERFILES = sorted(RECIPES.glob("*/Containerfile"))


def labels(path: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, COMMON / "labels.py", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def build(context: Path, outdir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", COMMON / "build-image.sh", context, outdir],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM scratch\nLABEL a=1\n", {"a": "1"}),
        ('LABEL a="one two" b=3\nlabel c=d=e\n', {"a": "one two", "b": "3", "c": "d=e"}),
        ('LABEL a="1" \\\n      b="2"\n# LABEL c=3\n', {"a": "1", "b": "2"}),
        ("LABEL a=1 \\\n# in between\n  b=2\n", {"a": "1", "b": "2"}),
    ],
)
def test_labels_are_read_as_an_engine_reads_them(
    tmp_path: Path, text: str, expected: dict[str, str]
) -> None:
    (tmp_path / "Containerfile").write_text(text)
    done = labels(tmp_path / "Containerfile")
    assert (done.returncode, json.loads(done.stdout)) == (0, expected)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("FROM scratch\n", "there is no LABEL"),
        ("LABEL a 1\n", "LABEL a: write LABEL key=value"),
        ("LABEL a=1 a=2\n", "LABEL a is set twice"),
        ('LABEL a="1\n', "No closing quotation"),
        (None, "No such file"),
    ],
)
def test_a_bad_containerfile_is_named_with_its_fault(
    tmp_path: Path, text: str | None, complaint: str
) -> None:
    path = tmp_path / "Containerfile"
    if text is not None:
        path.write_text(text)
    done = labels(path)
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert complaint in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("path", CONTAINERFILES, ids=lambda path: path.parent.name)
def test_an_image_with_hetoci_labels_carries_the_labels_file(path: Path) -> None:
    found = json.loads(labels(path).stdout)
    copies = [line for line in path.read_text().splitlines() if line.startswith("COPY")]
    carried = any(line.endswith("/labels.json /.hetoci/labels.json") for line in copies)
    assert carried == any(key.startswith("io.hetoci.") for key in found)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A small build context, named like an image."""
    folder = tmp_path / "context" / "small"
    folder.mkdir(parents=True)
    (folder / "Containerfile").write_text(
        'FROM scratch\nLABEL key="value"\nCOPY --chmod=0644 file /file\nENTRYPOINT ["/file"]\n'
    )
    (folder / "file").write_text("content\n")
    return folder


def test_the_same_context_gives_the_same_bytes(context: Path, tmp_path: Path) -> None:
    assert build(context, tmp_path / "first").returncode == 0
    other = tmp_path / "elsewhere" / "small"
    shutil.copytree(context, other)
    for path in (other / "file", other / "Containerfile"):
        path.chmod(0o600)
        os.utime(path, (1e9, 1e9))
    assert build(other, tmp_path / "second").returncode == 0
    first = (tmp_path / "first/small.oci.tar").read_bytes()
    assert first == (tmp_path / "second/small.oci.tar").read_bytes()


def test_the_archive_holds_one_named_arm64_image(context: Path, tmp_path: Path) -> None:
    assert build(context, tmp_path).returncode == 0
    with tarfile.open(tmp_path / "small.oci.tar") as archive:

        def blob(name: str) -> dict[str, Any]:
            member = archive.extractfile(name)
            assert member
            found: dict[str, Any] = json.load(member)
            return found

        [entry] = blob("index.json")["manifests"]
        manifest = blob("blobs/" + entry["digest"].replace(":", "/"))
        config = blob("blobs/" + manifest["config"]["digest"].replace(":", "/"))
    name = entry["annotations"]["org.opencontainers.image.ref.name"]
    assert name == "localhost/small:latest"
    assert (config["os"], config["architecture"]) == ("linux", "arm64")
    assert config["config"]["Labels"] == {"key": "value"}


def test_an_incomplete_context_is_refused_and_leaves_nothing(context: Path, tmp_path: Path) -> None:
    (context / "file").unlink()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = build(context, tmp_path / "out", TMPDIR=str(scratch))
    assert done.returncode == 1
    assert "is all that its Containerfile copies in" in done.stderr
    assert not list((tmp_path / "out").iterdir())
    assert not list(scratch.iterdir())


def test_a_folder_without_a_containerfile_is_a_usage_error(tmp_path: Path) -> None:
    done = build(tmp_path, tmp_path / "out")
    assert done.returncode == 2
    assert f"{tmp_path} has no Containerfile" in done.stderr
