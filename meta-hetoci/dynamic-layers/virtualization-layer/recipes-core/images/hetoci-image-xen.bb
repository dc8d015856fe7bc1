# SPDX-License-Identifier: MIT
SUMMARY = "dom0 with hetoci: containers, and containers that are Xen domains"
DESCRIPTION = "hetoci-image-minimal and what dom0 needs; the hypervisor lies beside the image."

require recipes-core/images/hetoci-image.inc

REQUIRED_DISTRO_FEATURES += "xen"

IMAGE_INSTALL += "packagegroup-hetoci-xen"

# Boot loaders take the hypervisor from the deploy folder, not from the image.
do_build[depends] += "xen:do_deploy"
