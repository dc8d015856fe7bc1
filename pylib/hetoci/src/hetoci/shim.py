# SPDX-License-Identifier: MIT
"""containerd-shim-hetoci-v1: containerd's stock runc shim with hetoci as its runc.

With runtime type `io.containerd.hetoci.v1` an engine needs no BinaryName option (which CRI and
`ctr` pass differently). The stock shim looks `runc` up in PATH, and starts its long-lived
process from its own executable with our environment, so that a directory in front of PATH in
which `runc` is hetoci is all it takes.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STOCK = "containerd-shim-runc-v2"

#: Where containerd's packages put the stock shim, if it is not beside us or in PATH.
DIRECTORIES = ("/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/opt/containerd/bin")


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


def main(argv: Sequence[str], private_bin: str) -> int:
    """Become the stock shim with the words `argv`. Returns an exit code if it is missing."""
    stock = find_stock(os.environ.get("PATH", ""))
    if stock is None:
        sys.stderr.write(
            f"containerd-shim-hetoci-v1: {STOCK} is not installed; it is part of containerd\n"
        )
        return 1
    try:
        os.execve(stock, [stock, *argv], environment(os.environ, private_bin))
    except OSError as error:
        sys.stderr.write(f"containerd-shim-hetoci-v1: cannot run {stock}: {error.strerror}\n")
        return 1
