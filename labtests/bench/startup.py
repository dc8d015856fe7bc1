# SPDX-License-Identifier: MIT
"""On the board: how long hetoci takes to start, as ratios to an interpreter that does nothing.

usage: startup.py [ROUNDS]

Medians of calls that take turns: `python3 -c pass`, `hetoci --version`, `hetoci features`,
`hetoci state` of a plain container, and the delegate's own `state` of it. Lines of JSON are
measurements (hetoci-lab bench).
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 25
IMAGE = "/usr/share/hetoci/images/pl-vadd.oci.tar"
PROGRAM = "/bin/vadd"
WORK = Path("/run/startup")
STATE = str(WORK / "state")
NAME = "startup"
QUIET = subprocess.DEVNULL


def tell(name: str, unit: str, value: float) -> None:
    print(json.dumps({"name": name, "unit": unit, "value": round(value, 4)}), flush=True)


def timed(*words: str) -> float:
    begun = time.monotonic()
    subprocess.run(words, stdin=QUIET, stdout=QUIET, check=True)
    return time.monotonic() - begun


def bundle() -> str:
    """A bundle that needs nothing of its root but one static program."""
    mounted, root = WORK / "mounted", WORK / "bundle/rootfs"
    mounted.mkdir(parents=True)
    for words in (["import", IMAGE], ["mount", "localhost/pl-vadd:latest", str(mounted)]):
        subprocess.run(["ctr", "image", *words], stdout=QUIET, check=True)
    for name in ("bin", "dev", "proc"):
        (root / name).mkdir(parents=True)
    shutil.copy(mounted / PROGRAM.lstrip("/"), root / "bin")
    subprocess.run(["ctr", "image", "unmount", "--rm", str(mounted)], stdout=QUIET, check=True)
    config = {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": [PROGRAM], "cwd": "/"},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
    }
    (WORK / "bundle/config.json").write_text(json.dumps(config))
    return str(WORK / "bundle")


def create(words: list[str]) -> None:
    """`create` gives the container its streams, so a pipe would end with the container."""
    with (WORK / "stderr").open("w+") as errors:
        if subprocess.run(words, stdin=QUIET, stdout=QUIET, stderr=errors, check=False).returncode:
            errors.seek(0)
            sys.exit(f"{' '.join(words)}: {errors.read()}")


def main() -> None:
    hetoci = ["hetoci", "--root", STATE]
    create([*hetoci, "create", "--bundle", bundle(), NAME])
    calls = {
        "python3": ["python3", "-c", "pass"],
        "version": ["hetoci", "--version"],
        "features": ["hetoci", "features"],
        "state": [*hetoci, "state", NAME],
        "crun.state": ["crun", "--root", STATE, "state", NAME],
    }
    try:
        for words in calls.values():
            timed(*words)  # what a first call brings into memory is not start-up
        rows = [{name: timed(*words) for name, words in calls.items()} for _ in range(ROUNDS)]
    finally:
        subprocess.run([*hetoci, "delete", "--force", NAME], check=False)
        shutil.rmtree(WORK)
    middle = {name: median(row[name] for row in rows) for name in calls}
    tell("startup.python3", "s", middle["python3"])
    for name in ("version", "features", "state"):
        tell(f"startup.{name}", "ratio", middle[name] / middle["python3"])
    tell("startup.state.delegate", "ratio", middle["state"] / middle["crun.state"])


if __name__ == "__main__":
    main()
