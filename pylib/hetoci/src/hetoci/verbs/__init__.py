# SPDX-License-Identifier: MIT
"""What the command line's verbs do: a module for each kind of container, and for the rest."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def load(module: str) -> Any:
    """The module called `module` of this package; for a kind of container the one that has
    `VERBS`, `create`, `run` and `plan_of`."""
    return __import__(f"{__name__}.{module}", fromlist=[module])
