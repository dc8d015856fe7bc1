# SPDX-License-Identifier: MIT
"""The virtual board's addresses, read from the C header that fixes them."""

import functools
import re

from hetoci_lab import paths
from hetoci_lab.errors import LabError

DEFINE = re.compile(r"^#define\s+(VB_\w+)\s+(0x[0-9a-fA-F]+|\d+)\b", re.MULTILINE)


@functools.cache
def _values() -> dict[str, int]:
    text = (paths.tree() / paths.MARK).read_text()
    return {name: int(value, 0) for name, value in DEFINE.findall(text)}


def value(name: str) -> int:
    """Return a constant of vboard.h. Raises LabError if the header does not define it."""
    try:
        return _values()[name]
    except KeyError:
        raise LabError(f"{paths.MARK} defines no {name}.") from None
