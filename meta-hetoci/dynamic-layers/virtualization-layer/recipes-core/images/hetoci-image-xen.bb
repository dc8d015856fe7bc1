# SPDX-License-Identifier: MIT
SUMMARY = "dom0 with hetoci: containers, and containers that are Xen domains"
DESCRIPTION = "hetoci-image-minimal and what dom0 needs; the hypervisor lies beside the image."

require recipes-core/images/hetoci-image.inc

REQUIRED_DISTRO_FEATURES += "xen"

IMAGE_INSTALL += "packagegroup-hetoci-xen"

# Boot loaders take the hypervisor from the deploy folder, not from the image.
do_build[depends] += "xen:do_deploy"

# AMD's boot script for Xen reads it from the card under this name.
IMAGE_BOOT_FILES += "${@'xen-${MACHINE};xen' if d.getVar('BOOTMODE') == 'xen' else ''}"

# runqemu: Xen where Linux would be, and dom0's kernel as its module.
VBOARD_LOADERS = " \
    -device loader,file=@DEPLOY_DIR_IMAGE@/xen-hetoci-vboard,addr=0x200000,force-raw=on \
    -device loader,file=@DEPLOY_DIR_IMAGE@/vboard-xen.dtb,addr=0x7000000,force-raw=on \
    -device loader,file=@DEPLOY_DIR_IMAGE@/Image,addr=0x50000000,force-raw=on \
"
