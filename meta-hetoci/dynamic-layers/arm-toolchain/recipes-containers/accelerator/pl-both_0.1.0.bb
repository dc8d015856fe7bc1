# SPDX-License-Identifier: MIT
SUMMARY = "Two accelerators at once, and a program that uses both"
DESCRIPTION = "What the image of recipes/pl-both holds; hetoci-oci-pl-both makes the image."
SECTION = "containers"

HETOCI_DESIGNS = "sha256 vadd"

require app.inc
