# SPDX-License-Identifier: MIT
"""How an error reaches the engine and the person behind it.

Contract with engines: exit code 1, one sentence on stderr, and with --log one line in that
file, of which containerd shows the `msg` (https://github.com/opencontainers/runc, libcontainer
logs; go-runc's parser needs RFC 3339 times and one JSON object a line).
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .cmdline import CommandLine
    from .host import Host


def error(host: Host, line: CommandLine, message: str, trace: str | None = None) -> None:
    """Say `message`; `trace` (a traceback) goes to the log only, if there is one."""
    one_line = " ".join(message.split())
    logged = log(host, line, one_line, trace)
    sys.stderr.write(f"hetoci: {one_line}\n")
    if trace and not logged:
        sys.stderr.write(trace)


def log(host: Host, line: CommandLine, message: str, trace: str | None = None) -> bool:
    """Append an error entry to the engine's --log file; False if there is none."""
    path = line.global_options.get("log")
    if not path:
        return False
    text = entry(
        message, trace, host.now(), as_json=line.global_options.get("log-format") == "json"
    )
    try:
        descriptor = host.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        return False
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
    return True


def entry(message: str, trace: str | None, now: str, *, as_json: bool) -> str:
    """One log entry, with its newline."""
    from json import dumps

    if as_json:
        fields = {"level": "error", "msg": message, "time": now}
        if trace:
            fields["traceback"] = trace
        return dumps(fields) + "\n"
    text = f"time={dumps(now)} level=error msg={dumps(message)}"
    return text + (f" traceback={dumps(trace)}\n" if trace else "\n")
