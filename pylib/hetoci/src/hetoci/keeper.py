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
from .rsctable import EXIT_RECORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .claims import Claim
    from .host import Host
    from .state import Record

#: How often the core and its trace buffers are looked at: at once after output, then slower.
_FASTEST, _SLOWEST = 0.02, 0.25

#: How long the engine may take to read the last output, s.
_LAST_WORDS = 2.0

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
        self._traces: dict[int, console.TraceFollower] = {}
        self._exit_trace = -1
        self._terminals: dict[int, str] = {}
        self._out = console.Outlet(1)
        self._error = console.Outlet(2)
        self._poll = select.poll()
        self._control = -1
        self._wake = -1
        self._stdin_open = False

    def main(self) -> None:
        """Set up, wait, run, and end the process with the container's exit code."""
        code = 1
        try:
            code = self._live()
        except Ended as outcome:
            code = outcome.code
            if outcome.words:
                self._complain(outcome.words)
        except HetociError as error:
            self._complain(str(error))
        except BaseException:
            import traceback

            self._job.fail("the keeper failed, see the traceback", traceback.format_exc())
        finally:
            self._give_back()
            self._out.flush(_LAST_WORDS)
            self._error.flush(_LAST_WORDS)
            os._exit(code)

    # before start

    def _live(self) -> int:
        try:
            self._set_up()
        except HetociError as error:
            self._say_ready(str(error))
            return 1
        except BaseException as error:
            self._say_ready(f"{type(error).__name__}: {error}")
            raise
        self._say_ready("ok")
        self._await_commit()
        self._host.checkpoint("keeper:committed")
        self._await_start()
        try:
            while True:
                self._round()
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
        with open("/proc/self/comm", "w", encoding="ascii") as comm:
            comm.write("hetoci-keeper")
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
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write(str(job.oom_score))
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
        self._plan_consoles()
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

    def _plan_consoles(self) -> None:
        traces = self._record.data["traces"]
        consoles = self._record.data["consoles"]
        for number, (name, size) in enumerate(traces):
            if name == EXIT_RECORD:
                self._exit_trace = number
            elif "trace" in consoles:
                self._traces[number] = console.TraceFollower(size)
        if traces and remoteproc.trace(self._host, self._core, 0) is None:
            self._complain(
                "the firmware's trace buffers cannot be read, so there is no log from them and"
                f" no exit code: {remoteproc.DEBUG} is missing (mount debugfs) or locked down"
            )
        if "rpmsg-tty" in consoles:
            self._stdin_open = True

    # while the core runs

    def _round(self) -> None:
        """One look at everything. Raises Ended when the container is over."""
        interval = _FASTEST
        while True:
            for command in self._wait(interval):
                self._start(command)
            moved = self._copy_output()
            self._check_exit_record()
            self._check_core()
            interval = _FASTEST if moved else min(interval * 1.5, _SLOWEST)

    def _wait(self, seconds: float | None) -> list[str]:
        """Sleep until something happens; returns commands. Raises Ended on a signal."""
        commands: list[str] = []
        timeout = None if seconds is None else seconds * 1000
        if self._out.full:  # sources are not read now, so they would not let poll sleep
            self._out.flush(_SLOWEST)
            timeout = 0
        for descriptor, events in self._poll.poll(timeout):
            if descriptor == self._wake:
                os.read(self._wake, 64)
            elif descriptor == self._control:
                commands += os.read(self._control, 4096).decode().splitlines()
            elif descriptor == 0:
                self._take_input()
            elif not events & select.POLLIN:  # hang-up or error, and nothing left to read
                self._close_terminal(descriptor)
        if self._signal:
            raise Ended(128 + self._signal_sent())
        return commands

    def _signal_sent(self) -> int:
        """The signal that ends the container: what kill noted, else what we got; 0 if none."""
        noted = self._host.text(f"{self._record.directory}/{state.SIGNAL}") or ""
        return int(noted) if noted.isdecimal() else self._signal

    def _copy_output(self) -> bool:
        if self._out.pending:
            self._out.flush(0)
        if self._out.full:
            return False
        moved = self._copy_traces()
        if self._stdin_open or self._terminals:
            self._find_terminals()
        for descriptor in list(self._terminals):
            moved = self._copy_terminal(descriptor) or moved
        return moved

    def _copy_traces(self) -> bool:
        moved = False
        for number, follower in self._traces.items():
            text = remoteproc.trace(self._host, self._core, number)
            fresh = b"" if text is None else follower.feed(text)
            if fresh:
                self._out.put(fresh)
                moved = True
        return moved

    def _find_terminals(self) -> None:
        if "rpmsg-tty" not in self._record.data["consoles"]:
            return
        for name in remoteproc.consoles(self._host, self._core):
            if name in self._terminals.values():
                continue
            try:
                descriptor = console.open_terminal(self._host, name)
            except OSError:  # announced, its device node not there yet
                continue
            self._terminals[descriptor] = name
            self._poll.register(descriptor, select.POLLIN)
            self._watch_input()

    def _watch_input(self) -> None:
        if self._stdin_open:
            try:
                self._poll.register(0, select.POLLIN)
            except OSError:
                self._stdin_open = False

    def _take_input(self) -> None:
        try:
            data = os.read(0, 4096)
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(0)
            self._stdin_open = False
            return
        for descriptor in self._terminals:
            try:
                os.write(descriptor, data)
            except OSError:  # the firmware takes no more: input is lost, as on a serial line
                continue

    def _copy_terminal(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, 4096)
        except BlockingIOError:
            return False
        except OSError:
            self._close_terminal(descriptor)
            return False
        self._out.put(data)
        return bool(data)

    def _close_terminal(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        os.close(descriptor)
        del self._terminals[descriptor]

    def _check_exit_record(self) -> None:
        if self._exit_trace < 0:
            return
        text = remoteproc.trace(self._host, self._core, self._exit_trace) or b""
        if not text.endswith(b"\n"):  # still being written
            return
        kind, _, rest = text.decode("utf-8", "replace").strip().partition(" ")
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
        self._drain()
        running, self._running = self._running, None
        if running is not None:
            running.release()

    def _drain(self) -> None:
        """Take what is left of the output, whether or not the reader keeps up: from the core
        while it is there, else what kill saved before it stopped the core."""
        for number, follower in self._traces.items():
            live = remoteproc.trace(self._host, self._core, number)
            saved = self._host.read_or_none(f"{self._record.directory}/trace{number}.last")
            if live is not None:
                self._out.put(follower.feed(live))
            elif saved is not None:
                self._out.put(follower.finish(saved))
        for descriptor in list(self._terminals):
            while descriptor in self._terminals and self._copy_terminal(descriptor):
                pass

    def _give_back(self) -> None:
        for undo in reversed(self._undo):
            try:
                undo()
            except (OSError, HetociError) as error:
                self._complain(f"while ending: {error}")

    def _complain(self, words: str) -> None:
        self._error.put(f"hetoci: {words}\n".encode())


def fork(host: Host, job: Job) -> int:
    """Fork the keeper for `job`; returns its pid in the parent, never in the child."""
    child = os.fork()
    if child:
        return child
    Keeper(host, job).main()
    raise AssertionError("the keeper never returns")


def wait_gone(host: Host, pid: int, start: str, seconds: float) -> bool:
    """Wait until the keeper has ended (a zombie has); False if it has not after `seconds`."""
    deadline = time.monotonic() + seconds
    while host.alive(pid, start):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
