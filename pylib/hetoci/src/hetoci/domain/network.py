# SPDX-License-Identifier: MIT
"""A domain in the network namespace that an engine made for its container.

The namespace keeps its devices with their addresses. Each of its Ethernet devices is joined with a
network device of the domain (`vifN.M`, by xen-netback), which is moved into the namespace: what
comes in at one goes out of the other, by two filters. The guest's device has the same hardware
address, name and MTU, and the agent in the guest is told the addresses, routes and neighbours.
"""

from __future__ import annotations

import _socket
import os
import struct
import time

from .. import claims, netlink, state
from ..backends import xen
from ..errors import DeviceBusy, XenError
from ..host import explain
from ..model import Holder
from .netconfig import (
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_MTU,
    LINK,
    OURS,
    UP,
    devices,
    first_ip,
    items,
    messages,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..host import Host
    from ..state import Record
    from .netconfig import Device
    from .store import Store

#: How long dom0's kernel may take to make a network device, s.
_PATIENCE = 10.0

#: Marks our filters: their priority, "he".
_PRIORITY = 0x6865

#: Of the namespace that a process is in (ip-sysctl.rst).
_NO_IPV6 = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"

# linux/if.h, if_ether.h
_NOARP = 0x80
_ETH_P_ALL = _socket.htons(3)

# linux/if_link.h
_IFLA_NET_NS_PID = 19

# linux/pkt_sched.h, pkt_cls.h, tc_act/tc_mirred.h
_INGRESS, _INGRESS_HANDLE = 0xFFFFFFF1, 0xFFFF0000
_TCA_KIND, _TCA_OPTIONS = 1, 2
_U32_SEL, _U32_ACT = 5, 7
_ACT_KIND, _ACT_OPTIONS, _MIRRED_PARMS = 1, 2, 2
_STOLEN, _EGRESS_REDIRECT = 4, 1

_TRAFFIC = struct.Struct("=BxxxiIII")


# joining


def _redirect(net: netlink.Socket, source: int, target: int) -> None:
    """Have all that comes in at device `source` go out of device `target`."""
    kind = netlink.text(_TCA_KIND, "ingress")
    net.ask(
        netlink.NEWQDISC,
        _TRAFFIC.pack(0, source, _INGRESS_HANDLE, _INGRESS, 0) + kind,
        netlink.CREATE | netlink.EXCL,
    )
    parameters = struct.pack("=IIiiiiI", 0, 0, _STOLEN, 0, 0, _EGRESS_REDIRECT, target)
    action = netlink.attribute(
        1,
        netlink.text(_ACT_KIND, "mirred"),
        netlink.attribute(_ACT_OPTIONS, netlink.attribute(_MIRRED_PARMS, parameters)),
    )
    # A selector with one key that asks for nothing (struct tc_u32_sel, TC_U32_TERMINAL).
    everything = struct.pack("=BBBxHHhhIIIii", 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    options = netlink.attribute(
        _TCA_OPTIONS, netlink.attribute(_U32_SEL, everything), netlink.attribute(_U32_ACT, action)
    )
    net.ask(
        netlink.NEWTFILTER,
        _TRAFFIC.pack(0, source, 0, _INGRESS_HANDLE, _PRIORITY << 16 | _ETH_P_ALL)
        + netlink.text(_TCA_KIND, "u32")
        + options,
        netlink.CREATE | netlink.EXCL,
    )


def _has_our_filter(net: netlink.Socket, index: int) -> bool:
    ask = _TRAFFIC.pack(0, index, 0, _INGRESS_HANDLE, 0)
    filters = (_TRAFFIC.unpack_from(raw)[4] for raw in net.dump(netlink.GETTFILTER, ask))
    return any(info >> 16 == _PRIORITY for info in filters)


def separate(net: netlink.Socket) -> None:
    """Take our filters away from all devices of a namespace."""
    for device in devices(net):
        if _has_our_filter(net, device.index):
            net.ask(
                netlink.DELQDISC,
                _TRAFFIC.pack(0, device.index, _INGRESS_HANDLE, _INGRESS, 0)
                + netlink.text(_TCA_KIND, "ingress"),
            )


def join(net: netlink.Socket, device: Device, vif: str, alias: str) -> None:
    """Join `device` with the domain's device called `vif`, both in the namespace. Raises
    XenError if somebody else does something like that with one of them."""
    index = _index(net, vif)
    _change(
        net,
        index,
        netlink.number(IFLA_MTU, device.mtu) + netlink.text(IFLA_IFALIAS, alias),
        UP | _NOARP,
    )
    try:
        _redirect(net, index, device.index)
        _redirect(net, device.index, index)
    except FileExistsError:
        raise XenError(
            f"the network device {device.name} of the container has an ingress filter already,"
            " which a domain would bypass"
        ) from None


def _change(net: netlink.Socket, index: int, values: bytes, flags: int = 0) -> None:
    net.ask(netlink.NEWLINK, LINK.pack(0, 0, index, flags, flags) + values)


def _index(net: netlink.Socket, name: str) -> int:
    """Raises OSError with ENODEV."""
    found = net.ask(netlink.GETLINK, LINK.pack(0, 0, 0, 0, 0) + netlink.text(IFLA_IFNAME, name))
    index: int = LINK.unpack_from(found)[2]
    return index


# the domain's devices


def offer(store: Store, domain: int, number: int, device: Device, name: str, ip: str) -> None:
    """Have dom0's kernel and the guest's make a network device: both nodes that `xl` would
    make, without its script. The back end's says whose it is (`xen.destroy` looks there), and the
    address `ip`, for kernels of an image's own."""
    back = f"{xen.VIFS}/{domain}/{number}"
    front = f"/local/domain/{domain}/device/vif/{number}"
    mac = device.mac.hex(":")
    both = {"handle": str(number), "mac": mac, "state": "1"}
    backs = {"domain": name, "online": "1", "script": "", "ip": ip, **both}
    store.add_device(domain, back, backs, front, {"mtu": str(device.mtu), **both})


def connect(store: Store, domain: int, number: int) -> None:
    """Let the back end go on: it waits for what `xl` has a script say."""
    back = f"{xen.VIFS}/{domain}/{number}"
    store.write(f"{back}/hotplug-status", "connected")


def enter(host: Host, path: str) -> None:
    """Move this process into the network namespace `path`. Raises XenError."""
    try:
        descriptor = host.open(path, os.O_RDONLY)
        try:
            host.enter_network_namespace(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise XenError(f"cannot enter the network namespace {path}: {explain(error)}") from error


class Network:
    """The namespace of a container that is a domain, from its keeper's point of view."""

    def __init__(self, host: Host, record: Record, path: str, outside: int) -> None:
        """In the container's namespace, which has the path `path`, "" if the keeper has made it.
        outside: descriptor of the one that dom0's devices appear in."""
        self._host = host
        self._record = record
        self._path = path
        self._outside = netlink.inside(host, outside)
        self._inside = netlink.Socket()
        self._claim: claims.Claim | None = None

    def attach(self, store: Store, domain: int, name: str) -> list[tuple[str, str]]:
        """Give the domain what the namespace has by now; what the agent is told of it. Raises
        XenError or DeviceBusy."""
        net = self._inside
        try:
            found = devices(net)
            if not found:
                return []
            self._claim = self._acquire()
            separate(net)  # what a domain left that lost its keeper
            settings = messages(net, found)
            for number, device in enumerate(found):
                offer(store, domain, number, device, name, first_ip(settings, number + 1))
                self._attach(store, domain, number, device)
        except OSError as error:
            raise XenError(
                f"the network of domain {name} cannot be set up: {explain(error)}",
                hint="dom0's kernel needs xen-netback (CONFIG_XEN_NETDEV_BACKEND), CONFIG_NET_SCH_"
                "INGRESS, CONFIG_NET_CLS_U32 and CONFIG_NET_ACT_MIRRED",
            ) from error
        quiet = [d.name for d in found if self._host.text(_NO_IPV6.format(d.name)) == "1"]
        return items(found, settings, quiet)

    def _acquire(self) -> claims.Claim:
        host, record = self._host, self._record
        inode = os.stat("/proc/self/ns/net").st_ino
        pid = os.getpid()
        me = Holder(record.id, str(record.data["root"]), pid, host.start_time(pid) or "")
        try:
            claim = claims.acquire(host, f"{state.NETWORK}.{inode}", me)
        except DeviceBusy as error:
            raise DeviceBusy(
                f"the container's network belongs to another domain: {error.message}",
                hint="a network namespace serves one domain; give the pod's other domains"
                " io.hetoci.domain.network=none",
            ) from None
        record.mark(state.NETWORK, f"{inode} {self._path}")
        host.checkpoint("keeper:network")
        return claim

    def _attach(self, store: Store, domain: int, number: int, device: Device) -> None:
        net = self._inside
        vif = f"vif{domain}.{number}"
        index = _await(lambda: _index(self._outside, vif), vif)
        _change(self._outside, index, netlink.number(_IFLA_NET_NS_PID, os.getpid()))
        self._silence(vif)
        join(net, device, vif, OURS + self._record.id[:200])
        connect(store, domain, number)
        self._host.checkpoint("keeper:attached")

    def _silence(self, vif: str) -> None:
        """Keep the namespace from speaking for itself on the domain's device."""
        try:
            self._host.poke(_NO_IPV6.format(vif), "1")
        except FileNotFoundError:  # a kernel without IPv6
            pass

    def detach(self) -> None:
        """Give the namespace back as it was. The domain's devices go with the domain."""
        claim, self._claim = self._claim, None
        if claim is None:
            return
        try:
            separate(self._inside)
        except OSError as error:
            raise XenError(f"the container's network is not as before: {explain(error)}") from error
        self._host.remove(f"{self._record.directory}/{state.NETWORK}")
        claim.drop(self._host)


def _await(look: Callable[[], int], vif: str) -> int:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return look()
        except OSError:
            if time.monotonic() > deadline:
                raise XenError(
                    f"dom0's kernel has made no network device {vif} within {_PATIENCE:g} s",
                    hint="it needs xen-netback (CONFIG_XEN_NETDEV_BACKEND)",
                ) from None
        time.sleep(0.005)


def clean(host: Host, record: Record) -> None:
    """What `detach` does, for a container whose keeper was killed. Raises XenError."""
    noted = host.text(f"{record.directory}/{state.NETWORK}")
    if not noted:
        return
    inode, _, path = noted.partition(" ")
    key = f"{state.NETWORK}.{inode}"
    try:
        claim = claims.take_back(host, key, record.id, str(record.data["root"]))
    except DeviceBusy:  # another domain has it now, and has replaced what was there
        return
    try:
        _clean(host, path, int(inode))
    except OSError as error:
        raise XenError(f"the container's network is not as before: {explain(error)}") from error
    finally:
        claim.drop(host)


def _clean(host: Host, path: str, inode: int) -> None:
    try:
        descriptor = host.open(path, os.O_RDONLY)
    except OSError:  # the namespace is gone, as the keeper's own is
        return
    try:
        if os.fstat(descriptor).st_ino == inode:
            net = netlink.inside(host, descriptor)
            try:
                separate(net)
            finally:
                net.close()
    finally:
        os.close(descriptor)
