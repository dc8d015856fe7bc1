# SPDX-License-Identifier: MIT
"""The layer's kernel options survive in a kernel; its device trees compile without a warning."""

from pathlib import Path

import pytest

from hetoci_lab import kernel, layer_kernel, paths
from hetoci_lab.errors import LabError

FILES = paths.tree() / kernel.FRAGMENTS


@pytest.mark.parametrize("recipe", layer_kernel.KERNELS)
def test_every_option_asked_of_a_kernel_is_in_its_configuration(
    recipe: str, tmp_path: Path
) -> None:
    names = layer_kernel.fragments(recipe)
    assert ("vboard.cfg" in [file.name for file in names]) == (recipe == "linux-yocto")
    assert layer_kernel.check_fragments(names, tmp_path) > 100


def test_an_option_that_a_kernel_drops_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.cfg"
    bad.write_text("CONFIG_NO_SUCH_OPTION=y\n")
    with pytest.raises(LabError, match="dropped CONFIG_NO_SUCH_OPTION=y"):
        layer_kernel.check_fragments([bad], tmp_path)


@pytest.mark.parametrize("file", layer_kernel.trees(), ids=lambda file: file.name)
def test_device_trees_for_boards_compile_without_a_warning(file: Path, tmp_path: Path) -> None:
    layer_kernel.check_tree(file, tmp_path)


def test_a_bad_device_tree_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.dtsi"
    bad.write_text("&{/} { thing@1 { }; };\n")
    with pytest.raises(LabError, match=r"dtc says about bad\.dtsi"):
        layer_kernel.check_tree(bad, tmp_path)
