# SPDX-License-Identifier: MIT
"""The keeper of a domain: builds it, watches it, destroys it.

If it is killed the domain is without an owner, which every command that meets it sees: the record
names the domain, and whoever holds no lock on the record's `lock` file does not live.
"""

from __future__ import annotations

import fcntl
import os
import select
import time

from .. import console, state
from ..backends import xen
from ..errors import HetociError, XenError
from ..keeper import FAULT, KILLED, Ended, Job, Keeper
from ..model import DOMAIN
from ..signals import signal
from . import building, life, program, wire
from .guest import Guest
from .ninep import Server
from .serial import Serial
from .sessions import Session
from .store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..designs import DeviceFile
    from ..host import Host
    from .execs import Execs
    from .network import Network
    from .plan import Plan
    from .wire import Frame, Link

#: Exit code of an image's own kernel that asks for a reboot (sysexits.h, EX_TEMPFAIL).
AGAIN = 75


class DomainKeeper(Keeper):
    """The job's payload is a Plan."""

    claims_group = DOMAIN

    def __init__(self, host: Host, job: Job) -> None:
        super().__init__(host, job)
        self._plan: Plan = job.payload
        self._guest: Guest | None = None
        self._serial: Serial | None = None
        self._xenstore: Store | None = None
        self._outside = -1  # the network namespace that dom0's devices appear in
        self._network: Network | None = None
        self._told = b""  # items about the network
        self._domain = 0
        self._files: list[tuple[str, DeviceFile]] = []  # devices of the guest
        terminal = bool(job.console_socket)
        self._session = Session(0, (0, 1, 2), self._poll, terminal=terminal)
        self._execs: Execs | None = None
        self._ready = False  # the agent has announced itself
        self._asked = ""  # reply FIFO of the start that waits for it
        self._deadline: float | None = None
        self._expiry: float | None = None  # when a guest that is asked to shut down is ended
        self._resized = False

    @property
    def _store(self) -> Store:
        if self._xenstore is None:
            raise XenError("the Xen store is not open")
        return self._xenstore

    @property
    def _link(self) -> Link | None:
        return None if self._guest is None else self._guest.link

    # building

    def _inherited(self) -> tuple[int, ...]:
        return (self._plan.disk.descriptor,) if self._plan.disk else ()

    def _join_surroundings(self) -> None:
        """The keeper lives in the container's network namespace: what an engine makes in that of
        the container's pid is the domain's."""
        if self._plan.network is not None:
            self._outside = self._host.open("/proc/self/ns/net", os.O_RDONLY)
            self._undo.append(self._detach_network)
        super()._join_surroundings()
        if self._plan.network:
            from . import network

            network.enter(self._host, self._plan.network)

    def _prepare(self) -> None:
        host, record, plan = self._host, self._record, self._plan
        os.umask(0)
        lock = host.open(f"{record.directory}/{life.LOCK}", os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if self._job.console_socket:
            self._raw_terminal()
        self._xenstore = Store(host)
        self._undo.append(self._destroy)
        if plan.accelerators and plan.items is not None:
            from . import devices

            devices.offer(host, record.directory, plan)
        configuration = building.configure(host, record.directory, plan)
        # Before the domain is there, so that its end cannot be missed.
        self._store.watch_changes("@releaseDomain", "released")
        host.checkpoint("keeper:configured")
        self._domain = building.build(host, self._store, configuration, plan, lock)
        self._connect()
        host.checkpoint("keeper:connected")

    def _raw_terminal(self) -> None:
        """The line discipline is the guest's."""
        console.make_raw(0)
        signal.signal(signal.SIGWINCH, self._note_resize)

    def _note_resize(self, _number: int, _frame: object) -> None:
        self._resized = True

    def _connect(self) -> None:
        plan = self._plan
        self._serial = Serial(self._host, self._store, self._domain, self._poll, plan.serial)
        if plan.disk:
            from . import disks

            disks.attach(self._host, self._store, self._domain, plan.name, plan.disk)
            plan.disk.close()
        if plan.items is None:
            self._poll.register(self._store.descriptor, select.POLLIN)
            return
        self._serial.keep_tail()
        self._guest = Guest(self._host, self._store, self._domain)
        self._guest.offer("root", Server(*plan.root))
        if plan.shares:
            self._guest.offer("mounts", Server(plan.shares))
        self._guest.await_agent()
        self._guest.register(self._poll)

    # start

    def _await_start(self) -> None:
        try:
            super()._await_start()
        except (Ended, HetociError) as error:
            words = error.words if isinstance(error, Ended) else str(error)
            if self._asked and words:
                self._refuse(self._asked, words)
            raise

    def _start(self, command: str) -> None:
        """Commands are `start REPLY`, `signal SESSION NUMBER`, `exec PID REPLY` and so on."""
        verb, _, rest = command.partition(" ")
        if verb == "start":
            self._begin(rest)
        elif verb == "signal":
            session, number = rest.split()
            self._send_signal(int(session), int(number))
        elif verb == "exec":
            pid, reply = rest.split()
            self._execute(int(pid), reply)
        elif verb == "expire":
            self._expiry = time.monotonic() + float(rest)
        elif verb == "resize":
            session, rows, columns = rest.split()
            self._resize(int(session), int(rows), int(columns))

    def _begin(self, reply: str) -> None:
        if self._started or self._asked:
            self._answer(reply, f"container {self._record.id} is running already")
            return
        self._host.checkpoint("keeper:start")
        self._asked = reply
        if self._plan.boot_timeout:
            self._deadline = time.monotonic() + self._plan.boot_timeout
        self._attach_network()
        if self._plan.items is None:
            try:
                xen.xl(self._host, ["unpause", self._plan.name])
            except XenError as error:
                self._refuse(reply, str(error))
                raise Ended(1) from None
            if self._serial is not None:
                self._serial.begin(self._session)
            self._running()
        elif self._ready:
            self._run()

    def _attach_network(self) -> None:
        """By now, after create and its hooks, the engine has made what there is."""
        if self._outside < 0 or not self._host.has_network_devices():
            return
        from .network import Network

        self._network = Network(self._host, self._record, self._plan.network or "", self._outside)
        told = self._network.attach(self._store, self._domain, self._plan.name)
        self._told = program.pack(told)

    def _detach_network(self) -> None:
        if self._network is not None:
            self._network.detach()

    def _run(self) -> None:
        plan, directory = self._plan, self._record.directory
        items = (plan.items or b"") + self._told + program.surroundings()
        if plan.accelerators:
            from . import devices

            items += devices.tell(self._host, directory, plan, self._files)
        if self._link is not None:
            self._link.send(wire.RUN, 0, 0, items)

    def _running(self) -> None:
        self._started = True
        self._record.mark(state.STARTED)
        if self._plan.items is not None:
            self._deadline = None
        self._answer(self._asked, "ok")
        if self._plan.items is not None:
            # The guest's kernel will keep a file open for each name it knows.
            self._host.raise_file_limit()

    # while it runs

    def _watch(self) -> None:
        while True:
            for command in self._wait(None):
                self._start(command)

    def _wait(self, seconds: float | None) -> list[str]:
        commands: list[str] = []
        writers = self._settle()
        ends = [at for at in (self._deadline, self._expiry) if at is not None]
        if self._store.pending or (self._guest is not None and self._guest.busy):
            seconds = 0
        elif ends:
            seconds = max(0.0, min(ends) - time.monotonic())
        timeout = None if seconds is None else seconds * 1000
        for descriptor, _events in self._poll.poll(timeout):
            if descriptor == self._wake:
                os.read(self._wake, 64)
            elif descriptor == self._control:
                commands += os.read(self._control, 4096).decode().splitlines()
            else:
                self._input(descriptor)
        for descriptor in writers:
            self._poll.unregister(descriptor)
        self._look_at_domain()
        self._check_signals()
        self._check_boot()
        return commands

    def _settle(self) -> list[int]:
        """Pass on output; descriptors that were registered for the time of one poll."""
        writers: list[int] = []
        if self._link is None:
            if self._serial is not None:
                self._serial.settle()
            return writers
        others = self._execs.sessions() if self._execs else ()
        for session in (self._session, *others):
            if session.settle(self._link):
                writers += session.wait_writable(self._poll)
        return writers

    def _input(self, descriptor: int) -> None:
        if self._serial is not None and self._serial.event(descriptor):
            return
        link = self._link
        if descriptor == 0 and link is not None:
            self._session.take_input(link)
        if self._execs and link is not None:
            self._execs.event(descriptor, link)

    def _look_at_domain(self) -> None:
        released = False
        for _path, what in self._store.events():
            if what == "released":
                released = True
            elif self._guest is not None:
                self._guest.note(what)
        if self._guest is not None:
            for frame in self._guest.pump():
                self._handle(frame)
        if released:
            self._check_domain()

    def _check_domain(self) -> None:
        """Some domain has ended: is it ours?"""
        found = [d for d in xen.listed(self._host) if d.id == self._domain and not d.dying]
        if found and not found[0].shut:
            return
        if self._serial is not None:
            self._serial.drain()
        number = self._signal_sent()
        if not found and number:
            raise Ended(128 + number)
        if not found:
            raise Ended(KILLED, "the domain was destroyed from outside this container")
        reason = found[0].reason
        if self._plan.items is None and reason == xen.POWEROFF:
            own = life.exit_status(self._store, self._domain)
            raise Ended((128 + number if number else 0) if own is None else own)
        if self._plan.items is None and reason == xen.REBOOT:
            raise Ended(AGAIN)
        dumped = ""
        if self._plan.dumps:
            from . import dumps

            dumped = dumps.write(self._host, self._plan.dumps, self._plan.name)
        raise Ended(FAULT, f"the domain crashed{dumped}{self._last_words()}")

    def _last_words(self) -> str:
        tail = self._serial.tail() if self._serial is not None else ""
        return f"; its console said last: {tail}" if tail else ""

    def _check_signals(self) -> None:
        if self._resized:
            self._resized = False
            self._copy_size()
        if not self._signal:
            return
        if not self._started or self._plan.items is None:
            raise Ended(128 + self._signal_sent())
        number, self._signal = self._signal, 0
        self._send_signal(0, number)

    def _check_boot(self) -> None:
        if self._expiry is not None and time.monotonic() >= self._expiry:
            raise Ended(128 + self._signal_sent())
        if self._deadline is None or time.monotonic() < self._deadline:
            return
        if self._plan.items is None and self._serial is not None and self._serial.spoke:
            self._deadline = None
            return
        late = (
            "the domain has not set up its container"
            if self._ready
            else "the domain's kernel did not start"
        )
        words = f"{late} within {self._plan.boot_timeout:g} s"
        raise Ended(FAULT, words + self._last_words())

    # the agent

    def _handle(self, frame: Frame) -> None:
        if frame.session:
            if self._execs:
                self._execs.handle(frame)
        elif frame.kind == wire.HELLO:
            if frame.number() != wire.VERSION:
                raise XenError(f"the agent speaks version {frame.number()}, not {wire.VERSION}")
            self._ready = True
            self._store.show_again()
            if self._asked:
                self._run()
        elif frame.kind == wire.DEVICES:
            from . import devices

            self._files += devices.told(frame.body)
        elif frame.kind == wire.STARTED:
            self._session.begin()
            self._running()
            self._copy_size()
        elif frame.kind == wire.FAILED:
            raise Ended(127, frame.text())
        elif frame.kind == wire.DATA:
            self._session.output(frame.stream, frame.body)
        elif frame.kind == wire.CREDIT:
            self._session.input_taken(frame.number())
        elif frame.kind == wire.EXITED:
            raise Ended(frame.number() & 0xFF)

    def _send_signal(self, session: int, number: int) -> None:
        if self._link is not None:
            self._link.send(wire.SIGNAL, session, 0, number.to_bytes(4, "little"))

    def _copy_size(self) -> None:
        if self._session.terminal:
            size = os.get_terminal_size(0)
            self._resize(0, size.lines, size.columns)

    def _resize(self, session: int, rows: int, columns: int) -> None:
        if self._link is not None and (rows or columns):
            body = rows.to_bytes(2, "little") + columns.to_bytes(2, "little")
            self._link.send(wire.RESIZE, session, 0, body)

    # exec

    def _execute(self, pid: int, reply: str) -> None:
        from . import execs

        link = self._link
        if link is None or not self._started:
            self._answer(reply, f"container {self._record.id} is not running")
            return
        if self._execs is None:
            self._execs = execs.Execs(self._host, self._record.directory, self._poll)
        try:
            self._execs.adopt(pid, reply, link)
        except HetociError as error:
            self._answer(reply, str(error))

    # the end

    def _destroy(self) -> None:
        if self._guest is not None:
            self._guest.close()
            self._guest = None
        life.destroy(self._host, self._plan.name, self._plan.held)

    def _stop(self) -> None:
        if self._execs:
            self._execs.over()

    def _complain(self, words: str) -> None:
        self._session.complain(words)

    def _end_streams(self) -> None:
        self._session.end()
