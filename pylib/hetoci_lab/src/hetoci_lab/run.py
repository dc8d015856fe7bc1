# SPDX-License-Identifier: MIT
"""Starting programs: output to a log file, the end of it in the error."""

import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hetoci_lab.errors import LabError

TAIL = 15
"""Lines of a failed program's output shown to the user."""


def logged(
    argv: Sequence[str | Path],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    hint: str | None = None,
) -> None:
    """Run `argv` with stdout and stderr appended to `log`; hand each line to `on_line`.

    Raises LabError with the last lines of output if it cannot start or fails.
    """
    words = [str(word) for word in argv]
    tail: list[str] = []
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as out:
        out.write(f"$ {shlex.join(words)}\n")
        try:
            child = subprocess.Popen(
                words,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise LabError(f"Cannot start {words[0]}: {error.strerror}.", hint=hint) from error
        with child:
            assert child.stdout is not None  # noqa: S101 - PIPE above
            for line in child.stdout:
                out.write(line)
                tail = [*tail[-(TAIL - 1) :], line.rstrip()]
                if on_line:
                    on_line(line.rstrip())
    if child.returncode:
        shown = "\n  ".join(line for line in tail if line)
        raise LabError(
            f"{words[0]} ended with status {child.returncode}; its last lines were:\n  {shown}\n"
            f"The whole output is in {log}.",
            hint=hint,
        )


def output(argv: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """Run `argv` and return its standard output. Raises LabError if it fails."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    except OSError as error:
        raise LabError(f"Cannot start {words[0]}: {error.strerror}.") from error
    if done.returncode:
        raise LabError(
            f"{shlex.join(words)} ended with status {done.returncode}: {done.stderr.strip()}"
        )
    return done.stdout
