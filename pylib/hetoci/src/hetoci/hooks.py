# SPDX-License-Identifier: MIT
"""OCI hooks (runtime-spec, config.md, "POSIX-platform Hooks").

Hooks come from config.json, that is from the engine. For a firmware container those that run
in the runtime's namespaces are honoured (prestart, createRuntime, poststart, poststop); those
that run inside the container have nothing to run in.
"""

from __future__ import annotations

import os

from .errors import BundleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

HONOURED = ("prestart", "createRuntime", "poststart", "poststop")


def validate(hooks: Any) -> dict[str, list[dict[str, Any]]]:
    """The honoured hooks of config.json's `hooks`. Raises BundleError for a malformed one."""
    if hooks is None:
        return {}
    if not isinstance(hooks, dict):
        raise BundleError("hooks in config.json is no object")
    result: dict[str, list[dict[str, Any]]] = {}
    for phase in HONOURED:
        entries = hooks.get(phase) or []
        for number, hook in enumerate(entries):
            path = hook.get("path") if isinstance(hook, dict) else None
            if not isinstance(path, str) or not path.startswith("/"):
                raise BundleError(f"hooks.{phase}[{number}] in config.json has no absolute path")
        if entries:
            result[phase] = list(entries)
    return result


def run(phase: str, hooks: Sequence[dict[str, Any]], state: dict[str, Any]) -> None:
    """Run the hooks of `phase` in order with `state` on their standard input.

    Raises BundleError at the first that fails, cannot be started or exceeds its timeout.
    """
    if not hooks:
        return
    from .fastjson import dumps

    text = dumps(state).encode()
    for hook in hooks:
        _run_one(phase, hook, text)


def _run_one(phase: str, hook: dict[str, Any], state: bytes) -> None:
    import subprocess

    path = hook["path"]
    environment = dict(entry.partition("=")[::2] for entry in hook.get("env") or [])
    try:
        done = subprocess.run(
            hook.get("args") or [path],
            executable=path,
            env=environment,
            input=state,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=hook.get("timeout"),
            check=False,
            cwd=os.sep,
        )
    except subprocess.TimeoutExpired:
        raise BundleError(
            f"{phase} hook {path} did not end within {hook['timeout']} seconds"
        ) from None
    except OSError as error:
        raise BundleError(f"{phase} hook {path} cannot be run: {error.strerror}") from error
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip()
        raise BundleError(
            f"{phase} hook {path} ended with {done.returncode}" + (f": {words}" if words else "")
        )
