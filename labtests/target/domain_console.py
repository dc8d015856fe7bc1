# SPDX-License-Identifier: MIT
"""On dom0: talk to a domain's console until a pattern has appeared.

usage: domain_console.py DOMAIN SECONDS PATTERN [LINE...]

Writes each LINE, half a second apart, prints all that the domain wrote, and ends when the last line
was written and PATTERN is in what came since. Exit status 1: it was not within SECONDS.
"""

import os
import re
import select
import subprocess
import sys
import termios
import time
import tty

PACE = 0.5


def terminal(domain: str) -> int:
    """Open the domain's console; xenconsoled makes it a moment after the domain."""
    number = subprocess.run(["xl", "domid", domain], capture_output=True, text=True, check=True)
    key = f"/local/domain/{number.stdout.strip()}/console/tty"
    for _ in range(50):
        path = subprocess.run(["xenstore-read", key], capture_output=True, text=True, check=False)
        if path.stdout.strip():
            break
        time.sleep(0.2)
    file = os.open(path.stdout.strip(), os.O_RDWR | os.O_NOCTTY)
    # Not TCSAFLUSH: what the domain wrote before is wanted too.
    tty.setraw(file, termios.TCSANOW)
    return file


def main() -> int:
    domain, seconds, pattern, *lines = sys.argv[1:]
    console = terminal(domain)
    end, due, since = time.monotonic() + float(seconds), time.monotonic(), ""
    while time.monotonic() < end:
        if lines and time.monotonic() >= due:
            os.write(console, f"{lines.pop(0)}\n".encode())
            since, due = "", time.monotonic() + PACE
        if select.select([console], [], [], 0.1)[0]:
            text = os.read(console, 4096).decode(errors="replace")
            sys.stdout.write(text)
            since += text
        if not lines and re.search(pattern, since, re.MULTILINE):
            return 0
    return 1


sys.exit(main())
