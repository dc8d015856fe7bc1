# SPDX-License-Identifier: MIT
"""The keeper: the process an engine knows as the container.

It holds the claims for its whole life. Its pid is the container's pid, its output the
container's log, its exit status the container's exit status. This module has what keepers of all
kinds have in common, `firmware_keeper` and `domain.keeper` the rest.
"""

from __future__ import annotations

import os
import select
import time

from . import cgroup, console, state
from .errors import HetociError
from .model import Holder
from .signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .claims import Claim
    from .host import Host
    from .state import Record

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
    an error's text, on `go` it waits for the word to stay. payload: what `_prepare` of the kind
    needs. fail writes a bug's traceback to the engine's log.
    """

    __slots__ = (
        "claims",
        "console_socket",
        "fail",
        "go",
        "new_network",
        "oom_score",
        "payload",
        "ready",
        "record",
    )

    def __init__(
        self,
        record: Record,
        claims: Sequence[Claim],
        payload: Any,
        ready: int,
        go: int,
        fail: Callable[[str, str], None],
    ) -> None:
        self.record = record
        self.claims = claims
        self.payload = payload
        self.ready = ready
        self.go = go
        self.fail = fail
        self.console_socket: str | None = None
        self.new_network = False
        self.oom_score: int | None = None


class Keeper:
    """Runs in the forked process; `main` never returns. claims_group: `group` of its claims."""

    claims_group = ""

    def __init__(self, host: Host, job: Job) -> None:
        self._host = host
        self._job = job
        self._record = job.record
        self._undo: list[Callable[[], None]] = []
        self._signal = 0
        self._started = False
        self._poll = select.poll()
        self._control = -1
        self._answers = -1
        self._wake = -1

    def main(self) -> None:
        """Set up, wait, run, and end the process with the container's exit code."""
        code = 1
        try:
            self._live()
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
            self._end_streams()
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
        root = str(record.data["root"])
        holder = Holder(record.id, root, os.getpid(), start, self.claims_group)
        for claim in job.claims:
            claim.set_holder(holder)
        host.checkpoint("keeper:claimed")
        self._join_surroundings()
        if job.console_socket:
            console.give_terminal(host, job.console_socket)
        self._control = host.open(f"{record.directory}/{state.CONTROL}", os.O_RDWR | os.O_NONBLOCK)
        self._poll.register(self._control, select.POLLIN)
        self._answers = record.open_answers()
        self._prepare()

    def _close_strangers(self) -> None:
        """Close what we inherited beyond our own: an engine waits for its pipes to close."""
        ours = {0, 1, 2, self._job.ready, self._job.go, *self._inherited()}
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
        while not self._started:
            for command in self._wait(None):
                self._start(command)

    def _answer(self, reply: str, text: str) -> None:
        path = f"{self._record.directory}/{reply}"
        try:
            descriptor = self._host.open(path, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(descriptor, text.encode() + b"\n")
            finally:
                os.close(descriptor)
        except OSError:  # whoever asked is gone
            return

    def _refuse(self, reply: str, text: str) -> None:
        """Answer that the start failed, and leave the reason for those who ask later."""
        self._record.mark(state.FAILED, text)
        self._answer(reply, text)

    def _signal_sent(self) -> int:
        """The signal that ends the container: what kill noted, else what we got; 0 if none."""
        noted = self._host.text(f"{self._record.directory}/{state.SIGNAL}") or ""
        return int(noted) if noted.isdecimal() else self._signal

    # what kinds of containers differ in

    def _inherited(self) -> tuple[int, ...]:
        """Descriptors of the payload's that create has opened."""
        return ()

    def _prepare(self) -> None:
        """Bring the payload to where start needs it; undos go to `_undo`. Raises HetociError."""
        raise NotImplementedError

    def _start(self, command: str) -> None:
        """Answer a `start REPLY-FIFO` command, and set `_started`; a failed start ends us."""
        raise NotImplementedError

    def _watch(self) -> None:
        """See the payload through. Raises Ended when the container is over."""
        raise NotImplementedError

    def _wait(self, seconds: float | None) -> list[str]:
        """Sleep until something happens; returns commands. Raises Ended on a signal."""
        raise NotImplementedError

    def _stop(self) -> None:
        """End the payload, whatever state it is in."""
        raise NotImplementedError

    def _complain(self, words: str) -> None:
        """Say something on the container's standard error."""
        raise NotImplementedError

    def _end_streams(self) -> None:
        """Give the engine a last chance to read."""
        raise NotImplementedError

    # the end

    def _give_back(self) -> None:
        for undo in reversed(self._undo):
            try:
                undo()
            except (OSError, HetociError) as error:
                self._complain(f"while ending: {error}")


def fork(host: Host, kind: type[Keeper], job: Job) -> int:
    """Fork a keeper of `kind` for `job`; returns its pid in the parent, never in the child."""
    child = os.fork()
    if child:
        return child
    try:
        kind(host, job).main()
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
