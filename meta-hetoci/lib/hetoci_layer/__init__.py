# SPDX-License-Identifier: MIT
"""Python of the layer meta-hetoci; bitbake finds it through `addpylib` in layer.conf."""

BBIMPORTS = ["images", "sanity"]
