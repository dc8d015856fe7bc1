# SPDX-License-Identifier: MIT
"""Carrying out a plan: from claimed core to a keeper that waits for start.

Whatever process dies here, nothing stays behind: the claim belongs to open descriptors, the
keeper ends by itself unless create gives it the word to stay, and a record without living
makers is recognised as abandoned.
"""

from __future__ import annotations

import os

from . import cgroup, claims, hooks, keeper, report, state
from .errors import BundleError, DeviceBusy, HetociError, UsageError
from .model import Holder
from .signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .bundle import Bundle
    from .claims import Claim
    from .cmdline import CommandLine
    from .host import Host
    from .keeper import Keeper
    from .model import Core, Plan
    from .plan import Firmware
    from .state import Record

#: How long a keeper that is told to give up may take, s.
_ABORT = 5.0


def create(
    host: Host,
    line: CommandLine,
    container: str,
    bundle: Bundle,
    plan: Plan,
    firmware: Firmware,
    image: bytes,
) -> Record:
    """Create a firmware container: afterwards its keeper waits for start, or nothing is there."""
    from .backends import remoteproc
    from .firmware_keeper import FirmwareKeeper

    request = Request(host, line, container, bundle)
    core, claimed = _claim(host, plan, Holder(container, line.root, *_me(host)))
    try:
        host.checkpoint("create:claimed")
        facts = _facts(host, plan, firmware, core)
        return build(
            request,
            facts,
            FirmwareKeeper,
            image,
            claimed,
            lambda: remoteproc.unstage(host, core.instance),
        )
    finally:
        for claim in claimed:
            claim.release()


class Request:
    """What the engine asks for, checked as far as it is the same for every kind."""

    __slots__ = ("bundle", "console_socket", "container", "hooked", "hooks", "host", "line")

    def __init__(self, host: Host, line: CommandLine, container: str, bundle: Bundle) -> None:
        """Raises BundleError or UsageError."""
        self.host = host
        self.line = line
        self.container = container
        self.bundle = bundle
        self.hooks = hooks.validate(bundle.section("hooks"))
        self.hooked = False  # hooks have begun to run
        self.console_socket = _console_socket(line, bundle)

    def facts(self) -> dict[str, Any]:
        """What the record of every container with a keeper says."""
        cgroups_path = self.bundle.section("linux", "cgroupsPath")
        group = cgroups_path if isinstance(cgroups_path, str) else ""
        return {
            "bundle": self.bundle.path,
            "rootfs": self.bundle.rootfs or "",
            "created": self.host.now(),
            "annotations": self.bundle.annotations,
            "cgroup": cgroup.path_for(group, self.container),
            "hooks": self.hooks,
            "creator": _me(self.host),
            "keeper": None,
            "committed": False,
        }


def build(
    request: Request,
    facts: dict[str, Any],
    kind: type[Keeper],
    payload: Any,
    claimed: Sequence[Claim] = (),
    undo: Callable[[], None] = lambda: None,
) -> Record:
    """From nothing to a record and a keeper of `kind` that waits for start.

    facts: what the record says beyond `Request.facts`; undo: what a keeper that was killed on
    its way may have left. On failure nothing stays.
    """
    record = note(request, facts)
    begin(request, record, kind, payload, claimed, undo)
    return record


def note(request: Request, facts: dict[str, Any]) -> Record:
    """The record of a container that is being created."""
    data = {**request.facts(), **facts}
    record = state.create(request.host, request.line.root, request.container, data)
    request.host.checkpoint("create:recorded")
    return record


def begin(
    request: Request,
    record: Record,
    kind: type[Keeper],
    payload: Any,
    claimed: Sequence[Claim] = (),
    undo: Callable[[], None] = lambda: None,
) -> None:
    """As `build`, with the record there already. On failure it is gone, too."""
    try:
        _start_keeper(request, record, kind, payload, claimed, undo)
    except BaseException:
        if record.data["cgroup"]:
            cgroup.remove(request.host, record.data["cgroup"])
        _after_failure(request, record)
        record.remove()
        raise


def _after_failure(request: Request, record: Record) -> None:
    """Let hooks undo what hooks did: runtime-spec has a create whose hook failed go on with the end
    of the life cycle. What fails now is only logged: the first failure is what counts."""
    if not request.hooked:
        return
    try:
        hooks.run("poststop", request.hooks.get("poststop", ()), record.state(state.STOPPED))
    except HetociError as error:
        report.log(request.host, request.line, str(error))


def _me(host: Host) -> tuple[int, str]:
    return os.getpid(), host.start_time(os.getpid()) or ""


