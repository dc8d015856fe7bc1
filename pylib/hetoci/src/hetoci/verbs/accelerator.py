# SPDX-License-Identifier: MIT
"""Containers with accelerators: the delegate runs the program, we give it its devices.

Only create, run, delete and state are ours; every other verb is the delegate's.
"""

from __future__ import annotations

import os
import sys

from .. import (
    accelerate,
    cgroup,
    claims,
    delegate,
    describe,
    fastjson,
    inject,
    state,
)
from ..cmdline import with_bundle
from ..errors import BundleError, DelegateError, DeviceError, HetociError, TeardownError
from ..model import UNLOCKED, Holder, Step
from .create import container_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..accelerate import Prepared
    from ..bundle import Bundle
    from ..claims import Claim
    from ..cmdline import CommandLine
    from ..config import Config
    from ..endpoints import Found
    from ..host import Host
    from ..state import Record
    from ..workloads import AcceleratorWorkload

#: In the record's directory, where the engine asks for no file with the container's pid.
_PID_FILE = "pid"
#: In the record's directory: what the delegate gets as the bundle.
_BUNDLE = "bundle"

#: Exit codes above this one are signals; that of a delegate that was killed.
_SIGNALS = 128
_KILLED = _SIGNALS + 9


# create and run


def create(
    host: Host, line: CommandLine, bundle: Bundle, settings: Config, workload: AcceleratorWorkload
) -> int:
    """`create [options] ID`: program, then have the delegate create the container."""
    record, taken = _prepare(host, line, bundle, settings, workload)
    try:
        code = delegate.run(host, _delegates_words(line, record))
        host.checkpoint("create:delegated")
        if code == 0:
            _hand_over(host, line, record, taken)
            return 0
    except BaseException:
        _withdraw(host, record)
        _forget(host, record, taken)
        raise
    _withdraw(host, record, code)
    _forget(host, record, taken)
    return code


def run(
    host: Host, line: CommandLine, bundle: Bundle, settings: Config, workload: AcceleratorWorkload
) -> int:
    """`run [options] ID`: as create, then to the program's end; with --detach until it runs."""
    record, taken = _prepare(host, line, bundle, settings, workload)
    try:
        code = delegate.run(host, _delegates_words(line, record))
        if code == 0 and line.flag("detach", "d"):
            _hand_over(host, line, record, taken)
            return 0
    except BaseException:
        _withdraw(host, record)
        _forget(host, record, taken)
        raise
    if code:
        _withdraw(host, record, code)
    _forget(host, record, taken)
    return code


def _prepare(
    host: Host, line: CommandLine, bundle: Bundle, settings: Config, workload: AcceleratorWorkload
) -> tuple[Record, list[Claim]]:
    """Claimed, programmed, recorded, and a bundle for the delegate; or nothing of it."""
    from . import reap

    container = container_id(line)
    rootfs = _rootfs(bundle)
    delegate.find(host)
    _check(host, bundle, workload)
    reap.quick(host, reap.KINDS if workload.endpoints else (reap.FABRICS,))
    me = Holder(container, line.root, os.getpid(), host.start_time(os.getpid()) or "")
    made: list[Record] = []

    def note(held: list[dict[str, Any]]) -> None:
        facts = {
            "kind": workload.kind,
            "bundle": bundle.path,
            "rootfs": rootfs,
            "created": host.now(),
            "annotations": bundle.annotations,
            "creator": (me.pid, me.start),
            "holder": None,
            "held": held,
            "committed": False,
        }
        made.append(state.create(host, line.root, container, facts))
        host.checkpoint("create:recorded")

    found = _endpoints(host, bundle, settings, workload)
    try:
        prepared, taken = accelerate.prepare(
            host, rootfs, settings, workload.accelerators, me, note, endpoints=found
        )
    except BaseException:
        for record in made:
            record.remove()
        raise
    (record,) = made
    try:
        _write_bundle(host, bundle, record, prepared, found)
    except BaseException:
        _forget(host, record, taken)
        raise
    return record, taken


def _check(host: Host, bundle: Bundle, workload: AcceleratorWorkload) -> None:
    """Raise BundleError for a container that cannot have the devices."""
    names = [request.name for request in workload.accelerators]
    names += [request.name for request in workload.endpoints]
    inject.check(host, bundle, [f"{describe.DIRECTORY}/{name}" for name in names])


