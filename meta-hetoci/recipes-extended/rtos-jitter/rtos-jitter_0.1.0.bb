# SPDX-License-Identifier: MIT
SUMMARY = "Real-time kernel for a Xen domain that measures its jitter"
DESCRIPTION = "Built by the Makefile that also builds its container image; xl takes it as kernel=."
SECTION = "kernel"

inherit hetoci_source deploy

SRC_URI += "file://recipes/common/labels.py \
    file://recipes/common/rtos \
    file://recipes/rtos-jitter/Containerfile \
    file://recipes/rtos-jitter/src \
"

B = "${WORKDIR}/build"
COMPATIBLE_HOST = "aarch64.*-linux"

do_compile() {
    oe_runmake -C ${S}/recipes/rtos-jitter/src O=${B} CROSS_COMPILE=${TARGET_PREFIX}
}

do_install() {
    install -d ${D}${datadir}/hetoci/kernels
    install -m 0644 ${B}/rtos.bin ${D}${datadir}/hetoci/kernels/rtos-jitter.bin
    # What the Containerfile copies, at its place.
    install -D -m 0644 ${B}/rtos.bin ${D}/boot/rtos.bin
    install -D -m 0644 ${B}/labels.json ${D}/.hetoci/labels.json
}

do_deploy() {
    install -D -m 0644 ${B}/rtos.bin ${DEPLOYDIR}/rtos-jitter.bin
    install -D -m 0644 ${B}/labels.json ${DEPLOYDIR}/rtos-jitter.labels.json
}
addtask deploy after do_compile before do_build

PACKAGE_BEFORE_PN = "${PN}-oci"

FILES:${PN} = "${datadir}/hetoci/kernels"
FILES:${PN}-oci = "/boot /.hetoci"
