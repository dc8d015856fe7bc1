# SPDX-License-Identifier: MIT
"""Pieces of the quick build that need no compiler."""

import json
from pathlib import Path

import pytest

from hetoci_lab import build, debian, kernel, parts, qemu, rootfs, run
from hetoci_lab.errors import LabError


def test_fragments_agree_and_every_option_is_asked_for_once() -> None:
    lines = kernel.merge(kernel.fragments())
    options = [line.split("=")[0] for line in lines]
    assert "CONFIG_XLNX_R5_REMOTEPROC" in options
    assert len(options) == len(set(options))


def test_fragments_that_disagree_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.cfg").write_text("CONFIG_X=y\n")
    (tmp_path / "b.cfg").write_text("CONFIG_X=m\n")
    with pytest.raises(LabError, match=r"b\.cfg asks for CONFIG_X=m, a\.cfg for CONFIG_X=y"):
        kernel.merge(sorted(tmp_path.iterdir()))


@pytest.mark.parametrize(
    ("wanted", "config", "missing"),
    [
        ("CONFIG_X=y", "CONFIG_X=y", None),
        ("CONFIG_X=y", "CONFIG_X=m", "CONFIG_X=y"),
        ("CONFIG_X=y", "# CONFIG_X is not set", "CONFIG_X=y"),
        ("CONFIG_X=n", "# CONFIG_X is not set", None),
        ("CONFIG_X=n", "CONFIG_XY=y", None),
        ("CONFIG_X=n", "CONFIG_X=y", "CONFIG_X=n"),
        ("CONFIG_PANIC_TIMEOUT=5", "CONFIG_PANIC_TIMEOUT=0", "CONFIG_PANIC_TIMEOUT=5"),
    ],
)
def test_an_option_the_kernel_dropped_is_named(
    wanted: str, config: str, missing: str | None
) -> None:
    if missing is None:
        kernel.check([wanted], config)
    else:
        with pytest.raises(LabError, match=missing):
            kernel.check([wanted], config)


def test_the_reset_vector_branches_to_the_firmware() -> None:
    # B #0x180000 (Arm ARM, C6.2.27): opcode 0b000101, imm26 = offset / 4
    assert qemu.branch(0, 0x180000) == 0x14060000
    assert qemu.branch(8, 0) == 0x17FFFFFE


def test_an_unknown_variant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="it is linux or xen"):
        qemu.arguments(tmp_path, "kvm", tmp_path / "data", [])


def test_under_xen_the_kernel_is_a_module_and_xen_the_image(tmp_path: Path) -> None:
    words = " ".join(qemu.arguments(tmp_path, "xen", tmp_path / "data", []))
    assert f"file={tmp_path}/xen,addr=0x200000" in words
    assert f"file={tmp_path}/Image,addr=0x50000000" in words


def test_a_failed_program_shows_its_last_lines_and_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(LabError) as caught:
        run.logged(["sh", "-c", "seq 30; exit 3"], log, hint="Do this.")
    text = str(caught.value)
    assert "status 3" in text
    assert "\n  30\n" in text
    assert "\n  15\n" not in text
    assert text.endswith("Do this.")
    assert "\n15\n" in log.read_text()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="Cannot start /no/such"):
        run.logged(["/no/such"], tmp_path / "log")


@pytest.mark.parametrize(
    ("chosen", "first"),
    [
        ("file:/srv/mirror", f"deb file:/srv/mirror {debian.SUITE} main"),
        ("deb file:/a b c\ndeb file:/d e f", "deb file:/a b c"),
    ],
)
def test_a_mirror_of_the_users_wins(
    monkeypatch: pytest.MonkeyPatch, chosen: str, first: str
) -> None:
    monkeypatch.setenv("HETOCI_MIRROR", chosen)
    assert debian.sources()[0] == first


def test_mmdebstraps_own_sources_are_found() -> None:
    lines = debian._default_sources(debian.SUITE)
    assert any(f" {debian.SUITE} " in line for line in lines)


def test_the_hosts_programs_in_the_root_are_all_listed_for_their_removal(tmp_path: Path) -> None:
    for name in ("usr/sbin", "usr/lib"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    run.output(["sh", rootfs.BOARD / "native.sh", tmp_path])
    listed = (tmp_path / "native").read_text().splitlines()
    put = [file for file in (tmp_path / "usr").rglob("*") if file.is_file()]
    assert {(tmp_path / name[1:]).resolve() for name in listed} == set(put)
    assert {"/usr/sbin/dpkg-deb", "/usr/sbin/dpkg-split", "/usr/sbin/tar"} < set(listed)
    assert (tmp_path / "lib64").is_symlink()


def test_the_packages_of_a_manifest_become_pins(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"packages": [{"name": "a", "version": "1-2"}]}))
    assert build._pins(manifest) == {"a": "1-2"}


@pytest.mark.parametrize("text", ["", "[]", '{"packages": [1]}', '{"packages": [{"name": 1}]}'])
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(text)
    with pytest.raises(LabError, match="is no manifest"):
        build._pins(manifest)


def test_versions_other_than_the_manifests_are_named() -> None:
    with pytest.raises(LabError, match="b absent instead of 2"):
        rootfs._compare({"a": "1", "b": "2"}, {"a": "1"})


def test_too_little_disk_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HETOCI_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(LabError, match="GiB free, the first build needs"):
        build._check_space()


def test_parts_belong_to_root_and_secrets_to_nobody_else(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name, mode in (("usr/bin/tool", 0o755), ("etc/file", 0o600), ("etc/host_key", 0o600)):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
        file.chmod(mode)
    parts._pack(root, tmp_path / "a.tar")
    listed = run.output(["tar", "--numeric-owner", "-tvf", tmp_path / "a.tar"])
    modes = {line.split()[-1]: (line.split()[0], line.split()[1]) for line in listed.splitlines()}
    assert modes["usr/bin/tool"] == ("-rwxr-xr-x", "0/0")
    assert modes["etc/file"] == ("-rw-r--r--", "0/0")
    assert modes["etc/host_key"] == ("-rw-------", "0/0")
