# SPDX-License-Identifier: MIT
"""What knows one kind of device each. A backend is a module; another vendor's is one more.

Fabric backends (programmable logic) offer these functions:

    discover(host, part) -> list[Fabric]
        Regions and slots as they are now, without holders. part: what the operator says the
        FPGA is, for boards that do not tell. Cheap; no error for hardware that is not there.
    unchanged(host, fabric) -> bool
        True if `fabric` still has the shell that it was discovered with, and nothing in it that
        hetoci did not put there.
    program(host, fabric, programming) -> None
        Put the bitstream in, and the nodes of its overlay into the device tree. Raises
        BackendError; then the fabric is empty.
    design_nodes(host, fabric) -> list[DesignNode]
        The nodes of the design in it, with the device files that they have by now.
    scrub(host, fabric, nodes) -> None
        Clear the DMA memory through the device files of `nodes`, where they offer it.
    clear(host, key) -> None
        Take out what hetoci put into the fabric whose claim is `key`, and the files staged for
        it. Nothing of it there is success, so that it may be repeated. Raises BackendError.
    load_shell(host, region, blob), unload_shell(host, region) -> None
    shell_of_ours(host, region) -> bool
        The operator's static designs (hetoci.shells). Raise BackendError.
    leftovers(host) -> list[str]
        Claim keys of fabrics that hold something of ours, fabric or not.

The caller holds the fabric's claim for all but `discover` and `leftovers`. Backends never import
each other. Those of this package are listed here; further ones are found as entry points of the
group `hetoci.backends` in the metadata of distributions that lie beside this package.
"""

from __future__ import annotations

import sys

from ..errors import BackendError
from ..host import RUN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from ..host import Host

GROUP = "hetoci.backends"

#: Fabric backends of this package, in the order of the inventory. Those with places are loaded only
#: where one of these exists: their kernel drivers, or what they left.
FABRICS: dict[str, tuple[str, ...]] = {"fpga": (), "dfl": ("/sys/bus/dfl", f"{RUN}/dfl")}

#: Backends of this package that have no fabrics, but things to give back.
OTHERS = ("rpmsg",)


def fabric_names(host: Host) -> Sequence[str]:
    """The names of the fabric backends that have something to do here."""
    ours = [name for name, places in FABRICS.items() if not places or any(map(host.exists, places))]
    return (*ours, *sorted(_entry_points(host)))


def fabrics(host: Host) -> Iterator[tuple[str, ModuleType]]:
    """(name, module) of every such backend."""
    for name in fabric_names(host):
        yield name, load(host, name)


def load(host: Host, name: str) -> ModuleType:
    """The backend called `name`. Raises BackendError if there is none that can be used."""
    if name in FABRICS or name in OTHERS:
        return _module(f"{__name__}.{name}")
    module = _entry_points(host).get(name)
    if module is None:
        raise BackendError(f"the backend {name} is not installed", op="load")
    try:
        return _module(module)
    except Exception as error:
        raise BackendError(
            f"the backend {name} cannot be loaded: {type(error).__name__}: {error}",
            op="load",
            hint=f"repair or remove the distribution that has the module {module}",
        ) from error


def _module(name: str) -> ModuleType:
    __import__(name)
    return sys.modules[name]


def _entry_points(host: Host) -> dict[str, str]:
    """name -> module, of all distributions on our path (packaging.python.org, "Entry points
    specification"). importlib.metadata reads the same files, after 30 ms of imports."""
    known: dict[str, str] | None = host.memory.get(GROUP)
    if known is not None:
        return known
    found = host.memory[GROUP] = {}
    for directory in sys.path:
        for name in host.listing(directory) if directory.startswith("/") else ():
            if name.endswith((".dist-info", ".egg-info")):
                text = host.text(f"{directory}/{name}/entry_points.txt", 1 << 16)
                found.update(_group(text or ""))
    return found


def _group(text: str) -> Iterator[tuple[str, str]]:
    inside = False
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and "=" in line and line[0] not in "#;":
            name, _, module = line.partition("=")
            yield name.strip(), module.strip()
