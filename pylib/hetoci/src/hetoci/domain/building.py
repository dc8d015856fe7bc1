# SPDX-License-Identifier: MIT
"""From a plan to a domain, by `xl create`."""

from __future__ import annotations

from ..backends import xen
from ..errors import XenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host
    from .plan import Plan
    from .store import Store

CONFIGURATION = "xl.cfg"


def configure(host: Host, directory: str, plan: Plan) -> str:
    """Write the domain's xl.cfg and its files beside the record in `directory`; its path."""
    for key, data in plan.files.items():
        file = f"{directory}/{key}"
        host.put(file, data)
        plan.settings[key] = host.path(file)
    plan.files = {}
    path = f"{directory}/{CONFIGURATION}"
    host.put(path, xen.configuration(plan.settings).encode())
    return path


def build(host: Host, store: Store, configuration: str, plan: Plan, lock: int) -> int:
    """Make the domain; its number. lock: kept by xl as well: if we are killed, the domain that it
    goes on making is met by whoever waits for the lock. Raises XenError."""
    # With hetoci's kernel the agent waits for start; an image's own must not run before it.
    paused = ["-p"] if plan.items is None else []
    try:
        xen.xl(host, ["create", "-q", "-e", *paused, host.path(configuration)], inherit=(lock,))
    except XenError as error:
        if "memory" not in error.message:
            raise
        raise XenError(
            f"Xen has no {plan.settings['memory']} MiB for domain {plan.name} ({error.message})",
            hint="`xl info` says what is free; a lower memory limit needs less",
        ) from None
    host.checkpoint("keeper:built")
    domain = xen.find(store, plan.name)
    if not domain:
        raise XenError(f"domain {plan.name} ended while it was built", device=plan.name)
    return domain
