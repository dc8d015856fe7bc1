# SPDX-License-Identifier: MIT
"""hetoci: an OCI runtime for everything a heterogeneous SoC can run.

This module is imported on every call of the command line: it holds constants only.
"""

__version__ = "0.1.0"

#: Version of the OCI runtime specification whose command line and state format we follow.
OCI_VERSION = "1.2.0"

#: Version of the image extension (docs/spec) that we implement.
SPEC_VERSION = "1.0"