def _endpoints(
    host: Host,
    bundle: Bundle,
    settings: Config,
    workload: AcceleratorWorkload,
    *,
    wait: bool = True,
) -> list[Found]:
    """The endpoints' channels. If they cannot be had, what speaks against the accelerators is
    said as well."""
    if not workload.endpoints:
        return []
    from .. import endpoints

    find = endpoints.find if wait else endpoints.look
    try:
        return find(host, workload.endpoints, bundle.annotations)
    except HetociError as error:
        try:
            accelerate.plan(host, _rootfs(bundle), settings, workload.accelerators)
        except HetociError as other:
            raise DeviceError(f"{error}; and {other}") from error
        raise


def _rootfs(bundle: Bundle) -> str:
    if bundle.rootfs is None:
        raise BundleError(f"{bundle.path}/config.json has no root.path")
    return bundle.rootfs


def _write_bundle(
    host: Host, bundle: Bundle, record: Record, prepared: list[Prepared], found: list[Found]
) -> None:
    """The delegate's bundle: config.json with the devices, and their description."""
    devices, description = describe.all_of(prepared, found)
    where = f"{record.directory}/devices.json"
    config = inject.edited(host, bundle, devices, where)
    host.put(where, (fastjson.dumps(description) + "\n").encode(), 0o444)
    host.make_directory(f"{record.directory}/{_BUNDLE}")
    host.put(f"{record.directory}/{_BUNDLE}/config.json", fastjson.dumps(config).encode())
    host.checkpoint("create:bundle")


def _delegates_words(line: CommandLine, record: Record) -> list[str]:
    """The words of create or run for the delegate: our bundle, and a file for the pid unless the
    engine wants one, which saves asking for it."""
    words = with_bundle(line, f"{record.directory}/{_BUNDLE}")
    if line.value("pid-file") is None:
        at = line.verb_at + 1
        words[at:at] = ["--pid-file", f"{record.directory}/{_PID_FILE}"]
    return words


def _hand_over(host: Host, line: CommandLine, record: Record, taken: list[Claim]) -> None:
    """Bind the claims to the container's process instead of this one."""
    pid = _container_pid(host, line, record)
    start = host.start_time(pid) or ""
    group = cgroup.of_process(host, pid)
    if group in ("", cgroup.of_process(host, os.getpid())):
        group = UNLOCKED
    holder = Holder(record.id, line.root, pid, start, group)
    record.data["holder"] = (pid, start, group)
    record.save()
    for claim in taken:
        claim.hand_over(holder)
    host.checkpoint("create:handed-over")
    record.data["committed"] = True
    record.save()
    host.checkpoint("create:committed")


def _container_pid(host: Host, line: CommandLine, record: Record) -> int:
    text = host.text(line.value("pid-file") or f"{record.directory}/{_PID_FILE}")
    if text and text.isdecimal():
        return int(text)
    found = _delegates_state(host, record)
    pid = found.get("pid")
    if isinstance(pid, int) and pid > 0:
        return pid
    if found.get("status") == state.STOPPED:
        return 0
    raise DelegateError(
        f"cannot find out the process of container {record.id}: the delegate's state has no pid"
    )


def _delegates_state(host: Host, record: Record) -> dict[str, Any]:
    """What the delegate says of the container; {} if it knows none."""
    code, text = delegate.ask(host, [*_root(record), "state", record.id])
    return fastjson.as_object(text) if code == 0 else {}


def _root(record: Record) -> list[str]:
    root = record.data["root"]
    return ["--root", root] if root else []


def _withdraw(host: Host, record: Record, code: int = _KILLED) -> None:
    """See to it that the delegate has nothing of the record's container any more.

    It keeps a container of the same id that is not the record's: it may have refused because of
    that one. code: with which it ended; one that was killed may have left what it calls no
    container itself.
    """
    try:
        found = _delegates_state(host, record)
        if found:
            ours = host.resolve(f"{record.directory}/{_BUNDLE}")
            wanted = host.resolve(str(found.get("bundle"))) == ours
        else:
            wanted = code > _SIGNALS
        if wanted:
            delegate.ask(host, [*_root(record), "delete", "--force", record.id])
    except DelegateError:  # it cannot be run, so it has made nothing either
        return


def _forget(host: Host, record: Record, taken: list[Claim]) -> None:
    """Undo what `_prepare` did while its claims are still ours; failures stay for reap."""
    accelerate.undo(host, record.data["held"], taken)
    record.remove()


