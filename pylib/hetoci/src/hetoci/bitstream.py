# SPDX-License-Identifier: MIT
"""What a bitstream says of itself, where its format has a header that we know.

    VBIT   the virtual board's (docs/virtual-board.md, "Bitstreams")
    BIT    AMD's .bit files: design, part, date, length (the fields of write_bitstream)
    GBS    Intel's and Altera's .gbs files for ports: JSON with interface and accelerator ids

Other files (AMD's .bin, Intel's .rbf, Lattice's .bit) are taken as they are: their manager or
the logic itself checks them.
"""

from __future__ import annotations

from .digest import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_VBIT = b"VBIT"
_VBIT_HEADER = 128
_GBS = b"XeonFPGA\xb7GBSv001"
_BIT = bytes.fromhex("00090ff00ff00ff00ff0000001")


class Header:
    """part, shell, slot: as the inventory would write them, "" where the format has none;
    partial: None where it does not tell; design: what is in it, "" where the format has no id
    that the hardware shows, too; start: where what the hardware takes begins; faults: what is
    wrong with the file itself."""

    __slots__ = ("design", "faults", "format", "part", "partial", "shell", "slot", "start")

    def __init__(self, name: str) -> None:
        self.format = name
        self.part = ""
        self.shell = ""
        self.slot = ""
        self.partial: bool | None = None
        self.design = ""
        self.start = 0
        self.faults: list[str] = []


def read(data: bytes) -> Header | None:
    """The header of `data`; None for a format without one that is known here."""
    if data[:4] == _VBIT:
        return _vbit(data)
    if data.startswith(_BIT):
        return _bit(data)
    if data.startswith(_GBS):
        return _gbs(data)
    return None


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _vbit(data: bytes) -> Header:
    header = Header("VBIT")
    if len(data) < _VBIT_HEADER:
        header.faults.append(f"it has {len(data)} bytes, its header alone has {_VBIT_HEADER}")
        return header
    header.part = f"0x{_word(data, 8):08x}"
    header.partial = bool(_word(data, 12) & 1)
    header.shell = f"0x{_word(data, 20):08x}"
    header.slot = f"slot{_word(data, 16)}" if header.partial else ""
    length = _VBIT_HEADER + _word(data, 24)
    if length != len(data):
        header.faults.append(f"its header says {length} bytes, it has {len(data)}")
        return header
    if sha256(data[:32], bytes(32), memoryview(data)[64:]) != data[32:64]:
        header.faults.append("the checksum in its header is not that of its content")
    return header


def _bit(data: bytes) -> Header:
    """Fields after the preamble: a letter, two bytes of length (big-endian), the value; "e"
    has four bytes of length, those of the configuration data that follow."""
    header = Header("BIT")
    at = len(_BIT)
    while at + 3 <= len(data):
        key = data[at : at + 1]
        if key == b"e":
            length = int.from_bytes(data[at + 1 : at + 5], "big")
            if at + 5 + length != len(data):
                header.faults.append(
                    f"its header says {length} bytes of data, {len(data) - at - 5} follow"
                )
            return header
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        value = data[at + 3 : at + 3 + length].rstrip(b"\0").decode("ascii", "replace")
        if key == b"a":
            header.partial = "PARTIAL=TRUE" in value.upper().split(";")
        elif key == b"b":
            header.part = value
        at += 3 + length
    header.faults.append("its header does not come to an end")
    return header


def _gbs(data: bytes) -> Header:
    """After the magic: the length of the JSON (little-endian), the JSON, the bitstream."""
    header = Header("GBS")
    header.partial = True
    header.start = len(_GBS) + 4 + _word(data, len(_GBS))
    if header.start >= len(data):
        header.faults.append("nothing follows its header")
        return header
    from . import fastjson

    try:
        found = fastjson.loads(data[len(_GBS) + 4 : header.start].rstrip(b"\0").decode())
    except ValueError as error:
        header.faults.append(f"its header is not JSON: {error}")
        return header
    image = found.get("afu-image") if isinstance(found, dict) else None
    image = image if isinstance(image, dict) else {}
    header.shell = _uuid(image.get("interface-uuid"))
    if not header.shell:
        header.faults.append("its header has no interface-uuid")
    clusters = image.get("accelerator-clusters")
    if isinstance(clusters, list) and clusters and isinstance(clusters[0], dict):
        header.design = _uuid(clusters[0].get("accelerator-type-uuid"))
    return header


def _uuid(value: object) -> str:
    """A UUID as sysfs writes it, 32 digits; "" for anything else."""
    digits = value.replace("-", "").lower() if isinstance(value, str) else ""
    return digits if len(digits) == 32 and not digits.strip("0123456789abcdef") else ""


def same_id(wanted: str, found: str) -> bool:
    """True if two ids are the same: numbers (0x...) by value, names without regard to case."""
    if wanted[:2].lower() == found[:2].lower() == "0x":
        try:
            return int(wanted, 16) == int(found, 16)
        except ValueError:
            return False
    return wanted.lower() == found.lower()


def any_id(wanted: Sequence[str], found: str) -> bool:
    """True if `found` is one of `wanted`, or if nothing particular is wanted."""
    return not wanted or any(same_id(one, found) for one in wanted)
