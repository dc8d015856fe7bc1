# SPDX-License-Identifier: MIT
SUMMARY = "Vector addition in programmable logic, and a program that checks it"
DESCRIPTION = "What the image of recipes/pl-vadd holds; hetoci-oci-pl-vadd makes the image."
SECTION = "containers"

require app.inc
