# SPDX-License-Identifier: MIT
"""The checks by the real bitbake say what they saw and refuse what they cannot work with."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hetoci_lab import bitbake, bitbake_check, layer_check, packaged, stand_ins
from hetoci_lab.errors import LabError


def checkouts(folder: Path) -> Path:
    (folder / "bitbake/bin").mkdir(parents=True)
    (folder / "bitbake/bin/bitbake").touch()
    return folder


def trial(folder: Path) -> bitbake_check.Trial:
    return bitbake_check.Trial("wrynose", bitbake.Checkout(folder, "nobody"), folder, None)


def test_a_folder_without_bitbake_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="has no bitbake"):
        bitbake.Checkout(tmp_path, "nobody")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can forget to name another user")
def test_root_must_name_the_user_that_bitbake_runs_as(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="does not run as root"):
        bitbake.Checkout(checkouts(tmp_path), None)


def test_the_configuration_of_a_build_is_that_of_the_kas_files(tmp_path: Path) -> None:
    checkout = bitbake.Checkout(checkouts(tmp_path / "layers"), "nobody")
    resolved = layer_check.dump(layer_check.files("wrynose", "hetoci-vboard", ("amp",)))
    build = tmp_path / "build"
    checkout.user = None  # nothing runs here, so nobody needs to own it
    checkout.prepare(resolved, build, 'A = "1"\n', [Path("/extra")])
    local = (build / "conf/local.conf").read_text()
    layers = (build / "conf/bblayers.conf").read_text()
    assert 'MACHINE = "hetoci-vboard"' in local
    assert 'HETOCI_WORKLOADS:append = " firmware"' in local
    assert local.endswith('A = "1"\n')
    assert f"{tmp_path}/layers/openembedded-core/meta \\" in layers
    assert "meta-hetoci" in layers
    assert "/extra" in layers
    assert "bitbake" not in [Path(line.split()[0]).name for line in layers.splitlines() if line]


def test_layers_that_are_not_there_are_named_and_not_skipped(tmp_path: Path) -> None:
    where = trial(checkouts(tmp_path))
    found = list(bitbake_check.machine_checks(where, "hetoci-vboard", ("parses", "resolves")))
    assert [verdict.outcome for verdict in found] == ["not run", "not run"]
    assert "openembedded-core" in found[0].detail


def test_yocto_check_layer_is_read_from_lines_or_pairs_of_lines(tmp_path: Path) -> None:
    where = trial(checkouts(tmp_path))
    good = (
        "INFO: test_parse (common.CommonCheckLayer.test_parse) ... ok\n"
        "INFO: test_patches (common.CommonCheckLayer.test_patches)\nINFO:  ... unexpected success\n"
        "INFO: test_machine_world (bsp.BSPCheckLayer.x)\nINFO:  ... skipped 'No machines set'\n"
    )
    verdict = bitbake_check.judge_layer(where, bitbake.Outcome(0, good, 1.0))
    assert (verdict.outcome, verdict.detail) == ("ok", "2 tests passed, 1 do not apply")
    bad = "INFO: test_readme (common.CommonCheckLayer.test_readme)\nINFO:  ... FAIL\n"
    verdict = bitbake_check.judge_layer(where, bitbake.Outcome(2, good + bad, 1.0))
    assert (verdict.outcome, verdict.detail) == ("FAILED", "test_readme: FAIL")
    odd = good.replace("... ok", "... expected failure")
    assert bitbake_check.judge_layer(where, bitbake.Outcome(0, odd, 1.0)).outcome == "FAILED"
    nothing = bitbake_check.judge_layer(where, bitbake.Outcome(0, "", 1.0))
    assert nothing.outcome == "FAILED"


def test_an_error_line_fails_a_check_whatever_the_status(tmp_path: Path) -> None:
    where = trial(checkouts(tmp_path))
    said = bitbake.Outcome(0, "NOTE: a\nERROR: no provider\n", 1.0)
    verdict = bitbake_check.judge(where, "m", "resolves", "image", said)
    assert (verdict.outcome, verdict.detail) == ("FAILED", "ERROR: no provider")
    quiet = bitbake.Outcome(1, "gone\n", 1.0)
    assert bitbake_check.judge(where, "m", "resolves", "image", quiet).outcome == "FAILED"


def test_the_table_counts_what_failed_and_what_was_not_run() -> None:
    rows = [
        bitbake_check.Verdict("wrynose", "m", "parses", "all", outcome, "a | b", 1.2)
        for outcome in ("ok", "FAILED", "not run")
    ]
    text = bitbake_check.table(rows, {"wrynose": {"bitbake": "abc 2026-01-01"}})
    assert "3 verdicts, 1 failed, 1 not run." in text
    assert "| wrynose | bitbake | abc | 2026-01-01 |" in text
    assert "a / b" in text


def test_stand_ins_are_only_for_packages_of_others() -> None:
    names = stand_ins.others()
    assert {"python3-core", "bash-completion"} <= names
    assert not any(name.startswith(("hetoci", "python3-hetoci", "fw-", "vboard")) for name in names)


def test_the_stand_in_for_opkg_build_makes_an_ipk(tmp_path: Path) -> None:
    if not all(map(shutil.which, ("ar", "zstd"))):
        pytest.fail("ar and zstd are needed")
    script = tmp_path / "opkg-build"
    script.write_text(stand_ins.OPKG_BUILD)
    control = tmp_path / "pkg/CONTROL/control"
    control.parent.mkdir(parents=True)
    control.write_text("Package: x\nVersion: 1-r0\nArchitecture: all\n")
    (tmp_path / "pkg/file").write_text("x")
    command = ["sh", script, "-Z", "zstd", "-a", "-3", "pkg", tmp_path]
    subprocess.run(command, cwd=tmp_path, check=True)
    listed = subprocess.run(
        ["ar", "t", "x_1-r0_all.ipk"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert listed.stdout.split() == ["debian-binary", "control.tar.gz", "data.tar.zst"]


def test_a_deploy_folder_must_hold_every_package_once(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="must hold one python3-hetoci, but has none"):
        packaged.deb(tmp_path, "python3-hetoci")


def test_a_deploy_folder_may_lack_what_domains_boot(tmp_path: Path) -> None:
    assert packaged.guests(tmp_path) == []
    (tmp_path / "deb/any").mkdir(parents=True)
    (tmp_path / "deb/any/hetoci-guest-kernel_0.1.0_arm64.deb").touch()
    assert packaged.guests(tmp_path) == ["hetoci-guest-kernel"]


def test_what_needs_the_domains_kernel_is_not_run_without_sources(tmp_path: Path) -> None:
    where = trial(checkouts(tmp_path))
    where.checkout.user = None  # nothing runs here
    found = list(bitbake_check.package(where, bitbake_check.OF_GUESTS))
    assert [verdict.outcome for verdict in found] == ["not run"] * 3
    assert all("--kernel-source" in verdict.detail for verdict in found)


def test_the_sources_given_are_those_of_the_domains_kernel(tmp_path: Path) -> None:
    text = stand_ins.local_conf(tmp_path, None, Path("/linux"))
    assert text.endswith('HETOCI_GUEST_SOURCE = "/linux"\n')
    assert "HETOCI_GUEST_SOURCE" not in stand_ins.local_conf(tmp_path, None, None)


def test_packages_are_counted_for_the_recipe_that_made_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bitbake_check, "installed", lambda _: 2048)
    for kind in bitbake_check.FORMATS:
        (tmp_path / kind / "any").mkdir(parents=True)
        for name in ("hetoci-guest", "hetoci-guest-dbg", "hetoci-guest-kernel"):
            (tmp_path / kind / "any" / f"{name}_0.1.0.{kind}").touch()
    counted = "2 .deb, 2 .ipk, 2 .rpm; 2 KiB installed"
    assert bitbake_check.written(tmp_path, "hetoci-guest") == counted


def test_a_recipe_that_is_not_ours_is_refused_by_name(tmp_path: Path) -> None:
    words = ["--layers", f"wrynose={tmp_path}", "--work", str(tmp_path), "--recipe", "linux"]
    with pytest.raises(LabError, match="There is no recipe linux to package; there are: fw-crash"):
        bitbake_check.main(words, standalone_mode=False)
