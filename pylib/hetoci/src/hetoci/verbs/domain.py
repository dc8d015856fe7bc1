# SPDX-License-Identifier: MIT
"""What engines ask of a container that is a Xen domain, from create to delete."""

from __future__ import annotations

import os

from .. import fastjson, state
from ..errors import BundleError, HetociError, StateError, TeardownError
from ..host import explain
from ..signals import signal
from . import kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..bundle import Bundle
    from ..cmdline import CommandLine
    from ..config import Config
    from ..host import Host
    from ..state import Record
    from ..workloads import DomainWorkload

PAUSED = "paused"

#: Default action "ignore" and "stop" (signal(7)): a kernel of the image's own has no signals.
_IGNORED = frozenset((0, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT))
_STOPPING = frozenset((signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU))

#: How long a keeper may take to end, s.
_PATIENCE = 30.0


# create and plan


def create(
    host: Host, line: CommandLine, bundle: Bundle, settings: Config, workload: DomainWorkload
) -> int:
    """`create [options] ID`: afterwards the domain is built and its keeper waits for start."""
    from . import domain_create

    domain_create.create(host, line, bundle, settings, workload)
    return 0


def run(
    host: Host, line: CommandLine, bundle: Bundle, settings: Config, workload: DomainWorkload
) -> int:
    """`run [--detach] ID`: the exit code of the program, or of the domain."""
    from . import domain_create

    record = domain_create.create(host, line, bundle, settings, workload)
    return kept.run_created(host, line, record, _kill, give_back)


def plan_of(
    host: Host, bundle: Bundle, settings: Config, workload: DomainWorkload
) -> tuple[dict[str, Any], str]:
    """What create and start would do: for `plan --json`, and in words."""
    from . import domain_create

    return domain_create.plan_of(host, bundle, settings, workload)


# kill


def kill(host: Host, line: CommandLine) -> int:
    """`kill ID [SIGNAL]`: to the process in the domain; SIGKILL ends the domain at once. A kernel
    of the image's own is asked to shut down, or ended, by any signal that ends a process."""
    record = kept.record_of(host, line)
    number = kept.parse_signal(line.positional[1] if len(line.positional) > 1 else "TERM")
    if record.status() == state.STOPPED:
        raise StateError("container not running")
    own = record.data["ownKernel"]
    if number == 0 or (own and number in _IGNORED):
        return 0
    if own and number in _STOPPING:
        raise StateError(f"signal {number} would pause container {record.id}", hint="use pause")
    if record.marked(state.STARTED) and number != signal.SIGKILL:
        if own and record.data["stopMethod"] == "shutdown":
            _ask_to_shut_down(host, record, number)
            return 0
        if not own:
            _tell(host, record, f"signal 0 {number}")
            return 0
    _kill(host, record, number)
    return 0


