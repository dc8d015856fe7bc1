# SPDX-License-Identifier: MIT
SUMMARY = "Device tree overlays through configfs"
DESCRIPTION = "The interface that linux-xlnx has, as a module for kernels without it."
SECTION = "kernel/modules"

LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://of_overlay_configfs.c;beginline=1;endline=1;md5=50d2ba0afecd20f74c12a4bdbcfcfe61"

HETOCI_MODULE = "meta-hetoci/recipes-kernel/of-overlay-configfs/files"
SRC_URI += "file://${HETOCI_MODULE}"
HETOCI_BELOW = "/${HETOCI_MODULE}"

inherit hetoci_source module

COMPATIBLE_HOST = "aarch64.*-linux"
KERNEL_MODULE_AUTOLOAD += "of_overlay_configfs"
