# SPDX-License-Identifier: MIT
"""The board's two consoles, and files, packages and images to it."""

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from conftest import IMAGES, Board
from hetoci_lab import deploy, run
from ociimage import without

OVERLAYS = "/sys/kernel/config/device-tree/overlays"


@pytest.mark.smoke
@pytest.mark.lg_feature("console")
def test_the_real_time_cores_have_a_console_of_their_own(
    board: Board, target: Any, tmp_path: Path
) -> None:
    # What the EL3 firmware refuses, it says there: a file that is no bitstream.
    source = tmp_path / "bad.dts"
    source.write_text('/dts-v1/; /plugin/; &fpga_full { firmware-name = "bad.bin"; };')
    run.output(["dtc", "-q", "-O", "dtb", "-o", tmp_path / "bad.dtbo", source])
    board.put(str(tmp_path / "bad.dtbo"), "/lib/firmware/bad.dtbo")
    board.check(f"head -c 4096 /dev/zero > /lib/firmware/bad.bin; mkdir {OVERLAYS}/bad")
    console = target.get_driver("ConsoleProtocol", name="rpu", activate=False)
    target.activate(console)
    try:
        board.fails(f"echo bad.dtbo | tee {OVERLAYS}/bad/path", "error")
        console.expect("not a bitstream", timeout=30)
    finally:
        target.deactivate(console)
        board.run(f"rmdir {OVERLAYS}/bad; rm /lib/firmware/bad.*")


@pytest.mark.smoke
@pytest.mark.lg_feature("console")
def test_a_prompt_survives_kernel_messages(board: Board, strategy: Any) -> None:
    noise = "while [ ! -e /run/quiet ]; do echo noise > /dev/kmsg; sleep 0.02; done"
    board.check(f"dmesg -n 8; ({noise}) < /dev/null > /dev/null 2>&1 &")
    try:
        for number in range(10):
            assert strategy.shell.run_check(f"echo word {number}") == [f"word {number}"]
    finally:
        board.check("touch /run/quiet; dmesg -n 1")


@pytest.mark.smoke
def test_a_file_comes_back_from_the_board_as_it_went(board: Board, tmp_path: Path) -> None:
    data = random.Random(3).randbytes(300_000)  # noqa: S311 - test data
    (tmp_path / "there").write_bytes(data)
    board.put(str(tmp_path / "there"), "/run/there-and-back")
    digest = board.check("sha256sum /run/there-and-back").split()[0]
    assert digest == hashlib.sha256(data).hexdigest()
    board.get("/run/there-and-back", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data


CONTROL = """\
Package: lab-note
Version: 1
Architecture: all
Maintainer: hetoci <lab@example.invalid>
Description: one file
"""


@pytest.mark.smoke
@pytest.mark.lg_feature("dpkg")
def test_a_package_and_an_image_are_deployed_by_ssh(
    board: Board, strategy: Any, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    (package / "DEBIAN").mkdir(parents=True)
    (package / "DEBIAN/control").write_text(CONTROL)
    (package / "usr/share/lab-note").mkdir(parents=True)
    (package / "usr/share/lab-note/text").write_text("from the host\n")
    run.output(["dpkg-deb", "--root-owner-group", "--build", package, tmp_path / "note.deb"])
    board.get(f"{IMAGES}/fw-echo.oci.tar", str(tmp_path / "old.tar"))
    without(tmp_path / "old.tar", "no-such-file", tmp_path / "new.oci.tar", "deployed")
    files = deploy.checked([str(tmp_path / "note.deb"), str(tmp_path / "new.oci.tar")])
    try:
        assert deploy.packages(strategy.ssh, files) == 1
        deploy.images(strategy.ssh, files)
        assert board.check("cat /usr/share/lab-note/text") == "from the host"
        assert "localhost/deployed:latest" in board.check("ctr image ls -q")
    finally:
        board.run("dpkg -r lab-note; ctr image rm localhost/deployed:latest")
