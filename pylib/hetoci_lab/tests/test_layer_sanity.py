# SPDX-License-Identifier: MIT
"""The layer's sanity rules: a sentence with the remedy for each configuration that cannot work."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from hetoci_lab import paths

FILE = paths.tree() / "meta-hetoci/lib/hetoci_layer/sanity.py"
GOOD = {
    "MACHINE": "hetoci-vboard",
    "DISTRO_FEATURES": "hetoci systemd virtualization",
    "HETOCI_TREE": str(paths.tree()),
    "HETOCI_WORKLOADS": "accelerator firmware",
    "HETOCI_ENGINES": "containerd",
    "TARGET_ARCH": "aarch64",
    "OVERRIDES": "aarch64:hetoci-vboard",
    "VIRTUAL-RUNTIME_init_manager": "systemd",
    "BBFILE_COLLECTIONS": "core arm-toolchain virtualization-layer hetoci",
}


class Datastore:
    """What the rules use of bitbake's datastore."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.variables = variables

    def getVar(self, name: str) -> str | None:
        return self.variables.get(name)


@pytest.fixture(scope="module")
def sanity() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hetoci_layer_sanity", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_good_configuration_gets_no_sentence(sanity: ModuleType) -> None:
    assert sanity.problems(Datastore(GOOD)) == []
    assert sanity.remarks(Datastore(GOOD)) == []


@pytest.mark.parametrize(
    ("change", "what", "remedy"),
    [
        ({"HETOCI_TREE": "/nowhere"}, "/nowhere has no pylib/hetoci", "a whole checkout"),
        ({"HETOCI_WORKLOADS": "firmwares"}, "HETOCI_WORKLOADS has firmwares", "may hold"),
        ({"HETOCI_ENGINES": "rkt"}, "HETOCI_ENGINES has rkt", "may hold containerd"),
        (
            {"BBFILE_COLLECTIONS": "core hetoci arm-toolchain"},
            "meta-virtualization",
            "add that layer to bblayers.conf",
        ),
        (
            {"BBFILE_COLLECTIONS": "core virtualization-layer hetoci"},
            "needs a compiler for its Cortex-R5",
            "add meta-arm/meta-arm-toolchain",
        ),
        (
            {"HETOCI_WORKLOADS": "domain"},
            "domain, which needs Xen",
            'DISTRO_FEATURES:append = " xen"',
        ),
        (
            {"TARGET_ARCH": "x86_64", "MACHINE": "qemux86-64"},
            "MACHINE qemux86-64 is x86_64",
            'HETOCI_WORKLOADS = ""',
        ),
        (
            {"OVERRIDES": "aarch64:zynqmp:zcu102-zynqmp", "MACHINE": "zcu102-zynqmp"},
            "is a zynqmp",
            "add that layer to bblayers.conf",
        ),
        (
            {
                "HETOCI_WORKLOADS": "domain",
                "HETOCI_ENGINES": "",
                "DISTRO_FEATURES": "hetoci xen",
                "BBFILE_COLLECTIONS": "core arm-toolchain hetoci",
            },
            "Xen is in meta-virtualization",
            "add that layer to bblayers.conf",
        ),
        (
            {"UBOOT_SIGN_ENABLE": "1", "EXTRA_IMAGE_FEATURES": "empty-root-password"},
            "empty-root-password, with which anybody is root",
            "take out one of the two",
        ),
        (
            {"UBOOT_SIGN_ENABLE": "1", "IMAGE_FEATURES": "ssh-server-openssh debug-tweaks"},
            "debug-tweaks, with which anybody is root",
            "take out one of the two",
        ),
        (
            {"KERNEL_CLASSES": "kernel-fitimage", "LAYERSERIES_CORENAMES": "wrynose"},
            "kernel-fitimage, a class that only scarthgap has",
            "build on scarthgap",
        ),
        (
            {"VIRTUAL-RUNTIME_init_manager": "sysvinit"},
            "The init manager is sysvinit",
            'INIT_MANAGER = "systemd"',
        ),
        (
            {"DISTRO_FEATURES": "hetoci systemd"},
            "lacks virtualization",
            'DISTRO_FEATURES:append = " virtualization"',
        ),
    ],
)
def test_what_cannot_work_is_said_with_its_remedy(
    sanity: ModuleType, change: dict[str, str], what: str, remedy: str
) -> None:
    [sentence] = sanity.problems(Datastore({**GOOD, **change}))
    assert what in sentence
    assert remedy in sentence


def test_all_problems_are_said_at_once(sanity: ModuleType) -> None:
    bad = {**GOOD, "HETOCI_WORKLOADS": "cores domain", "HETOCI_ENGINES": "rkt"}
    assert len(sanity.problems(Datastore(bad))) == 3


def test_without_the_feature_the_layer_is_silent(sanity: ModuleType) -> None:
    other = Datastore({"MACHINE": "qemuarm64", "HETOCI_WORKLOADS": "accelerator firmware"})
    assert sanity.problems(other) == []
    assert sanity.remarks(other) == []


def test_engines_without_the_feature_get_a_remark(sanity: ModuleType) -> None:
    other = Datastore({"MACHINE": "qemuarm64", "HETOCI_ENGINES": "podman"})
    assert sanity.problems(other) == []
    [sentence] = sanity.remarks(other)
    assert 'DISTRO_FEATURES:append = " hetoci"' in sentence


def test_a_signature_that_nothing_verifies_gets_a_remark(sanity: ModuleType) -> None:
    signed = {"UBOOT_SIGN_ENABLE": "1", "OVERRIDES": "aarch64:zynqmp:zcu102-zynqmp"}
    [sentence] = sanity.remarks(Datastore({**GOOD, **signed}))
    assert "nothing is verified" in sentence
    assert sanity.remarks(Datastore({**GOOD, **signed, "UBOOT_SIGN_ENABLE": "0"})) == []


def test_a_multiconfig_for_firmware_is_none_of_the_layers_affair(sanity: ModuleType) -> None:
    firmware = {"TARGET_ARCH": "microblazeel", "VIRTUAL-RUNTIME_init_manager": "none"}
    one = Datastore({**GOOD, **firmware, "BB_CURRENT_MC": "zynqmp-pmufw"})
    assert sanity.problems(one) == []
    assert sanity.remarks(one) == []
    for own in ("", "default"):
        assert len(sanity.problems(Datastore({**GOOD, **firmware, "BB_CURRENT_MC": own}))) == 2


def test_the_board_without_the_feature_gets_a_remark(sanity: ModuleType) -> None:
    board = Datastore({**GOOD, "DISTRO_FEATURES": "systemd"})
    assert sanity.problems(board) == []
    [sentence] = sanity.remarks(board)
    assert 'DISTRO_FEATURES:append = " hetoci"' in sentence


def test_the_class_uses_these_rules() -> None:
    text = (Path(FILE).parents[2] / "classes-global/hetoci_sanity.bbclass").read_text()
    assert "hetoci_layer.sanity.problems(e.data)" in text
    assert "bb.fatal" in text
