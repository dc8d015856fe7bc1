# SPDX-License-Identifier: MIT
"""Images on this host: build, inspect, validate (docs/images.md).

Nothing here trusts an image: every read is bounded, nothing of it is written to a place that it
names, and nothing of it runs.
"""
