# SPDX-License-Identifier: MIT
"""Signals without the module `signal`, whose enumerations take longer to make than the keeper
(docs/decisions/0102). Numbers are plain ones here."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

__all__ = ["signal"]
