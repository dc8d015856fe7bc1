# SPDX-License-Identifier: MIT
"""What engines ask of every container that a keeper stands for, whatever it keeps."""

from __future__ import annotations

import os
import select
import sys

from .. import fastjson, hooks, report, state
from ..errors import HetociError, StateError, TeardownError, UsageError
from ..signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..cmdline import CommandLine
    from ..host import Host
    from ..state import Record

    Kill = Callable[[Host, Record, int], None]
    GiveBack = Callable[[Host, Record], list[str]]

_MAX_SIGNAL = 64


def record_of(host: Host, line: CommandLine) -> Record:
    """The container that the command line names. Raises UsageError or NoContainer."""
    if not line.positional:
        raise UsageError(f"{line.verb} needs a container id")
    return state.load(host, line.root, line.positional[0])


# start


def start(host: Host, line: CommandLine) -> int:
    """`start ID`: success means that the payload runs."""
    start_record(host, line, record_of(host, line))
    return 0


def start_record(host: Host, line: CommandLine, record: Record) -> None:
    """Have the keeper start its payload. Raises HetociError with its reason."""
    failed = host.text(f"{record.directory}/{state.FAILED}")
    if failed:
        raise HetociError(failed)
    status = record.status()
    if status != state.CREATED:
        raise StateError(f"cannot start container {record.id}: it is {status}, not created")
    answer = ask_keeper(host, record, "start")
    if answer != "ok":
        raise HetociError(answer)
    try:
        hooks.run("poststart", record.data["hooks"].get("poststart", ()), record.state())
    except HetociError as error:  # runtime-spec: a failing poststart hook is only logged
        report.log(host, line, str(error))


def ask_keeper(host: Host, record: Record, command: str) -> str:
    """Give the keeper a command and wait for its answer, or its end."""
    reply = f"reply.{os.getpid()}"
    path = f"{record.directory}/{reply}"
    host.remove(path)
    try:
        os.mkfifo(host.path(path), 0o600)
        answer = host.open(path, os.O_RDONLY | os.O_NONBLOCK)
        keeper_process = os.pidfd_open(record.keeper)
        control = host.open(f"{record.directory}/{state.CONTROL}", os.O_WRONLY | os.O_NONBLOCK)
        os.write(control, f"{command} {reply}\n".encode())
        os.close(control)
        host.checkpoint("start:asked")
        waiter = select.poll()
        waiter.register(answer, select.POLLIN)
        waiter.register(keeper_process, select.POLLIN)
        waiter.poll()
        # The keeper answers before it ends, so look for an answer even if it has ended.
        text = _read_all(answer)
    except (OSError, ProcessLookupError) as error:
        raise StateError(f"the keeper of container {record.id} has ended ({error})") from error
    finally:
        host.remove(path)
    return text or f"the keeper of container {record.id} ended while it started"


def _read_all(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        return (stream.read(1 << 16) or b"").decode("utf-8", "replace").rstrip("\n")


def run_created(
    host: Host,
    line: CommandLine,
    record: Record,
    kill: Kill,
    give_back: GiveBack,
) -> int:
    """Start what `create` made in this process and, unless --detach, see it to its end."""
    start_record(host, line, record)
    if line.flag("detach", "d"):
        return 0
    pid = record.keeper
    while True:
        try:
            status = os.waitpid(pid, 0)[1] if pid else 0
            break
        except KeyboardInterrupt:
            kill(host, record, signal.SIGINT)
    delete_record(host, record, kill, give_back, force=True)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


# state and ps


def show_state(host: Host, line: CommandLine) -> int:
    """`state ID`: the state object on stdout."""
    sys.stdout.write(fastjson.dumps(record_of(host, line).state()) + "\n")
    return 0


def ps(host: Host, line: CommandLine) -> int:
    """`ps [--format json|table] ID`: the keeper is the container's only process here."""
    keeper_pid = record_of(host, line).keeper
    pids = [keeper_pid] if keeper_pid else []
    if (line.value("format", "f") or "table") == "json":
        sys.stdout.write(f"{pids}\n")
        return 0
    rows = ["PID   CMD"] + [f"{pid:<5} hetoci keeper" for pid in pids]
    sys.stdout.write("\n".join(rows) + "\n")
    return 0


# kill and delete


def parse_signal(text: str) -> int:
    """The number of a signal given as 15, TERM, SIGTERM or RTMIN+3. Raises UsageError."""
    name = text.upper().removeprefix("SIG")
    base, _, offset = name.partition("+")
    if name.isdecimal() and int(name) <= _MAX_SIGNAL:
        return int(name)
    if base in ("RTMIN", "RTMAX") or not offset:
        found = getattr(signal, f"SIG{base}", None)
        if isinstance(found, int) and base[:1] != "_" and (offset.isdecimal() or not offset):
            number = int(found) + int(offset or 0)
            if number <= _MAX_SIGNAL:
                return number
    raise UsageError(f"unknown signal {text!r}", hint="give for instance TERM or 15")


def signal_process(pid: int, number: int) -> None:
    """Send a signal; that the process is gone is success."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:  # it has just ended, which is what is wanted
        pass


def delete_record(
    host: Host, record: Record, kill: Kill, give_back: GiveBack, *, force: bool
) -> None:
    """Give back what the container has and forget it. Raises StateError if it lives and there is
    no `force`, TeardownError with what failed after all was tried."""
    status = record.status()
    if status == state.RUNNING and not force:
        raise StateError(
            f"cannot delete container {record.id} that is not stopped: {status}",
            hint="kill it first, or use --force",
        )
    if status == state.CREATING:
        raise StateError(f"container {record.id} is still being created")
    failures: list[str] = []
    if status != state.STOPPED:
        try:
            kill(host, record, signal.SIGKILL)
        except HetociError as error:
            failures.append(str(error))
    host.checkpoint("delete:ended")
    failures += give_back(host, record)
    host.checkpoint("delete:given-back")
    try:
        stopped = record.state(state.STOPPED)
        hooks.run("poststop", record.data["hooks"].get("poststop", ()), stopped)
    except HetociError as error:
        failures.append(str(error))
    record.remove()
    if failures:
        raise TeardownError(failures)
