# SPDX-License-Identifier: MIT
"""create of a container that is a Xen domain, and what plan says of it."""

from __future__ import annotations

import os

from .. import claims, execute
from ..backends import xen
from ..domain import keeper, life, planning
from ..errors import BundleError
from ..model import Holder
from .create import container_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..assign import Placement
    from ..bundle import Bundle
    from ..claims import Claim
    from ..cmdline import CommandLine
    from ..config import Config
    from ..contents import Content
    from ..domain.plan import Plan
    from ..host import Host
    from ..state import Record
    from ..workloads import DomainWorkload


def create(
    host: Host, line: CommandLine, bundle: Bundle, settings: Config, workload: DomainWorkload
) -> Record:
    """The record of a container whose domain is built and whose keeper waits for start."""
    from . import reap

    container = container_id(line)
    xen.require(host)
    reap.quick(host, reap.KINDS if workload.accelerators or workload.vm else ())
    request = execute.Request(host, line, container, bundle)
    name = xen.domain_name(line.root, container)
    plan = planning.make(host, bundle, settings, workload, name)
    try:
        return _create(request, settings, workload, plan)
    finally:
        if plan.disk:
            plan.disk.close()


def _create(
    request: execute.Request, settings: Config, workload: DomainWorkload, plan: Plan
) -> Record:
    host, line, bundle, container = request.host, request.line, request.bundle, request.container
    made: list[Record] = []

    def note(held: list[dict[str, Any]]) -> None:
        plan.held = held
        made.append(execute.note(request, _facts(workload, plan)))
        if plan.hardware and plan.hardware.memory:
            from .. import designs

            designs.clear_memory(host, plan.hardware.memory)

    me = Holder(container, line.root, os.getpid(), host.start_time(os.getpid()) or "")
    try:
        claimed = _claim(host, bundle, settings, workload, plan, me, note)
    except BaseException:
        for record in made:
            record.remove()
        raise
    (record,) = made
    try:
        execute.begin(
            request,
            record,
            keeper.DomainKeeper,
            plan,
            claimed,
            lambda: _undo(host, record, plan),
        )
    finally:
        for claim in claimed:
            claim.release()
    return record


def _undo(host: Host, record: Record, plan: Plan) -> None:
    """Give back what a keeper that was killed on its way has left."""
    life.await_built(host, record.directory, plan.name)
    life.destroy(host, plan.name, plan.held)


def _facts(workload: DomainWorkload, plan: Plan) -> dict[str, Any]:
    return {
        "kind": workload.kind,
        "domain": plan.name,
        "ownKernel": plan.items is None,
        "memory": plan.settings["memory"],
        "vcpus": plan.settings["vcpus"],
        "stopMethod": workload.stop_method,
        "stopTimeout": workload.stop_timeout,
        "held": plan.held,
    }


def _claim(
    host: Host,
    bundle: Bundle,
    settings: Config,
    workload: DomainWorkload,
    plan: Plan,
    me: Holder,
    note: Callable[[list[dict[str, Any]]], None],
) -> list[Claim]:
    """Claim what the domain gets of the board and call `note`; with accelerators also program
    them, all or nothing."""
    keys: list[str] = []
    if workload.vm and plan.hardware:
        from ..domain import hardware

        keys = hardware.claims_of(host, workload.vm, plan.hardware)
    if not workload.accelerators:
        claimed = claims.acquire_all(host, keys, me)
        try:
            note([])
        except BaseException:
            for claim in claimed:
                claim.give_up()
            raise
        return claimed
    from .. import accelerate

    plan.accelerators, claimed = accelerate.prepare(
        host,
        _rootfs(bundle),
        settings,
        workload.accelerators,
        me,
        note,
        others=keys,
        accept=lambda placement, files: _equip(host, workload, plan, placement, files),
        domain=True,
    )
    for accelerator in plan.accelerators:
        accelerator.content.forget_files()  # the keeper lives long
        if plan.hardware:
            accelerator.nodes = tuple(plan.hardware.nodes[accelerator.request.name])
    return claimed


def _equip(
    host: Host,
    workload: DomainWorkload,
    plan: Plan,
    placement: Placement,
    contents: dict[str, Content],
) -> None:
    """Add the slots to the plan's hardware. Raises BundleError or PolicyDenied."""
    from ..domain import hardware

    found = plan.hardware or hardware.Hardware()
    linux = plan.items is not None
    hardware.add(host, found, workload.accelerators, placement, contents, linux=linux)
    hardware.settle(found, plan)


def _rootfs(bundle: Bundle) -> str:
    if bundle.rootfs is None:
        raise BundleError(f"{bundle.path}/config.json has no root.path")
    return bundle.rootfs


# plan


def plan_of(
    host: Host, bundle: Bundle, settings: Config, workload: DomainWorkload
) -> tuple[dict[str, Any], str]:
    """What create and start would do: for `plan --json`, and in words."""
    plan = planning.make(host, bundle, settings, workload, xen.PREFIX + "plan")
    own = workload.kernel or (workload.vm.kernel if workload.vm else "")
    kernel = own or settings.domain_kernel
    devices, steps = _devices(host, bundle, settings, workload, plan)
    build: dict[str, Any] = {
        "op": "build",
        "device": "domain",
        "kernel": kernel,
        "memory": int(str(plan.settings["memory"])) << 20,
        "vcpus": plan.settings["vcpus"],
        **{k: plan.settings[k] for k in ("iomem", "irqs", "dtdev") if k in plan.settings},
    }
    if plan.disk:
        build["disk"] = (workload.vm.disk if workload.vm else "") or workload.disk
        build["writable"] = not plan.disk.read_only
        plan.disk.close()
    if plan.hardware and plan.hardware.tree:
        place = plan.hardware.tree.child("passthrough")
        build["nodes"] = [f"/passthrough/{node.name}" for node in (place.children if place else ())]
    steps += [build, {"op": "start", "device": "domain", "program": _program(plan)}]
    words = f"a Xen domain with {plan.settings['memory']} MiB and the kernel {kernel}\n"
    if plan.items is not None:
        words += f"its root is {plan.root[0]}, served by dom0\n"
    words += "".join(_words(step) for step in steps[:-1])
    return {"workload": workload.kind, "devices": devices, "steps": steps}, words


def _program(plan: Plan) -> str:
    return "the image's" if plan.items is not None else ""


def _devices(
    host: Host, bundle: Bundle, settings: Config, workload: DomainWorkload, plan: Plan
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The slots that it could get, and the steps until they are ready."""
    if not workload.accelerators:
        return {}, []
    from .. import accelerate

    devices, steps, _ = accelerate.plan(
        host,
        _rootfs(bundle),
        settings,
        workload.accelerators,
        accept=lambda placement, files: _equip(host, workload, plan, placement, files),
        domain=True,
    )
    ours = ("claim", "load", "verify", "prepare")  # the rest is the domain's
    return devices, [step.to_json() for step in steps if step.op in ours]


def _words(step: dict[str, Any]) -> str:
    details = [f"{k} {_short(v)}" for k, v in step.items() if k not in ("op", "device")]
    words = f" ({', '.join(details)})" if details else ""
    return f"  {step['op']} {step['device']}{words}\n"


def _short(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
