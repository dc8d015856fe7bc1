# SPDX-License-Identifier: MIT
SUMMARY = "Policy, systemd units and engine configuration of hetoci"
DESCRIPTION = "What a product may want otherwise: hetoci.conf, the unit that gives back devices \
after a crash, and one package for each engine that makes hetoci one of its runtimes."
SECTION = "containers"

require hetoci.inc

inherit systemd

# Each engine's package: the example of the runtime, in the place where the engine reads it.
PACKAGE_BEFORE_PN = "${PN}-containerd ${PN}-containerd-imports ${PN}-docker ${PN}-podman ${PN}-crio"

# The board's shell is a file of its own.
PACKAGE_ARCH:hetoci-vboard = "${MACHINE_ARCH}"

do_install() {
    oe_runmake ${HETOCI_INSTALL} DESTDIR=${B}/all
    for path in ${sysconfdir}/hetoci ${prefix}/lib/systemd ${prefix}/lib/tmpfiles.d; do
        install -d ${D}$(dirname $path)
        cp -R --no-preserve=ownership ${B}/all$path ${D}$path
    done
    examples=${B}/all${datadir}/doc/hetoci/examples
    install -D -m 0644 $examples/containerd.toml ${D}${sysconfdir}/containerd/conf.d/50-hetoci.toml
    printf '%s\n' 'version = 2' 'imports = ["${sysconfdir}/containerd/conf.d/*.toml"]' \
        >${D}${sysconfdir}/containerd/config.toml
    install -D -m 0644 $examples/docker-daemon.json ${D}${sysconfdir}/docker/daemon.json
    # Docker finds an image's labels only where containerd keeps the images, its default from 29 on.
    sed -i 's/"cdi": true/"cdi": true, "containerd-snapshotter": true/' ${D}${sysconfdir}/docker/daemon.json
    install -D -m 0644 $examples/podman.conf ${D}${sysconfdir}/containers/containers.conf.d/50-hetoci.conf
    install -D -m 0644 $examples/crio.conf ${D}${sysconfdir}/crio/crio.conf.d/50-hetoci.conf
}

do_install:append:hetoci-vboard() {
    printf '\n%s\n%s\n' "# The virtual board's shell, loaded when a container needs a slot." \
        'shells = ${nonarch_base_libdir}/firmware/pl-shell.dtbo' >>${D}${sysconfdir}/hetoci/hetoci.conf
}

SYSTEMD_SERVICE:${PN} = "hetoci-reap.service"

FILES:${PN} = "${sysconfdir}/hetoci \
    ${prefix}/lib/systemd/system/hetoci-reap.service \
    ${prefix}/lib/tmpfiles.d/hetoci.conf \
"
FILES:${PN}-containerd = "${sysconfdir}/containerd/conf.d"
FILES:${PN}-containerd-imports = "${sysconfdir}/containerd/config.toml"
FILES:${PN}-docker = "${sysconfdir}/docker"
FILES:${PN}-podman = "${sysconfdir}/containers"
FILES:${PN}-crio = "${sysconfdir}/crio"

CONFFILES:${PN} = "${sysconfdir}/hetoci/hetoci.conf"
CONFFILES:${PN}-containerd = "${sysconfdir}/containerd/conf.d/50-hetoci.toml"
CONFFILES:${PN}-containerd-imports = "${sysconfdir}/containerd/config.toml"
CONFFILES:${PN}-docker = "${sysconfdir}/docker/daemon.json"
CONFFILES:${PN}-podman = "${sysconfdir}/containers/containers.conf.d/50-hetoci.conf"
CONFFILES:${PN}-crio = "${sysconfdir}/crio/crio.conf.d/50-hetoci.conf"

RDEPENDS:${PN} = "python3-hetoci"
RDEPENDS:${PN}-containerd = "${PN}"
RDEPENDS:${PN}-docker = "${PN}"
RDEPENDS:${PN}-podman = "${PN}"
RDEPENDS:${PN}-crio = "${PN}"

# containerd reads conf.d only if its own file says so, and its recipe brings none.
RRECOMMENDS:${PN}-containerd = "${PN}-containerd-imports"
