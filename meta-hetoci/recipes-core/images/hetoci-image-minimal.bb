# SPDX-License-Identifier: MIT
SUMMARY = "The smallest image that runs hetoci"
DESCRIPTION = "core-image-minimal's contents with hetoci for the workloads of HETOCI_WORKLOADS."
LICENSE = "MIT"

inherit core-image features_check

REQUIRED_DISTRO_FEATURES = "hetoci"

IMAGE_INSTALL = " \
    packagegroup-core-boot \
    packagegroup-hetoci-runtime \
    ${@bb.utils.contains('HETOCI_WORKLOADS', 'accelerator', 'packagegroup-hetoci-accel', '', d)} \
    ${@bb.utils.contains('HETOCI_WORKLOADS', 'firmware', 'packagegroup-hetoci-amp', '', d)} \
    ${CORE_IMAGE_EXTRA_INSTALL} \
"
