# SPDX-License-Identifier: MIT
"""The board comes up, with the drivers of its parts bound."""

import json
import re

import pytest

from conftest import Board
from hetoci_lab import build


@pytest.mark.smoke
def test_the_system_is_running_without_a_failed_unit(board: Board) -> None:
    state = board.run("systemctl is-system-running --wait").out
    failed = board.check("systemctl --failed --no-legend --plain")
    assert (state, failed) == ("running", "")


def test_the_kernel_is_the_one_that_was_built(board: Board) -> None:
    manifest = json.loads((build.board_folder() / "manifest.json").read_text())
    assert board.check("uname -r") == manifest["kernel"]


@pytest.mark.smoke
@pytest.mark.lg_feature("xen")
def test_linux_is_dom0_under_xen(board: Board) -> None:
    assert "control_d" in board.check("cat /proc/xen/capabilities")
    assert re.search(r"Domain-0 +0 ", board.check("xl list"))


@pytest.mark.parametrize(
    ("device", "driver"),
    [
        ("platform/firmware:zynqmp-firmware", "zynqmp_firmware"),
        ("platform/firmware:zynqmp-firmware:pcap", "zynqmp_fpga_manager"),
        ("platform/fpga-region", "of-fpga-region"),
        ("platform/mailbox", "zynqmp-ipi"),
        ("platform/remoteproc@0", "zynqmp_r5_remoteproc"),
    ],
)
def test_an_unmodified_driver_is_bound(board: Board, device: str, driver: str) -> None:
    name = device.removeprefix("platform/")
    found = board.check(f"readlink /sys/bus/platform/devices/{name}/driver || true")
    assert found.endswith(f"/{driver}"), board.run("ls /sys/bus/platform/devices").out


def test_the_kernel_says_nothing_worse_than_a_notice_about_our_devices(board: Board) -> None:
    ours = "zynqmp|remoteproc|rproc|fpga|ipi|vboard|overlay"
    worse = [line for line in board.boot_errors.splitlines() if re.search(f"(?i){ours}", line)]
    assert worse == []


def test_containerd_has_both_delegates(board: Board) -> None:
    assert "crun version" in board.check("crun --version")
    assert "runc version" in board.check("runc --version")


def test_containerd_offers_kubernetes_the_hetoci_runtime(board: Board) -> None:
    configuration = board.check("containerd config dump")
    assert "containerd.runtimes.hetoci" in configuration
    plugins = board.check("ctr plugins ls")
    assert re.search(r"io\.containerd\.grpc\.v1 +cri +linux/arm64\S* +ok", plugins), plugins
