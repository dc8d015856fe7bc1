# SPDX-License-Identifier: MIT
SUMMARY = "OCI image: two accelerators at once"
DESCRIPTION = "The image of recipes/pl-both, as its Containerfile makes it."

require hetoci-oci-image.inc

OCI_IMAGE_ENTRYPOINT = "/bin/both"
