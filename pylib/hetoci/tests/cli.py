# SPDX-License-Identifier: MIT
"""hetoci's command line on a fake board: cli.py ROOT DIE-AT ARGUMENTS..."""

import sys

from fakekernel import BoardHost
from hetoci.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[3:], BoardHost(sys.argv[1], sys.argv[2])))
