# SPDX-License-Identifier: MIT
SUMMARY = "Cortex-R5 firmware that crashes when told to"
DESCRIPTION = "For tests of what happens when firmware fails: it ends as it is told."
SECTION = "firmware"

require fw.inc
