# SPDX-License-Identifier: MIT
SUMMARY = "OCI image: vector addition in programmable logic"
DESCRIPTION = "The image of recipes/pl-vadd, as its Containerfile makes it."

require hetoci-oci-image.inc

OCI_IMAGE_ENTRYPOINT = "/bin/vadd"
