# SPDX-License-Identifier: MIT
"""The EL3 firmware and the programmable logic, tested from EL2 in QEMU.

The checks are C, in meta-hetoci/recipes-bsp/vboard/files/el3/tests; `make check` there runs the
same. Each group of checks is a test here.
"""

import subprocess
from pathlib import Path

import pytest

from hetoci_lab import paths

EL3 = paths.tree() / "meta-hetoci/recipes-bsp/vboard/files/el3"
GROUPS = (
    "psci", "eemi", "rpu", "ipi", "full", "refusals", "vadd", "sha256", "slots", "faults",
    "reset", "mode",
)  # fmt: skip


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Return the outcome of `make check`; it fails too where a compiler or QEMU is missing."""
    output: Path = tmp_path_factory.mktemp("silicon")
    command = ["make", "-s", "-C", EL3, "check", f"O={output}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize("group", GROUPS)
def test_every_check_of_a_group_passes(
    checked: subprocess.CompletedProcess[str], group: str
) -> None:
    lines = checked.stdout.splitlines()
    failed = [line for line in lines if line.startswith(f"not ok - {group}: ")]
    passed = [line for line in lines if line.startswith(f"ok - {group}: ")]
    assert passed, f"no check of {group} ran:\n{checked.stdout[-2000:]}{checked.stderr[-2000:]}"
    assert not failed


def test_the_run_ends_well_and_has_no_other_groups(
    checked: subprocess.CompletedProcess[str],
) -> None:
    lines = checked.stdout.splitlines()
    seen = {line.split(" - ")[1].split(":")[0] for line in lines if " - " in line}
    assert seen <= set(GROUPS)
    assert checked.returncode == 0, checked.stdout[-2000:] + checked.stderr[-2000:]
