# SPDX-License-Identifier: MIT
"""Every kas configuration that makes sense resolves; what it resolves to is complete."""

from pathlib import Path
from typing import Any

import pytest

from hetoci_lab import layer_check, paths
from hetoci_lab.errors import LabError

TREE = paths.tree()
LISTS = layer_check.combinations() + layer_check.presets()
IMAGES = {"hetoci-image-minimal", "hetoci-image-full", "hetoci-image-xen"}
SCHEMA_LINE = "# yaml-language-server: $schema="
NEWEST_HEADER = 18


def label(files: list[str]) -> str:
    return "+".join(Path(file).stem for file in files if file != "kas/base.yml")


Resolved = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def every() -> Resolved:
    """What kas makes of every list, by its label: one loop a test, as there are hundreds."""
    layer_check.dump_all(LISTS)
    return {label(files): layer_check.dump(files) for files in LISTS}


def text(resolved: dict[str, Any]) -> str:
    return "".join(resolved["local_conf_header"].values())


def test_every_configuration_resolves_to_something_whole(every: Resolved) -> None:
    for name, resolved in every.items():
        assert resolved["header"]["version"] <= NEWEST_HEADER, name
        assert resolved["machine"] != "unset", name
        repos = resolved["repos"]
        assert {"hetoci", "bitbake", "openembedded-core"} <= set(repos), name
        assert set(repos["hetoci"]) == {"layers"}, name  # our own has neither url nor path
        assert 'DISTRO_FEATURES:append = " hetoci"' in text(resolved), name
        assert layer_check.unlocked(resolved) <= layer_check.UNLOCKED, name


def test_every_configuration_builds_images_of_ours_and_xen_its_own(every: Resolved) -> None:
    for name, resolved in every.items():
        targets = resolved["target"]
        targets = {targets} if isinstance(targets, str) else set(targets)
        containers = {target for target in targets if target.startswith("hetoci-oci-")}
        assert targets - containers <= IMAGES, name
        assert ("hetoci-image-xen" in targets) == ('" xen"' in text(resolved)), name


def test_what_the_sanity_rules_ask_for_is_there(every: Resolved) -> None:
    for name, resolved in every.items():
        layers = {layer for fields in resolved["repos"].values() for layer in fields["layers"]}
        header = text(resolved)
        if resolved["machine"] == "hetoci-vboard":
            assert "meta-arm-toolchain" in layers, name
        if "HETOCI_ENGINES" in header:
            assert "meta-virtualization" in resolved["repos"], name
            assert " virtualization" in header, name
        if " domain" in header:
            assert '" xen"' in header, name


def test_what_makes_no_sense_has_a_reason_and_is_left_out() -> None:
    known = {*layer_check.MACHINES, *layer_check.FEATURES}
    for pair, reason in layer_check.NONSENSE.items():
        assert set(pair) <= known
        assert len(reason) > 15
        assert not any(set(pair) <= {Path(name).stem for name in files} for files in LISTS)


def test_the_menu_offers_every_machine_series_and_feature() -> None:
    menu = (TREE / "Kconfig").read_text()
    names = [f"machine/{name}" for name in layer_check.MACHINES]
    names += [f"feature/{name}" for name in layer_check.FEATURES]
    names += [f"series/{name}" for name in layer_check.SERIES]
    assert [name for name in names if f'"kas/{name}.yml"' not in menu] == []


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
