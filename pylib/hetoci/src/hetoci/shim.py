# SPDX-License-Identifier: MIT
"""containerd-shim-hetoci-v1: containerd's stock runc shim with hetoci as its runc.

With runtime type `io.containerd.hetoci.v1` an engine needs no BinaryName option (which CRI and
`ctr` pass differently). The stock shim looks `runc` up in PATH, and starts its long-lived
process from its own executable with our environment, so that a directory in front of PATH in
which `runc` is hetoci is all it takes.

On `start` the bundle, which is the working directory then, gets hetoci-image.json: what the
container's image says about itself (docs/spec/carriers.md, "Store"). What containerd and the stock
shim say to each other stays theirs: standard input (JSON or protobuf, by version) is left unread,
and standard output and error, which containerd reads as one answer, unwritten.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "containerd-shim-hetoci-v1"
STOCK = "containerd-shim-runc-v2"

#: Where containerd's packages put the stock shim, if it is not beside us or in PATH.
DIRECTORIES = ("/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/opt/containerd/bin")

#: In the bundle, read by the runtime.
IMAGE_FILE = "hetoci-image.json"

#: How long containerd may take to tell about the image, in seconds. A container starts without,
#: if it takes longer.
PATIENCE = 5.0

#: The flags of shims that have no value (containerd, "Runtime v2", Command Line).
_SWITCHES = ("debug", "info", "v", "version")

_SYSLOG = "/dev/log"
_DAEMON_WARNING = 3 << 3 | 4


def find_stock(path: str) -> str | None:
    """The stock shim: the first one along `path` (a PATH), then in the usual directories."""
    for directory in (*path.split(":"), *DIRECTORIES):
        candidate = f"{directory}/{STOCK}"
        if directory.startswith("/") and os.access(candidate, os.X_OK):
            return candidate
    return None


def environment(former: Mapping[str, str], private_bin: str) -> dict[str, str]:
    """`former` with `private_bin`, where `runc` is hetoci, in front of PATH."""
    rest = [part for part in former.get("PATH", "").split(":") if part not in ("", private_bin)]
    return {**former, "PATH": ":".join([private_bin, *rest])}


def parse(argv: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The action and the flags of a shim's command line, as Go's flag package reads it."""
    flags: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if not word.startswith("-") or word == "-":
            return word, flags
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if not equals and name not in _SWITCHES:
            value = next(words, "")
        flags[name] = value
    return "", flags


def bring_image(flags: Mapping[str, str]) -> None:
    """Write IMAGE_FILE into the working directory, if the container's image has keys of ours.

    Never raises: plain containers must start whatever happens here, and the others have
    a labels file or are refused by the runtime. What went wrong is in the system's log.
    """
    container = flags.get("id", "")
    try:
        from .containerd import image_of

        address = flags.get("address", "").removeprefix("unix://")
        found = image_of(address, flags.get("namespace", ""), container, PATIENCE)
        if found is not None:
            _write(found)
    except Exception as error:
        log(f"container {container}: no metadata from containerd: {type(error).__name__}: {error}")


def _write(found: dict[str, object]) -> None:
    from .fastjson import dumps
    from .host import Host

    Host().put(f"{os.getcwd()}/{IMAGE_FILE}", dumps(found).encode())


def log(message: str) -> None:
    """Send `message` to the system's log (RFC 3164), if there is one that takes it at once."""
    import _socket

    from .errors import printable

    line = f"<{_DAEMON_WARNING}>{NAME}[{os.getpid()}]: {printable(message)}"
    try:
        sender = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:
            sender.setblocking(False)
            sender.sendto(line[:1000].encode(errors="replace"), _SYSLOG)
        finally:
            sender.close()
    except OSError:
        return


def main(argv: Sequence[str], private_bin: str) -> int:
    """Become the stock shim with the words `argv`. Returns an exit code if it is missing."""
    stock = find_stock(os.environ.get("PATH", ""))
    if stock is None:
        sys.stderr.write(f"{NAME}: {STOCK} is not installed; it is part of containerd\n")
        return 1
    action, flags = parse(argv)
    if action == "start":
        bring_image(flags)
    try:
        os.execve(stock, [stock, *argv], environment(os.environ, private_bin))
    except OSError as error:
        sys.stderr.write(f"{NAME}: cannot run {stock}: {error.strerror}\n")
        return 1
