# SPDX-License-Identifier: MIT
"""What is remembered of a firmware container, and what it is doing now.

Only facts that cannot be asked again are stored. The status is computed each time from the
keeper process (which is the container's pid) and the marks it leaves.
"""

from __future__ import annotations

import errno
import os

from .errors import NoContainer, StateError
from .host import RUN, quote_component

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .host import Host

DIRECTORY = f"{RUN}/containers"
RECORD = "record.json"
CONTROL = "control"  # FIFO: commands to the keeper
ANSWER = "answer"  # FIFO: its answers to the launcher, where a start needs nothing but the keeper
STARTED = "started"  # mark: the core was started
FAILED = "failed"  # why the start failed
SIGNAL = "signal"  # the number of the signal that ended the container
NETWORK = "network"  # inode and path of a network namespace that has filters of ours

_NOT_YET = ".new"  # the FIFO of a container that is still being created

#: States of runtime-spec 1.2, "State".
CREATING, CREATED, RUNNING, STOPPED = "creating", "created", "running", "stopped"


def directory(root: str, container: str) -> str:
    """The state directory of `container` under the engine's --root `root`.

    It lies below /run/hetoci and not in `root` itself, which is the delegate's to list.
    """
    engine = quote_component(root.rstrip("/")) or "@default"
    return f"{DIRECTORY}/{engine}/{quote_component(container)}"


def kind_of(host: Host, root: str, container: str) -> str | None:
    """The workload's kind if hetoci has a record of `container`; None for a plain one."""
    if container in ("", ".", ".."):
        return None
    where = directory(root, container)
    if not host.exists(f"{where}/{RECORD}"):
        return None
    record = _read(host, where)
    return record.kind if record else None


class Record:
    """A container's record. `data` is what is stored:

    of every kind: kind, id, root, bundle, rootfs, created (RFC 3339), annotations, creator ([pid,
    start time]), committed (create has reported success);
    of firmware: hooks, core (instance), coreName, attributes (sysfs values to put back), cgroup,
    consoles, traces ([name, size] each), stopTimeout (s), endpoints, keeper ([pid, start
    time] or null);
    with accelerators: held (accelerate.facts of each), holder ([pid, start time, group] of the
    program or null).
    """

    __slots__ = ("data", "directory", "host")

    def __init__(self, host: Host, directory: str, data: dict[str, Any]) -> None:
        self.host = host
        self.directory = directory
        self.data = data

    @property
    def id(self) -> str:
        """The container's id."""
        return str(self.data["id"])

    @property
    def kind(self) -> str:
        """The workload's kind: firmware, accelerator or domain."""
        return str(self.data["kind"])

    @property
    def core(self) -> str:
        """The remoteproc instance the container has."""
        return str(self.data["core"])

    def save(self) -> None:
        """Write the record; readers see the old one or the new one."""
        from . import fastjson

        text = fastjson.dumps(self.data, sort_keys=True)
        self.host.put(f"{self.directory}/{RECORD}", text.encode())

    def remove(self) -> None:
        """Forget the container; the record goes first, so that no half of it remains."""
        self.host.remove(f"{self.directory}/{RECORD}")
        self.host.remove_tree(self.directory)

    def _alive(self, who: str) -> int:
        pid, start, *_ = self.data.get(who) or (0, "")
        return pid if self.host.alive(pid, start) else 0

    @property
    def keeper(self) -> int:
        """The keeper's pid, 0 if it has ended."""
        return self._alive("keeper")

    def _process(self) -> int:
        """The container's pid: of its keeper, or of the delegate's process."""
        return self.keeper or self._alive("holder")

    @property
    def being_created(self) -> bool:
        """True while `hetoci create` is still at work on it."""
        return not self.data.get("committed") and bool(self._alive("creator"))

    @property
    def abandoned(self) -> bool:
        """True if create was interrupted and nobody will ever finish it."""
        return not (self.data.get("committed") or self.being_created or self.keeper)

    def status(self) -> str:
        """creating, created, running or stopped, as it is now."""
        if self.being_created:
            return CREATING
        if not self.keeper:
            return STOPPED
        return RUNNING if self.marked(STARTED) else CREATED

    def marked(self, name: str) -> bool:
        """True if the mark `name` is set."""
        return self.host.exists(f"{self.directory}/{name}")

    def mark(self, name: str, text: str = "") -> None:
        """Set the mark `name`; without effect if the container has just been forgotten."""
        try:
            self.host.put(f"{self.directory}/{name}", text.encode())
        except FileNotFoundError:
            return

    def open_answers(self) -> int:
        """For the keeper, as long as it lives: whoever reads the FIFO sees its end by that."""
        path = f"{self.directory}/{ANSWER}{_NOT_YET}"
        return self.host.open(path, os.O_RDWR | os.O_NONBLOCK)

    def offer_answers(self) -> None:
        """From now on the launcher may have the keeper start the container."""
        path = self.host.path(f"{self.directory}/{ANSWER}")
        os.rename(path + _NOT_YET, path)

    def state(self, status: str | None = None) -> dict[str, Any]:
        """The state object of runtime-spec 1.2, with runc's additions."""
        from . import OCI_VERSION

        now = status or self.status()
        state: dict[str, Any] = {
            "ociVersion": OCI_VERSION,
            "id": self.id,
            "status": now,
            "bundle": self.data["bundle"],
            "annotations": self.data["annotations"],
            "rootfs": self.data["rootfs"],
            "created": self.data["created"],
            "owner": "root",
            "pid": self._process() if now != STOPPED else 0,
        }
        return state


