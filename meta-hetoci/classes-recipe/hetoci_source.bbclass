# SPDX-License-Identifier: MIT
# Sources from the repository that holds the layer: SRC_URI entries are paths in it
# ("file://recipes/common"), unpacked to the same paths below S.

inherit features_check

LICENSE ?= "MIT"
LIC_FILES_CHKSUM ?= "file://LICENSE;md5=5043865bb33429df9a539294d41108bd"

REQUIRED_DISTRO_FEATURES = "hetoci"

FILESEXTRAPATHS:prepend := "${HETOCI_TREE}:"
SRC_URI += "file://LICENSE"
# scarthgap has no UNPACKDIR, and newer series do not allow WORKDIR.
HETOCI_UNPACKDIR = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
# HETOCI_BELOW is for a recipe that works in a folder below.
HETOCI_BELOW ?= ""
S = "${HETOCI_UNPACKDIR}${HETOCI_BELOW}"
