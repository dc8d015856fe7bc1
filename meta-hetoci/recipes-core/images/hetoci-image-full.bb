# SPDX-License-Identifier: MIT
SUMMARY = "An image to work with hetoci on a board"
DESCRIPTION = "hetoci-image-minimal with an ssh server, package management, man pages and the lab's tools."

require hetoci-image.inc

IMAGE_FEATURES += "package-management ssh-server-openssh"
IMAGE_INSTALL += "packagegroup-hetoci-lab python3-hetoci-doc"
