# SPDX-License-Identifier: MIT
SUMMARY = "Firmware at EL3 of the virtual board"
DESCRIPTION = "PSCI, and ZynqMP's EEMI, remote cores, mailboxes and FPGA manager, on QEMU's Versal."
SECTION = "bootloaders"

inherit hetoci_source hetoci_r5

SRC_URI += "file://${HETOCI_VBOARD}/common \
    file://${HETOCI_VBOARD}/el3 \
    file://${HETOCI_VBOARD}/include \
"

do_compile() {
    oe_runmake -C ${S}/${HETOCI_VBOARD}/el3 O=${B} \
        CROSS_COMPILE=${TARGET_PREFIX} R5_CROSS_COMPILE=${HETOCI_R5_PREFIX}
}

do_install[noexec] = "1"

do_deploy() {
    install -D -m 0644 ${B}/el3.elf ${DEPLOYDIR}/vboard-el3.elf
}
addtask deploy after do_compile before do_build

# It lies beside the image, not in it.
PACKAGES = ""
