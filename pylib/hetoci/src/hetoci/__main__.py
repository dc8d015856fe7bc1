# SPDX-License-Identifier: MIT
"""The program: which verb, whose container.

This is the path of every call that an engine makes for every plain container, so it imports
nothing it does not need to find out that the call is not for us.
"""

from __future__ import annotations

import sys

from . import cmdline
from .errors import HetociError
from .host import Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: verb -> (module in hetoci.verbs, function), for containers of ours and own verbs.
HANDLERS = {
    "create": ("create", "create"),
    "run": ("create", "run"),
    "start": ("lifecycle", "start"),
    "state": ("lifecycle", "show_state"),
    "kill": ("lifecycle", "kill"),
    "delete": ("lifecycle", "delete"),
    "ps": ("lifecycle", "ps"),
    "update": ("lifecycle", "update"),
    "exec": ("lifecycle", "refuse"),
    "pause": ("lifecycle", "refuse"),
    "resume": ("lifecycle", "refuse"),
    "checkpoint": ("lifecycle", "refuse"),
    "events": ("lifecycle", "refuse"),
    "mounts": ("lifecycle", "refuse"),
    "list": ("show", "list_containers"),
    "ps-all": ("show", "ps_all"),
    "devices": ("show", "devices"),
    "plan": ("show", "plan"),
    "reap": ("reap", "reap"),
    "features": ("about", "features"),
    "help": ("about", "show_help"),
    "version": ("about", "version"),
}


def main(argv: Sequence[str], host: Host | None = None) -> int:
    """Do what `argv` (without the program's name) says; the exit code. Does not return if
    the delegate takes over."""
    host = host or Host()
    line = cmdline.parse(argv)
    try:
        return _handler(host, line)(host, line)
    except HetociError as error:
        from . import report

        report.error(host, line, str(error))
    except PermissionError as error:
        from . import report

        place = error.filename or "a system call"
        report.error(host, line, f"not allowed to use {place}; firmware containers need root")
    except BrokenPipeError:  # whoever reads our output has seen enough
        return 1
    except Exception as error:
        import traceback

        from . import report

        message = f"internal error in hetoci, please report it: {type(error).__name__}: {error}"
        report.error(host, line, message, traceback.format_exc())
    return 1


def _handler(host: Host, line: cmdline.CommandLine) -> Callable[[Host, cmdline.CommandLine], int]:
    verb = line.verb
    if verb is None or (verb in HANDLERS and line.flag("help", "h")):
        verb = "version" if {"version", "v"} & line.global_options.keys() else "help"
    elif verb in cmdline.CONTAINER_VERBS:
        from .state import is_ours

        if not line.positional or not is_ours(host, line.root, line.positional[0]):
            verb = ""
    if verb not in HANDLERS:
        return _delegate
    module, function = HANDLERS[verb]
    package = __import__(f"hetoci.verbs.{module}", fromlist=[function])
    handler: Callable[[Host, cmdline.CommandLine], int] = getattr(package, function)
    return handler


def _delegate(host: Host, line: cmdline.CommandLine) -> int:
    from . import delegate

    return delegate.replace_us(host, line.argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
