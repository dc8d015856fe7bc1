# SPDX-License-Identifier: MIT
"""devices, plan, ps-all, list: looking without touching."""

from __future__ import annotations

import os
import sys

from .. import assign, bundle, config, delegate, fastjson, inventory, state, verbs
from ..errors import DelegateError, UsageError
from ..fabric import REGION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..bundle import Bundle
    from ..cmdline import CommandLine
    from ..domain.listing import Domain
    from ..fabric import Fabric
    from ..host import Host
    from ..model import Core, MemoryRange


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
    fabrics = inventory.fabrics(host, config.load(host).part)
    domains = inventory.domains(host)
    if _as_json(line):
        shown = [core.to_json() for core in cores] + [fabric.to_json() for fabric in fabrics]
        _print_json(shown + [domain.to_json() for domain in domains])
        return 0
    if not cores and not fabrics and not domains:
        sys.stdout.write(
            "This board has no remote cores (/sys/class/remoteproc is empty) and no"
            " programmable logic (/sys/class/fpga_region is empty).\n"
        )
        return 0
    rows = [
        (core.instance, core.name, core.type.title, core.state, _memory(core), _holder(core))
        for core in cores
    ]
    rows += [
        (f.instance, f.name, f.kind, _content(f), _sizes(f.memory), _fabric_holder(f))
        for f in fabrics
    ]
    rows += [
        (d.instance, d.name, f"domain, {_vcpus(d.vcpus)}", d.state, _size(d.size), _owner(d))
        for d in domains
    ]
    sys.stdout.write(table(("DEVICE", "NAME", "TYPE", "STATE", "MEMORY", "HELD BY"), rows))
    return 0


def _memory(core: Core) -> str:
    if core.memory is None:
        return "known to its driver"
    return _sizes([m for m in core.memory if m.loadable])


def _sizes(memory: Sequence[MemoryRange]) -> str:
    return ", ".join(f"{m.name} {_size(m.end - m.first)}" for m in memory) or "-"


def _content(fabric: Fabric) -> str:
    """What is in a region or slot; files staged by hetoci have names that say no more."""
    if not fabric.design or fabric.ours:
        return fabric.state
    return f"{fabric.state}: {fabric.design}"


def _fabric_holder(fabric: Fabric) -> str:
    if fabric.holder is not None:
        return str(fabric.holder)
    if fabric.kind == REGION and fabric.design and fabric.shell:
        return f"shell {fabric.shell}"
    return "free" if assign.occupied(fabric) is None else "somebody else"


def _holder(core: Core) -> str:
    if core.holder is not None:
        return str(core.holder)
    return "free" if core.state == "offline" else "somebody else"


def _vcpus(count: int) -> str:
    return f"{count} CPU" if count == 1 else f"{count} CPUs"


def _owner(domain: Domain) -> str:
    if domain.holder is not None:
        return str(domain.holder)
    return "this Linux" if domain.id == 0 else "somebody else"


def _hardware(container: dict[str, Any]) -> str:
    names = ", ".join(container["devices"])
    if "vcpus" not in container:
        return names
    return f"{names} ({_size(container['memory'])}, {_vcpus(container['vcpus'])})"


def plan(host: Host, line: CommandLine) -> int:
    """`plan [--json] BUNDLE|IMAGE`: what create would do with it, touching nothing."""
    path = line.positional[0] if line.positional else line.value("bundle", "b")
    if not path:
        raise UsageError("plan needs the path of a bundle or of an OCI image")
    path = os.path.abspath(path)
    is_file = host.exists(path) and not host.is_directory(path)
    if not (is_file or host.exists(f"{path}/oci-layout")):
        return _plan(host, line, bundle.load(host, path))
    from ..unpack import bundle_of

    with bundle_of(host, path) as unpacked:
        return _plan(host, line, unpacked)


