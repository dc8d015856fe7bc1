# SPDX-License-Identifier: MIT
"""The OCI images of recipes/, for the board."""

import shutil
from pathlib import Path

from hetoci_lab import debian, paths, run
from hetoci_lab.image import build as building


def recipes() -> list[Path]:
    """Return the recipe folders that make an image."""
    return sorted(f.parent for f in (paths.tree() / "recipes").glob("*/Containerfile"))


def build(folder: Path, busybox: Path, log: Path) -> None:
    """Build every recipe into NAME.oci.tar; contexts get what their Containerfile copies.

    Each build context is a copy of the recipe plus build/ (what its Makefile makes) and, for
    images with a shell, rootfs/ with Debian's busybox.
    """
    for recipe in recipes():
        context = folder / "context" / recipe.name
        shutil.copytree(recipe, context)
        # app/ calls the src/ of the accelerators that it brings.
        for source in (recipe / "app", recipe / "src"):
            if (source / "Makefile").is_file():
                run.logged(["make", "-C", source, f"O={context}/build"], log)
                break
        if "rootfs/" in (recipe / "Containerfile").read_text():
            debian.unpack(busybox, context / "rootfs", log)
        building.build(context, folder, building.Options(digests=True))
    shutil.rmtree(folder / "context")
