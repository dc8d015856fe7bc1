# SPDX-License-Identifier: MIT
"""`hetoci-lab bench`: measuring scripts of labtests/bench, run on the board.

A script is NAME.py or NAME.sh. It is copied to the board and run there (python3, sh), as are files
of the built board before, which lines `# board file: NAME` of it name. Every line of its standard
output that is a JSON object is a measurement, {"name", "unit", "value" or "values"}; other lines
are shown and forgotten. A script that ends with a status other than 0 ends the command.
"""

import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

from hetoci_lab import build, recorder, scenarios
from hetoci_lab.errors import LabError
from hetoci_lab.session import Session

INTERPRETERS = {".py": "python3", ".sh": "sh"}
TIMEOUT = 600.0
NUMBER = {"type": "number"}
SCHEMA = {
    "type": "object",
    "required": ["name", "unit"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9_.-]+$"},
        "unit": {"type": "string"},
        "value": NUMBER,
        "values": {"type": "array", "items": NUMBER, "minItems": 1},
    },
    "oneOf": [{"required": ["value"]}, {"required": ["values"]}],
}


def scripts(names: list[str], folder: Path | None = None) -> list[Path]:
    """Return the scripts of these names, or all. Raises LabError for one that does not exist."""
    place = folder or scenarios.folder() / "bench"
    found = {f.stem: f for f in sorted(place.glob("*")) if f.suffix in INTERPRETERS}
    unknown = [name for name in names if name not in found]
    if unknown or not found:
        raise LabError(
            f"{place} has no script {', '.join(unknown) or 'at all'}; "
            f"it has: {', '.join(found) or 'none'}."
        )
    return [found[name] for name in names or found]


def measurements(output: str, script: str) -> list[dict[str, Any]]:
    """Return the measurements in a script's output. Raises LabError for a malformed one."""
    found = []
    for line in output.splitlines():
        if not line.startswith("{"):
            continue
        try:
            row = json.loads(line)
            jsonschema.validate(row, SCHEMA)
        except (ValueError, jsonschema.ValidationError) as error:
            text = getattr(error, "message", str(error))
            raise LabError(f"{script} printed {line[:100]!r}, no measurement: {text}.") from error
        found.append(row)
    return found


def run(names: list[str], variant: str, out: Path | None, say: Callable[[str], None]) -> None:
    """Boot a board, run the scripts one after the other, print and save what they measured."""
    wanted = scripts(names)
    result: dict[str, Any] = {
        "time": time.time(),
        "variant": variant,
        "tree": recorder.tree_state(),
        "host": recorder.host_versions(),
        "measurements": [],
    }
    with Session(build.build(), variant) as session:
        session.wait_ready(lambda _: None)
        for script in wanted:
            rows = _run_one(session, script)
            for row in rows:
                values = row.get("values") or [row["value"]]
                numbers = " ".join(f"{value:g}" for value in values)
                say(f"{script.stem:<16} {row['name']:<32} {numbers} {row['unit']}")
            result["measurements"] += [{"script": script.stem, **row} for row in rows]
    if out:
        out.write_text(json.dumps(result, indent=1) + "\n")
        say(str(out))


def dry_run(names: list[str], variant: str, say: Callable[[str], None]) -> None:
    """Print the commands that `run` would run."""
    with Session(build.build(), variant, on=False) as session:
        say(shlex.join(session.command()))
        for script in scripts(names):
            files = _files(script, session.machine.board)
            for command in (*map(_put, files), _start(script)):
                say(shlex.join(session.ssh_command(command)))


def _files(script: Path, board: Path) -> list[Path]:
    """What is copied to the board, the script last."""
    wanted = re.findall(r"^# board file: (\S+)$", script.read_text(), re.MULTILINE)
    return [*(board / name for name in wanted), script]


def _put(file: Path) -> str:
    return f"cat > /run/{file.name}"


def _start(script: Path) -> str:
    return f"{INTERPRETERS[script.suffix]} /run/{script.name}"


def _run_one(session: Session, script: Path) -> list[dict[str, Any]]:
    for file in _files(script, session.machine.board):
        session.ssh(_put(file), stdin=file.read_bytes())
    done = session.ssh(_start(script), timeout=TIMEOUT)
    if done.returncode:
        tail = "\n  ".join(done.stdout.splitlines()[-10:])
        raise LabError(f"{script.name} ended with status {done.returncode}:\n  {tail}")
    return measurements(done.stdout, script.name)
