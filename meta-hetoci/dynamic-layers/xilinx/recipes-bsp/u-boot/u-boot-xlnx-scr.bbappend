# SPDX-License-Identifier: MIT
# Without the distro feature nothing is read, so nobody else's signatures change.
require ${@bb.utils.contains('DISTRO_FEATURES', 'hetoci', 'u-boot-xlnx-scr-hetoci.inc', '', d)}
