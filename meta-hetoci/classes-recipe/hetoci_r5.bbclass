# SPDX-License-Identifier: MIT
# Programs for the Cortex-R5 (firmware, the virtual board's logic): built by the bare-metal
# compiler of meta-arm-toolchain, whose binaries come from Arm; or by another one, with
# HETOCI_R5_TOOLCHAIN (what to depend on) and HETOCI_R5_PREFIX (the compiler's prefix).

inherit deploy

HETOCI_R5_TOOLCHAIN ?= "gcc-arm-none-eabi-native"
HETOCI_R5_PREFIX ?= "arm-none-eabi-"
HETOCI_VBOARD = "meta-hetoci/recipes-bsp/vboard/files"

DEPENDS += "${HETOCI_R5_TOOLCHAIN}"
PACKAGE_ARCH = "${MACHINE_ARCH}"
COMPATIBLE_MACHINE = "^hetoci-vboard$"
B = "${WORKDIR}/build"

# They run on another processor than the one packages are made for.
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
INHIBIT_SYSROOT_STRIP = "1"
