# SPDX-License-Identifier: MIT
"""The program: which verb, whose container.

This is the path of every call that an engine makes for every plain container, so it imports
nothing it does not need to find out that the call is not for us.
"""

from __future__ import annotations

import sys

from . import cmdline, verbs
from .errors import HetociError
from .host import Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Handler = Callable[[Host, cmdline.CommandLine], int]

#: verb -> (module in hetoci.verbs, function), for verbs that name no existing container.
HANDLERS = {
    "create": ("create", "create"),
    "run": ("create", "run"),
    "list": ("show", "list_containers"),
    "ps-all": ("show", "ps_all"),
    "devices": ("show", "devices"),
    "plan": ("show", "plan"),
    "reap": ("reap", "reap"),
    "features": ("about", "features"),
    "image": ("about", "image"),
    "help": ("about", "show_help"),
    "version": ("about", "version"),
}

#: Kinds of containers, each a module in hetoci.verbs whose VERBS has a function for each verb
#: that is not the delegate's, and which has `create`, `run` and `plan_of`.
KINDS = ("accelerator", "domain", "firmware")


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


def _handler(host: Host, line: cmdline.CommandLine) -> Handler:
    verb = line.verb
    if verb is None or (verb in HANDLERS and verb != "image" and line.flag("help", "h")):
        verb = "version" if {"version", "v"} & line.global_options.keys() else "help"
    elif verb == "ps" and not line.positional:
        verb = "ps-all"
    elif verb in cmdline.CONTAINER_VERBS:
        return _container_handler(host, line, verb)
    if verb not in HANDLERS:
        return _delegate
    module, function = HANDLERS[verb]
    handler: Handler = getattr(verbs.load(module), function)
    return handler


def _container_handler(host: Host, line: cmdline.CommandLine, verb: str) -> Handler:
    from .state import kind_of

    kind = kind_of(host, line.root, line.positional[0]) if line.positional else None
    if kind not in KINDS:
        return _delegate
    handlers: dict[str, Handler] = verbs.load(kind).VERBS
    return handlers.get(verb, _delegate)


def _delegate(host: Host, line: cmdline.CommandLine) -> int:
    from . import delegate

    return delegate.replace_us(host, line.argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
