# SPDX-License-Identifier: MIT
"""From config.json to what the agent in a domain is told to run.

The result is items of one key character, a string and a NUL (recipes-guest, item.c): data, never
a command line of a kernel and never words for a shell.
"""

from __future__ import annotations

import os

from ..errors import BundleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ..bundle import Bundle

#: Bits of mount(2); other options are the file system's own.
_FLAGS = {
    "ro": 1,
    "nosuid": 2,
    "nodev": 4,
    "noexec": 8,
    "sync": 16,
    "noatime": 1024,
    "nodiratime": 2048,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
}
_BIND = 4096
_RECURSIVE = 16384

#: Options without a meaning in a domain, which shares no mount with anybody.
_NOTHING = frozenset(
    [
        "rw",
        "suid",
        "dev",
        "exec",
        "async",
        "atime",
        "diratime",
        "defaults",
        "private",
        "rprivate",
        "shared",
        "rshared",
        "slave",
        "rslave",
        "unbindable",
        "runbindable",
        "norelatime",
        "nostrictatime",
        "idmap",
        "ridmap",
        "tmpcopyup",
        "rro",
    ]
)

#: File systems of the domain's own kernel.
_KINDS = frozenset(("proc", "sysfs", "tmpfs", "devpts", "mqueue"))

_SHARED_MEMORY = "/dev/shm"  # noqa: S108

#: Control groups: the domain is the group.
_LEFT_OUT = frozenset(("cgroup", "cgroup2"))

_CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]

_LIMITS = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
]

_SETS = (
    ("B", "bounding"),
    ("E", "effective"),
    ("P", "permitted"),
    ("I", "inheritable"),
    ("A", "ambient"),
)


def process(spec: dict[str, Any]) -> bytes:
    """Items of an OCI `process` object. Raises BundleError."""
    return pack(_process(spec))


def container(bundle: Bundle, shares: dict[str, tuple[str, bool]]) -> bytes:
    """Items of the container's own program and its surroundings.

    shares: gets the files and directories of the host that its mounts need, as the file server
    takes them. Raises BundleError with what a domain cannot have.
    """
    spec = bundle.section("process")
    items = _process(spec if isinstance(spec, dict) else {})
    items += _mounts(bundle, shares)
    items.append(("h", _hostname(bundle)))
    domain = bundle.section("domainname")
    if isinstance(domain, str) and domain:
        items.append(("d", domain))
    if bundle.section("root", "readonly") is True:
        items.append(("o", "1"))
    settings = bundle.section("linux", "sysctl")
    for name, value in (settings if isinstance(settings, dict) else {}).items():
        items.append(("k", join("/proc/sys/" + name.replace(".", "/"), str(value))))
    if shares:
        items.append(("v", "1"))
    return pack(items)


def _hostname(bundle: Bundle) -> str:
    """The container's; in a pod, whose containers have none in config.json, what the engine puts
    into their environment; else dom0's, as without a domain."""
    name = bundle.section("hostname")
    if isinstance(name, str) and name:
        return name
    for word in bundle.section("process", "env") or ():
        if isinstance(word, str) and word.startswith("HOSTNAME=") and len(word) > 9:
            return word[9:]
    return os.uname().nodename


def surroundings() -> bytes:
    """Items that only the moment of the start can give: time and randomness."""
    import time

    seconds, nano = divmod(time.time_ns(), 1000000000)
    return pack([("T", join(str(seconds), str(nano))), ("R", os.urandom(64).hex())])


def pack(items: Sequence[tuple[str, str]]) -> bytes:
    """`items` as the agent takes them. Raises BundleError for a NUL."""
    parts = []
    for key, value in items:
        if "\0" in value:
            raise BundleError(f"a string in config.json has a NUL character: {value!r}")
        parts.append(key.encode() + value.encode("utf-8", "surrogateescape") + b"\0")
    return b"".join(parts)


def join(*fields: str) -> str:
    """The fields of one value. Raises BundleError for what would look like two."""
    for field in fields:
        if "\1" in field:
            raise BundleError(f"a string in config.json has a control character: {field!r}")
    return "\1".join(fields)


