# SPDX-License-Identifier: MIT
"""LAVA itself: the distribution's packages, unpacked into the cache and never installed."""

import os
import subprocess
import sys
from pathlib import Path

from hetoci_lab import cache, run
from hetoci_lab.console import step
from hetoci_lab.errors import LabError

PACKAGES = ("lava-common", "lava-dispatcher", "lava-dispatcher-host", "lava-server")
STUBS = Path(__file__).parent / "lava_stubs"
MODULES = Path("root/usr/lib/python3/dist-packages")
CHECK_JOB = """
import sys, yaml
from voluptuous import Invalid
from lava_common.schemas import validate
from lava_common.schemas.device import validate as validate_device
try:
    {call}(yaml.safe_load(open(sys.argv[1])))
except Invalid as error:
    print(".".join(str(word) for word in error.path), error.msg, sep=": ")
    sys.exit(3)
"""


def folder() -> Path:
    """Return the folder with LAVA's files and a virtual environment for them."""
    requirements = STUBS / "requirements.txt"
    key = cache.digest_of([*PACKAGES, requirements, sys.version, cache.code(Path(__file__))])

    def make(place: Path) -> None:
        log = place / "log"
        with step("lava", f"fetching {', '.join(PACKAGES)}"):
            run.logged(
                ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *PACKAGES],
                log,
                cwd=place,
                hint="LAVA's packages are in Debian 12; on another host set up a Debian 12 chroot. "
                "HETOCI_WITHOUT_LAVA=1 leaves the job out of `make lab-test`.",
            )
            for deb in place.glob("*.deb"):
                run.logged(["dpkg-deb", "-x", deb, place / "root"], log)
                deb.unlink()
        with step("lava", "installing what it imports"):
            run.logged([sys.executable, "-m", "venv", place / "venv"], log)
            pip: list[str | Path] = [place / "venv/bin/python", "-m", "pip", "install", "-q"]
            run.logged([*pip, "--disable-pip-version-check", "-r", requirements], log)

    return cache.artefact("lava", key, make)


def shipped_types() -> Path:
    """Return the folder of the device types that come with LAVA."""
    return folder() / "root/usr/share/lava-server/device-types"


def command(*words: str | Path) -> tuple[list[str], dict[str, str]]:
    """Return a command line for LAVA's Python, and its environment."""
    place = folder()
    paths = f"{STUBS}:{place / MODULES}"
    # The virtual environment was renamed into the cache: only its Python is used, by path.
    return [str(place / "venv/bin/python"), *map(str, words)], os.environ | {"PYTHONPATH": paths}


def lava_run() -> Path:
    """Return the dispatcher's program that runs one job."""
    return folder() / "root/usr/bin/lava-run"


def check(file: Path, kind: str) -> None:
    """Hold a rendered `job` or `device` to LAVA's schema. Raises LabError: path and reason."""
    call = "validate" if kind == "job" else "validate_device"
    words, env = command("-c", CHECK_JOB.format(call=call), file)
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        raise LabError(f"LAVA refuses the {kind} {file}: {done.stdout.strip()}.")
    if done.returncode:
        raise LabError(f"LAVA's schemas could not be used: {done.stderr.strip()[-500:]}")
