# SPDX-License-Identifier: MIT
"""Containers as Xen domains: what of it is not the same as for other containers."""
