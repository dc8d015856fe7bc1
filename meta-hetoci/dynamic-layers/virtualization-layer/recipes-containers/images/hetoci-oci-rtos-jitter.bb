# SPDX-License-Identifier: MIT
SUMMARY = "OCI image: real-time kernel for a Xen domain"
DESCRIPTION = "The image of recipes/rtos-jitter, as its Containerfile makes it."

require hetoci-oci-image.inc

OCI_IMAGE_ENTRYPOINT = "/boot/rtos.bin"
