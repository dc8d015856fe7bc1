# SPDX-License-Identifier: MIT
SUMMARY = "Ramdisk of a container's Xen domain"
DESCRIPTION = "One static program, the agent, which prepares the domain for its container. The \
domain's kernel is hetoci-guest-kernel's."
SECTION = "containers"

inherit hetoci_source

HETOCI_AGENT = "meta-hetoci/recipes-guest/hetoci-guest/files/agent"
SRC_URI += "file://${HETOCI_AGENT}"

REQUIRED_DISTRO_FEATURES += "xen"
COMPATIBLE_HOST = "aarch64.*-linux"
B = "${WORKDIR}/build"

do_compile() {
    oe_runmake -C ${S}/${HETOCI_AGENT} O=${B} CC='${CC}'
}

do_install() {
    install -D -m 0644 ${B}/ramdisk ${D}${prefix}/lib/hetoci/guest/ramdisk
}

FILES:${PN} = "${prefix}/lib/hetoci/guest"
RDEPENDS:${PN} = "hetoci-guest-kernel"
