# SPDX-License-Identifier: MIT
SUMMARY = "Bitstreams of the virtual board: the shell and sample accelerators"
DESCRIPTION = "The static design with its four slots, and the accelerators vadd and sha256 with \
their overlays for each slot."
SECTION = "bsp"

inherit hetoci_source hetoci_r5

DEPENDS += "dtc-native"

SRC_URI += "file://${HETOCI_VBOARD}/common \
    file://${HETOCI_VBOARD}/dts \
    file://${HETOCI_VBOARD}/include \
    file://${HETOCI_VBOARD}/pl \
    file://recipes/pl-sha256/src \
    file://recipes/pl-vadd/src \
"

do_compile() {
    oe_runmake -C ${S}/${HETOCI_VBOARD}/pl O=${B} CROSS_COMPILE=${HETOCI_R5_PREFIX}
    for folder in recipes/pl-sha256/src recipes/pl-vadd/src; do
        oe_runmake -C ${S}/$folder O=${B} CROSS_COMPILE=${HETOCI_R5_PREFIX} all overlays
    done
}

do_install() {
    install -d ${D}${nonarch_base_libdir}/firmware
    install -m 0644 ${B}/*.bit.bin ${B}/*.dtbo ${D}${nonarch_base_libdir}/firmware
}

do_deploy() {
    install -D -m 0644 ${B}/pl-shell.bit.bin ${DEPLOYDIR}/pl-shell.bit.bin
}
addtask deploy after do_compile before do_build

FILES:${PN} = "${nonarch_base_libdir}/firmware"
