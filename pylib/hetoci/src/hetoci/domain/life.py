# SPDX-License-Identifier: MIT
"""Whether a container's domain may still be there once its keeper is not, and its end."""

from __future__ import annotations

import fcntl
import os
import time

from .. import state
from ..backends import xen
from ..errors import TeardownError, XenError
from .store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..host import Host

#: File beside the record, locked by the keeper and by the `xl create` that it runs.
LOCK = "lock"

#: Node of the domain's in the Xen store where an image's own kernel may leave its exit code.
_EXIT_STATUS = "data/hetoci-exit-status"

#: How long an xl that a killed keeper left behind may go on, s.
_PATIENCE = 30.0


def being_built(host: Host, directory: str) -> bool:
    """True while the keeper of the record in `directory` lives, or an xl that it left behind."""
    try:
        lock = host.open(f"{directory}/{LOCK}", os.O_RDWR)
    except FileNotFoundError:  # it had not begun
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def await_built(host: Host, directory: str, name: str) -> None:
    """Wait for an `xl create` of domain `name` that goes on after its keeper was killed. Raises
    XenError."""
    deadline = time.monotonic() + _PATIENCE
    while being_built(host, directory):
        if time.monotonic() > deadline:
            raise XenError(
                f"domain {name} is still being built after {_PATIENCE:g} s by an xl without keeper"
            )
        time.sleep(0.05)


def left(host: Host, root: str, container: str) -> bool:
    """True if the domain of `container` of the engine's `root` is there, or may still come."""
    if being_built(host, state.directory(root, container)):
        return True
    try:
        store = Store(host)
    except XenError:
        return False
    try:
        return bool(xen.find(store, xen.domain_name(root, container)))
    finally:
        store.close()


def exit_status(store: Store, domain: int) -> int | None:
    """The exit code that a kernel of the image's own left before it powered off, if any."""
    noted = store.read(f"/local/domain/{domain}/{_EXIT_STATUS}") or ""
    whole = noted.isascii() and noted.isdecimal() and len(noted) <= 3
    return int(noted) if whole and int(noted) <= 255 else None


def destroy(host: Host, name: str, held: Sequence[dict[str, Any]]) -> None:
    """End domain `name`, then empty its slots `held`, whose claims are ours. Raises HetociError,
    and empties none while the domain may be there."""
    xen.destroy(host, name)
    if held:
        from .. import accelerate

        failures = accelerate.clear(host, held)
        if failures:
            raise TeardownError(failures)
