# SPDX-License-Identifier: MIT
"""Intel's and Altera's FPGA cards through the kernel's Device Feature List framework.

A card has a management engine (FME), which programs, and ports, each with an accelerator (AFU)
that can be exchanged: a port is a slot, its interface id is the shell. There is no device
tree; the accelerator's device file is the port's own. Interfaces: Documentation/fpga/dfl.rst,
Documentation/ABI/testing/sysfs-platform-dfl-{fme,port}, sysfs-class-fpga-region,
uapi/linux/fpga-dfl.h.

A port cannot be emptied. What is put back on release is its reset state: the kernel resets the
port and unmaps its DMA when the last file closes, and `clear` makes sure that it is closed.
"""

from __future__ import annotations

import errno
import os

from .. import bitstream, designs
from ..designs import DesignNode, DeviceFile
from ..errors import FpgaError
from ..fabric import REGION, SLOT, Fabric
from ..host import RUN, explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..fabric import Programming
    from ..host import Host

REGIONS = "/sys/class/fpga_region"
DEVICES = "/sys/devices"

#: A file for each port that hetoci has programmed, by its claim: sysfs does not tell who did.
MARKS = f"{RUN}/dfl"

#: The class by which the description and the container name a port's device file.
PORT_CLASS = "dfl-port"


class _Card:
    """A card: sysfs directory of its base region, and the names below it."""

    __slots__ = ("directory", "engine", "place", "ports", "region")

    def __init__(self, host: Host, region: str) -> None:
        self.region = region
        self.directory = host.resolve(f"{REGIONS}/{region}")
        device = self.directory.rpartition("/fpga_region/")[0]
        self.place = device.removeprefix(DEVICES)
        names = host.subdirectories(self.directory)
        self.engine = next((name for name in names if name.startswith("dfl-fme.")), "")
        self.ports = sorted(
            (name for name in names if name.startswith("dfl-port.")), key=lambda n: (len(n), n)
        )

    @property
    def name(self) -> str:
        """Stable, unlike the kernel's numbers: the PCI address, say."""
        return self.place.rpartition("/")[2].replace(":", "-")


def _cards(host: Host) -> Iterator[_Card]:
    for region in sorted(host.listing(REGIONS), key=lambda name: (len(name), name)):
        card = _Card(host, region)
        if card.ports or card.engine:
            yield card


def discover(host: Host, part: str = "") -> list[Fabric]:
    """The cards and their ports as the kernel shows them now."""
    found = []
    for card in _cards(host):
        region = Fabric("dfl", card.region, REGION, card.name, card.place)
        region.blocker = "takes no full bitstream: the card's flash has its static design"
        fabrics = [region, *(_port(host, card, name) for name in card.ports)]
        shell = _interface(host, card)
        for fabric in fabrics:
            fabric.part, fabric.shell = part, shell
        found += fabrics
    return found


def unchanged(host: Host, fabric: Fabric) -> bool:
    """True if the port still has its card's static design."""
    now = next((f for f in discover(host) if f.place == fabric.place), None)
    return now is not None and now.shell == fabric.shell


def _interface(host: Host, card: _Card) -> str:
    """The interface id of the static design, the same for all ports of a card."""
    engine = f"{card.directory}/{card.engine}"
    for name in host.subdirectories(engine) if card.engine else ():
        if name.startswith("dfl-fme-region."):
            for region in host.subdirectories(f"{engine}/{name}/fpga_region"):
                return host.text(f"{engine}/{name}/fpga_region/{region}/compat_id") or ""
    return ""


def _port(host: Host, card: _Card, instance: str) -> Fabric:
    directory = f"{card.directory}/{instance}"
    number = host.text(f"{directory}/id") or ""
    fabric = Fabric(
        "dfl", instance, SLOT, f"{card.name}-port{number}", f"{card.place}/port{number}"
    )
    fabric.parent = card.place
    fabric.compatible = (PORT_CLASS,)
    fabric.ours = host.exists(_mark(fabric.key))
    if fabric.ours:
        fabric.design = host.text(f"{directory}/afu_id") or "unknown"
    fabric.state = "programmed" if fabric.ours else "unknown"
    if not number.isdecimal():
        fabric.blocker = f"has no number in {directory}/id"
    elif not card.engine:
        fabric.blocker = "cannot be programmed from here: its card's dfl-fme is another function's"
    return fabric


def _mark(key: str) -> str:
    return f"{MARKS}/{key}"


def _find(host: Host, key: str) -> tuple[_Card, Fabric] | None:
    """The card and port whose claim is `key`, None if they are gone."""
    for card in _cards(host):
        for instance in card.ports:
            fabric = _port(host, card, instance)
            if fabric.key == key:
                return card, fabric
    return None


# programming