def _claim(host: Host, plan: Plan, holder: Holder) -> tuple[Core, list[Claim]]:
    busy = []
    for core in plan.candidates:
        try:
            return core, claims.acquire_all(host, [core.key], holder)
        except DeviceBusy as error:
            busy.append(f"core {core.name}: {error}")
    raise DeviceBusy("; ".join(busy), device=plan.candidates[0].instance)


def _console_socket(line: CommandLine, bundle: Bundle) -> str | None:
    path = line.value("console-socket")
    wanted = bundle.section("process", "terminal") is True
    if wanted and not path:
        raise UsageError("config.json asks for a terminal", hint="give --console-socket")
    if path and not wanted:
        raise UsageError("--console-socket is given, but config.json asks for no terminal")
    return path


def _facts(host: Host, plan: Plan, firmware: Firmware, core: Core) -> dict[str, Any]:
    from .backends import remoteproc

    return {
        "kind": plan.workload.kind,
        "core": core.instance,
        "coreName": core.name,
        "firmware": plan.workload.path,
        "attributes": remoteproc.attributes(host, core.instance),
        "consoles": list(plan.workload.consoles),
        "traces": [(t.name, t.size) for t in firmware.table.traces()] if firmware.table else [],
        "stopTimeout": plan.workload.stop_timeout,
        "endpoints": list(plan.workload.endpoints),
    }


def _start_keeper(
    request: Request,
    record: Record,
    kind: type[Keeper],
    payload: Any,
    claimed: Sequence[Claim],
    undo: Callable[[], None],
) -> None:
    host, line = request.host, request.line
    ready_from, ready_to = os.pipe()
    go_from, go_to = os.pipe()
    job = keeper.Job(record, claimed, payload, ready_to, go_from, _bug_log(host, line))
    job.console_socket = request.console_socket
    job.new_network = _wants_new_network(request.bundle)
    score = request.bundle.section("process", "oomScoreAdj")
    job.oom_score = score if isinstance(score, int) else None
    pid = keeper.fork(host, kind, job)
    os.close(ready_to)
    os.close(go_from)
    try:
        _see_through(request, record, pid, ready_from)
        os.write(go_to, b"g")
    except BaseException:
        os.close(go_to)
        _reap_child(host, pid)
        undo()
        raise
    os.close(go_to)
    os.close(ready_from)


def _see_through(request: Request, record: Record, pid: int, ready: int) -> None:
    """From the forked keeper to a container that is created but for the word to stay."""
    host, pid_file = request.host, request.line.value("pid-file")
    record.data["keeper"] = (pid, host.start_time(pid) or "")
    record.save()
    host.checkpoint("create:forked")
    _await_ready(ready)
    host.checkpoint("create:ready")
    request.hooked = True
    for phase in ("prestart", "createRuntime"):
        now = {**record.state(state.CREATING), "pid": pid}
        hooks.run(phase, record.data["hooks"].get(phase, ()), now)
    if pid_file:
        _write_pid_file(host, pid_file, pid)
    host.checkpoint("create:pid-file")
    record.data["committed"] = True
    record.save()
    if not record.data["hooks"].get("poststart"):  # which are run by the interpreter
        record.offer_answers()
    host.checkpoint("create:committed")


def _bug_log(host: Host, line: CommandLine) -> Callable[[str, str], None]:
    def fail(message: str, trace: str) -> None:
        if not report.log(host, line, message, trace):
            os.write(2, trace.encode())

    return fail


def _wants_new_network(bundle: Bundle) -> bool:
    """True if the spec has a network namespace of its own. The keeper needs none, but an
    engine's hook configures the one of the container's pid, which must not be the host's."""
    spaces = bundle.section("linux", "namespaces")
    return any(
        isinstance(space, dict) and space.get("type") == "network" and not space.get("path")
        for space in (spaces if isinstance(spaces, list) else ())
    )


def _await_ready(descriptor: int) -> None:
    with os.fdopen(os.dup(descriptor), "rb") as stream:
        text = stream.read().decode()
    if text != "ok":
        raise HetociError(text or "the keeper was killed while it was set up")


def _write_pid_file(host: Host, path: str, pid: int) -> None:
    try:
        host.put(path, str(pid).encode(), 0o644)  # engines parse it raw: no newline
    except OSError as error:
        raise BundleError(f"cannot write the pid file {path}: {error.strerror}") from error


def _reap_child(host: Host, pid: int) -> None:
    """Wait for a keeper that was told to give up, by force if it does not."""
    start = host.start_time(pid)
    if start and not keeper.wait_gone(host, pid, start, _ABORT):
        os.kill(pid, signal.SIGKILL)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass
