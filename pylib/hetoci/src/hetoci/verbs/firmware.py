# SPDX-License-Identifier: MIT
"""What engines ask of a firmware container, from create to delete."""

from __future__ import annotations

import os
import select
import signal
import sys

from .. import bundle as bundles
from .. import cgroup, execute, hooks, inventory, keeper, metadata, plan, report, state
from ..backends import remoteproc
from ..errors import BundleError, HetociError, StateError, TeardownError, UsageError
from .create import container_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..bundle import Bundle
    from ..cmdline import CommandLine
    from ..config import Config
    from ..host import Host
    from ..model import Plan
    from ..plan import Firmware
    from ..state import Record
    from ..workloads import FirmwareWorkload

#: Default action "ignore" (signal(7)): a core that handles no signals ignores them too.
_IGNORED = frozenset((signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT))
#: Default action "stop".
_STOPPING = frozenset((signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU))

_MAX_SIGNAL = 64

#: How long a keeper may take to end after SIGKILL: the kernel stops the core meanwhile, s.
_LAST_RESORT = 10.0


# create and plan


def create(
    host: Host, line: CommandLine, bundle: Bundle, settings: Config, workload: FirmwareWorkload
) -> int:
    """`create [options] ID`: afterwards the keeper waits for start."""
    _create(host, line, bundle, settings, workload)
    return 0


def run(
    host: Host, line: CommandLine, bundle: Bundle, settings: Config, workload: FirmwareWorkload
) -> int:
    """`run [--detach] ID`: the firmware's exit code."""
    record = _create(host, line, bundle, settings, workload)
    return run_created(host, line, record, detach=line.flag("detach", "d"))


def plan_of(
    host: Host, bundle: Bundle, settings: Config, workload: FirmwareWorkload
) -> tuple[dict[str, Any], str]:
    """What create and start would do: for `plan --json`, and in words."""
    made = _make_plan(host, bundle, settings, workload)[0]
    return made.to_json(), _prose(made)


def _prose(result: Plan) -> str:
    core = result.candidates[0]
    lines = [f"firmware {result.workload.path} on core {core.name} ({core.instance})"]
    for number, step in enumerate(result.steps, 1):
        details = ", ".join(f"{key} {value}" for key, value in step.details.items())
        lines.append(f"  {number}. {step.op} {step.device} ({details})")
    if len(result.candidates) > 1:
        others = ", ".join(c.name for c in result.candidates[1:])
        lines.append(f"if another container takes it first: {others}")
    for other, reasons in result.refused:
        lines.append(f"not {other.name}: {'; '.join(reasons)}")
    return "\n".join(lines) + "\n"


def _create(
    host: Host, line: CommandLine, bundle: Bundle, settings: Config, workload: FirmwareWorkload
) -> Record:
    from . import reap

    container = container_id(line)
    reap.quick(host)
    made, firmware, image = _make_plan(host, bundle, settings, workload)
    return execute.create(host, line, container, bundle, made, firmware, image)


def _make_plan(
    host: Host, bundle: Bundle, settings: Config, workload: FirmwareWorkload
) -> tuple[Plan, Firmware, bytes]:
    """Read the firmware, check it against the board, and choose; changes nothing."""
    image = _read_firmware(host, bundle, workload, settings.firmware_max_size)
    firmware = plan.examine(image, workload.path)
    cores = inventory.cores(host, with_clocks=bool(workload.clocks))
    return (
        plan.make(workload, firmware, cores, settings.cores),
        firmware,
        image,
    )