def _tell(host: Host, record: Record, command: str) -> None:
    """Give the keeper a command that has no answer."""
    try:
        control = host.open(f"{record.directory}/{state.CONTROL}", os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        raise StateError("container not running") from error
    try:
        os.write(control, f"{command}\n".encode())
    finally:
        os.close(control)


def _ask_to_shut_down(host: Host, record: Record, number: int) -> None:
    from ..backends import xen
    from ..domain.store import Store

    record.mark(state.SIGNAL, str(number))
    store = Store(host)
    try:
        domain = xen.find(store, record.data["domain"])
        if domain:
            store.write(f"/local/domain/{domain}/control/shutdown", "poweroff")
    finally:
        store.close()
    _tell(host, record, f"expire {record.data['stopTimeout']}")


def _kill(host: Host, record: Record, number: int) -> None:
    """End the container. The domain goes first; the keeper sees it and ends with the code."""
    from .. import keeper
    from ..backends import xen

    pid, begin = record.data["keeper"] or (0, "")
    record.mark(state.SIGNAL, str(number))
    host.checkpoint("kill:marked")
    if record.marked(state.STARTED):
        xen.destroy(host, record.data["domain"])
    elif host.alive(pid, begin):
        kept.signal_process(pid, signal.SIGTERM)
    host.checkpoint("kill:stopped")
    if not keeper.wait_gone(host, pid, begin, _PATIENCE):
        kept.signal_process(pid, signal.SIGKILL)
        keeper.wait_gone(host, pid, begin, _PATIENCE)


# delete


def delete(host: Host, line: CommandLine) -> int:
    """`delete [--force] ID`: forget the container and give back what it had."""
    record = kept.record_of(host, line)
    kept.delete_record(host, record, _kill, give_back, force=line.flag("force", "f"))
    return 0


def give_back(host: Host, record: Record) -> list[str]:
    """Destroy what is left of the domain of a container whose keeper has ended, and empty its
    slots; what failed, in sentences. Safe to repeat."""
    from .. import cgroup
    from ..backends import xen
    from ..domain import life

    failures = []
    try:
        life.await_built(host, record.directory, record.data["domain"])
        xen.destroy(host, record.data["domain"])
        if record.marked(state.NETWORK):
            from ..domain import network

            network.clean(host, record)
        # Only now: what is in a slot must not change under the domain that has it.
        if record.data.get("held"):
            from .. import accelerate

            held, root = record.data["held"], record.data["root"]
            failures += accelerate.give_back(host, held, record.id, root)
    except HetociError as error:
        failures.append(str(error))
    if record.data["cgroup"]:
        cgroup.remove(host, record.data["cgroup"])
    return failures


# the rest


def show_state(host: Host, line: CommandLine) -> int:
    """`state ID`: the state object on stdout."""
    from sys import stdout

    record = kept.record_of(host, line)
    stdout.write(fastjson.dumps(record.state(status(host, record))) + "\n")
    return 0


def pause(host: Host, line: CommandLine) -> int:
    """`pause ID`: the hypervisor stops giving the domain time."""
    from ..backends import xen

    record = _running(host, line)
    xen.xl(host, ["pause", record.data["domain"]])
    record.mark(PAUSED)
    return 0


def resume(host: Host, line: CommandLine) -> int:
    """`resume ID`."""
    from ..backends import xen

    record = kept.record_of(host, line)
    if status(host, record) != PAUSED:
        raise StateError(f"container {record.id} is not paused")
    xen.xl(host, ["unpause", record.data["domain"]])
    host.remove(f"{record.directory}/{PAUSED}")
    return 0


def _running(host: Host, line: CommandLine) -> Record:
    record = kept.record_of(host, line)
    now = status(host, record)
    if now != state.RUNNING:
        raise StateError(f"cannot {line.verb} container {record.id}: it is {now}, not running")
    return record


def update(host: Host, line: CommandLine) -> int:
    """`update ID`: memory, down and up again to what the domain began with. Other resources are
    accepted without effect, because orchestrators set them of every container now and then."""
    from ..backends import xen
    from ..domain.store import Store

    record = kept.record_of(host, line)
    wanted = _wanted_memory(host, line)
    if wanted <= 0:
        return 0
    most = int(record.data["memory"])
    size = -(-wanted // (1 << 20))
    if size > most:
        raise StateError(
            f"container {record.id} began with {most} MiB, {size} MiB are more than it can get",
            hint="Xen fixes a domain's maximum when it is built",
        )
    store = Store(host)
    try:
        # What `xl mem-set` does for the guest; xl 4.20 itself aborts on Arm (libxl_defbool).
        domain = xen.find(store, record.data["domain"])
        if domain:
            store.write(f"/local/domain/{domain}/memory/target", str(size << 10))
    finally:
        store.close()
    return 0


def _wanted_memory(host: Host, line: CommandLine) -> int:
    """Bytes, from --memory or --resources; 0 if there is nothing about it."""
    from json import loads

    given = line.value("memory")
    if given is not None:
        return int(given) if given.lstrip("-").isdecimal() else 0
    path = line.value("resources", "r")
    if path is None:
        return 0
    try:
        text = os.read(0, 1 << 20) if path == "-" else host.read(path)
        limit = (loads(text).get("memory") or {}).get("limit")
    except OSError as error:
        raise BundleError(f"cannot read {path}: {explain(error)}") from error
    except (ValueError, AttributeError) as error:
        raise BundleError(f"the resources in {path} are no JSON object") from error
    return limit if isinstance(limit, int) else 0


def events(host: Host, line: CommandLine) -> int:
    """`events --stats ID`: what the hypervisor gives the domain, in the words of runc."""
    from sys import stdout

    from ..backends import xen

    record = _running(host, line)
    if not line.flag("stats"):
        raise StateError(
            f"events does not apply to container {record.id}: it is a Xen domain, of which there is"
            " --stats only"
        )
    name = record.data["domain"]
    found = next((d for d in xen.listed(host, name) if d.name == name), None)
    if found is None:
        raise StateError("container not running")
    cpu = {"usage": {"total": int(found.seconds * 1e9)}}
    memory = {"usage": {"usage": found.memory << 20, "limit": int(record.data["memory"]) << 20}}
    stats = {"type": "stats", "id": record.id, "data": {"cpu": cpu, "memory": memory}}
    stdout.write(fastjson.dumps(stats) + "\n")
    return 0


def refuse(host: Host, line: CommandLine) -> int:
    """Verbs that make no sense for a domain."""
    record = kept.record_of(host, line)
    reasons = {
        "checkpoint": "Xen on Arm cannot save a domain",
        "mounts": "its mounts are in its own kernel",
    }
    raise StateError(
        f"{line.verb} does not apply to container {record.id}: it is a Xen domain, and"
        f" {reasons[line.verb or '']}"
    )


def execute_program(host: Host, line: CommandLine) -> int:
    """`exec [options] ID [PROGRAM ...]`."""
    from . import domain_exec

    record = _running(host, line)
    if record.data["ownKernel"]:
        raise StateError(
            f"exec does not apply to container {record.id}: it runs the image's own kernel,"
            " which takes no programs"
        )
    return domain_exec.execute(host, line, record)


def reap(host: Host, record: Record, *, orphaned: bool) -> str:
    """Give back what a container without keeper has; words about what was done, "" for nothing.
    Raises TeardownError."""
    from ..domain import life

    if record.keeper or record.being_created:
        return ""
    forget = record.abandoned or orphaned
    if not forget and not life.left(host, record.data["root"], record.id):
        return ""
    failures = give_back(host, record)
    if failures:
        raise TeardownError(failures)
    if not forget:
        return f"destroyed the domain of container {record.id}, whose keeper was killed"
    record.remove()
    return f"forgot container {record.id}, which nobody owns"


def status(_host: Host, record: Record) -> str:
    """The OCI status now, or `paused`, which engines know."""
    now = record.status()
    return PAUSED if now == state.RUNNING and record.marked(PAUSED) else now


def hardware(record: Record) -> dict[str, Any]:
    """What the container has, for `hetoci ps --json`."""
    return {
        "devices": [record.data["domain"], *(e["name"] for e in record.data.get("held") or ())],
        "domain": record.data["domain"],
        "memory": int(record.data["memory"]) << 20,
        "vcpus": record.data["vcpus"],
    }


VERBS = {
    "start": kept.start,
    "state": show_state,
    "kill": kill,
    "delete": delete,
    "ps": kept.ps,
    "pause": pause,
    "resume": resume,
    "update": update,
    "exec": execute_program,
    "events": events,
    **dict.fromkeys(("checkpoint", "mounts"), refuse),
}
