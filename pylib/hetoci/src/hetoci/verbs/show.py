# SPDX-License-Identifier: MIT
"""devices, plan, ps-all, list: looking without touching."""

from __future__ import annotations

import os
import sys

from .. import bundle, config, delegate, inventory, state
from ..errors import DelegateError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..cmdline import CommandLine
    from ..host import Host
    from ..model import Core, Plan


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    lines = [header, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )


def _as_json(line: CommandLine) -> bool:
    return line.flag("json") or line.value("format", "f") == "json"


def _print_json(value: Any) -> None:
    from json import dumps

    sys.stdout.write(dumps(value, indent=2) + "\n")


def _size(count: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} B"


def devices(host: Host, line: CommandLine) -> int:
    """`devices [--json]`: what the board has, its state, who holds it."""
    cores = inventory.cores(host)
    if _as_json(line):
        _print_json([core.to_json() for core in cores])
        return 0
    if not cores:
        sys.stdout.write("This board has no remote cores (/sys/class/remoteproc is empty).\n")
        return 0
    rows = [
        (core.instance, core.name, core.type.title, core.state, _memory(core), _holder(core))
        for core in cores
    ]
    sys.stdout.write(table(("DEVICE", "NAME", "TYPE", "STATE", "MEMORY", "HELD BY"), rows))
    return 0


def _memory(core: Core) -> str:
    if core.memory is None:
        return "known to its driver"
    return ", ".join(f"{m.name} {_size(m.end - m.first)}" for m in core.memory if m.loadable)


def _holder(core: Core) -> str:
    if core.holder is not None:
        return str(core.holder)
    return "free" if core.state == "offline" else "somebody else"


def plan(host: Host, line: CommandLine) -> int:
    """`plan [--json] BUNDLE`: what create would do with the bundle, touching nothing."""
    from . import create

    path = line.positional[0] if line.positional else line.value("bundle", "b")
    if not path:
        raise UsageError("plan needs the path of a bundle")
    found = bundle.load(host, os.path.abspath(path))
    settings = config.load(host)
    workload = create.firmware_only(create.workload_of(host, found, settings))
    if workload is None:
        answer = {"workload": "linux", "delegate": delegate.find(host), "steps": []}
        _print_json(answer) if _as_json(line) else sys.stdout.write(
            f"plain container: handed to {answer['delegate']} as it is\n"
        )
        return 0
    result, _firmware, _image = create.make_plan(host, found, settings, workload)
    _print_json(result.to_json()) if _as_json(line) else sys.stdout.write(_prose(result))
    return 0


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


def _container(record: state.Record) -> dict[str, Any]:
    now = record.state()
    return {
        **now,
        "root": record.data["root"],
        "core": record.data["core"],
        "coreName": record.data["coreName"],
        "firmware": record.data["firmware"],
    }


def ps_all(host: Host, line: CommandLine) -> int:
    """`ps-all [--json]`: the firmware containers of all engines."""
    containers = [_container(record) for record in state.records(host)]
    if _as_json(line):
        _print_json(containers)
        return 0
    rows = [
        (c["id"], c["status"], str(c["pid"] or "-"), c["coreName"], c["firmware"], c["created"])
        for c in containers
    ]
    header = ("CONTAINER", "STATUS", "PID", "CORE", "FIRMWARE", "CREATED")
    sys.stdout.write(table(header, rows))
    return 0


def list_containers(host: Host, line: CommandLine) -> int:
    """`list [--format table|json] [--quiet]`: the delegate's containers under the same
    --root, and ours. Where we have none, the delegate answers alone."""
    ours = [r.state() for r in state.records(host) if r.data["root"] == line.root]
    if not ours:
        return delegate.replace_us(host, line.argv)
    root = ["--root", line.root] if line.root else []
    both = _delegate_list(host, root) + ours
    if line.flag("quiet", "q"):
        sys.stdout.write("".join(f"{c['id']}\n" for c in both))
    elif _as_json(line):
        _print_json(both)
    else:
        keys = ("id", "pid", "status", "bundle", "created", "owner")
        rows = [tuple(str(c.get(key, "")) for key in keys) for c in both]
        header = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
        sys.stdout.write(table(header, rows))
    return 0


def _delegate_list(host: Host, root: list[str]) -> list[dict[str, Any]]:
    from json import loads

    code, text = delegate.ask(host, [*root, "list", "--format", "json"])
    try:
        found = loads(text or b"null") if code == 0 else None
    except ValueError as error:
        raise DelegateError(f"the delegate's list is not JSON: {error}") from error
    return [c for c in found or [] if isinstance(c, dict)]