def _read_firmware(host: Host, bundle: Bundle, workload: FirmwareWorkload, limit: int) -> bytes:
    if bundle.rootfs is None:
        raise BundleError(f"{bundle.path}/config.json has no root.path")
    try:
        image = bundles.read_inside(host, bundle.rootfs, workload.path, limit)
    except FileNotFoundError:
        raise BundleError(
            f"firmware {workload.path} does not exist in the image",
            hint=f"set {metadata.FIRMWARE} to the ELF file's path in the image",
        ) from None
    if workload.digest:
        import hashlib

        actual = "sha256:" + hashlib.sha256(image).hexdigest()
        if actual != workload.digest:
            raise BundleError(
                f"firmware {workload.path} has the digest {actual}, the metadata says"
                f" {workload.digest}"
            )
    return image


def _record(host: Host, line: CommandLine) -> Record:
    if not line.positional:
        raise UsageError(f"{line.verb} needs a container id")
    return state.load(host, line.root, line.positional[0])


# start


def start(host: Host, line: CommandLine) -> int:
    """`start ID`: load the firmware and start the core; success means it runs."""
    _start(host, line, _record(host, line))
    return 0


def _start(host: Host, line: CommandLine, record: Record) -> None:
    status = record.status()
    if status != state.CREATED:
        raise StateError(f"cannot start container {record.id}: it is {status}, not created")
    answer = _ask_keeper(host, record, "start")
    if answer != "ok":
        raise HetociError(answer)
    try:
        hooks.run("poststart", record.data["hooks"].get("poststart", ()), record.state())
    except HetociError as error:  # runtime-spec: a failing poststart hook is only logged
        report.log(host, line, str(error))


def _ask_keeper(host: Host, record: Record, command: str) -> str:
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
    return text or f"the keeper of container {record.id} ended while it started the core"


