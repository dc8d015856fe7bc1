# SPDX-License-Identifier: MIT
"""Fixtures of the host tools' tests."""

from pathlib import Path

import pytest


@pytest.fixture
def board_folder(tmp_path: Path) -> Path:
    """A folder with the files of a built board; enough for everything short of power-on."""
    folder = tmp_path / "vboard"
    folder.mkdir()
    for name in ("el3.elf", "root.sqfs", "parts.sqfs", "id_ed25519", "xen", "xen.dtb", "linux.dtb"):
        (folder / name).write_bytes(b"x")
    (folder / "Image").write_bytes(bytes(0x38) + b"ARM\x64" + bytes(100))
    return folder