# state, delete


def show_state(host: Host, line: CommandLine) -> int:
    """`state ID`: the delegate's, with the bundle that the engine gave."""
    record = state.load(host, line.root, line.positional[0])
    found = _delegates_state(host, record)
    if not found:
        return delegate.replace_us(host, line.argv)
    found["bundle"] = record.data["bundle"]
    sys.stdout.write(fastjson.dumps(found) + "\n")
    return 0


def status(host: Host, record: Record) -> str:
    """The OCI status now; stopped if the delegate has no such container any more."""
    return str(_delegates_state(host, record).get("status", state.STOPPED))


def delete(host: Host, line: CommandLine) -> int:
    """`delete [--force] ID`: the delegate's part first, then the devices are given back."""
    record = state.load(host, line.root, line.positional[0])
    code = delegate.run(host, line.argv) if _delegates_state(host, record) else 0
    if code:
        return code
    host.checkpoint("delete:delegated")
    failures = give_back(host, record)
    host.checkpoint("delete:given-back")
    record.remove()
    if failures:
        raise TeardownError(failures)
    return 0


def give_back(host: Host, record: Record) -> list[str]:
    """Return the devices of a container that has ended; what failed, in sentences."""
    return accelerate.give_back(host, record.data["held"], record.id, record.data["root"])


def reap(host: Host, record: Record, *, orphaned: bool) -> str:
    """Give back what the container has, if nothing of it lives; what was done, "" for nothing.

    orphaned: the bundle is gone, so the engine will never ask for the container again.
    """
    if record.being_created:
        return ""
    pid, start, group = record.data["holder"] or (0, "", UNLOCKED)
    abandoned = not record.data["committed"]
    living = claims.lives(host, Holder(record.id, "", pid, start, group))
    if living and not (abandoned or orphaned):
        return ""
    if abandoned or orphaned:
        _withdraw(host, record)
    failures = give_back(host, record)
    if failures:
        raise TeardownError(failures)
    if abandoned or orphaned:
        record.remove()
        return f"forgot container {record.id}, which nobody owns"
    return ""


# plan


def plan_of(
    host: Host, bundle: Bundle, settings: Config, workload: AcceleratorWorkload
) -> tuple[dict[str, Any], str]:
    """What create and start would do: for `plan --json`, and in words."""
    rootfs = _rootfs(bundle)
    runtime = delegate.find(host)
    _check(host, bundle, workload)
    found = _endpoints(host, bundle, settings, workload, wait=False)
    devices, steps, loads = accelerate.plan(host, rootfs, settings, workload.accelerators)
    for one in found:
        devices[one.request.name] = {"candidates": [one.device], "refused": []}
    value = {
        "workload": workload.kind,
        "devices": devices,
        "steps": [
            step.to_json()
            for step in (
                *(Step("await", one.device) for one in found),
                *(Step("claim", one.device) for one in found),
                *steps,
                *(Step("hand-over", e.device, path=f"/dev/hetoci/{e.request.name}") for e in found),
                Step("start", "delegate", path=runtime),
            )
        ],
    }
    return value, _prose(value, workload, loads)


def _prose(value: dict[str, Any], workload: AcceleratorWorkload, after_load: bool) -> str:
    parts = [
        f"{what} {', '.join(request.name for request in requests)}"
        for what, requests in (
            ("accelerators", workload.accelerators),
            ("endpoints", workload.endpoints),
        )
        if requests
    ]
    lines = [f"a Linux program with {' and '.join(parts)}"]
    for number, step in enumerate(value["steps"], 1):
        details = [f"{k} {v}" for k, v in step.items() if k not in ("op", "device")]
        words = f" ({', '.join(details)})" if details else ""
        lines.append(f"  {number}. {step['op']} {step['device']}{words}")
    if after_load:
        lines.append("  and the accelerators as planned once the shell's slots are there")
    for name, device in value["devices"].items():
        if len(device["candidates"]) > 1:
            lines.append(f"{name} could go to: {', '.join(device['candidates'])}")
        for other in device["refused"]:
            lines.append(f"{name} not to {other['device']}: {'; '.join(other['reasons'])}")
    return "\n".join(lines) + "\n"


def hardware(record: Record) -> dict[str, Any]:
    """What the container has, for `hetoci ps --json`."""
    return {"devices": [entry["name"] for entry in record.data["held"]]}


VERBS = {"state": show_state, "delete": delete}
