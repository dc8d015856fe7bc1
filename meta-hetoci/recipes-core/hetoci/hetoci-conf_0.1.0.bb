# SPDX-License-Identifier: MIT
SUMMARY = "Policy, systemd units and engine configuration of hetoci"
DESCRIPTION = "What a product may want otherwise: hetoci.conf, the unit that gives back devices \
after a crash, and one package for each engine that makes hetoci one of its runtimes."
SECTION = "containers"

require hetoci.inc

inherit systemd

# Each engine's package: the example of the runtime, in the place where the engine reads it.
PACKAGE_BEFORE_PN = "${PN}-containerd ${PN}-docker ${PN}-podman ${PN}-crio"

do_install() {
    oe_runmake ${HETOCI_INSTALL} DESTDIR=${B}/all
    for path in ${sysconfdir}/hetoci ${prefix}/lib/systemd ${prefix}/lib/tmpfiles.d; do
        install -d ${D}$(dirname $path)
        cp -R --no-preserve=ownership ${B}/all$path ${D}$path
    done
    examples=${B}/all${datadir}/doc/hetoci/examples
    install -D -m 0644 $examples/containerd.toml ${D}${sysconfdir}/containerd/conf.d/50-hetoci.toml
    install -D -m 0644 $examples/docker-daemon.json ${D}${sysconfdir}/docker/daemon.json
    install -D -m 0644 $examples/podman.conf ${D}${sysconfdir}/containers/containers.conf.d/50-hetoci.conf
    install -D -m 0644 $examples/crio.conf ${D}${sysconfdir}/crio/crio.conf.d/50-hetoci.conf
}

SYSTEMD_SERVICE:${PN} = "hetoci-reap.service"

FILES:${PN} = "${sysconfdir}/hetoci \
    ${prefix}/lib/systemd/system/hetoci-reap.service \
    ${prefix}/lib/tmpfiles.d/hetoci.conf \
"
FILES:${PN}-containerd = "${sysconfdir}/containerd/conf.d"
FILES:${PN}-docker = "${sysconfdir}/docker"
FILES:${PN}-podman = "${sysconfdir}/containers"
FILES:${PN}-crio = "${sysconfdir}/crio"

CONFFILES:${PN} = "${sysconfdir}/hetoci/hetoci.conf"
CONFFILES:${PN}-containerd = "${sysconfdir}/containerd/conf.d/50-hetoci.toml"
CONFFILES:${PN}-docker = "${sysconfdir}/docker/daemon.json"
CONFFILES:${PN}-podman = "${sysconfdir}/containers/containers.conf.d/50-hetoci.conf"
CONFFILES:${PN}-crio = "${sysconfdir}/crio/crio.conf.d/50-hetoci.conf"

RDEPENDS:${PN} = "python3-hetoci"
RDEPENDS:${PN}-containerd = "${PN}"
RDEPENDS:${PN}-docker = "${PN}"
RDEPENDS:${PN}-podman = "${PN}"
RDEPENDS:${PN}-crio = "${PN}"
