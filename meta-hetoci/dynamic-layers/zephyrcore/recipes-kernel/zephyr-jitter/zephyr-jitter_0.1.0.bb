# SPDX-License-Identifier: MIT
SUMMARY = "Zephyr application for a Xen domain that measures its jitter"
DESCRIPTION = "Zephyr's board xenvm with GICv3, which is what Xen gives a domain on a board with one."
SECTION = "kernel"

# Boards with qualifiers, as below, came with Zephyr 3.7.
PREFERRED_VERSION_zephyr-kernel ?= "3.7.0"
require recipes-kernel/zephyr-kernel/zephyr-sample.inc
inherit hetoci_source

# Ours, and that of Zephyr, whose licence file zephyr-sample.inc checks.
LICENSE = "MIT & Apache-2.0"
SRC_URI += "file://recipes/zephyr-jitter/src"

ZEPHYR_BOARD = "xenvm/xenvm/gicv3"
ZEPHYR_SRC_DIR = "${HETOCI_UNPACKDIR}/recipes/zephyr-jitter/src"
OECMAKE_SOURCEPATH = "${ZEPHYR_SRC_DIR}"
COMPATIBLE_HOST = "aarch64.*"
