# SPDX-License-Identifier: MIT
"""Which slot or region each accelerator of a container goes to (docs/spec/lifecycle.md, 3).

Pure: no I/O, nothing changes. What files an image has is asked through a function.
"""

from __future__ import annotations

from .bitstream import any_id
from .errors import DeviceBusy, DeviceNotFound, PolicyDenied
from .fabric import REGION, SLOT
from .metadata import matches
from .model import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .fabric import Fabric
    from .workloads import AcceleratorRequest

    Faults = Callable[[AcceleratorRequest, Fabric], list[str]]


class Options:
    """Where one accelerator can go. named: the regions or slots that its key means, in the
    inventory's order. Of each, by place, objections: why it cannot go there by its keys; faults:
    what is wrong with its files for there, as far as they were looked at."""

    __slots__ = ("faults", "named", "objections", "request")

    def __init__(self, request: AcceleratorRequest, named: Sequence[Fabric]) -> None:
        self.request = request
        self.named = tuple(named)
        self.objections: dict[str, list[str]] = {}
        self.faults: dict[str, list[str]] = {}

    def look(self, fabric: Fabric, faults: Faults) -> bool:
        """Look at the files for `fabric`; True if they can be used there."""
        if fabric.place not in self.faults:
            self.faults[fabric.place] = faults(self.request, fabric)
        return not self.faults[fabric.place]

    def reasons(self, fabric: Fabric) -> list[str]:
        """Why it cannot go to `fabric`, whoever has it now, as far as is known."""
        return self.objections[fabric.place] + self.faults.get(fabric.place, [])

    @property
    def candidates(self) -> list[Fabric]:
        """Those that fit as far as is known, free or not."""
        return [fabric for fabric in self.named if not self.reasons(fabric)]

    @property
    def free(self) -> list[Fabric]:
        """The candidates that nobody has."""
        return [fabric for fabric in self.candidates if occupied(fabric) is None]


class Placement:
    """`chosen`: a free fabric for each accelerator, by its name; `options` by name too."""

    __slots__ = ("chosen", "options")

    def __init__(self, options: Mapping[str, Options], chosen: Mapping[str, Fabric]) -> None:
        self.options = dict(options)
        self.chosen = dict(chosen)

    def to_json(self) -> dict[str, Any]:
        """The `devices` member of a plan (docs/spec/schema/plan.schema.json)."""
        return {
            name: {
                "candidates": [fabric.name for fabric in option.free],
                "refused": [
                    {"device": fabric.name, "reasons": reasons}
                    for fabric in option.named
                    if (reasons := [*option.reasons(fabric), *_occupied(fabric)])
                ],
            }
            for name, option in self.options.items()
        }

    def steps(self) -> list[Step]:
        """What create and start would do, in order."""
        chosen = sorted(self.chosen.items(), key=lambda item: item[1].key)
        steps = [Step("claim", fabric.name) for _, fabric in chosen]
        for name, fabric in chosen:
            request = self.options[name].request
            bitstream = expand(request.bitstream, fabric) or ""
            steps.append(Step("verify", fabric.name, bitstream=bitstream))
            steps.append(Step("prepare", fabric.name))
            overlay = expand(request.overlay, fabric) or "none of the image's"
            steps.append(Step("apply", fabric.name, overlay=overlay))
            nodes = list(request.nodes) or ["the only one"]
            steps.append(Step("await", fabric.name, nodes=nodes))
            steps.append(Step("hand-over", fabric.name, path=f"/dev/hetoci/{name}"))
        return steps


def place(
    requests: Sequence[AcceleratorRequest],
    fabrics: Sequence[Fabric],
    has_file: Callable[[str], bool],
    allowed: Sequence[str] = ("*",),
    faults: Faults | None = None,
    *,
    domain: bool = False,
    thorough: bool = False,
) -> Placement:
    """A free fabric for each of `requests`, all different.

    fabrics: in the inventory's order; has_file: whether the image has a file; allowed: the
    operator's globs of slots and regions that containers may use; faults: what is wrong with a
    request's files for a fabric, asked only where it matters; domain: for a Xen domain;
    thorough: ask everywhere. Raises DeviceNotFound, PolicyDenied with every reason of every
    device, or DeviceBusy naming the holders.
    """
    faults = faults or (lambda request, fabric: [])
    options = {
        request.name: _options(request, fabrics, has_file, allowed, domain) for request in requests
    }
    while True:
        chosen = _match({name: option.free for name, option in options.items()})
        found = len(chosen) == len(options)
        wrong = [name for name, f in chosen.items() if not options[name].look(f, faults)]
        if found and wrong:
            continue
        if thorough or not found:
            for option in options.values():
                for fabric in option.named:
                    option.look(fabric, faults)
        if not found:
            _refuse(options, fabrics)
        return Placement(options, chosen)


def _options(
    request: AcceleratorRequest,
    fabrics: Sequence[Fabric],
    has_file: Callable[[str], bool],
    allowed: Sequence[str],
    domain: bool,
) -> Options:
    kind = SLOT if request.partial else REGION
    named = [f for f in fabrics if f.kind == kind and _named(f, (request.slot,))]
    option = Options(request, named)
    for fabric in named:
        reasons = objections(request, fabric, has_file, allowed, domain=domain)
        option.objections[fabric.place] = reasons
    return option


def _named(fabric: Fabric, globs: Sequence[str]) -> bool:
    return any(matches(name, globs) for name in fabric.names())