def create(host: Host, root: str, container: str, data: dict[str, Any]) -> Record:
    """Make the record of a new container, complete or not at all.

    Raises StateError if the id is taken.
    """
    final = directory(root, container)
    parent = final.rpartition("/")[0]
    new = f"{parent}/.{os.getpid()}.new"
    host.make_directory(parent)
    host.remove_tree(new)
    host.make_directory(new)
    record = Record(host, new, {**data, "id": container, "root": root})
    record.save()
    for name in (CONTROL, ANSWER + _NOT_YET):
        os.mkfifo(host.path(f"{new}/{name}"), 0o600)
    try:
        os.rename(host.path(new), host.path(final))
    except OSError as error:
        host.remove_tree(new)
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise StateError(f"container with id {container} already exists") from None
    record.directory = final
    return record


def load(host: Host, root: str, container: str) -> Record:
    """The record of `container`. Raises NoContainer."""
    where = directory(root, container)
    record = _read(host, where)
    if record is None:
        raise NoContainer(f"container {container} does not exist")
    return record


def _read(host: Host, where: str) -> Record | None:
    from . import fastjson

    try:
        data = fastjson.loads(host.read(f"{where}/{RECORD}").decode())
    except (OSError, ValueError):
        return None
    return Record(host, where, data) if isinstance(data, dict) and "kind" in data else None


def records(host: Host) -> Iterator[Record]:
    """All firmware containers of all engines."""
    for engine in host.listing(DIRECTORY):
        for name in host.listing(f"{DIRECTORY}/{engine}"):
            record = _read(host, f"{DIRECTORY}/{engine}/{name}")
            if record is not None and not name.startswith("."):
                yield record


def leftovers(host: Host) -> Iterator[str]:
    """Directories of records that were never finished and whose maker is gone."""
    for engine in host.listing(DIRECTORY):
        for name in host.listing(f"{DIRECTORY}/{engine}"):
            path = f"{DIRECTORY}/{engine}/{name}"
            if name.startswith("."):
                maker = name.split(".")[1]
                if maker.isdecimal() and host.start_time(int(maker)) is None:
                    yield path
            elif not host.exists(f"{path}/{RECORD}"):
                yield path