def _strings(value: object, where: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise BundleError(f"{where} in config.json is no list of strings")
    return value


def _process(spec: dict[str, Any]) -> list[tuple[str, str]]:
    arguments = _strings(spec.get("args"), "process.args")
    if not arguments or not arguments[0]:
        raise BundleError("process.args in config.json names no program")
    items = [("a", word) for word in arguments]
    items += [("e", word) for word in _strings(spec.get("env"), "process.env")]
    items.append(("w", str(spec.get("cwd") or "/")))
    items += _user(spec.get("user"))
    if spec.get("terminal") is True:
        size = spec.get("consoleSize")
        size = size if isinstance(size, dict) else {}
        items.append(("t", join(str(size.get("height", 0)), str(size.get("width", 0)))))
    if spec.get("noNewPrivileges") is True:
        items.append(("n", "1"))
    items += _capabilities(spec.get("capabilities"))
    items += _limits(spec.get("rlimits"))
    return items


def _user(user: Any) -> Iterator[tuple[str, str]]:
    user = user if isinstance(user, dict) else {}
    yield "u", str(int(user.get("uid") or 0))
    yield "g", str(int(user.get("gid") or 0))
    for group in user.get("additionalGids") or ():
        yield "G", str(int(group))
    if isinstance(user.get("umask"), int):
        yield "M", str(user["umask"])


def _capabilities(sets: Any) -> Iterator[tuple[str, str]]:
    sets = sets if isinstance(sets, dict) else {}
    for key, name in _SETS:
        mask = 0
        for word in _strings(sets.get(name), f"process.capabilities.{name}"):
            short = word.upper().removeprefix("CAP_")
            if short in _CAPABILITIES:  # others are of kernels newer than the domain's
                mask |= 1 << _CAPABILITIES.index(short)
        yield key, f"{mask:x}"


def _limits(limits: Any) -> Iterator[tuple[str, str]]:
    for limit in limits if isinstance(limits, list) else ():
        name = str(limit.get("type", "")).removeprefix("RLIMIT_")
        if name not in _LIMITS:
            raise BundleError(f"process.rlimits in config.json has the unknown type {name!r}")
        values = [int(limit.get(which, 0)) & 0xFFFFFFFFFFFFFFFF for which in ("soft", "hard")]
        yield "r", join(str(_LIMITS.index(name)), *map(str, values))


def _mounts(bundle: Bundle, shares: dict[str, tuple[str, bool]]) -> Iterator[tuple[str, str]]:
    mounts = bundle.section("mounts")
    for number, mount in enumerate(mounts if isinstance(mounts, list) else ()):
        if _is_request(mount):
            continue
        where = f"mounts[{number}] in config.json"
        target, kind = mount.get("destination"), mount.get("type") or ""
        if not isinstance(target, str) or not target:
            raise BundleError(f"{where} has no destination")
        options = _strings(mount.get("options"), f"{where}.options")
        flags, data = _options(options)
        if "bind" in options or "rbind" in options:
            source = os.path.join(bundle.path, str(mount.get("source") or ""))
            if target == _SHARED_MEMORY and os.path.ismount(source):
                yield "m", _shared_memory(source, flags)
            else:
                yield "m", _bind(bundle, mount, target, flags, shares, where)
        elif kind in _KINDS:
            yield "m", join(kind, str(mount.get("source") or kind), target, str(flags), data)
        elif kind not in _LEFT_OUT:
            raise BundleError(
                f"{where} has the type {kind!r}, which a domain does not have",
                hint=f"there are bind, {', '.join(sorted(_KINDS))}",
            )


def _shared_memory(source: str, flags: int) -> str:
    """Memory that programs of one kernel share is that kernel's: of the file system that an engine
    has mounted for the container or its pod, only the size is taken."""
    space = os.statvfs(source)
    data = f"mode=1777,size={space.f_blocks * space.f_frsize}"
    return join("tmpfs", "shm", _SHARED_MEMORY, str(flags), data)


def _is_request(mount: dict[str, Any]) -> bool:
    if not str(mount.get("source")).startswith("/run/hetoci/"):
        return False
    from .. import cdi

    return bool(cdi.is_request(mount))


def _options(options: Sequence[str]) -> tuple[int, str]:
    """mount(2)'s flags, and what is left for the file system."""
    flags = 0
    data = []
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option not in _NOTHING and option not in ("bind", "rbind"):
            data.append(option)
    return flags, ",".join(data)


def _bind(
    bundle: Bundle,
    mount: dict[str, Any],
    target: str,
    flags: int,
    shares: dict[str, tuple[str, bool]],
    where: str,
) -> str:
    source = mount.get("source")
    if not isinstance(source, str) or not source:
        raise BundleError(f"{where} has no source")
    path = os.path.join(bundle.path, source)
    if not os.path.exists(path):
        raise BundleError(f"{where}: its source {path} does not exist")
    name = str(len(shares))
    shares[name] = (path, bool(flags & _FLAGS["ro"]))
    return join("bind", f"/mounts/{name}", target, str(flags | _BIND | _RECURSIVE), "")
