# SPDX-License-Identifier: MIT
SUMMARY = "hetoci for domains: dom0's tools beside the runtime"
DESCRIPTION = "What dom0 needs so that containers can be Xen domains, and what these boot."

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup features_check

REQUIRED_DISTRO_FEATURES = "hetoci xen"

RDEPENDS:${PN} = "hetoci-guest packagegroup-hetoci-runtime xen-tools"