def _plan(host: Host, line: CommandLine, found: Bundle) -> int:
    from . import create

    settings = config.load(host)
    workload = create.workload_of(host, found, settings)
    if workload is None:
        answer = {"workload": "linux", "delegate": delegate.find(host), "steps": []}
        _print_json(answer) if _as_json(line) else sys.stdout.write(
            f"plain container: handed to {answer['delegate']} as it is\n"
        )
        return 0
    value, words = verbs.load(workload.kind).plan_of(host, found, settings, workload)
    _print_json(value) if _as_json(line) else sys.stdout.write(words)
    return 0


#: Annotations in which engines give their own name of a container, and of its pod.
_NAMES = (
    ("io.kubernetes.cri.sandbox-name", "io.kubernetes.cri.container-name"),
    ("io.kubernetes.pod.name", "io.kubernetes.container.name"),
    ("", "nerdctl/name"),
)


def _engines_name(annotations: dict[str, Any]) -> str:
    for pod, container in _NAMES:
        words = [str(annotations[key]) for key in (pod, container) if annotations.get(key)]
        if container in annotations:
            return "/".join(words)
    return ""


def _monitors_name(host: Host, pid: int) -> str:
    """The name that Podman told conmon, which is the parent of the container's process `pid`;
    "" if there is no conmon. (conmon(8): -n, --name)"""
    words = host.arguments(host.parent(pid))
    if not words or words[0].rpartition("/")[2] != "conmon":
        return ""
    given = [at for at, word in enumerate(words[:-1]) if word in ("-n", "--name")]
    return words[given[0] + 1] if given else ""


def _dockers_name(host: Host, record: state.Record) -> str:
    """The name in Docker's note on the container; "" if there is none.

    Docker tells runtimes no name. Its note lies in a folder of the container's, among those of all
    others, and files of one of them are mounted into the container: with --network container:X
    those of X. (moby, container/container.go: Container.Name, ResolvConfPath, CheckpointTo)
    """
    config = host.read_or_none(f"{record.data['bundle']}/config.json")
    mounts = fastjson.as_object(config or b"").get("mounts")
    for mount in mounts if isinstance(mounts, list) else ():
        source = str(mount.get("source")) if isinstance(mount, dict) else ""
        folders, _, rest = source.rpartition("/resolv.conf")
        if folders and not rest:
            path = f"{folders.rpartition('/')[0]}/{record.id}/config.v2.json"
            note = fastjson.as_object(host.read_or_none(path) or b"")
            return str(note.get("Name") or "").removeprefix("/")
    return ""


def _container(host: Host, record: state.Record) -> dict[str, Any]:
    kind = verbs.load(record.kind)
    found = record.state(kind.status(host, record))
    name = (
        _engines_name(record.data["annotations"])
        or _monitors_name(host, found["pid"])
        or _dockers_name(host, record)
    )
    return {
        **found,
        "kind": record.kind,
        "root": record.data["root"],
        "name": name,
        **kind.hardware(record),
    }


def ps_all(host: Host, line: CommandLine) -> int:
    """`ps [--json]`, `ps-all`: all containers of hetoci's, of all engines."""
    containers = [_container(host, record) for record in state.records(host)]
    if _as_json(line):
        _print_json(containers)
        return 0
    rows = [
        (
            c["id"],
            c["name"] or "-",
            c["kind"],
            c["status"],
            str(c["pid"] or "-"),
            _hardware(c),
            c["created"],
        )
        for c in containers
    ]
    header = ("CONTAINER", "NAME", "KIND", "STATUS", "PID", "HARDWARE", "SINCE")
    sys.stdout.write(table(header, rows))
    return 0


def list_containers(host: Host, line: CommandLine) -> int:
    """`list [--format table|json] [--quiet]`: the delegate's containers under the same
    --root, and ours. Where we have none, the delegate answers alone."""
    ours = {r.id: r for r in state.records(host) if r.data["root"] == line.root}
    if not ours:
        return delegate.replace_us(host, line.argv)
    root = ["--root", line.root] if line.root else []
    both = _delegate_list(host, root)
    for found in both:
        record = ours.pop(str(found.get("id")), None)
        if record:  # it has a bundle of ours
            found["bundle"] = record.data["bundle"]
    both += [r.state(verbs.load(r.kind).status(host, r)) for r in ours.values()]
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
