# SPDX-License-Identifier: MIT
SUMMARY = "Cortex-R5 firmware: heartbeat log and RPMsg echo"
DESCRIPTION = "Counts in the trace buffer and sends back what it gets over RPMsg."
SECTION = "firmware"

require fw.inc