def program(host: Host, fabric: Fabric, programming: Programming) -> None:
    """Exchange the accelerator of a port. Raises FpgaError; then no container has it."""
    found = _find(host, fabric.key)
    if found is None:
        raise FpgaError(f"slot {fabric.name} is gone", op="program", device=fabric.instance)
    card, _ = found
    if programming.encrypted:
        raise FpgaError(
            f"slot {fabric.name} takes no encrypted bitstreams",
            op="program",
            device=fabric.instance,
            hint="cards of this kind check signatures, for which no flag is needed",
        )
    header = bitstream.read(programming.bitstream)
    start = header.start if header else 0
    port = _open_port(host, fabric, "program")
    try:
        host.make_directory(MARKS)
        host.put(_mark(fabric.key), b"")
        host.checkpoint("program:item")
        _exchange(host, card, fabric, programming.bitstream[start:])
    except BaseException:
        host.remove(_mark(fabric.key))
        raise
    finally:  # closing it resets the port
        os.close(port)
    now = host.text(f"{card.directory}/{fabric.instance}/afu_id")
    if header and header.design and now and header.design != now:
        clear(host, fabric.key)
        raise FpgaError(
            f"slot {fabric.name} has the accelerator {now} after programming, its bitstream's"
            f" header says {header.design}",
            op="program",
            device=fabric.instance,
        )


def _open_port(host: Host, fabric: Fabric, op: str) -> int:
    """The port's device, for us alone. Raises FpgaError if a process has it open."""
    path = f"/dev/{fabric.instance}"
    try:
        return host.open(path, os.O_RDWR | os.O_EXCL)
    except OSError as error:
        busy = error.errno == errno.EBUSY
        words = "a process has it open" if busy else explain(error)
        raise FpgaError(
            f"slot {fabric.name} cannot be had ({path}): {words}",
            op=op,
            path=path,
            errno=error.errno or 0,
            device=fabric.instance,
        ) from error


def _exchange(host: Host, card: _Card, fabric: Fabric, data: bytes) -> None:
    path = f"/dev/{card.engine}"
    number = int(fabric.place.rpartition("/port")[2])
    try:
        host.program_port(path, number, data)
    except OSError as error:
        status = _manager_status(host, card) if error.errno == errno.EIO else ""
        raise FpgaError(
            f"slot {fabric.name} could not be programmed ({path}): {explain(error)}"
            + (f" ({status})" if status else ""),
            op="program",
            path=path,
            errno=error.errno or 0,
            device=fabric.instance,
            hint="the kernel's log (dmesg) has the details",
        ) from error


def _manager_status(host: Host, card: _Card) -> str:
    """What the FPGA manager says went wrong, in its words."""
    engine = f"{card.directory}/{card.engine}"
    for name in host.subdirectories(engine):
        if name.startswith("dfl-fme-mgr."):
            for manager in host.subdirectories(f"{engine}/{name}/fpga_manager"):
                text = host.text(f"{engine}/{name}/fpga_manager/{manager}/status") or ""
                return ", ".join(text.split("\n"))
    return ""


def clear(host: Host, key: str) -> None:
    """Reset the port whose claim is `key`, if hetoci has programmed it. Raises FpgaError if a
    process still has it open."""
    if not host.exists(_mark(key)):
        return
    found = _find(host, key)
    if found is not None:
        port = _open_port(host, found[1], "clear")
        try:
            host.reset_port(port)
        except OSError as error:
            raise FpgaError(
                f"slot {found[1].name} cannot be reset: {explain(error)}",
                op="clear",
                errno=error.errno or 0,
                device=found[1].instance,
            ) from error
        finally:
            os.close(port)
    host.remove(_mark(key))


def leftovers(host: Host) -> list[str]:
    """Claim keys of ports that hetoci has programmed."""
    return [name for name in host.listing(MARKS) if name.startswith("fpga.")]


# shells: these cards have theirs in flash


def load_shell(_host: Host, region: Fabric, _blob: bytes) -> None:
    """Raise FpgaError: there is no way to do so."""
    raise FpgaError(f"region {region.name} {region.blocker}", op="load", device=region.instance)


def unload_shell(_host: Host, _region: Fabric) -> None:
    """Nothing to do: `load_shell` never succeeds."""


def shell_of_ours(_host: Host, _region: Fabric) -> bool:
    """False: `load_shell` never succeeds."""
    return False


# the design's devices


def design_nodes(host: Host, fabric: Fabric) -> list[DesignNode]:
    """The accelerator as node `afu`, and its further features that have device files (UIO) as
    `feature-<id>`. Their addresses are known to the driver only."""
    found = _find(host, fabric.key)
    if found is None:
        return []
    directory = f"{found[0].directory}/{fabric.instance}"
    accelerator = host.text(f"{directory}/afu_id")
    compatible = (PORT_CLASS, accelerator) if accelerator else (PORT_CLASS,)
    nodes = [DesignNode("afu", compatible, (), 0, _own_file(host, directory))]
    for name in host.subdirectories(directory):
        number = host.text(f"{directory}/{name}/feature_id")
        files = list(designs.files_of(host, f"{directory}/{name}")) if number else []
        if files:
            nodes.append(DesignNode(f"feature-{number}", (f"dfl,{number}",), (), 0, files))
    return nodes


def _own_file(host: Host, directory: str) -> list[DeviceFile]:
    file = designs.file_of(host, directory)
    if file is None:
        return []
    file.class_name = PORT_CLASS  # it has no class: sysfs shows its bus
    return [file]


def scrub(_host: Host, _fabric: Fabric, _nodes: Sequence[DesignNode]) -> None:
    """Nothing to do: DMA goes to memory of the processes, which the kernel unmaps."""
