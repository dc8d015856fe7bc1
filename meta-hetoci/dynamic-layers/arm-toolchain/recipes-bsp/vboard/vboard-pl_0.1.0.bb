# SPDX-License-Identifier: MIT
SUMMARY = "Bitstreams of the virtual board: the shell and sample accelerators"
DESCRIPTION = "The static design with its four slots, and the accelerators vadd and sha256 for each slot."
SECTION = "bsp"

inherit hetoci_source hetoci_r5

SRC_URI += "file://${HETOCI_VBOARD}/common \
    file://${HETOCI_VBOARD}/include \
    file://${HETOCI_VBOARD}/pl \
    file://recipes/pl-sha256/src \
    file://recipes/pl-vadd/src \
"

do_compile() {
    for folder in ${HETOCI_VBOARD}/pl recipes/pl-sha256/src recipes/pl-vadd/src; do
        oe_runmake -C ${S}/$folder O=${B} CROSS_COMPILE=${HETOCI_R5_PREFIX}
    done
}

do_install() {
    install -d ${D}${nonarch_base_libdir}/firmware
    install -m 0644 ${B}/*.bit.bin ${D}${nonarch_base_libdir}/firmware
}

do_deploy() {
    install -D -m 0644 ${B}/pl-shell.bit.bin ${DEPLOYDIR}/pl-shell.bit.bin
}
addtask deploy after do_compile before do_build

FILES:${PN} = "${nonarch_base_libdir}/firmware"
