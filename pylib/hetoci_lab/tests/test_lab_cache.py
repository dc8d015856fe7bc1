# SPDX-License-Identifier: MIT
"""The cache by content."""

from pathlib import Path

import pytest

from hetoci_lab import cache


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HETOCI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(folder: Path) -> None:
    (folder / "file").write_text("made")


def test_an_artefact_is_made_once() -> None:
    made = cache.artefact("kind", "key", write)
    assert (made / "file").read_text() == "made"
    assert cache.artefact("kind", "key", lambda _: pytest.fail("made again")) == made


def test_an_interrupted_build_leaves_nothing_that_looks_finished(home: Path) -> None:
    def stop(folder: Path) -> None:
        write(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.artefact("kind", "key", stop)
    assert not (home / "kind/key").exists()
    assert (cache.artefact("kind", "key", write) / "file").exists()
    assert not list((home / "kind").glob("tmp-*"))


def test_old_artefacts_make_room(home: Path) -> None:
    for number in range(cache.KEEP + 2):
        cache.artefact("kind", f"key{number}", write)
    left = {f.name for f in (home / "kind").iterdir() if f.is_dir()}
    assert len(left) == cache.KEEP
    assert f"key{cache.KEEP + 1}" in left


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda f: None, True),
        (lambda f: (f / "a").write_text("2"), False),
        (lambda f: (f / "a").rename(f / "b"), False),
        (lambda f: (f / "a").chmod(0o755), False),
        (lambda f: (f / "c").write_text(""), False),
    ],
)
def test_a_digest_covers_names_modes_and_contents(
    tmp_path: Path, change: object, same: bool
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    (folder / "a").chmod(0o644)
    before = cache.digest_of([folder])
    assert callable(change)
    change(folder)
    assert (cache.digest_of([folder]) == before) is same
