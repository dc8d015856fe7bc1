# SPDX-License-Identifier: MIT
"""Places at a labgrid coordinator: who has which, and taking one for the length of a run."""

import argparse
import asyncio
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# Before gRPC is loaded: it tells of every fork beside its threads.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from labgrid.remote import client as labgrid
from labgrid.resource.remote import RemotePlace

from hetoci_lab.errors import LabError


@dataclass(frozen=True)
class Holding:
    """A place as the coordinator tells it: its holder (host/user), and since when it is so."""

    name: str
    holder: str | None
    changed: float
    comment: str
    resources: dict[str, bool]
    """The resources that match the place, by path, and whether they are available."""


class Coordinator:
    """A connection to a labgrid coordinator; a context manager."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._session: Any = None

    def __enter__(self) -> "Coordinator":
        # labgrid logs what it also raises; without any handler Python prints it.
        logging.getLogger().addHandler(logging.NullHandler())
        try:
            self._session = labgrid.start_session(self.address)
        except (ConnectionError, OSError, labgrid.Error) as error:
            raise LabError(
                f"No labgrid coordinator answers at {self.address}: {error}.",
                hint="`hetoci-lab serve` starts one with virtual boards on this machine.",
            ) from error
        self._session.args = argparse.Namespace(allow_unmatched=False, kick=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._session.stop())
        self._run(self._session.close())

    def places(self) -> list[Holding]:
        """Return all places, sorted by name."""
        return [self._holding(self._session.places[name]) for name in sorted(self._session.places)]

    def place(self, name: str) -> Holding:
        """Return one place. Raises LabError, with those that exist."""
        if name not in self._session.places:
            named = ", ".join(sorted(self._session.places)) or "none"
            raise LabError(f"The coordinator {self.address} has no place {name}; it has: {named}.")
        return self._holding(self._session.places[name])

    def _holding(self, place: Any) -> Holding:
        resources = {}
        for exporter, groups in self._session.resources.items():
            for group, entries in groups.items():
                for name, entry in entries.items():
                    if place.getmatch((exporter, group, entry.cls, name)):
                        resources[f"{exporter}/{group}/{name}"] = bool(entry.avail)
        return Holding(place.name, place.acquired, place.changed, place.comment, resources)

    def refresh(self) -> None:
        """Take in what changed at the coordinator since the last call."""
        self._run(self._session.sync_with_coordinator())

    def acquire(self, name: str) -> None:
        """Take a place. Raises LabError if it is taken (by whom, since when) or incomplete."""
        holding = self.place(name)
        if holding.holder:
            raise taken(holding)
        try:
            self._run(self._session._acquire_place(name))
        except labgrid.Error as error:
            latest = self.place(name)
            if latest.holder:
                raise taken(latest) from error
            raise LabError(
                f"Place {name} cannot be taken: {error}.",
                hint="Is its exporter running? `hetoci-lab places` shows what is there.",
            ) from error

    def release(self, name: str) -> None:
        """Give a place back; one that somebody else took over meanwhile is left alone."""
        if self.place(name).holder == own_name(self._session):
            self._run(self._session._release_place(name))

    def _run(self, task: Any) -> None:
        self._session.loop.run_until_complete(task)


def own_name(session: Any) -> str:
    """Return what the coordinator calls us: host/user."""
    return f"{session.gethostname()}/{session.getuser()}"


def since(holding: Holding) -> str:
    """Return since when a place has its holder; empty if it has none."""
    if not holding.holder:
        return ""
    ago = max(0, time.time() - holding.changed) / 60
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holding.changed))
    return f"{stamp} ({ago:.0f} min ago)"


def taken(holding: Holding) -> LabError:
    """Return the error that says who has a place, and since when."""
    return LabError(
        f"Place {holding.name} is taken by {holding.holder} since {since(holding)}.",
        hint=f"Ask them, wait, or see `labgrid-client -p {holding.name} show`.",
    )


@contextmanager
def held(address: str, name: str) -> Iterator[None]:
    """Hold a place for the length of the body."""
    with Coordinator(address) as coordinator:
        coordinator.acquire(name)
    try:
        yield
    finally:
        with Coordinator(address) as coordinator:
            coordinator.release(name)


def lost(target: Any) -> list[str]:
    """Return the resources of a labgrid target whose exporter went away.

    labgrid keeps such a resource and fails on it later, with a KeyError.
    """
    held_places = [r for r in target.resources if isinstance(r, RemotePlace)]
    if not held_places:
        return []
    # The coordinator's news arrive while the session's loop runs.
    held_places[0].manager.loop.run_until_complete(asyncio.sleep(0.05))
    entries = [(r, getattr(r, "_remote_entry", None)) for r in target.resources]
    return sorted(
        f"{resource.__class__.__name__} {resource.name}"
        for resource, entry in entries
        if entry is not None and not (entry.data and entry.avail)
    )
