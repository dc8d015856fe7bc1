# SPDX-License-Identifier: MIT
"""Where things are: the source tree, the cache outside it, the build folder inside it."""

import os
from pathlib import Path

from hetoci_lab.errors import LabError

MARK = Path("meta-hetoci/recipes-bsp/vboard/files/include/vboard.h")


def tree() -> Path:
    """Return the checkout this package belongs to (HETOCI_TREE overrides)."""
    override = os.environ.get("HETOCI_TREE")
    start = Path(override) if override else Path(__file__)
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / MARK).is_file():
            return folder
    raise LabError(
        f"No hetoci checkout contains {start}.", hint="Set HETOCI_TREE to the clone's folder."
    )


def cache() -> Path:
    """Return the cache folder: HETOCI_CACHE, or hetoci/ in the XDG cache folder. Safe to delete."""
    override = os.environ.get("HETOCI_CACHE")
    if override:
        return Path(override).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).resolve() / "hetoci"


def build() -> Path:
    """Return the folder inside the checkout that `make clean` removes."""
    return tree() / "build"
