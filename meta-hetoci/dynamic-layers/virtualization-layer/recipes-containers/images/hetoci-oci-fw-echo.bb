# SPDX-License-Identifier: MIT
SUMMARY = "OCI image: Cortex-R5 firmware that echoes RPMsg"
DESCRIPTION = "The image of recipes/fw-echo, as its Containerfile makes it."

require hetoci-oci-image.inc

OCI_IMAGE_ENTRYPOINT = "/firmware/echo.elf"
