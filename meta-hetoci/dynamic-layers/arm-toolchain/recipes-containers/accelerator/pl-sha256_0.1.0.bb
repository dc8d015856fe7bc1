# SPDX-License-Identifier: MIT
SUMMARY = "SHA-256 in programmable logic, and a program that checks it"
DESCRIPTION = "What the image of recipes/pl-sha256 holds; hetoci-oci-pl-sha256 makes the image."
SECTION = "containers"

require app.inc