def _read_all(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        return (stream.read(1 << 16) or b"").decode("utf-8", "replace")


def run_created(host: Host, line: CommandLine, record: Record, *, detach: bool) -> int:
    """Start what `create` made in this process and, unless `detach`, see it to its end."""
    _start(host, line, record)
    if detach:
        return 0
    pid = record.keeper
    while True:
        try:
            status = os.waitpid(pid, 0)[1] if pid else 0
            break
        except KeyboardInterrupt:
            _kill(host, record, signal.SIGINT)
    _delete(host, record, force=True)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


# state and ps


def show_state(host: Host, line: CommandLine) -> int:
    """`state ID`: the state object on stdout."""
    from json import dumps

    sys.stdout.write(dumps(_record(host, line).state(), indent=2) + "\n")
    return 0


def ps(host: Host, line: CommandLine) -> int:
    """`ps [--format json|table] ID`: the keeper is the container's only process."""
    keeper_pid = _record(host, line).keeper
    pids = [keeper_pid] if keeper_pid else []
    if (line.value("format", "f") or "table") == "json":
        sys.stdout.write(f"{pids}\n")
        return 0
    rows = ["PID   CMD"] + [f"{pid:<5} hetoci keeper" for pid in pids]
    sys.stdout.write("\n".join(rows) + "\n")
    return 0


# kill


def kill(host: Host, line: CommandLine) -> int:
    """`kill ID [SIGNAL]`: what the signal's default action does to a process, done to the
    core by way of the kernel, never by way of the keeper."""
    record = _record(host, line)
    number = parse_signal(line.positional[1] if len(line.positional) > 1 else "TERM")
    if record.status() == state.STOPPED:
        raise StateError("container not running")
    if number == 0 or number in _IGNORED:
        return 0
    if number in _STOPPING:
        raise StateError(
            f"signal {number} would pause container {record.id}, firmware cannot be paused"
        )
    _kill(host, record, number)
    return 0


def parse_signal(text: str) -> int:
    """The number of a signal given as 15, TERM, SIGTERM or RTMIN+3. Raises UsageError."""
    name = text.upper().removeprefix("SIG")
    base, _, offset = name.partition("+")
    if name.isdecimal() and int(name) <= _MAX_SIGNAL:
        return int(name)
    if base in ("RTMIN", "RTMAX") or not offset:
        found = getattr(signal, f"SIG{base}", None)
        if isinstance(found, signal.Signals) and (offset.isdecimal() or not offset):
            number = int(found) + int(offset or 0)
            if number <= _MAX_SIGNAL:
                return number
    raise UsageError(f"unknown signal {text!r}", hint="give for instance TERM or 15")


def _kill(host: Host, record: Record, number: int) -> None:
    """End the container as signal `number` would. The core goes first; the keeper sees it and
    ends with the right code; one that does not is killed, and the kernel does the rest."""
    pid, begin = record.data["keeper"] or (0, "")
    failure: HetociError | None = None
    record.mark(state.SIGNAL, str(number))
    host.checkpoint("kill:marked")
    if record.marked(state.STARTED):
        try:
            _stop_core(host, record)
        except HetociError as error:
            failure = error
    elif host.alive(pid, begin):
        _signal(pid, signal.SIGTERM)
    host.checkpoint("kill:stopped")
    if not keeper.wait_gone(host, pid, begin, float(record.data["stopTimeout"])):
        _signal(pid, signal.SIGKILL)
        keeper.wait_gone(host, pid, begin, _LAST_RESORT)
    if failure is not None:
        raise failure


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:  # it has just ended, which is what is wanted
        pass


def _stop_core(host: Host, record: Record) -> None:
    # Stopping takes the trace buffers away: keep their text for the keeper's last look.
    for number in range(len(record.data["traces"])):
        text = remoteproc.trace(host, record.core, number)
        if text is not None:
            host.put(f"{record.directory}/trace{number}.last", text)
    host.checkpoint("kill:saved")
    remoteproc.stop(host, record.core)


# delete


def delete(host: Host, line: CommandLine) -> int:
    """`delete [--force] ID`: forget the container and give back what it had."""
    _delete(host, _record(host, line), force=line.flag("force", "f"))
    return 0


def _delete(host: Host, record: Record, *, force: bool) -> None:
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
            _kill(host, record, signal.SIGKILL)
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


def give_back(host: Host, record: Record) -> list[str]:
    """Return the core, the staged firmware and the cgroup of a container whose keeper has
    ended, as far as the keeper did not; what failed, in sentences. Safe to repeat."""
    from . import reap

    failures = reap.free_core(host, record.core, record.data["attributes"])
    if record.data["cgroup"]:
        cgroup.remove(host, record.data["cgroup"])
    return failures


# what firmware cannot do


def refuse(host: Host, line: CommandLine) -> int:
    """Verbs that make no sense for firmware: say why."""
    record = _record(host, line)
    reasons = {
        "exec": "firmware has no processes to join",
        "pause": "a remote core cannot be frozen",
        "resume": "a remote core cannot be frozen, so it is not paused",
        "checkpoint": "the state of a remote core cannot be saved",
        "events": "firmware uses no resources of Linux to report on",
        "mounts": "firmware has no mount namespace",
    }
    raise StateError(
        f"{line.verb} does not apply to container {record.id}: it is firmware on core"
        f" {record.data['coreName']}, and {reasons[line.verb or '']}"
    )


def update(host: Host, line: CommandLine) -> int:
    """`update ID`: accepted without effect. Orchestrators set CPU and memory limits of every
    container from time to time; a core's own are fixed by the hardware."""
    _record(host, line)
    return 0


# for `hetoci ps`


def status(_host: Host, record: Record) -> str:
    """The OCI status now."""
    return record.status()


def hardware(record: Record) -> dict[str, Any]:
    """What the container has, for `hetoci ps --json`."""
    return {
        "devices": [record.data["coreName"]],
        "core": record.core,
        "coreName": record.data["coreName"],
        "firmware": record.data["firmware"],
    }


#: The verbs of a firmware container; the delegate has none of them.
VERBS = {
    "start": start,
    "state": show_state,
    "kill": kill,
    "delete": delete,
    "ps": ps,
    "update": update,
    **dict.fromkeys(("exec", "pause", "resume", "checkpoint", "events", "mounts"), refuse),
}
