# SPDX-License-Identifier: MIT
SUMMARY = "Linux of a container's Xen domain"
DESCRIPTION = "Built from the sources of the board's own kernel, with a configuration of its own: a \
Xen guest without disk and modules, whose root comes by 9P."
SECTION = "kernel"

LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://meta-hetoci/recipes-kernel/of-overlay-configfs/files/COPYING;md5=b234ee4d69f5fce4486a80fdaf4a4263"

inherit hetoci_source kernel-arch

DEPENDS += "bc-native bison-native flex-native"

HETOCI_CONFIG = "meta-hetoci/recipes-kernel/linux/files/guest.config"
SRC_URI += "file://${HETOCI_CONFIG} \
    file://meta-hetoci/recipes-kernel/of-overlay-configfs/files/COPYING \
"
HETOCI_GUEST_SOURCE ?= "${STAGING_KERNEL_DIR}"

REQUIRED_DISTRO_FEATURES += "xen"
COMPATIBLE_HOST = "aarch64.*-linux"
PACKAGE_ARCH = "${MACHINE_ARCH}"
B = "${WORKDIR}/build"

do_configure[depends] += "virtual/kernel:do_shared_workdir"

EXTRA_OEMAKE = "-C ${HETOCI_GUEST_SOURCE} O=${B} CROSS_COMPILE=${TARGET_PREFIX} \
    CC='${KERNEL_CC}' LD='${KERNEL_LD}' AR='${KERNEL_AR}' OBJCOPY='${KERNEL_OBJCOPY}' \
    HOSTCC='${BUILD_CC} ${BUILD_CFLAGS} ${BUILD_LDFLAGS}' \
    KBUILD_BUILD_USER=hetoci KBUILD_BUILD_HOST=guest KBUILD_BUILD_VERSION=1 \
"

# guest_make TARGET: flags for programs are not the kernel's.
guest_make() {
    unset CFLAGS CPPFLAGS CXXFLAGS LDFLAGS MACHINE
    export KBUILD_BUILD_TIMESTAMP="$(LC_ALL=C date -u -d @${SOURCE_DATE_EPOCH})"
    oe_runmake "$@"
}

do_configure() {
    guest_make KCONFIG_ALLCONFIG=${S}/${HETOCI_CONFIG} allnoconfig
    # An option whose dependencies are missing is dropped without a word.
    missing=$(grep '^CONFIG_' ${S}/${HETOCI_CONFIG} | grep -vxFf ${B}/.config || true)
    if [ -n "$missing" ]; then
        bbfatal "This kernel's configuration dropped: $missing"
    fi
}

do_compile() {
    guest_make Image
}

do_install() {
    install -D -m 0644 ${B}/arch/arm64/boot/Image ${D}${prefix}/lib/hetoci/guest/kernel
}

FILES:${PN} = "${prefix}/lib/hetoci/guest"
