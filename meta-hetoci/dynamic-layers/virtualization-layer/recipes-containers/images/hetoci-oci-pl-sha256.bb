# SPDX-License-Identifier: MIT
SUMMARY = "OCI image: SHA-256 in programmable logic"
DESCRIPTION = "The image of recipes/pl-sha256, as its Containerfile makes it."

require hetoci-oci-image.inc

OCI_IMAGE_ENTRYPOINT = "/bin/sha256"
