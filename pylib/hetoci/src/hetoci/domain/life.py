# SPDX-License-Identifier: MIT
"""Whether a container's domain may still be there once its keeper is not."""

from __future__ import annotations

import fcntl
import os

from .. import state
from ..backends import xen
from ..errors import XenError
from .store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host

#: File beside the record, locked by the keeper and by the `xl create` that it runs.
LOCK = "lock"


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
