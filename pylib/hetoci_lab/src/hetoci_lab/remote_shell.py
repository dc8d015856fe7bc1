# SPDX-License-Identifier: MIT
"""`hetoci-lab shell --place`: the console of a board at a labgrid place, its power on."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from hetoci_lab import places, scenarios, site
from hetoci_lab.runner import place_variables

NOTE = """\
Place {place} is yours until you leave; its power is on. This is its console.
  leave        Ctrl-\\, then `quit`
  ssh          {client} ssh
  files        {client} scp FILE :/root/     and back:  scp :/root/FILE .
  power        {client} power cycle
  real-time    {client} console uart1
"""


def client_words(place: str) -> list[str]:
    """Return labgrid-client for a place; coordinator and key are in the environment."""
    beside = Path(sys.executable).parent / "labgrid-client"
    return [str(beside) if beside.exists() else "labgrid-client", "-p", place]


def run(name: str, env: str | None, *, dry_run: bool, say: Callable[[str], None]) -> int:
    """Take the place, switch the board on, connect to its console; give it back afterwards."""
    facts = site.load()
    place = facts.place(name, env)
    config = scenarios.environment(place.env)
    variables = place_variables(facts, place)
    words = [*client_words(name), "-c", str(config)]
    steps = [[*words, "power", "on"], [*words, "console", "console"]]
    if dry_run:
        pairs = " ".join(f"{key}={shlex.quote(value)}" for key, value in variables.items())
        for step in steps:
            say(f"{pairs} {shlex.join(step)}")
        return 0
    surroundings = os.environ | variables
    with places.held(facts.coordinator, name):
        client = f"LG_COORDINATOR={facts.coordinator} labgrid-client -p {name}"
        sys.stderr.write(NOTE.format(place=name, client=client))
        for step in steps:
            status = subprocess.run(step, env=surroundings, check=False).returncode
            if status:
                return status
    return 0
