# SPDX-License-Identifier: MIT
"""Progress a person can follow: one line when a step starts, moves on and ends."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

INTERVAL = 10.0
"""Seconds between two lines about the same running step."""


class Step:
    """A running step; `update` may be called as often as wanted, from any thread."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.detail = ""
        self._said = time.monotonic()

    def update(self, detail: str) -> None:
        """Note how far the step is; printed at most every `INTERVAL` seconds."""
        self.detail = detail
        now = time.monotonic()
        if now - self._said >= INTERVAL:
            self._said = now
            say(self.name, detail)


_START = time.monotonic()
_LOCK = threading.Lock()


def say(name: str, text: str) -> None:
    """Print one line: seconds since the program's start, the step's name, the text."""
    with _LOCK:
        sys.stderr.write(f"[{time.monotonic() - _START:6.1f} s] {name:<10} {text}\n")
        sys.stderr.flush()


@contextmanager
def step(name: str, what: str) -> Iterator[Step]:
    """Announce `what`, run the body, and say how long it took (nothing more if it raised)."""
    say(name, what)
    begun = time.monotonic()
    running = Step(name)
    yield running
    say(name, f"done in {time.monotonic() - begun:.1f} s")
