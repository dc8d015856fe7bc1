# SPDX-License-Identifier: MIT
"""The operator's configuration, /etc/hetoci/hetoci.conf.

One `key = value` a line, `#` begins a comment line. JSON or TOML would be read with a module
whose import takes longer than the rest of hetoci, on every call of every plain container
(docs/decisions/0102-start-up-time.md).
"""

from __future__ import annotations

from .errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .host import Host

PATH = "/etc/hetoci/hetoci.conf"

#: key -> default. Lists are separated by blanks.
DEFAULTS = {
    "delegate": "",
    "image-keys": "io.hetoci.* remoteproc.name org.lfedge.eci.artifact.* com.urunc.unikernel.*"
    " krun.*",
    "require-digest": "no",
    "require-encryption": "no",
    "cores": "*",
    "firmware-max-size": "64M",
    "slots": "*",
    "part": "",
    "prepared": "",
    "shells": "",
    "bitstream-max-size": "256M",
    "overlay-compatibles": "hetoci,* generic-uio",
    "domain-kernel": "/usr/lib/hetoci/guest/kernel",
    "domain-ramdisk": "/usr/lib/hetoci/guest/ramdisk",
    "domain-memory": "64M",
    "domain-dumps": "",
    "domain-iomem": "",
    "domain-irqs": "",
    "domain-dtdevs": "",
    "disk-max-size": "16G",
    "kernel-max-size": "64M",
    "ramdisk-max-size": "256M",
}

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Config:
    """The values in effect. delegate: "" to search; sizes in bytes; slots: globs; part: "" if
    the board tells; prepared: (name, slot or region) of accelerators of the operator's; shells:
    overlay files; overlay_compatibles: globs; require_digest: no, yes, or user where only the
    user's digests count."""

    __slots__ = (
        "bitstream_max_size",
        "cores",
        "delegate",
        "disk_max_size",
        "domain_dtdevs",
        "domain_dumps",
        "domain_iomem",
        "domain_irqs",
        "domain_kernel",
        "domain_memory",
        "domain_ramdisk",
        "firmware_max_size",
        "image_keys",
        "kernel_max_size",
        "overlay_compatibles",
        "part",
        "prepared",
        "ramdisk_max_size",
        "require_digest",
        "require_encryption",
        "shells",
        "slots",
    )

    def __init__(self, values: dict[str, str]) -> None:
        merged = {**DEFAULTS, **values}
        self.delegate = merged["delegate"]
        self.image_keys = tuple(merged["image-keys"].split())
        self.cores = tuple(merged["cores"].split())
        self.firmware_max_size = _size("firmware-max-size", merged)
        self.slots = tuple(merged["slots"].split())
        self.part = merged["part"]
        self.prepared = tuple(_pair("prepared", word) for word in merged["prepared"].split())
        self.shells = tuple(merged["shells"].split())
        self.bitstream_max_size = _size("bitstream-max-size", merged)
        self.disk_max_size = _size("disk-max-size", merged)
        self.domain_dtdevs = tuple(merged["domain-dtdevs"].split())
        self.domain_dumps = merged["domain-dumps"]
        self.domain_iomem = _ranges("domain-iomem", merged)
        self.domain_irqs = _ranges("domain-irqs", merged)
        self.domain_kernel = merged["domain-kernel"]
        self.domain_ramdisk = merged["domain-ramdisk"]
        self.domain_memory = _size("domain-memory", merged)
        self.kernel_max_size = _size("kernel-max-size", merged)
        self.ramdisk_max_size = _size("ramdisk-max-size", merged)
        self.overlay_compatibles = tuple(merged["overlay-compatibles"].split())
        self.require_digest = _word(merged, "require-digest", "no", "yes", "user")
        self.require_encryption = _word(merged, "require-encryption", "no", "yes") == "yes"
        if self.delegate and not self.delegate.startswith("/"):
            raise UsageError(
                f"{PATH}: delegate = {self.delegate} is not an absolute path",
                hint="write for instance delegate = /usr/bin/crun",
            )


def _word(values: dict[str, str], key: str, *words: str) -> str:
    if values[key] not in words:
        raise UsageError(
            f"{PATH}: {key} = {values[key]} is unknown", hint=f"there are {', '.join(words)}"
        )
    return values[key]


def _pair(key: str, word: str) -> tuple[str, str]:
    """`NAME=PLACE`; the name is one of a device, as in the keys."""
    from .grammar import device_name

    name, _, place = word.partition("=")
    if not place or not device_name(name):
        raise UsageError(
            f"{PATH}: {key} = {word} is no name with a slot",
            hint="write for instance prepared = hash=slot1, the name in up to 16 lower-case"
            " letters, digits and '-'",
        )
    return name, place


def _ranges(key: str, values: dict[str, str]) -> tuple[tuple[int, int], ...]:
    """`FIRST-LAST` and single numbers, in decimal or with 0x."""
    found = []
    for word in values[key].split():
        first, _, last = word.partition("-")
        try:
            found.append((int(first, 0), int(last or first, 0)))
        except ValueError:
            raise UsageError(
                f"{PATH}: {key} = {word} is no range", hint="write for instance 0x1000-0x1fff"
            ) from None
    return tuple(found)


def _size(key: str, values: dict[str, str]) -> int:
    text = values[key]
    unit = text[-1:].upper() if text[-1:].isalpha() else ""
    number = text[: len(text) - len(unit)].strip()
    if not number.isdecimal() or unit not in _UNITS:
        raise UsageError(
            f"{PATH}: {key} = {text} is no size",
            hint="write bytes, or a number with K, M or G",
        )
    return int(number) * _UNITS[unit]


def parse(text: str) -> Config:
    """Parse the file's text. Raises UsageError naming the line that is wrong."""
    values: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] == "#":
            continue
        key, equals, value = line.partition("=")
        key = key.strip()
        if not equals or key not in DEFAULTS:
            raise UsageError(
                f"{PATH}, line {number}: {key or line!r} is not a setting"
                if equals
                else f"{PATH}, line {number}: {line!r} is not of the form key = value",
                hint="settings are " + ", ".join(DEFAULTS),
            )
        values[key] = value.strip()
    return Config(values)


def load(host: Host) -> Config:
    """The configuration of this host, read once; defaults where there is no file."""
    if PATH not in host.memory:
        host.memory[PATH] = _read(host)
    found: Config = host.memory[PATH]
    return found


def _read(host: Host) -> Config:
    try:
        text = host.read(PATH).decode()
    except FileNotFoundError:
        return Config({})
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {PATH}: {error}") from error
    return parse(text)
