# SPDX-License-Identifier: MIT
"""Backends: one module for each kind of device, none of which knows another.

A backend offers `discover(host)` (what is there now) and the operations its workload needs:
prepare (bring the payload to where the kernel takes it), activate, status, deactivate. It
uses kernel interfaces that are the same for every vendor; what differs between vendors is a
table in the backend.
"""
