# SPDX-License-Identifier: MIT
SUMMARY = "OCI runtime for everything a heterogeneous SoC can run"
DESCRIPTION = "The runtime hetoci and its containerd shim: containers that carry firmware, \
accelerators or whole domains, beside plain ones, which it hands to crun or runc."
SECTION = "containers"

require hetoci.inc

inherit bash-completion python3native

# A root that is never written to cannot keep the byte code of first calls, so its image takes this.
PACKAGE_BEFORE_PN += "${PN}-bytecode"

do_install() {
    oe_runmake ${HETOCI_INSTALL} DESTDIR=${D} COMPILE_PYTHON='${PYTHON}'
    # The configuration is hetoci-conf's, which a product may replace.
    rm -r ${D}${sysconfdir} ${D}${prefix}/lib/systemd ${D}${prefix}/lib/tmpfiles.d ${D}${datadir}/doc
}

FILES:${PN}-bytecode = "${prefix}/lib/hetoci/hetoci/__pycache__/*.pyc \
    ${prefix}/lib/hetoci/hetoci/*/__pycache__/*.pyc \
"
FILES:${PN} = "${bindir}/hetoci \
    ${bindir}/containerd-shim-hetoci-v1 \
    ${prefix}/lib/hetoci \
    ${prefix}/libexec/hetoci \
"

# The parts of the standard library that it imports.
RDEPENDS:${PN} = "python3-compression \
    python3-core \
    python3-crypt \
    python3-ctypes \
    python3-fcntl \
    python3-io \
    python3-json \
    python3-mmap \
    python3-resource \
"
RDEPENDS:${PN}-bytecode = "${PN}"
RRECOMMENDS:${PN} = "hetoci-conf"
