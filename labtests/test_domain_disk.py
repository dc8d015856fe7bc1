# SPDX-License-Identifier: MIT
"""A kernel of the image's own with a disk: Linux with its root there, on a console of either kind.

The kernel is the board's, which has drivers for what dom0 offers.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Board
from hetoci_lab import run
from test_domain import TOOL, bundle, domains, forget_all

pytestmark = pytest.mark.lg_feature("domains")

FILES = "/run/disk-image"  # the image's files
TEMPLATE = "/run/disk.img"
INIT = """#!/bin/sh
mount -t proc proc /proc
echo "read: $(cat /note)"
echo written by the domain > /written && sync || echo "not written"
read line
echo "typed: $line"
poweroff -f
"""
LEFT = (
    "losetup -n -O BACK-FILE; ls /sys/bus/xen-backend/devices;"
    " xenstore-list /local/domain/0/backend/vbd 2>/dev/null"
)


@pytest.fixture(scope="module")
def image(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Board:
    """The board with the image's files: a kernel, and a disk with busybox and a program."""
    board.put(str(Path(__file__).parent / "target/domain.py"), "/run/domain.py")
    folder = tmp_path_factory.mktemp("disk")
    root = folder / "root"
    for name in ("bin", "dev", "proc"):
        (root / name).mkdir(parents=True)
    board.get("/bin/busybox", str(root / "bin/busybox"))
    (root / "bin/busybox").chmod(0o755)
    for name in ("sh", "cat", "mount", "sync", "poweroff"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "note").write_text("on the disk\n")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    run.output(["mke2fs", "-q", "-t", "ext4", "-d", root, folder / "disk.img", "8M"])
    board.check(f"mkdir -p {FILES}")
    packed = folder / "packed"
    for file, target in ((Path("build/vboard/Image"), f"{FILES}/Image"),
                         (folder / "disk.img", TEMPLATE)):  # fmt: skip
        packed.write_bytes(gzip.compress(file.read_bytes()))  # half of the way by ssh
        board.put(str(packed), f"{target}.gz")
        board.check(f"gunzip -f {target}.gz")
    return board


@pytest.fixture
def clean(image: Board) -> Iterator[Board]:
    """The board with a fresh disk; held to this: no domain and nothing of a disk is left."""
    image.check(f"cp {TEMPLATE} {FILES}/disk.img")
    yield image
    forget_all(image)
    assert domains(image) == []
    assert image.output(LEFT) == ""


def own(board: Board, name: str, console: str = "pv", **changes: Any) -> str:
    """A bundle whose kernel has its root on its disk; what names it on a command line."""
    tty = {"pv": "hvc0", "vuart": "ttyAMA0"}[console]
    given = {
        "kernel": "/Image",
        "disk": "/disk.img",
        "console": console,
        "cmdline": f"console={tty} root=/dev/xvda rw init=/init quiet",
    }
    keys = {f"io.hetoci.domain.{key}": value for key, value in given.items()}
    annotations = {**keys, **changes.pop("annotations", {})}
    return bundle(board, name, ["x"], root={"path": FILES}, annotations=annotations, **changes)


@pytest.mark.parametrize("console", ["pv", "vuart"])
def test_an_own_kernel_has_its_root_on_its_disk(clean: Board, console: str) -> None:
    words = own(clean, "own", console)
    done = clean.run(f"(sleep 8; echo hello) | hetoci run {words}", 90)
    assert "read: on the disk" in done.out
    assert "typed: hello" in done.out
    assert done.status == 0, done.out
    clean.check(f"grep -q 'written by the domain' {FILES}/disk.img")


def test_a_disk_that_was_held_to_a_digest_stays_as_it_is(clean: Board) -> None:
    files = f"{FILES}/Image {FILES}/disk.img"
    digests = [
        f"sha256:{line.split()[0]}" for line in clean.check(f"sha256sum {files}").splitlines()
    ]
    words = own(clean, "own", annotations={"io.hetoci.domain.digest": ",".join(digests)})
    done = clean.run(f"(sleep 8; echo) | hetoci run {words}", 90)
    assert "not written" in done.out
    assert done.status == 0, done.out
    assert digests[1][7:] in clean.check(f"sha256sum {FILES}/disk.img")


def test_a_disk_has_one_domain_and_outlives_no_keeper(clean: Board) -> None:
    disk = {"path": f"{FILES}/disk.img", "format": "raw"}
    vm = {"kernel": {"path": f"{FILES}/Image"}, "image": disk}
    clean.check(f"hetoci create {own(clean, 'first')} > /run/first.log 2>&1 < /dev/null", 90)
    second = bundle(clean, "second", ["x"], root={"path": FILES}, vm=vm)
    clean.fails(f"hetoci run {second}", "disk.img is the disk of another domain")
    assert len(domains(clean)) == 1
    clean.check(f"kill -9 {json.loads(clean.check('hetoci state first'))['pid']}")
    assert "first" in clean.check("hetoci reap")
    assert clean.output(LEFT) == ""
    clean.check(f"hetoci create {second} > /run/second.log 2>&1 < /dev/null", 90)


@pytest.mark.parametrize("step", ["keeper:built", "keeper:disk"])
def test_death_at_a_step_of_the_disk_leaves_nothing(clean: Board, step: str) -> None:
    words = own(clean, "f")
    clean.run(f"{TOOL} die {step} create {words} > /dev/null 2>&1 < /dev/null", 90)
    clean.run("hetoci delete --force f")
    clean.check("hetoci reap")
