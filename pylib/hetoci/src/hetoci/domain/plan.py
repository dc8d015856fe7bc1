# SPDX-License-Identifier: MIT
"""What create hands to the keeper of a domain: all that was read and checked."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..accelerate import Prepared
    from .disks import Disk
    from .hardware import Hardware


class Plan:
    """What is built. settings: of xl.cfg; boot_timeout: seconds, 0 for none; items: what the agent
    runs, None with the image's own kernel; root: directory and whether it may not be changed;
    shares: as the file server takes them; files: settings whose value is a file with these bytes,
    which is put beside the record; dumps: where a core dump goes, empty for none; network: path of
    the namespace whose devices it gets, "" for that of a new one, None for no network; hardware: of
    the board; disk: an opened image or None; serial: kind of the console; held, accelerators:
    slots that it has (accelerate.facts) and what is in them; owner: user and group of their device
    files."""

    __slots__ = (
        "accelerators",
        "boot_timeout",
        "disk",
        "dumps",
        "files",
        "hardware",
        "held",
        "items",
        "name",
        "network",
        "owner",
        "root",
        "serial",
        "settings",
        "shares",
    )

    def __init__(
        self, name: str, settings: dict[str, str | int | Sequence[str | int]], boot_timeout: float
    ) -> None:
        self.name = name
        self.settings = settings
        self.boot_timeout = boot_timeout
        self.items: bytes | None = None
        self.root = ("", False)
        self.disk: Disk | None = None
        self.serial = "pv"
        self.shares: dict[str, tuple[str, bool]] = {}
        self.files: dict[str, bytes] = {}
        self.dumps = ""
        self.network: str | None = None
        self.hardware: Hardware | None = None
        self.held: list[dict[str, Any]] = []
        self.accelerators: list[Prepared] = []
        self.owner = (0, 0)
