# SPDX-License-Identifier: MIT
SUMMARY = "The lab's scenarios, to run against an image elsewhere"
DESCRIPTION = "An archive beside the image, with the scenarios and the program that runs them at a \
labgrid place or in a LAVA job. Nothing of it goes onto the target."
SECTION = "devel"

inherit hetoci_source deploy

SRC_URI += "file://labtests \
    file://lava \
    file://meta-hetoci/recipes-bsp/vboard/files/include/vboard.h \
    file://pylib/hetoci \
    file://pylib/hetoci_lab \
    file://pyproject.toml \
"

INHIBIT_DEFAULT_DEPS = "1"
B = "${WORKDIR}/build"

do_configure[noexec] = "1"
do_install[noexec] = "1"

do_compile() {
    # The same sources give the same archive; what a checkout has beside them stays out.
    tar -C ${S} --sort=name --mtime=@${SOURCE_DATE_EPOCH} --owner=0 --group=0 --numeric-owner \
        --exclude=__pycache__ --exclude='*.egg-info' --transform='s,^,hetoci-lab-${PV}/,' \
        -czf ${B}/hetoci-lab-${PV}.tar.gz LICENSE labtests lava meta-hetoci pylib pyproject.toml
}

do_deploy() {
    install -D -m 0644 ${B}/hetoci-lab-${PV}.tar.gz ${DEPLOYDIR}/hetoci-lab-${PV}.tar.gz
}
addtask deploy after do_compile before do_build

PACKAGES = ""
