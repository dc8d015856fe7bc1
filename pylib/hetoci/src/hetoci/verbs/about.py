# SPDX-License-Identifier: MIT
"""features, version, help."""

from __future__ import annotations

import os
import sys

from .. import OCI_VERSION, SPEC_VERSION, __version__, delegate, metadata
from ..errors import DelegateError, UsageError
from ..host import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..cmdline import CommandLine
    from ..host import Host

HELP = """\
hetoci: an OCI runtime for Linux containers, accelerators and firmware on remote cores

usage: hetoci [--root DIR] [--log FILE] [--log-format text|json] [...] VERB [...]

For people:
  devices [--json]        cores, regions and slots of this board and who holds them
  ps [--json]             containers with hardware, of all engines
  plan [--json] BUNDLE|IMAGE
                          what create would do with a bundle or an OCI image (layout or
                          archive); changes nothing
  reap [--quiet]          give back what no living container owns; write CDI files
  image ...               calls hetoci-image, which builds and checks images on a PC

For engines (OCI runtime command line; plain containers are handed to crun or runc):
  create [--bundle DIR] [--pid-file FILE] [--console-socket PATH] ID
  run [--detach] [--bundle DIR] ID
  start ID   state ID   kill ID [SIGNAL]   delete [--force] ID
  ps ID   list   features   update ID
  exec, pause, resume, checkpoint, restore, events, spec: not for firmware

  --version, --help

What a container is run as is said by the key io.hetoci.workload (firmware, accelerator,
domain) in its annotations or in the image. See hetoci(1) and hetoci.conf(5).
"""


def show_help(_host: Host, _line: CommandLine) -> int:
    """`help`, `--help`, or no word at all."""
    sys.stdout.write(HELP)
    return 0


def version(host: Host, _line: CommandLine) -> int:
    """`--version`. The first line has the form that go-runc parses."""
    try:
        runtime = delegate.find(host)
    except DelegateError as error:
        runtime = f"none ({error.message})"
    sys.stdout.write(
        f"runc version {__version__}+hetoci\nspec: {OCI_VERSION}\n"
        f"hetoci version {__version__}\ndelegate: {runtime}\n"
    )
    return 0


def image(host: Host, line: CommandLine) -> int:
    """`image`: become hetoci-image, which no board needs (docs/decisions/0207)."""
    words = line.argv[line.verb_at + 1 :]
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(directory, "hetoci-image")
        if os.path.isabs(path) and os.access(host.path(path), os.X_OK):
            try:
                os.execv(host.path(path), [path, *words])
            except OSError as error:
                raise UsageError(f"cannot run {path}: {explain(error)}") from error
    raise UsageError(
        "hetoci-image, which builds, inspects and validates images, is not installed here",
        hint="it runs on a PC and comes with hetoci's sources (docs/images.md); here, `hetoci plan"
        " IMAGE` says what an image would do",
    )


def features(host: Host, _line: CommandLine) -> int:
    """`features`: the delegate's, and what hetoci adds (runtime-spec, features.md)."""
    from json import dumps

    result = _delegate_features(host)
    result.setdefault("ociVersionMin", "1.0.0")
    result.setdefault("ociVersionMax", OCI_VERSION)
    unsafe = list(result.get("potentiallyUnsafeConfigAnnotations") or [])
    result["potentiallyUnsafeConfigAnnotations"] = [
        *unsafe,
        metadata.PREFIX,
        *sorted(metadata.ALIASES),
    ]
    annotations = dict(result.get("annotations") or {})
    annotations["io.hetoci.version"] = __version__
    annotations["io.hetoci.spec"] = SPEC_VERSION
    annotations["io.hetoci.workloads"] = ",".join(metadata.WORKLOADS)
    result["annotations"] = annotations
    sys.stdout.write(dumps(result, indent=2) + "\n")
    return 0


def _delegate_features(host: Host) -> dict[str, Any]:
    """The delegate's own answer; nothing from one that is too old to know the verb."""
    from json import loads

    try:
        code, text = delegate.ask(host, ["features"])
        found = loads(text) if code == 0 else {}
    except (DelegateError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
