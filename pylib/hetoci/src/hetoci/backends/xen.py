# SPDX-License-Identifier: MIT
"""Domains through Xen's toolstack `xl` and the Xen store."""

from __future__ import annotations

import os
import time

from ..domain.store import Store
from ..errors import XenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..host import Host

#: Searched in this order, not PATH (as the delegate's).
_XL = ("/usr/sbin/xl", "/usr/local/sbin/xl", "/usr/bin/xl", "/sbin/xl")

#: Every domain of ours has a name that begins so, and a UUID that does.
PREFIX = "hetoci-"
UUID_PREFIX = "6865746f-6369"  # "hetoci"

#: Where the back ends of network devices and of disks in dom0's kernel are in the Xen store, a
#: node a domain.
VIFS = "/local/domain/0/backend/vif"
VBDS = "/local/domain/0/backend/vbd"

#: Those that the kernel has, by `KIND-DOMAIN-NUMBER`.
BACK_END_DEVICES = "/sys/bus/xen-backend/devices"

#: How long dom0's kernel may take to give up the devices of a domain that is gone, s.
_PATIENCE = 10.0

#: xen/include/public/sched.h, SHUTDOWN_*
POWEROFF, REBOOT, SUSPEND, CRASH, WATCHDOG = range(5)


def require(host: Host) -> None:
    """Raises XenError with what is missing for this machine to run domains."""
    kind = host.text("/sys/hypervisor/type") or ""
    if kind != "xen":
        raise XenError(
            "this machine does not run under Xen, so it has no domains",
            hint="boot Xen with Linux as dom0, and CONFIG_XEN_SYS_HYPERVISOR=y",
        )
    if not in_control(host):
        raise XenError(
            "this Linux is not Xen's control domain, so it cannot make domains",
            hint="run hetoci in dom0, with xenfs mounted at /proc/xen",
        )
    program(host)


def in_control(host: Host) -> bool:
    """True if this Linux is the domain that makes others."""
    return "control_d" in (host.text("/proc/xen/capabilities") or "")


def program(host: Host) -> str:
    """Path of xl. Raises XenError."""
    for path in _XL:
        if os.access(host.path(path), os.X_OK):
            return path
    raise XenError("xl is not installed", hint="it is part of Xen's utilities (xen-utils)")


def domain_name(root: str, container: str) -> str:
    """The name of a container's domain, the same each time it is asked for."""
    from .. import digest

    return PREFIX + digest.sha256(f"{root}\0{container}".encode()).hex()[:16]


def domain_uuid(name: str) -> str:
    """The UUID of our domain `name`: a mark that the hypervisor has from the first moment."""
    tail = name.removeprefix(PREFIX)
    return f"{UUID_PREFIX}-8000-8{tail[:3]}-{tail[3:15]}"


# the configuration


def quote(text: str) -> str:
    """`text` as a string of xl.cfg(5). Raises XenError for one that its grammar cannot say: it has
    two kinds of quotes, and no escape for either inside of itself (libxlu_cfg_l.l)."""
    if not text.isprintable() or not text.isascii():
        raise XenError(f"{text!r} cannot be told to xl: only printable ASCII can")
    mark = "'" if '"' in text else '"'
    if mark in text:
        raise XenError(f"{text!r} cannot be told to xl: it has both kinds of quotes")
    return mark + text.replace("\\", "\\\\") + mark


def configuration(settings: dict[str, str | int | Sequence[str | int]]) -> str:
    """An xl.cfg of `settings`, every string through `quote`."""
    lines = []
    for key, value in settings.items():
        if isinstance(value, (str, int)):
            lines.append(f"{key}={_value(value)}")
        else:
            lines.append(f"{key}=[{','.join(_value(item) for item in value)}]")
    return "\n".join(lines) + "\n"


def _value(value: str | int) -> str:
    return quote(value) if isinstance(value, str) else str(value)


# xl


