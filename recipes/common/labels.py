#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Print the LABELs of a Containerfile as JSON: `labels.py Containerfile >labels.json`.

For images that bitbake makes: they carry their labels in /.hetoci/labels.json as well, and the
Containerfile is the one place where labels are written. `hetoci-image build` needs no help.
Exit status 2: the file cannot be read or has no labels.
"""

import json
import shlex
import sys
from pathlib import Path


def logical_lines(text: str) -> list[str]:
    """The instructions of a Containerfile, comments dropped and continued lines joined."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(kept).replace("\\\n", " ").splitlines()


def labels(text: str) -> dict[str, str]:
    """The labels that the instructions `LABEL key=value ...` in `text` set.

    Raises ValueError for a LABEL that is not written so or set twice, or if there is none.
    """
    found: dict[str, str] = {}
    for line in logical_lines(text):
        instruction, _, rest = line.strip().partition(" ")
        if instruction.upper() != "LABEL":
            continue
        for word in shlex.split(rest):
            key, equals, value = word.partition("=")
            if not key or not equals:
                raise ValueError(f"LABEL {word}: write LABEL key=value")
            if key in found:
                raise ValueError(f"LABEL {key} is set twice")
            found[key] = value
    if not found:
        raise ValueError("there is no LABEL key=value in it")
    return found


def main(arguments: list[str]) -> int:
    """Run the command; returns its exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: labels.py CONTAINERFILE\n")
        return 2
    try:
        found = labels(Path(arguments[0]).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"labels.py: {arguments[0]}: {error}\n")
        return 2
    json.dump(found, sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
