# SPDX-License-Identifier: MIT
"""The keeper: the process an engine knows as the container.

It holds the claim and the core for its whole life. Its pid is the container's pid, its
output the container's log, its exit status the container's exit status. If it dies, however
that happens, the kernel frees the claim (flock) and stops the core (the remoteproc device's
shutdown-on-release).
"""

from __future__ import annotations

import os
import select
import signal
import time

from . import cgroup, console, state
from .backends import remoteproc
from .errors import HetociError
from .model import OCCUPIED_STATES, Holder
from .streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .claims import Claim
    from .host import Host
    from .state import Record

#: How often the core and its trace buffers are looked at: at once after output, then slower.
_FASTEST, _SLOWEST = 0.02, 0.25

#: Exit code for a crash, as a shell reports a segmentation fault.
FAULT = 128 + signal.SIGSEGV

#: Exit code when somebody else stopped the core, as a shell reports a killed program.
KILLED = 128 + signal.SIGKILL

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class Ended(Exception):
    """The container is over, with this exit code."""

    def __init__(self, code: int, words: str = "") -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class Job:
    """What create passes on to the keeper it forks.

    ready and go are the keeper's ends of two pipes to create: on `ready` it reports `ok` or
    an error's text, on `go` it waits for the word to stay. fail writes a bug's traceback to
    the engine's log.
    """

    __slots__ = (
        "claims",
        "console_socket",
        "fail",
        "go",
        "image",
        "new_network",
        "oom_score",
        "ready",
        "record",
    )

    def __init__(
        self,
        record: Record,
        claims: Sequence[Claim],
        image: bytes,
        ready: int,
        go: int,
        fail: Callable[[str, str], None],
    ) -> None:
        self.record = record
        self.claims = claims
        self.image = image
        self.ready = ready
        self.go = go
        self.fail = fail
        self.console_socket: str | None = None
        self.new_network = False
        self.oom_score: int | None = None