def xl(host: Host, words: Sequence[str], inherit: Sequence[int] = ()) -> str:
    """Run `xl WORDS`; its output. inherit: descriptors that it keeps open too.

    Raises XenError with the sentence that matters of what it said.
    """
    path = program(host)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    quiet = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_DUP2, quiet, 0),
        (os.POSIX_SPAWN_DUP2, writing, 1),
        (os.POSIX_SPAWN_DUP2, writing, 2),
        *((os.POSIX_SPAWN_DUP2, descriptor, descriptor) for descriptor in inherit),
    ]
    try:
        child = os.posix_spawn(
            host.path(path), [path, *words], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            file_actions=actions,
        )  # fmt: skip
    except OSError as error:
        os.close(reading)
        raise XenError(f"cannot run {path}: {error.strerror}", op=words[0]) from error
    finally:
        os.close(writing)
        os.close(quiet)
    with os.fdopen(reading, "rb") as stream:
        text = stream.read().decode("utf-8", "replace")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise XenError(f"xl {words[0]} failed: {sentence(text)}", op=words[0], errno=code)
    return text


def sentence(text: str) -> str:
    """The first error in what xl printed, without the places in its source."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for mark in ("error:", "ERROR"):
        for line in lines:
            if mark in line:
                words = line.rpartition(mark)[2] if mark == "error:" else line
                parts = words.split(": ")
                return ": ".join(p for p in parts if not _is_place(p.strip())).strip() or words
    return lines[-1] if lines else "it gave no reason"


def _is_place(part: str) -> bool:
    """True for `libxl_dom.c:12:function` and for `Domain 5`'s number of a domain that is gone."""
    return ".c:" in part


#: Letters of `xl list`, of which the last that is there counts (xl(1)).
_STATES = (("d", "dying"), ("c", "crashed"), ("s", "shut down"), ("p", "paused"))


class Listed:
    """A line of `xl list -v`: memory in MiB; seconds: processor time that it has had; reason is a
    SHUTDOWN_ number once the domain has shut down. One that is dying was destroyed, and stays
    listed while somebody has pages of it mapped, as we may."""

    __slots__ = ("dying", "id", "memory", "name", "reason", "seconds", "shut", "state", "uuid",
                 "vcpus")  # fmt: skip

    def __init__(self, fields: Sequence[str]) -> None:
        self.name, number, memory, vcpus, state, used, self.uuid, reason = fields[:8]
        self.id = int(number)
        self.memory = int(memory)
        self.vcpus = int(vcpus)
        self.seconds = float(used)
        self.state = next((word for letter, word in _STATES if letter in state), "running")
        self.shut = "s" in state[:4]
        self.dying = "d" in state[5:]
        self.reason = int(reason) if reason.isdecimal() else POWEROFF


def listed(host: Host, which: str = "") -> list[Listed]:
    """Domains as the hypervisor has them; of `which` only. Raises XenError."""
    words = ["list", "-v", *([which] if which else [])]
    found = []
    for line in xl(host, words).splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 8 and fields[1].isdecimal():
            found.append(Listed(fields))
    return found


def find(store: Store, name: str) -> int:
    """The number of the domain called `name`; 0 if there is none."""
    for number in store.listing("/local/domain"):
        if number.isdecimal() and store.read(f"/local/domain/{number}/name") == name:
            return int(number)
    return 0


def ours(store: Store) -> dict[str, int]:
    """Name and number of each domain of ours."""
    names = {}
    for number in store.listing("/local/domain"):
        name = store.read(f"/local/domain/{number}/name") or ""
        if name.startswith(PREFIX):
            names[name] = int(number)
    return names


def destroy(host: Host, name: str) -> None:
    """End our domain `name` at once, and its network devices and disk in dom0; that it is gone
    already is success. Raises XenError."""
    store = Store(host)
    try:
        if find(store, name):
            try:
                xl(host, ["destroy", name])
            except XenError:
                if find(store, name):
                    raise
        for kind in (VIFS, VBDS):
            for number in store.listing(kind):
                devices = store.listing(f"{kind}/{number}")
                if any(store.read(f"{kind}/{number}/{d}/domain") == name for d in devices):
                    store.remove(f"{kind}/{number}")
                    _await_closed(host, f"{kind.rpartition('/')[2]}-{number}-")
    finally:
        store.close()


def _await_closed(host: Host, prefix: str) -> None:
    """Wait until the kernel has given up the back ends whose names begin so: the file behind a
    disk is busy until then. Raises XenError."""
    deadline = time.monotonic() + _PATIENCE
    while any(name.startswith(prefix) for name in host.listing(BACK_END_DEVICES)):
        if time.monotonic() > deadline:
            raise XenError(f"dom0's kernel still has {prefix}* after {_PATIENCE:g} s")
        time.sleep(0.01)
