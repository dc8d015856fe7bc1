# SPDX-License-Identifier: MIT
"""Smoke tests of an image with hetoci: TEST_SUITES = "ping ssh hetoci"."""

import json

from oeqa.core.decorator.depends import OETestDepends
from oeqa.runtime.case import OERuntimeTestCase
from oeqa.runtime.decorator.package import OEHasPackage


class HetociTest(OERuntimeTestCase):
    """What must hold on any machine, and what the virtual board must have besides."""

    def run_ok(self, command):
        """Run `command` on the target; fail with what it printed if it does not succeed."""
        status, output = self.target.run(command)
        self.assertEqual(status, 0, msg=f"{command}: {output}")
        return output

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["python3-hetoci"])
    def test_the_runtime_says_its_version_and_has_a_delegate(self):
        output = self.run_ok("hetoci --version")
        self.assertIn("hetoci version ", output)
        self.assertNotIn("delegate: none", output)

    @OETestDepends(["hetoci.HetociTest.test_the_runtime_says_its_version_and_has_a_delegate"])
    def test_nothing_is_left_to_give_back(self):
        self.run_ok("hetoci reap")

    @OETestDepends(["hetoci.HetociTest.test_the_runtime_says_its_version_and_has_a_delegate"])
    def test_the_unit_that_gives_devices_back_has_run(self):
        shown = "systemctl show --property=Result --property=ConditionResult hetoci-reap.service"
        found = set(self.run_ok(shown).split())
        self.assertEqual(found, {"Result=success", "ConditionResult=yes"})

    @OETestDepends(["hetoci.HetociTest.test_the_runtime_says_its_version_and_has_a_delegate"])
    def test_the_inventory_is_json(self):
        json.loads(self.run_ok("hetoci devices --json"))

    @OETestDepends(["hetoci.HetociTest.test_the_inventory_is_json"])
    @OEHasPackage(["fw-echo"])
    def test_the_virtual_board_has_a_core_for_firmware(self):
        self.assertIn("remoteproc", self.run_ok("hetoci devices --json"))
        self.run_ok("test -f /lib/firmware/hetoci/echo.elf")
