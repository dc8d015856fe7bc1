# SPDX-License-Identifier: MIT
"""hetoci's command line on a fake board: cli.py ROOT DIE-AT ARGUMENTS...

cli.py --serve SOCKET answers such calls from forked copies of a process that has everything
imported, which saves the tests most of their time: a call is a JSON list of the words, sent
with standard input, output and error; the answers are the pid and the exit code, negative for
a signal.
"""

import json
import os
import socket
import sys
from pathlib import Path

from fakekernel import BoardHost
from hetoci.__main__ import main


def serve(path: str) -> None:
    # What verbs import when they are called.
    import hashlib
    import mmap
    import traceback

    from hetoci import describe, hooks, inject, report, shells  # noqa: F401
    from hetoci.verbs import about, accelerator, create, firmware, reap, show  # noqa: F401

    assert hashlib and mmap and traceback
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{path}.new")
        server.listen(64)
        Path(f"{path}.new").rename(path)
        while True:
            connection, _ = server.accept()
            if os.fork():
                connection.close()
                # Handlers end by themselves; take those that have.
                while _ended():
                    pass
                continue
            server.close()
            _handle(connection)
            os._exit(0)


def _ended() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] > 0
    except ChildProcessError:
        return False


def _handle(connection: socket.socket) -> None:
    text, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    words = json.loads(text)
    child = os.fork()
    if not child:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        code = main(words[2:], BoardHost(words[0], words[1]))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    connection.sendall(f"{child}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(str(code).encode())


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2])
    sys.exit(main(sys.argv[3:], BoardHost(sys.argv[1], sys.argv[2])))
