# SPDX-License-Identifier: MIT
SUMMARY = "The smallest image that runs hetoci"
DESCRIPTION = "core-image-minimal's contents with hetoci for the workloads of HETOCI_WORKLOADS."

require hetoci-image.inc
