# SPDX-License-Identifier: MIT
"""Host side of hetoci: builds the virtual board, runs it, and drives it with labgrid."""

__version__ = "0.1.0"
