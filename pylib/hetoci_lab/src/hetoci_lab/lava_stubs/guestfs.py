# SPDX-License-Identifier: MIT
"""In place of libguestfs's module, which LAVA imports and none of our jobs uses."""
