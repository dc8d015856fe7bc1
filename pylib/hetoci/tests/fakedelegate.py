# SPDX-License-Identifier: MIT
"""A runtime for plain containers without isolation: enough of runc for a test.

It is copied to ROOT/usr/bin/crun behind a `#!` line, and keeps its containers in
ROOT/delegate. A container's init waits at a FIFO and then becomes the process of config.json.
With a file ROOT/delegate-fails (an exit code, then a message), create and run fail. With one
ROOT/delegate-dies, which has the name of a step, it is killed there, once.
"""

import json
import os
import signal
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0]))))
VALUES = {"root", "log", "log-format", "bundle", "b", "pid-file", "console-socket", "format"}


class Container:
    """What is kept of one, in a directory."""

    def __init__(self, engine, name):
        self.name = name
        self.home = f"{ROOT}/delegate/{engine.replace('/', '%') or '@'}/{name}"

    def read(self, name):
        with open(f"{self.home}/{name}", encoding="utf-8") as file:
            return file.read()

    def write(self, name, text):
        with open(f"{self.home}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    @property
    def pid(self):
        """Of its init, 0 if that has ended."""
        try:
            pid = int(self.read("pid"))
            with open(f"/proc/{pid}/stat", "rb") as stat:
                state = stat.read().rpartition(b")")[2].split()[0]
        except (OSError, ValueError):
            return 0
        return 0 if state in (b"Z", b"X") else pid

    def status(self):
        if not self.pid:
            return "stopped"
        return "running" if os.path.exists(f"{self.home}/started") else "created"


def fail(message, code=1):
    sys.stderr.write(message + "\n")
    sys.exit(code)


def step(name):
    path = f"{ROOT}/delegate-dies"
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if file.read() != name:
                return
        os.unlink(path)
        os.kill(os.getpid(), signal.SIGKILL)


def create(container, options):
    step("create:begun")
    if os.path.exists(f"{ROOT}/delegate-fails"):
        with open(f"{ROOT}/delegate-fails", encoding="utf-8") as file:
            code, message = file.read().split(" ", 1)
        fail(message.strip(), int(code))
    bundle = options.get("bundle") or options.get("b")
    with open(f"{ROOT}{bundle}/config.json", encoding="utf-8") as file:
        text = file.read()
    try:
        os.makedirs(container.home)
    except FileExistsError:
        fail(f"container {container.name} already exists")
    container.write("config.json", text)
    step("create:made")
    container.write("bundle", bundle)
    os.mkfifo(f"{container.home}/fifo")
    pid = os.fork()
    if not pid:
        os.setsid()
        container.read("fifo")
        words = json.loads(text)["process"]["args"]
        os.execvp(words[0], words)
    container.write("pid", str(pid))
    step("create:forked")
    if options.get("pid-file"):
        with open(ROOT + options["pid-file"], "w", encoding="utf-8") as file:
            file.write(str(pid))
    step("create:done")
    return pid


def start(container, options):
    if container.status() != "created":
        fail(f"cannot start a container that is {container.status()}")
    container.write("started", "")
    container.write("fifo", "")


def state(container, options):
    status = container.status()
    value = {
        "ociVersion": "1.0.2",
        "id": container.name,
        "pid": container.pid,
        "status": status,
        "bundle": container.read("bundle"),
    }
    print(json.dumps(value))


def kill(container, options):
    word = (options["words"][1:] or ["TERM"])[0]
    number = int(word) if word.isdigit() else signal.Signals["SIG" + word.removeprefix("SIG")]
    pid = container.pid
    if not pid:
        fail("container not running")
    os.kill(pid, number)


def delete(container, options):
    if container.pid and not {"force", "f"} & options.keys():
        fail(f"cannot delete container {container.name} that is not stopped: it is running")
    step("delete:begun")
    while pid := container.pid:  # read once: 0 would be our own process group
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    step("delete:killed")
    for name in os.listdir(container.home):
        os.unlink(f"{container.home}/{name}")
    os.rmdir(container.home)
    step("delete:done")


def run(container, options):
    pid = create(container, options)
    start(container, options)
    step("run:started")
    if {"detach", "d"} & options.keys():
        return
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    delete(container, options)
    sys.exit(code if code >= 0 else 128 - code)


def main():
    options = {"words": []}
    words = iter(sys.argv[1:])
    verb = None
    for word in words:
        if word.startswith("-"):
            name, equals, value = word.lstrip("-").partition("=")
            options[name] = value if equals else next(words) if name in VALUES else ""
        elif verb is None:
            verb = word
        else:
            options["words"].append(word)
    engine = options.get("root", "")
    if verb == "list":
        directory = f"{ROOT}/delegate/{engine.replace('/', '%') or '@'}"
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        found = [Container(engine, name) for name in names]
        print(json.dumps([{"id": c.name, "pid": c.pid, "status": c.status(),
                           "bundle": c.read("bundle")} for c in found]))  # fmt: skip
        return
    container = Container(engine, options["words"][0])
    if verb not in ("create", "run") and not os.path.isdir(container.home):
        if verb == "delete" and {"force", "f"} & options.keys():
            return
        fail(f"container {container.name} does not exist")
    verbs = {"create": create, "start": start, "state": state, "kill": kill, "delete": delete,
             "run": run}  # fmt: skip
    verbs[verb](container, options)


main()
