# SPDX-License-Identifier: MIT
"""Device files of a domain's accelerators, which its own kernel makes.

The agent tells which there are before the program runs; the program finds them as it would find
those of an ordinary container (docs/spec/devices.md, 1 and 3).
"""

from __future__ import annotations

from .. import describe, inject
from ..designs import DesignNode, DeviceFile
from ..errors import XenError
from . import program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..accelerate import Prepared
    from ..host import Host
    from .plan import Plan

FILE = "devices.json"

#: Name of the description among the shares; those of mounts are numbers.
_SHARE = "devices"

#: MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND (mount(2))
_FLAGS = 1 | 2 | 4 | 8 | 4096


def offer(host: Host, directory: str, plan: Plan) -> None:
    """Have the domain mount the description, which is empty as yet."""
    host.put(f"{directory}/{FILE}", b"", 0o444)
    plan.shares[_SHARE] = (host.path(f"{directory}/{FILE}"), True)
    mount = program.join("bind", f"/mounts/{_SHARE}", inject.DESCRIPTION, str(_FLAGS), "")
    plan.items = (plan.items or b"") + program.pack([("v", "1"), ("m", mount)])


def told(body: bytes) -> list[tuple[str, DeviceFile]]:
    """The agent's list: (full name of the node, its device file). Raises XenError."""
    found = []
    for line in body.decode("utf-8", "replace").split("\0")[:-1]:
        fields = line.split("\1")
        if len(fields) != 4 or not all(f.isascii() and f.isdecimal() for f in fields[2:]):
            raise XenError("the agent sent a list of devices that is none")
        node, kind, major, minor = fields
        found.append((node, DeviceFile("c", int(major), int(minor), kind, "", "")))
    return found


def tell(host: Host, directory: str, plan: Plan, files: Sequence[tuple[str, DeviceFile]]) -> bytes:
    """Write the description and return items for the agent. Raises HetociError if a node of an
    accelerator has no device file."""
    from json import dumps

    for accelerator in plan.accelerators:
        accelerator.nodes = tuple(
            _with_files(accelerator, node, files) for node in accelerator.nodes
        )
    devices, description = describe.all_of(plan.accelerators)
    host.put(f"{directory}/{FILE}", (dumps(description, indent=2) + "\n").encode(), 0o444)
    user, group = plan.owner
    return program.pack(
        [("D", program.join(*map(str, (d.path, d.major, d.minor, user, group)))) for d in devices]
    )


def _with_files(
    accelerator: Prepared, node: DesignNode, files: Sequence[tuple[str, DeviceFile]]
) -> DesignNode:
    own = [file for name, file in files if name == node.full_name]
    if not own:
        raise XenError(
            f"the domain's kernel has no device file for node {node.full_name} of accelerator"
            f" {accelerator.request.name}"
        )
    return DesignNode(node.full_name, node.compatible, node.windows, node.interrupts, own)
