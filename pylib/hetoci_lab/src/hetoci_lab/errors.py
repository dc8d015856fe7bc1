# SPDX-License-Identifier: MIT
"""The one error of the host tools that a user is meant to read."""

BOOT_FAILED = 96
"""Exit status of a run whose board did not come up: no failure of the product."""
BOARD_LOST = 97
"""Exit status of a run whose board went away: power, exporter or connection."""
INTERRUPTED = 130
"""Exit status after Ctrl-C or SIGTERM."""


class LabError(Exception):
    """Something a user can mend.

    `message` is one sentence: what was wrong and where. `hint` says what to do about it.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message
