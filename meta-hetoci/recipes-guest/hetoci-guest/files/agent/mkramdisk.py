#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mkramdisk.py AGENT OUTPUT: a ramdisk with /init, the console and nothing else.

The same bytes for the same agent: no times, no names of the machine that builds it.
"""

import sys
from pathlib import Path


def entry(number: int, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)):
    """One member of a new-style cpio archive, padded to four bytes."""
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields)
    head += name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def main(agent: Path, output: Path) -> None:
    """Write the archive."""
    output.write_bytes(
        entry(1, "dev", 0o040755)
        + entry(2, "dev/console", 0o020600, device=(5, 1))
        + entry(3, "init", 0o100755, agent.read_bytes())
        + entry(0, "TRAILER!!!", 0)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
