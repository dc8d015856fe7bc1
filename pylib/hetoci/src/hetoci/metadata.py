# SPDX-License-Identifier: MIT
"""From key-value metadata to a workload (docs/spec/metadata.md, carriers.md).

Sources, strongest first: the user's annotations in config.json, then what the image says, in
the engine's store or else in its labels file. Pure: no I/O. Everything that is wrong is
reported at once. What only containers with keys need is in `assemble` and what that imports.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .config import Config
    from .workloads import Workload

PREFIX = "io.hetoci."
WORKLOAD = "io.hetoci.workload"
SPEC = "io.hetoci.spec"
PLATFORM = "io.hetoci.platform"
FIRMWARE = "io.hetoci.firmware"

#: The annotation of Arm's remoteproc-runtime; images made for it run here.
ARM_CORE = "remoteproc.name"

#: What this runtime runs. Keys of other workloads are understood, checked, and then refused
#: with a sentence that says so.
WORKLOADS = ("firmware", "accelerator", "domain")

#: Keys that are refused although their workload runs: nothing acts on them yet.
PLANNED: tuple[str, ...] = ()

#: Keys of other projects that may be ours (`keys.ALIASES` says when).
ALIASES = frozenset(
    (
        ARM_CORE,
        "board",
        "mcu",
        "org.lfedge.eci.artifact.kernel",
        "org.lfedge.eci.artifact.initrd",
        "org.lfedge.eci.artifact.root",
        "com.urunc.unikernel.binary",
        "com.urunc.unikernel.initrd",
        "com.urunc.unikernel.cmdline",
        "com.urunc.unikernel.block",
        "krun.cpus",
        "krun.ram_mib",
    )
)

#: What containerd's and CRI-O's CRI say of a pod's own container (docs/decisions/0206).
SANDBOX = {
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri-o.ContainerType": "sandbox",
}


class Sources:
    """Everything that may say what a container is.

    annotations: of config.json; image: what the image says, as (words for messages, keys), of
    which the first that has a key counts; args, cwd, env: of the process; vm: of config.json.
    """

    __slots__ = ("annotations", "args", "cwd", "env", "image", "vm")

    def __init__(
        self,
        annotations: Mapping[str, Any],
        image: Sequence[tuple[str, Mapping[str, Any]]] = (),
        *,
        args: Sequence[str] = (),
        cwd: str = "/",
        env: Sequence[str] = (),
        vm: Any = None,
    ) -> None:
        self.annotations = annotations
        self.image = image
        self.args = args
        self.cwd = cwd
        self.env = env
        self.vm = vm


def concerns_us(key: str) -> bool:
    """True if `key` is one that hetoci reads."""
    return key.startswith(PREFIX) or key in ALIASES


def is_sandbox(annotations: Mapping[str, Any]) -> bool:
    """True for a pod's own (pause) container. It is always plain, though engines hand it the
    pod's annotations."""
    return any(annotations.get(key) == value for key, value in SANDBOX.items())


def workload(sources: Sources, settings: Config) -> Workload | None:
    """The workload that the metadata asks for; None for a plain container.

    Raises MetadataError or PolicyDenied with every reason.
    """
    if is_sandbox(sources.annotations):
        return None
    user = {key: value for key, value in sources.annotations.items() if concerns_us(key)}
    image = [
        (source, {key: value for key, value in keys.items() if concerns_us(key)})
        for source, keys in sources.image
    ]
    if not user and sources.vm is None and not any(keys for _, keys in image):
        return None
    from . import assemble

    return assemble.workload(user, image, sources, settings)


def matches(name: str, globs: Sequence[str]) -> bool:
    """True if `name` is one of `globs` or fits one of them (*, ?, [...])."""
    if name in globs or "*" in globs:
        return True
    return any(_fits(name, glob) for glob in globs if any(mark in glob for mark in "*?["))


def _fits(name: str, glob: str) -> bool:
    """As fnmatch.fnmatchcase, whose import takes longer than a thousand of these."""
    if "[" in glob:
        from fnmatch import fnmatchcase

        return fnmatchcase(name, glob)
    at = 0
    begun = 0  # where the part of `name` begins that the last star has not taken
    star = -1
    for_glob = 0
    while at < len(name):
        mark = glob[for_glob : for_glob + 1]
        if mark == "*":
            star, begun = for_glob, at
            for_glob += 1
        elif mark in ("?", name[at]):
            for_glob += 1
            at += 1
        elif star >= 0:
            begun += 1
            for_glob, at = star + 1, begun
        else:
            return False
    return not glob[for_glob:].strip("*")