class Keeper:
    """Runs in the forked process; `main` never returns."""

    def __init__(self, host: Host, job: Job) -> None:
        self._host = host
        self._job = job
        self._record = job.record
        self._core = job.record.core
        self._undo: list[Callable[[], None]] = []
        self._running: remoteproc.Running | None = None
        self._signal = 0
        self._poll = select.poll()
        self._streams = Streams(host, self._core, self._record.directory, self._poll)
        self._control = -1
        self._wake = -1

    def main(self) -> None:
        """Set up, wait, run, and end the process with the container's exit code."""
        code = 1
        try:
            self._live()
        except Ended as outcome:
            code = outcome.code
            if outcome.words:
                self._streams.complain(outcome.words)
        except HetociError as error:
            self._streams.complain(str(error))
        except BaseException:
            import traceback

            self._job.fail("the keeper failed, see the traceback", traceback.format_exc())
        finally:
            self._give_back()
            self._streams.end()
            os._exit(code)

    # before start

    def _live(self) -> None:
        """From fork to the end, which is an exception."""
        try:
            self._set_up()
        except HetociError as error:
            self._say_ready(str(error))
            raise Ended(1) from None
        except BaseException as error:
            self._say_ready(f"{type(error).__name__}: {error}")
            raise
        self._say_ready("ok")
        self._await_commit()
        self._host.checkpoint("keeper:committed")
        self._await_start()
        try:
            self._watch()
        finally:
            self._stop()

    def _say_ready(self, text: str) -> None:
        try:
            os.write(self._job.ready, text.encode())
            os.close(self._job.ready)
        except BrokenPipeError:  # create was killed; the missing commit ends us
            pass

    def _set_up(self) -> None:
        job, host, record = self._job, self._host, self._record
        os.setsid()
        os.chdir("/")
        host.set_process_name("hetoci-keeper")
        self._close_strangers()
        self._catch_signals()
        start = host.start_time(os.getpid()) or ""
        holder = Holder(record.id, str(record.data["root"]), os.getpid(), start)
        for claim in job.claims:
            claim.set_holder(holder)
        host.checkpoint("keeper:claimed")
        self._join_surroundings()
        if job.console_socket:
            console.give_terminal(host, job.console_socket)
        self._control = host.open(f"{record.directory}/{state.CONTROL}", os.O_RDWR | os.O_NONBLOCK)
        self._poll.register(self._control, select.POLLIN)
        path, name = remoteproc.stage(host, self._core, job.image)
        self._undo.append(lambda: host.remove(path))
        self._firmware = name
        job.image = b""
        host.checkpoint("keeper:staged")

    def _close_strangers(self) -> None:
        """Close what we inherited beyond our own: an engine waits for its pipes to close."""
        ours = {0, 1, 2, self._job.ready, self._job.go}
        ours.update(claim.descriptor for claim in self._job.claims)
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in ours:
                try:
                    os.close(int(name))
                except OSError:  # the directory's own descriptor
                    continue

    def _catch_signals(self) -> None:
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._note_signal)
        for number in (signal.SIGPIPE, signal.SIGTTOU, signal.SIGTTIN, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        self._wake = reading
        self._poll.register(reading, select.POLLIN)

    def _note_signal(self, number: int, _frame: object) -> None:
        self._signal = self._signal or number

    def _join_surroundings(self) -> None:
        job = self._job
        group = self._record.data["cgroup"]
        if group:
            cgroup.join(self._host, group)
        if job.oom_score is not None:
            self._host.set_oom_score(job.oom_score)
        if job.new_network:
            self._host.new_network_namespace()

    def _await_commit(self) -> None:
        """Wait for create's word; if create dies before it, nothing of us may stay."""
        waiter = select.poll()
        waiter.register(self._job.go, select.POLLIN)
        waiter.register(self._wake, select.POLLIN)
        while True:
            for descriptor, _events in waiter.poll():
                if descriptor == self._wake:
                    os.read(self._wake, 64)
                    self._forget(128 + self._signal_sent())
                elif os.read(self._job.go, 1):
                    os.close(self._job.go)
                    return
                else:
                    self._forget(1)

    def _forget(self, code: int) -> None:
        self._undo.insert(0, self._record.remove)
        raise Ended(code)

    def _await_start(self) -> None:
        while self._running is None:
            for command in self._wait(None):
                self._start(command)

    def _start(self, command: str) -> None:
        """Answer a `start REPLY-FIFO` command; a failed start ends the container."""
        reply = command.partition(" ")[2]
        if self._running is not None:
            self._answer(reply, f"container {self._record.id} is running already")
            return
        try:
            self._host.checkpoint("keeper:start")
            self._running = remoteproc.activate(self._host, self._core, self._firmware)
            self._host.checkpoint("keeper:activated")
            self._record.mark(state.STARTED)
        except HetociError as error:
            self._answer(reply, str(error))
            raise Ended(1) from None
        self._streams.begin(self._record.data["traces"], self._record.data["consoles"])
        self._answer(reply, "ok")

    def _answer(self, reply: str, text: str) -> None:
        try:
            descriptor = self._host.open(
                f"{self._record.directory}/{reply}", os.O_WRONLY | os.O_NONBLOCK
            )
        except OSError:  # whoever asked is gone
            return
        os.write(descriptor, text.encode())
        os.close(descriptor)

    # while the core runs

    def _watch(self) -> None:
        """Look at everything, again and again. Raises Ended when the container is over."""
        interval = _FASTEST
        while True:
            for command in self._wait(interval):
                self._start(command)
            moved = self._streams.copy()
            self._check_exit_record()
            self._check_core()
            interval = _FASTEST if moved else min(interval * 1.5, _SLOWEST)

    def _wait(self, seconds: float | None) -> list[str]:
        """Sleep until something happens; returns commands. Raises Ended on a signal."""
        commands: list[str] = []
        timeout = None if seconds is None else seconds * 1000
        if self._streams.congested:  # nothing is read now, so poll would not sleep
            self._streams.relieve(_SLOWEST)
            timeout = 0
        for descriptor, events in self._poll.poll(timeout):
            if descriptor == self._wake:
                os.read(self._wake, 64)
            elif descriptor == self._control:
                commands += os.read(self._control, 4096).decode().splitlines()
            else:
                self._streams.event(descriptor, events)
        if self._signal:
            raise Ended(128 + self._signal_sent())
        return commands

    def _signal_sent(self) -> int:
        """The signal that ends the container: what kill noted, else what we got; 0 if none."""
        noted = self._host.text(f"{self._record.directory}/{state.SIGNAL}") or ""
        return int(noted) if noted.isdecimal() else self._signal

    def _check_exit_record(self) -> None:
        kind, _, rest = (self._streams.exit_record() or "").partition(" ")
        if kind == "exit" and rest.isdecimal():
            raise Ended(int(rest) & 0xFF)
        if kind == "fault":
            raise Ended(FAULT, f"firmware fault on core {self._core}: {rest}")

    def _check_core(self) -> None:
        now = remoteproc.state(self._host, self._core)
        if now == "running":
            return
        sent = self._signal_sent()
        if sent:
            raise Ended(128 + sent)
        if now == "crashed":
            raise Ended(FAULT, f"the kernel reports that core {self._core} crashed")
        if now in OCCUPIED_STATES:
            return
        if now == "offline":
            raise Ended(KILLED, f"core {self._core} was stopped from outside this container")
        raise Ended(FAULT, f"core {self._core} is {now}")

    # the end

    def _stop(self) -> None:
        self._streams.drain()
        running, self._running = self._running, None
        try:
            if running is not None:
                running.release()
        except HetociError as error:  # the container's outcome is worth more than this
            self._streams.complain(str(error))

    def _give_back(self) -> None:
        for undo in reversed(self._undo):
            try:
                undo()
            except (OSError, HetociError) as error:
                self._streams.complain(f"while ending: {error}")


def fork(host: Host, job: Job) -> int:
    """Fork the keeper for `job`; returns its pid in the parent, never in the child."""
    child = os.fork()
    if child:
        return child
    try:
        Keeper(host, job).main()
    finally:
        os._exit(1)  # create's code above us in the stack is the parent's to run


def wait_gone(host: Host, pid: int, start: str, seconds: float) -> bool:
    """Wait until the keeper has ended (a zombie has); False if it has not after `seconds`."""
    deadline = time.monotonic() + seconds
    while host.alive(pid, start):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
