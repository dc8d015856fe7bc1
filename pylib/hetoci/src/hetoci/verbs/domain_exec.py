# SPDX-License-Identifier: MIT
"""exec in a domain: a process here that stands for the program there.

Its standard streams are the program's, passed on by the container's keeper; signals it gets go to
the program; its exit status is the program's. If it is killed, so is the program.
"""

from __future__ import annotations

import os
import select

from .. import bundle as bundles
from .. import console, fastjson, state
from ..domain import program
from ..errors import BundleError, HetociError, StateError, UsageError
from ..host import explain
from ..signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..cmdline import CommandLine
    from ..host import Host
    from ..state import Record

_KILLED = 128 + signal.SIGKILL
_PASSED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def execute(host: Host, line: CommandLine, record: Record) -> int:
    """Run a program in the container `record`; its exit code, or 0 with --detach once it runs.
    Raises HetociError."""
    spec = _spec(host, line, record)
    items = program.process(spec)
    socket = line.value("console-socket")
    if bool(socket) != (spec.get("terminal") is True) and line.flag("detach", "d"):
        raise UsageError("--console-socket and a terminal in the process belong together")
    stand_in = StandIn(host, record, items, socket)
    if not line.flag("detach", "d"):
        _write_pid(host, line, os.getpid())
        stand_in.begin()
        return stand_in.see_through()
    return _detached(host, line, stand_in)


def _detached(host: Host, line: CommandLine, stand_in: StandIn) -> int:
    ready, report = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(ready)
            os.setsid()
            host.set_process_name("hetoci-exec")
            stand_in.begin()
            os.write(report, b"ok")
            os.close(report)
            code = stand_in.see_through()
        except HetociError as error:
            os.write(report, str(error).encode())
        except BaseException as error:
            os.write(report, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(code)
    os.close(report)
    with os.fdopen(ready, "rb") as stream:
        text = stream.read().decode("utf-8", "replace")
    if text != "ok":
        os.waitpid(child, 0)
        raise HetociError(text or "the process that stands for the program was killed")
    _write_pid(host, line, child)
    return 0


def _write_pid(host: Host, line: CommandLine, pid: int) -> None:
    path = line.value("pid-file")
    if path:
        host.put(path, str(pid).encode(), 0o644)


def _spec(host: Host, line: CommandLine, record: Record) -> dict[str, Any]:
    """The OCI process object: of --process, or the container's with the words given."""
    path = line.value("process", "p")
    if path:
        try:
            spec = fastjson.loads(host.read(path, bundles.CONFIG_LIMIT).decode())
        except OSError as error:
            raise BundleError(f"cannot read {path}: {explain(error)}") from error
        except ValueError as error:
            raise BundleError(f"{path} is not JSON: {error}") from error
        if not isinstance(spec, dict):
            raise BundleError(f"{path} is not a JSON object")
        return spec
    words = line.positional[1:]
    if not words:
        raise UsageError("exec needs a program", hint="exec ID PROGRAM [WORD ...]")
    own = bundles.load(host, record.data["bundle"]).section("process")
    spec = {**(own if isinstance(own, dict) else {}), "args": words, "terminal": False}
    if line.value("cwd"):
        spec["cwd"] = line.value("cwd")
    if line.value("env", "e"):
        spec["env"] = [*(spec.get("env") or []), line.value("env", "e")]
    user = line.value("user", "u")
    if user:
        uid, _, gid = user.partition(":")
        if not uid.isdecimal() or (gid and not gid.isdecimal()):
            raise UsageError(f"--user {user} is no UID or UID:GID")
        spec["user"] = {"uid": int(uid), "gid": int(gid or 0)}
    return spec


class StandIn:
    """The process that the engine watches."""

    def __init__(self, host: Host, record: Record, items: bytes, socket: str | None) -> None:
        self._host = host
        self._record = record
        self._items = items
        self._socket = socket
        self._number = 0
        self._reply = -1
        self._text = b""
        self._wake = -1
        self._signals: list[int] = []
        self._resized = False

    def begin(self) -> None:
        """Have the keeper start the program. Raises HetociError if it does not run."""
        name = f"exec.{os.getpid()}"
        path = f"{self._record.directory}/{name}"
        self._catch_signals()
        if self._socket:
            self._take_terminal()
        pid = self._record.keeper
        if not pid:
            raise StateError("container not running")
        self._keeper = os.pidfd_open(pid)
        try:
            os.mkfifo(self._host.path(path), 0o600)
            self._reply = self._host.open(path, os.O_RDONLY | os.O_NONBLOCK)
            self._host.put(f"{path}.run", self._items)
            self._tell(f"exec {os.getpid()} {name}")
            answer = self._line()
        finally:
            self._host.remove(path)
            self._host.remove(f"{path}.run")
        verb, _, rest = answer.partition(" ")
        if verb != "ok":
            raise HetociError(answer or "the container's keeper has ended")
        self._number = int(rest)
        self._copy_size()

    def _take_terminal(self) -> None:
        console.give_terminal(self._host, self._socket or "")
        console.make_raw(0)

    def _catch_signals(self) -> None:
        self._wake, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in _PASSED_ON:
            signal.signal(number, lambda number, _frame: self._signals.append(number))
        signal.signal(signal.SIGWINCH, self._note_resize)
        for number in (signal.SIGPIPE, signal.SIGTTOU, signal.SIGTTIN):
            signal.signal(number, signal.SIG_IGN)

    def _note_resize(self, _number: int, _frame: object) -> None:
        self._resized = True

    def _copy_size(self) -> None:
        self._resized = False
        if self._socket:
            size = os.get_terminal_size(0)
            self._tell(f"resize {self._number} {size.lines} {size.columns}")

    def _tell(self, command: str) -> None:
        try:
            control = self._host.open(
                f"{self._record.directory}/{state.CONTROL}", os.O_WRONLY | os.O_NONBLOCK
            )
        except OSError as error:
            raise StateError("container not running") from error
        try:
            os.write(control, f"{command}\n".encode())
        finally:
            os.close(control)

    def _line(self) -> str:
        """The keeper's next line; "" if it has ended."""
        waiter = select.poll()
        waiter.register(self._reply, select.POLLIN)
        waiter.register(self._keeper, select.POLLIN)
        waiter.register(self._wake, select.POLLIN)
        while b"\n" not in self._text:
            ready = [descriptor for descriptor, _ in waiter.poll()]
            if self._wake in ready:
                os.read(self._wake, 64)
                self._pass_on()
            data = self._read()
            self._text += data
            if not data and self._keeper in ready:
                return ""
            if not data and self._reply in ready:  # no writer yet, or none any more
                waiter.unregister(self._reply)
                waiter.poll(20)
                waiter.register(self._reply, select.POLLIN)
        line, _, self._text = self._text.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _read(self) -> bytes:
        try:
            return os.read(self._reply, 4096)
        except BlockingIOError:
            return b""

    def _pass_on(self) -> None:
        numbers, self._signals = self._signals, []
        if not self._number:
            return
        if self._resized:
            self._copy_size()
        for number in numbers:
            self._tell(f"signal {self._number} {number}")

    def see_through(self) -> int:
        """Wait for the program's end; its exit code."""
        verb, _, code = self._line().partition(" ")
        return int(code) if verb == "exited" and code.isdecimal() else _KILLED
