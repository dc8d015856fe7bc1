# SPDX-License-Identifier: MIT
"""What a network namespace has: its Ethernet devices, their addresses, neighbours and routes, as
messages of rtnetlink (rtnetlink(7)) that make a domain's devices the same."""

from __future__ import annotations

import _socket
import struct

from .. import netlink
from ..errors import XenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable

# linux/if.h, if_arp.h
UP, _LOOPBACK = 0x1, 0x8
_ARPHRD_ETHER = 1

# linux/if_link.h
_IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_IFALIAS = 1, 3, 4, 20

# linux/if_addr.h
_IFA_LOCAL, _IFA_FLAGS = 2, 8
_IFA_COPIED = (1, 2, 3, 4, 9)  # address, local, label, broadcast, priority of the route
_IFA_F_NODAD, _IFA_F_PERMANENT, _IFA_F_NOPREFIXROUTE = 0x02, 0x80, 0x200

# linux/rtnetlink.h
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA = 1, 4, 5, 9, 18
# destination, source, gateway, priority, own address, metrics, gateway of another family
_RTA_COPIED = (1, 2, 5, 6, 7, 8, 18)
_TABLE_MAIN, _UNICAST = 254, 1
_BY_RA = 9
_F_CLONED, _F_ONLINK = 0x200, 0x4

# linux/neighbour.h
_NUD_PERMANENT = 0x80
_NDA_COPIED = (1, 2)  # address, hardware address

LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")

#: Begins the IFALIAS of a device of a domain, which is about to go.
OURS = "hetoci "


class Device:
    """An Ethernet device of the namespace."""

    __slots__ = ("index", "mac", "mtu", "name")

    def __init__(self, index: int, name: str, mac: bytes, mtu: int) -> None:
        self.index = index
        self.name = name
        self.mac = mac
        self.mtu = mtu


def devices(net: netlink.Socket) -> list[Device]:
    """Ethernet devices that are up, in the order in which they were made."""
    found = []
    for raw in net.dump(netlink.GETLINK, LINK.pack(0, 0, 0, 0, 0)):
        _family, kind, index, flags, _change = LINK.unpack_from(raw)
        values = netlink.attributes(raw[LINK.size :])
        ours = values.get(IFLA_IFALIAS, b"").startswith(OURS.encode())
        if kind != _ARPHRD_ETHER or not flags & UP or flags & _LOOPBACK or ours:
            continue
        mtu = struct.unpack("=I", values[IFLA_MTU])[0]
        name = values[IFLA_IFNAME].rstrip(b"\0").decode()
        found.append(Device(index, name, values[_IFLA_ADDRESS], mtu))
    return sorted(found, key=lambda device: device.index)


def messages(net: netlink.Socket, found: Iterable[Device]) -> list[tuple[int, bytes]]:
    """What makes the guest's devices like `found`, in an order that works: kinds and bodies of
    messages, in which a device's index is its place in `found`, from 1 on."""
    places = {device.index: place for place, device in enumerate(found, 1)}
    return [
        *((netlink.NEWADDR, body) for body in _addresses(net, places)),
        *((netlink.NEWNEIGH, body) for body in _neighbours(net, places)),
        *((netlink.NEWROUTE, body) for body in _routes(net, places)),
    ]


def _addresses(net: netlink.Socket, places: dict[int, int]) -> list[bytes]:
    """All but those that the kernel has made, or has by somebody's advertisement."""
    found = []
    for raw in net.dump(netlink.GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0)):
        family, prefix, flags, scope, index = _ADDRESS.unpack_from(raw)
        values = netlink.attributes(raw[_ADDRESS.size :])
        if _IFA_FLAGS in values:
            flags = struct.unpack("=I", values[_IFA_FLAGS])[0]
        if index not in places or not flags & _IFA_F_PERMANENT:
            continue
        if family == _socket.AF_INET6 and values[1][:2] == b"\xfe\x80":
            continue
        flags = _IFA_F_NOPREFIXROUTE | _IFA_F_PERMANENT  # the route to its network is told as well
        if family == _socket.AF_INET6:  # the one who has the same address is joined with the guest
            flags |= _IFA_F_NODAD
        found.append(
            _ADDRESS.pack(family, prefix, flags & 0xFF, scope, places[index])
            + netlink.pick(values, _IFA_COPIED)
            + netlink.number(_IFA_FLAGS, flags)
        )
    return found


def _neighbours(net: netlink.Socket, places: dict[int, int]) -> list[bytes]:
    """Those that somebody has set for good."""
    found = []
    for raw in net.dump(netlink.GETNEIGH, _NEIGHBOUR.pack(0, 0, 0, 0, 0)):
        family, index, state, flags, kind = _NEIGHBOUR.unpack_from(raw)
        if index in places and state & _NUD_PERMANENT:
            values = netlink.attributes(raw[_NEIGHBOUR.size :])
            found.append(
                _NEIGHBOUR.pack(family, places[index], state, flags, kind)
                + netlink.pick(values, _NDA_COPIED)
            )
    return found


def _routes(net: netlink.Socket, places: dict[int, int]) -> list[bytes]:
    """The main table's that lead somewhere, gateways last; but for those of IPv6 that each kernel
    makes for itself or is sent by a router. (A kernel without IPV6_MULTIPLE_TABLES has its own
    addresses in the main table.)"""
    found = []
    for raw in net.dump(netlink.GETROUTE, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)):
        family, to, source, tos, table, protocol, scope, kind, flags = _ROUTE.unpack_from(raw)
        values = netlink.attributes(raw[_ROUTE.size :])
        if (table, kind) != (_TABLE_MAIN, _UNICAST) or protocol == _BY_RA or flags & _F_CLONED:
            continue
        if family == _socket.AF_INET6 and values.get(_RTA_DST, b"")[:2] == b"\xfe\x80":
            continue
        if _RTA_MULTIPATH in values:
            raise XenError("a route over several ways cannot be given to a domain")
        place = places.get(struct.unpack("=i", values.get(_RTA_OIF, bytes(4)))[0])
        if place is None:
            continue
        head = _ROUTE.pack(family, to, source, tos, table, protocol, scope, kind, flags & _F_ONLINK)
        body = head + netlink.number(_RTA_OIF, place) + netlink.pick(values, _RTA_COPIED)
        found.append((_RTA_GATEWAY in values or _RTA_VIA in values, body))
    return [body for _, body in sorted(found, key=lambda route: route[0])]


def first_ip(settings: Iterable[tuple[int, bytes]], place: int) -> str:
    """The first IPv4 address of the device at `place`; "" if there is none."""
    for kind, body in settings:
        if kind == netlink.NEWADDR and body[0] == _socket.AF_INET:
            values = netlink.attributes(body[_ADDRESS.size :])
            if _ADDRESS.unpack_from(body)[4] == place:
                return _socket.inet_ntoa(values[_IFA_LOCAL])
    return ""


def items(
    found: Iterable[Device], settings: Iterable[tuple[int, bytes]], quiet: Container[str]
) -> list[tuple[str, str]]:
    """The same for the agent (recipes-guest, item.c). quiet: names of devices without IPv6."""
    told = [("i", f"{d.mac.hex()}\1{d.name}\1{d.mtu}\1{int(d.name in quiet)}") for d in found]
    return told + [("N", f"{kind:04x}{body.hex()}") for kind, body in settings]