def objections(
    request: AcceleratorRequest,
    fabric: Fabric,
    has_file: Callable[[str], bool],
    allowed: Sequence[str],
    *,
    domain: bool = False,
) -> list[str]:
    """Every reason why `request` cannot go to `fabric`, whoever has it now."""
    reasons = []
    if fabric.for_domains and not domain:
        reasons.append("is for Xen domains: its interrupt does not reach this system")
    if domain and not fabric.for_domains:
        reasons.append("is for this system: Xen gives its interrupt to no other domain")
    if not _named(fabric, allowed):
        reasons.append(f"is not among the slots that containers may use ({' '.join(allowed)})")
    if fabric.blocker:
        reasons.append(fabric.blocker)
    if not any_id(request.parts, fabric.part):
        reasons.append(f"has the part {fabric.part or 'unknown'}, not {' or '.join(request.parts)}")
    if not any_id(request.shells, fabric.shell):
        reasons.append(
            f"has the shell {fabric.shell or 'unknown'}, not {' or '.join(request.shells)}"
        )
    memory = sum(m.end - m.first for m in fabric.memory)
    if memory < request.memory:
        reasons.append(f"has {memory} bytes of DMA memory, {request.memory} are needed")
    reasons += [reason for clock in request.clocks if (reason := clock.unmet(fabric.clocks))]
    for template in filter(None, (request.bitstream, request.overlay)):
        path = expand(template, fabric)
        if path is None:
            reasons.append(f"has no value for a placeholder of {template}")
        elif not has_file(path):
            reasons.append(f"would take {path}, which does not exist in the image")
    if request.overlay and not fabric.overlays:
        reasons.append("takes no device-tree overlay on this kernel")
    return reasons


def expand(template: str, fabric: Fabric) -> str | None:
    """The path that `template` means for `fabric` (docs/spec/layout.md, 5); None if a value
    that it needs is not known."""
    for word, value in (
        ("{slot}", fabric.name),
        ("{shell}", fabric.shell),
        ("{part}", fabric.part),
    ):
        if word in template:
            if value in ("", ".", "..") or "/" in value or not value.isprintable():
                return None
            template = template.replace(word, value)
    return template


def occupied(fabric: Fabric) -> str | None:
    """Why `fabric` is not free, None if it is."""
    if fabric.holder is not None:
        return f"is held by {fabric.holder}"
    if fabric.design and not fabric.ours:
        return f"holds {fabric.design}, which no container put there"
    return None


def _occupied(fabric: Fabric) -> list[str]:
    why = occupied(fabric)
    return [] if why is None else [why]


def _match(options: Mapping[str, Sequence[Fabric]]) -> dict[str, Fabric]:
    """One of its fabrics for as many as possible, the first that another one has not got; that
    one makes room only if nothing else is left (augmenting paths: at most 16 accelerators)."""
    taken: dict[str, str] = {}  # place of a fabric -> accelerator
    found: dict[str, Fabric] = {}

    def settle(name: str, seen: set[str]) -> bool:
        for fabric in sorted(options[name], key=lambda fabric: fabric.place in taken):
            if fabric.place in seen:
                continue
            seen.add(fabric.place)
            if fabric.place not in taken or settle(taken[fabric.place], seen):
                taken[fabric.place] = name
                found[name] = fabric
                return True
        return False

    for name in options:
        settle(name, set())
    return found


def _refuse(options: Mapping[str, Options], fabrics: Sequence[Fabric]) -> None:
    """Raise for accelerators of which not all can be had."""
    if not fabrics:
        raise DeviceNotFound(
            "the board has no programmable logic (/sys/class/fpga_region is empty)",
            hint="the kernel needs the FPGA manager's driver and an fpga-region in its tree",
        )
    chosen = _match({name: option.free for name, option in options.items()})
    if all(option.candidates for name, option in options.items() if name not in chosen):
        _busy(options, chosen)
    reasons = []
    best = _match({name: option.named for name, option in options.items()})
    owners = {fabric.place: name for name, fabric in best.items()}
    for name, option in options.items():
        if name not in chosen:
            reasons += [f"{name}: {reason}" for reason in _reasons(option, fabrics)]
        if name not in best:
            reasons += [
                f"{name}: {fabric.kind} {fabric.name} is needed for accelerator"
                f" {owners[fabric.place]}"
                for fabric in option.named
            ]
    raise PolicyDenied("this board cannot take the accelerators", list(dict.fromkeys(reasons)))


def _reasons(option: Options, fabrics: Sequence[Fabric]) -> list[str]:
    """Every reason why an accelerator cannot be had. What is wrong with a file says for itself
    what it is about, and may be the same for several slots."""
    found = []
    for fabric in option.named:
        about = [*option.objections[fabric.place], *_occupied(fabric)]
        found += [f"{fabric.kind} {fabric.name} {reason}" for reason in about]
        found += option.faults.get(fabric.place, [])
    if option.named:
        return found
    kind = SLOT if option.request.partial else REGION
    names = ", ".join(f"{f.name} ({f.instance})" for f in fabrics if f.kind == kind)
    if names:
        return [f"no {kind} is named {option.request.slot!r}, there are {names}"]
    return [_none(kind)]


def _none(kind: str) -> str:
    if kind == SLOT:
        return "the board has no slot now: no shell is loaded"
    return "the board has no region for a full bitstream"


def _busy(options: Mapping[str, Options], chosen: Mapping[str, Fabric]) -> None:
    missing = [name for name in options if name not in chosen]
    others = {fabric.place: name for name, fabric in chosen.items()}
    words = []
    for name in missing:
        for fabric in options[name].candidates:
            why = occupied(fabric) or f"is needed for accelerator {others.get(fabric.place, '?')}"
            words.append(f"{fabric.kind} {fabric.name} {why}")
    raise DeviceBusy(
        f"no slot is free for accelerator {', '.join(missing)}: {'; '.join(dict.fromkeys(words))}",
        device=options[missing[0]].candidates[0].instance,
    )
