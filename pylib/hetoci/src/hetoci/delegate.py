# SPDX-License-Identifier: MIT
"""Handing a call over to the runtime that runs plain containers, word for word."""

from __future__ import annotations

import os

from .errors import DelegateError
from .host import RUN, explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host

NAMES = ("crun", "runc")

#: Searched in this order, not PATH: the engine's environment must not choose the runtime,
#: and the shim's PATH leads `runc` to us.
DIRECTORIES = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin")

#: Which one the last create of a plain container had, for the launcher (bin/hetoci.in).
NOTE = f"{RUN}/delegate"


def find(host: Host) -> str:
    """Path of the delegate: the configured one, else the first crun, else the first runc.

    Raises DelegateError if there is none.
    """
    from . import config

    chosen = config.load(host).delegate
    if chosen:
        if not _usable(host, chosen):
            raise DelegateError(
                f"the delegate {chosen} set in {config.PATH} is no program, or is hetoci itself"
            )
        return chosen
    for name in NAMES:
        for directory in DIRECTORIES:
            path = f"{directory}/{name}"
            if _usable(host, path):
                return path
    raise DelegateError(
        "no runtime for plain containers: neither crun nor runc is installed",
        hint=f"install one of them, or set delegate = /path in {config.PATH}",
    )


def _usable(host: Host, path: str) -> bool:
    # A `runc` that is a link to hetoci would make us call ourselves for ever.
    return os.access(host.path(path), os.X_OK) and not host.resolve(path).endswith("/hetoci")


def note(host: Host) -> None:
    """Have the launcher know the delegate, so that calls about plain containers need not come
    here. Without effect where that is not possible: they come here then."""
    path = find(host)
    if host.text(NOTE) == path:
        return
    try:
        host.make_directory(RUN)
        host.put(NOTE, f"{path}\n".encode(), 0o644)
    except OSError:
        return


def replace_us(host: Host, argv: Sequence[str]) -> int:
    """Become the delegate with the words `argv`. Returns only by raising DelegateError."""
    path = find(host)
    try:
        os.execv(host.path(path), [path, *argv])
    except OSError as error:
        raise DelegateError(f"cannot run {path}: {explain(error)}") from error


def run(host: Host, argv: Sequence[str]) -> int:
    """Run the delegate with `argv` and our own standard streams and inheritable descriptors,
    and wait for it; its exit code (128 + N for signal N). SIGTERM and SIGINT meanwhile are
    passed on to it."""
    # `signal` itself makes enumerations of these numbers, which takes time.
    from _signal import SIGINT, SIGTERM, signal  # type: ignore[import-not-found]

    path = find(host)
    try:
        child = os.posix_spawn(host.path(path), [path, *argv], os.environ)
    except OSError as error:
        raise DelegateError(f"cannot run {path}: {explain(error)}") from error
    former = {
        number: signal(number, lambda got, _frame: os.kill(child, got))
        for number in (SIGTERM, SIGINT)
    }
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        for number, handler in former.items():
            signal(number, handler)
    return code if code >= 0 else 128 - code


def ask(host: Host, argv: Sequence[str]) -> tuple[int, bytes]:
    """Run the delegate with `argv`; its exit code and standard output. stderr is dropped."""
    path = find(host)
    reading, writing = os.pipe()
    quiet = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_DUP2, quiet, 0),
        (os.POSIX_SPAWN_DUP2, writing, 1),
        (os.POSIX_SPAWN_DUP2, quiet, 2),
    ]
    try:
        child = os.posix_spawn(host.path(path), [path, *argv], os.environ, file_actions=actions)
    except OSError as error:
        os.close(reading)
        raise DelegateError(f"cannot run {path}: {explain(error)}") from error
    finally:
        os.close(writing)
        os.close(quiet)
    with os.fdopen(reading, "rb") as stream:
        output = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output
