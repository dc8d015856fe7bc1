# SPDX-License-Identifier: MIT
"""Every kas configuration that makes sense resolves; what it resolves to is complete."""

from pathlib import Path

import pytest

from hetoci_lab import layer_check, paths
from hetoci_lab.errors import LabError

TREE = paths.tree()
LISTS = layer_check.combinations() + layer_check.presets()
SCHEMA_LINE = "# yaml-language-server: $schema="
NEWEST_HEADER = 18


def label(files: list[str]) -> str:
    return "+".join(Path(file).stem for file in files if file != "kas/base.yml")


@pytest.mark.parametrize("files", LISTS, ids=label)
def test_a_configuration_resolves_to_something_whole(files: list[str]) -> None:
    resolved = layer_check.dump(files)
    assert resolved["header"]["version"] <= NEWEST_HEADER
    assert resolved["machine"] != "unset"
    assert resolved["target"] == "hetoci-image-minimal"
    repos = resolved["repos"]
    assert {"hetoci", "bitbake", "openembedded-core"} <= set(repos)
    assert set(repos["hetoci"]) == {"layers"}  # our own repository has neither url nor path
    assert 'DISTRO_FEATURES:append = " hetoci"' in "".join(resolved["local_conf_header"].values())
    assert layer_check.unlocked(resolved) <= layer_check.UNLOCKED


@pytest.mark.parametrize("files", LISTS, ids=label)
def test_what_the_sanity_rules_ask_for_is_there(files: list[str]) -> None:
    resolved = layer_check.dump(files)
    layers = {layer for fields in resolved["repos"].values() for layer in fields["layers"]}
    header = "".join(resolved["local_conf_header"].values())
    if resolved["machine"] == "hetoci-vboard":
        assert "meta-arm-toolchain" in layers
    if "HETOCI_ENGINES" in header:
        assert "meta-virtualization" in resolved["repos"]
        assert " virtualization" in header
    if " domain" in header:
        assert '" xen"' in header


def test_every_file_is_in_the_matrix_and_names_its_schema() -> None:
    used = {name for files in LISTS for name in files}
    included = {"kas/feature/engines.yml", "kas/machine/xilinx-2024.2.yml"}
    included |= {f"kas/series/{series}.lock.yml" for series in layer_check.SERIES}
    every = {str(file.relative_to(TREE)) for file in (TREE / "kas").rglob("*.yml")}
    assert every == used | included
    for name in every:
        assert (TREE / name).read_text().startswith(SCHEMA_LINE), name


def test_a_machine_is_asked_for() -> None:
    assert layer_check.dump(["kas/base.yml"])["machine"] == "unset"


def test_kas_refuses_what_is_not_in_its_schema(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("header: {version: 14}\nmachines: x\n")
    with pytest.raises(LabError, match="cannot resolve"):
        layer_check.dump([str(bad)])


def test_a_missing_tool_is_an_error_and_no_skip() -> None:
    with pytest.raises(LabError, match="not installed"):
        layer_check.tool("no-such-tool")
