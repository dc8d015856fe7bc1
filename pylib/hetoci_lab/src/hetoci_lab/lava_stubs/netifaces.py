# SPDX-License-Identifier: MIT
"""In place of netifaces, which LAVA asks for an address only if dispatcher_ip is not set."""


def gateways() -> dict[str, object]:
    """Return no gateway."""
    return {}
