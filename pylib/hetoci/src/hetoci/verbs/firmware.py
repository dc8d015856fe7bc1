# SPDX-License-Identifier: MIT
"""What engines ask of a firmware container, from create to delete."""

from __future__ import annotations

from .. import bundle as bundles
from .. import cdi, cgroup, digest, execute, inventory, keeper, metadata, plan, state
from ..backends import remoteproc
from ..errors import BundleError, HetociError, StateError
from ..signals import signal
from . import kept
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
    return kept.run_created(host, line, record, _kill, give_back)


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
    reap.quick(host, (reap.CORES, reap.ENDPOINTS))
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
        actual = digest.name(image)
        if actual != workload.digest:
            raise BundleError(
                f"firmware {workload.path} has the digest {actual}, the metadata says"
                f" {workload.digest}"
            )
    return image


# kill


def kill(host: Host, line: CommandLine) -> int:
    """`kill ID [SIGNAL]`: what the signal's default action does to a process, done to the
    core by way of the kernel, never by way of the keeper."""
    record = kept.record_of(host, line)
    number = kept.parse_signal(line.positional[1] if len(line.positional) > 1 else "TERM")
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
        kept.signal_process(pid, signal.SIGTERM)
    host.checkpoint("kill:stopped")
    if not keeper.wait_gone(host, pid, begin, float(record.data["stopTimeout"])):
        kept.signal_process(pid, signal.SIGKILL)
        keeper.wait_gone(host, pid, begin, _LAST_RESORT)
    if failure is not None:
        raise failure


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
    record = kept.record_of(host, line)
    kept.delete_record(host, record, _kill, give_back, force=line.flag("force", "f"))
    return 0


def give_back(host: Host, record: Record) -> list[str]:
    """Return the core, the staged firmware and the cgroup of a container whose keeper has
    ended, as far as the keeper did not; what failed, in sentences. Safe to repeat."""
    from . import reap

    failures = reap.free_core(host, record.core, record.data["attributes"])
    if record.data["cgroup"]:
        cgroup.remove(host, record.data["cgroup"])
    if record.data["endpoints"]:
        try:
            cdi.refresh_endpoints(host, record.core, record.data["coreName"])
        except OSError as error:
            failures.append(cdi.trouble(error))
    return failures


# what firmware cannot do


def refuse(host: Host, line: CommandLine) -> int:
    """Verbs that make no sense for firmware: say why."""
    record = kept.record_of(host, line)
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
    kept.record_of(host, line)
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
    "start": kept.start,
    "state": kept.show_state,
    "kill": kill,
    "delete": delete,
    "ps": kept.ps,
    "update": update,
    **dict.fromkeys(("exec", "pause", "resume", "checkpoint", "events", "mounts"), refuse),
}
