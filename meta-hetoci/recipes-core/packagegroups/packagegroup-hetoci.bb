# SPDX-License-Identifier: MIT
SUMMARY = "hetoci by use: runtime, accelerators, firmware on remote cores, lab"
DESCRIPTION = "Sets of packages for images with hetoci; HETOCI_ENGINES adds engines to the runtime."

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup features_check

REQUIRED_DISTRO_FEATURES = "hetoci"

PACKAGES = " \
    packagegroup-hetoci-runtime \
    packagegroup-hetoci-accel \
    packagegroup-hetoci-amp \
    packagegroup-hetoci-lab \
"

# For each engine its configuration, and the package that holds it in meta-virtualization.
HETOCI_ENGINE_PACKAGES = "${@' '.join('hetoci-conf-' + name for name in d.getVar('HETOCI_ENGINES').split())}"
HETOCI_ENGINE_PACKAGES += "${@bb.utils.contains('HETOCI_ENGINES', 'containerd', 'virtual-containerd', '', d)}"
HETOCI_ENGINE_PACKAGES += "${@bb.utils.contains('HETOCI_ENGINES', 'docker', 'docker', '', d)}"
HETOCI_ENGINE_PACKAGES += "${@bb.utils.contains('HETOCI_ENGINES', 'podman', 'podman', '', d)}"
HETOCI_ENGINE_PACKAGES += "${@bb.utils.contains('HETOCI_ENGINES', 'crio', 'cri-o', '', d)}"

RDEPENDS:packagegroup-hetoci-runtime = "${HETOCI_ENGINE_PACKAGES} hetoci-conf python3-hetoci"

# linux-xlnx has the interface of of-overlay-configfs built in.
RDEPENDS:packagegroup-hetoci-accel = "packagegroup-hetoci-runtime"
RDEPENDS:packagegroup-hetoci-accel:append:hetoci-vboard = " of-overlay-configfs vboard-devicetree vboard-pl"

RDEPENDS:packagegroup-hetoci-amp = "packagegroup-hetoci-runtime"
RDEPENDS:packagegroup-hetoci-amp:append:hetoci-vboard = " fw-crash fw-echo"

# What labtests/ and people at a board use.
RDEPENDS:packagegroup-hetoci-lab = "openssh-sftp-server \
    packagegroup-hetoci-runtime \
    procps \
    python3-hetoci-bash-completion \
    strace \
    util-linux \
"
