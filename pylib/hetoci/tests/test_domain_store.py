# SPDX-License-Identifier: MIT
"""The Xen store's client, against the other end of its wire."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hetoci import state
from hetoci.domain.keeper import DomainKeeper
from hetoci.domain.plan import Plan
from hetoci.domain.store import Store
from hetoci.domain.wire import HELLO, VERSION, Frame
from hetoci.host import Host
from hetoci.keeper import Job

READ, WATCH, WATCH_EVENT = 2, 4, 15
HEADER = struct.Struct("=IIII")


def message(kind: int, *words: str) -> bytes:
    body = b"".join(word.encode() + b"\0" for word in words)
    return HEADER.pack(kind, 0, 0, len(body)) + body


class Wire(Host):
    """A host whose /dev/xen/xenbus is one end of a pair of sockets."""

    def __init__(self) -> None:
        super().__init__()
        self.ours, self.theirs = socket.socketpair()

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        assert path == "/dev/xen/xenbus"
        return os.dup(self.theirs.fileno())


@pytest.fixture
def wire() -> Iterator[Wire]:
    host = Wire()
    yield host
    host.ours.close()
    host.theirs.close()


def read_while_something_changes(wire: Wire, store: Store) -> None:
    """A read whose answer comes after the event of a watch."""

    def answer() -> None:
        wire.ours.recv(4096)
        wire.ours.sendall(message(WATCH_EVENT, "/some/node", "token") + message(READ, "value"))

    other = threading.Thread(target=answer)
    other.start()
    assert store.read("/another/node") == "value\0"
    other.join()


def test_an_event_that_comes_before_an_answer_is_pending(wire: Wire) -> None:
    store = Store(wire)
    assert not store.pending
    read_while_something_changes(wire, store)
    assert store.pending
    assert store.events() == [("/some/node", "token")]
    assert not store.pending
    store.close()


def test_the_first_event_of_changes_is_left_out_and_no_other(wire: Wire) -> None:
    def answer() -> None:
        wire.ours.recv(4096)
        first = message(WATCH_EVENT, "/some/node", "token")
        wire.ours.sendall(first + message(WATCH, "OK") + message(WATCH_EVENT, "@what", "ends"))

    store = Store(wire)
    other = threading.Thread(target=answer)
    other.start()
    store.watch_changes("@what", "ends")
    other.join()
    assert store.events() == [("/some/node", "token")]
    wire.ours.sendall(message(WATCH_EVENT, "@what", "ends"))
    assert store.events() == [("@what", "ends")]
    store.close()


class Xenstored(threading.Thread):
    """Answers requests; ends: the answers to the ends of transactions, in their order."""

    def __init__(self, wire: Wire, ends: list[bytes]) -> None:
        super().__init__()
        self.wire = wire
        self.ends = ends
        self.asked: list[tuple[int, int, bytes]] = []

    def run(self) -> None:
        while self.ends:
            kind, _request, transaction, length = HEADER.unpack(self.wire.ours.recv(HEADER.size))
            self.asked.append((kind, transaction, self.wire.ours.recv(length)))
            answer = message(kind, "OK")
            if kind == BEGIN:
                answer = message(kind, str(40 + len(self.ends)))
            elif kind == END:
                answer = self.ends.pop(0)
            self.wire.ours.sendall(answer)


BEGIN, END, WRITE, SET_PERMS, ERROR = 6, 7, 11, 14, 16


def test_both_ends_of_a_device_appear_at_once(wire: Wire) -> None:
    daemon = Xenstored(wire, [message(ERROR, "EAGAIN"), message(END, "OK")])
    daemon.start()
    store = Store(wire)
    store.add_device(7, "/back", {"state": "1"}, "/front", {"tag": "root"})
    daemon.join()
    whole = [
        (BEGIN, 0, b"\0"),
        (WRITE, 41, b"/back\0"),
        (SET_PERMS, 41, b"/back\0n0\0r7\0"),
        (WRITE, 41, b"/back/frontend\0/front"),
        (WRITE, 41, b"/back/frontend-id\x007"),
        (WRITE, 41, b"/back/state\x001"),
        (WRITE, 41, b"/front\0"),
        (SET_PERMS, 41, b"/front\0n7\0r0\0"),
        (WRITE, 41, b"/front/backend\0/back"),
        (WRITE, 41, b"/front/backend-id\x000"),
        (WRITE, 41, b"/front/tag\0root"),
        (END, 41, b"T\0"),
    ]
    # The first one came to nothing because somebody else wrote meanwhile.
    first, second = daemon.asked[: len(whole)], daemon.asked[len(whole) :]
    assert [kind for kind, _, _ in first] == [kind for kind, _, _ in whole]
    assert {number for _, number, _ in first[1:]} == {42}
    assert second == whole
    store.close()


def test_devices_are_shown_again_as_they_are_and_none_that_is_gone(wire: Wire) -> None:
    daemon = Xenstored(wire, [message(END, "OK"), message(END, "OK")])
    daemon.start()
    store = Store(wire)
    store.add_device(7, "/back/0", {}, "/front/0", {})
    store.add_device(7, "/back/1", {}, "/front/1", {})
    daemon.join()
    asked: list[bytes] = []

    def answer() -> None:
        for word in (message(ERROR, "ENOENT"), message(SET_PERMS, "OK")):
            asked.append(wire.ours.recv(4096)[4:])
            wire.ours.sendall(word)

    other = threading.Thread(target=answer)
    other.start()
    store.show_again()
    other.join()
    fronts = ("/front/0", "/front/1")
    assert asked == [message(SET_PERMS, front, "n7", "r0")[4:] for front in fronts]
    store.close()


def test_a_keeper_shows_the_devices_again_before_it_asks_the_agent_for_something() -> None:
    done: list[str] = []

    class Store:
        show_again = staticmethod(lambda: done.append("shown"))

    class Link:
        send = staticmethod(lambda *_what: done.append("asked"))

    class Guest:
        link = Link

    host = Host()
    record = state.Record(host, "/run/hetoci", {"id": "c1"})
    keeper = DomainKeeper(host, Job(record, [], Plan("hetoci-c1", {}, 30), -1, -1, print))
    inner: Any = keeper
    inner._xenstore, inner._guest, inner._asked = Store, Guest, "reply"
    inner._handle(Frame(HELLO, 0, 0, VERSION.to_bytes(4, "little")))
    assert done == ["shown", "asked"]


def test_a_keeper_does_not_sleep_while_an_event_is_pending(wire: Wire) -> None:
    noted: list[str] = []

    class Guest:
        busy = False
        link = None
        note = staticmethod(noted.append)
        pump = staticmethod(lambda: ())

    record = state.Record(wire, "/run/hetoci", {"id": "c1"})
    keeper = DomainKeeper(wire, Job(record, [], Plan("hetoci-c1", {}, 30), -1, -1, print))
    inner: Any = keeper
    store = inner._xenstore = Store(wire)
    inner._guest = Guest
    inner._deadline = time.monotonic() + 30
    read_while_something_changes(wire, store)
    before = time.monotonic()
    inner._wait(None)
    assert noted == ["token"]
    assert time.monotonic() - before < 10
    store.close()
