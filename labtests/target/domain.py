# SPDX-License-Identifier: MIT
"""On the board: bundles for domains, a terminal like an engine's, untimely deaths.

domain.py bundle FOLDER ROOTFS [CHANGES]   write config.json; CHANGES: JSON merged into it
domain.py die STEP WORDS...                hetoci WORDS, killed at the checkpoint STEP
domain.py terminal FOLDER ID               run it on a terminal: type what stdin has
domain.py same FOLDER ROOTFS < COMMANDS    each command under the delegate and as a domain
"""

import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

CAPABILITIES = [
    f"CAP_{name}" for name in ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID")
]
MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]},
]


def merged(base: object, changes: object) -> object:
    """`base` with `changes` laid over it, objects member by member."""
    if isinstance(base, dict) and isinstance(changes, dict):
        return {**base, **{key: merged(base.get(key), value) for key, value in changes.items()}}
    return changes


def bundle(folder: str, rootfs: str, changes: dict[str, object]) -> None:
    """Write FOLDER/config.json for the files in `rootfs`."""
    config = {
        "ociVersion": "1.0.2",
        "annotations": {"io.hetoci.workload": "domain"},
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/root"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 2048, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": rootfs},
        "hostname": "box",
        "mounts": MOUNTS,
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")],
            "resources": {"memory": {"limit": 64 << 20}},
        },
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, "config.json").write_text(json.dumps(merged(config, changes)))


def die(step: str, words: list[str]) -> int:
    """Run hetoci in this process; the process that comes to `step` is killed."""
    sys.path.insert(0, "/usr/lib/hetoci")
    from hetoci.__main__ import main
    from hetoci.host import Host

    class Mortal(Host):
        def checkpoint(self, name: str) -> None:
            if name == step:
                os.kill(os.getpid(), signal.SIGKILL)

    return main(words, Mortal())


def terminal(folder: str, name: str) -> int:
    """As an engine: give the container a terminal of 33 rows and 99 columns, type, show."""
    path = f"{folder}/console.sock"
    Path(path).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        words = ["hetoci", "create", "-b", folder, "--console-socket", path, name]
        made = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        connection, _ = server.accept()
        _, (master,), _, _ = socket.recv_fds(connection, 4096, 1)
    if made.wait():
        return 1
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    subprocess.run(["hetoci", "start", name], check=True)
    os.write(master, sys.stdin.buffer.read())
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 1)[0]:
            try:
                sys.stdout.buffer.write(os.read(master, 4096))
            except OSError:  # the other side is closed
                break
    subprocess.run(["hetoci", "delete", "--force", name], check=True)
    return 0


def same(folder: str, rootfs: str) -> int:
    """Run each line of stdin with sh in a container of the delegate's and in a domain; say where
    stdout, stderr or exit code differ. The exit code is the number of lines that do."""
    kinds = {"delegate": None, "domain": "domain"}
    for name, workload in kinds.items():
        changes = {"process": {"args": ["sleep", "1000"]}, "root": {"readonly": rootfs == "/mnt"}}
        bundle(f"{folder}-{name}", rootfs, changes)
        if not workload:
            forget_workload(f"{folder}-{name}")
        words = ["hetoci", "run", "--detach", "-b", f"{folder}-{name}", name]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, **quiet)
    different = 0
    for line in sys.stdin.read().splitlines():
        outcomes = []
        for name in kinds:
            words = ["hetoci", "exec", name, "sh", "-c", line]
            done = subprocess.run(words, capture_output=True, input=b"typed\n", check=False)
            outcomes.append((done.returncode, done.stdout, done.stderr))
        verdict = "same" if outcomes[0] == outcomes[1] else f"DIFFERENT {outcomes}"
        different += outcomes[0] != outcomes[1]
        print(f"{verdict}: {line}", flush=True)
    for name in kinds:
        subprocess.run(["hetoci", "delete", "--force", name], check=True)
    return different


def forget_workload(folder: str) -> None:
    """Make the bundle a plain container's."""
    file = Path(folder, "config.json")
    config = json.loads(file.read_text())
    del config["annotations"]
    file.write_text(json.dumps(config))


def main() -> int:
    """Do what the command line says."""
    verb, *words = sys.argv[1:]
    if verb == "bundle":
        bundle(words[0], words[1], json.loads(words[2]) if len(words) > 2 else {})
        return 0
    if verb == "die":
        return die(words[0], words[1:])
    return terminal(*words) if verb == "terminal" else same(*words)


if __name__ == "__main__":
    sys.exit(main())
