# SPDX-License-Identifier: MIT
"""A Xen store in memory, behind the runtime's own client."""

from __future__ import annotations

from hetoci.domain import store


class FakeStore(store.Store):
    """nodes: what was written, by path."""

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}
        self._fronts = {}

    def _ask(self, kind: int, body: bytes, transaction: int = 0) -> bytes:
        path, _, value = body.decode().partition("\0")
        if kind == store._WRITE:
            self.nodes[path] = value
        return b"1\0"
