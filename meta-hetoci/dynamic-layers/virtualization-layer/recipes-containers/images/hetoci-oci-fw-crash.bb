# SPDX-License-Identifier: MIT
SUMMARY = "OCI image: Cortex-R5 firmware that crashes when told to"
DESCRIPTION = "The image of recipes/fw-crash, as its Containerfile makes it."

require hetoci-oci-image.inc

OCI_IMAGE_ENTRYPOINT = "/firmware/crash.elf"
