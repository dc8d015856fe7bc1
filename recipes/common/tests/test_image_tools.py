# SPDX-License-Identifier: MIT
"""labels.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2]
COMMON = RECIPES / "common"


def labels(path: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, COMMON / "labels.py", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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
