# SPDX-License-Identifier: MIT
SUMMARY = "Device tree and overlays of the virtual board"
DESCRIPTION = "QEMU's own tree, with the layer's additions, and the overlay of the shell."
SECTION = "bsp"
DEPENDS = "dtc-native qemu-system-native"

inherit hetoci_source deploy

HETOCI_VBOARD = "meta-hetoci/recipes-bsp/vboard/files"
SRC_URI += "file://${HETOCI_VBOARD}/dts \
    file://${HETOCI_VBOARD}/include \
"

COMPATIBLE_MACHINE = "^hetoci-vboard$"
PACKAGE_ARCH = "${MACHINE_ARCH}"
INHIBIT_DEFAULT_DEPS = "1"
B = "${WORKDIR}/build"

# The tree is the same for all images, so this is what local.conf says, not an image's recipe.
VBOARD_ROOTMODE ?= "${@bb.utils.contains('EXTRA_IMAGE_FEATURES', 'read-only-rootfs', 'ro', 'rw', d)}"
VBOARD_ROOTARGS ?= "root=/dev/vda ${VBOARD_ROOTMODE} ip=10.0.2.15::10.0.2.2:255.255.255.0:vboard:eth0:off uio_pdrv_genirq.of_id=generic-uio"
VBOARD_BOOTARGS ?= "console=ttyAMA0 earlycon ${VBOARD_ROOTARGS}"
VBOARD_DOM0_BOOTARGS ?= "console=hvc0 ${VBOARD_ROOTARGS}"
VBOARD_XEN_BOOTARGS ?= "console=dtuart dtuart=/uart@ff000000 dom0_mem=1G dom0_max_vcpus=1 bootscrub=0"
# Room for dom0's kernel: its file's size is not known here, and what lies behind it does no harm.
VBOARD_DOM0_KERNEL_BYTES ?= "0x04000000"

# vboard_dtc SOURCE TARGET [-DNAME=VALUE...]
vboard_dtc() {
    source=${S}/${HETOCI_VBOARD}/dts/$1
    target=$2
    shift 2
    cpp -nostdinc -undef -D__DTS__ -x assembler-with-cpp \
        -I${S}/${HETOCI_VBOARD}/include -I${S}/${HETOCI_VBOARD}/dts "$@" $source -o $target.dts
    # dtc cannot see the interrupt parent that an overlay's nodes inherit.
    dtc -q -@ -i ${B} -Wno-interrupts_property -I dts -O dtb -o $target $target.dts
}

do_compile() {
    qemu-system-aarch64 -M xlnx-versal-virt,dumpdtb=qemu.dtb -m 2G -display none -kernel /dev/null
    dtc -q -I dtb -O dts -o qemu.dts qemu.dtb
    vboard_dtc vboard-linux.dts vboard-linux.dtb '-DVB_BOOTARGS="${VBOARD_BOOTARGS}"'
    vboard_dtc vboard-xen.dts vboard-xen.dtb '-DVB_BOOTARGS="${VBOARD_DOM0_BOOTARGS}"' \
        '-DVB_XEN_BOOTARGS="${VBOARD_XEN_BOOTARGS}"' \
        -DVB_DOM0_KERNEL_BYTES=${VBOARD_DOM0_KERNEL_BYTES}
    vboard_dtc pl-shell.dtso pl-shell.dtbo
}

do_install() {
    install -d ${D}${nonarch_base_libdir}/firmware
    install -m 0644 ${B}/*.dtbo ${D}${nonarch_base_libdir}/firmware
}

do_deploy() {
    install -D -m 0644 ${B}/vboard-linux.dtb ${DEPLOYDIR}/vboard-linux.dtb
    install -D -m 0644 ${B}/vboard-xen.dtb ${DEPLOYDIR}/vboard-xen.dtb
}
addtask deploy after do_compile before do_build

FILES:${PN} = "${nonarch_base_libdir}/firmware"
