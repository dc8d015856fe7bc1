# SPDX-License-Identifier: MIT
"""A real LAVA server on loopback for one job: PostgreSQL, web server, scheduler, worker.

The server is a Debian 12 of its own, unpacked into the cache; it runs in namespaces over an
overlay in memory and leaves nothing. The worker is lava_tools' dispatcher on this host, where
QEMU and the board's files are.
"""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
import yaml

from hetoci_lab import cache, debian, lava, lava_results, lava_tools, qemu, run
from hetoci_lab.console import step
from hetoci_lab.errors import LabError

SUITE = "bookworm"
PACKAGES = ("postgresql", "lava-server")
SCRIPT = lava_tools.STUBS / "server.sh"
WORKER = "bench"
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
START_TIMEOUT = 300.0
JOB_TIMEOUT = 1800.0


def root() -> Path:
    """Return the server's Debian: a folder with LAVA's server and PostgreSQL installed."""
    sources = debian.sources(SUITE)
    key = cache.digest_of([*PACKAGES, SUITE])

    def make(place: Path) -> None:
        command = ["mmdebstrap", "--variant=minbase", '--aptopt=Apt::Install-Recommends "false"']
        command += [f"--include={','.join(PACKAGES)}", SUITE, str(place / "root"), *sources]
        with step("lava", f"installing {', '.join(PACKAGES)} into a folder"):
            run.logged(command, place / "log", hint=debian.OFFLINE)

    return cache.artefact("lava-server", key, make) / "root"


class Server:
    """A LAVA server with one device and its worker; a context manager that leaves nothing."""

    def __init__(self, device: str, dictionary: Path, log: Path) -> None:
        self.device, self.dictionary, self.log = device, dictionary, log
        self.port = qemu.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = secrets.token_hex(16)
        self._stack = ExitStack()
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> "Server":
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        debian_root = root()
        self.folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="hetoci-lava-")))
        self._write()
        words = [SCRIPT, debian_root, self.folder, self.port, WORKER]
        self._spawn("server", ["sh", *map(str, words)], dict(os.environ))
        with step("lava", "starting the server"):
            self._until(self._answers)
        python, env = lava_tools.command(
            *("-c", "from lava_dispatcher.worker import run; run()", "--url", self.url),
            *("--name", WORKER, "--worker-dir", self.folder / "worker", "--ping-interval", "2"),
            *("--token-file", self.folder / "worker-token", "--log-file", "-"),
        )
        self._spawn("worker", python, env | {"PATH": f"{self.folder}/bin:{os.environ['PATH']}"})

    def _write(self) -> None:
        for name in ("types", "devices", "bin"):
            (self.folder / name).mkdir()
        for file in (lava.folder() / "device-types").glob("*.jinja2"):
            shutil.copy(file, self.folder / "types")
        shutil.copy(self.dictionary, self.folder / "devices" / f"{self.device}.jinja2")
        database = {"ENGINE": "django.db.backends.postgresql", "NAME": "lavaserver"}
        database |= {"USER": "lavaserver", "HOST": "/var/run/postgresql"}
        settings = {"DATABASES": {"default": database}, "ALLOWED_HOSTS": ["127.0.0.1"]}
        for name, data in (
            ("settings", settings),
            ("dispatcher", {"dispatcher_ip": "127.0.0.1"}),
            ("env", {"purge": False}),
        ):
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(data))
        (self.folder / "token").touch(0o600)
        (self.folder / "token").write_text(self.token)
        words, env = lava_tools.command(lava_tools.lava_run())
        wrapper = self.folder / "bin/lava-run"
        wrapper.write_text(
            f'#!/bin/sh\nPYTHONPATH={env["PYTHONPATH"]} exec {" ".join(words)} "$@"\n'
        )
        wrapper.chmod(0o755)

    def _spawn(self, name: str, words: list[str], env: dict[str, str]) -> None:
        with (self.log.parent / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                [*qemu.DIE_WITH_PARENT, *NAMESPACES, *words],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._stack.callback(qemu.quit_politely, child)
        self._children.append((name, child))

    def _until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise LabError(f"The LAVA server did not answer within {START_TIMEOUT:.0f} s.")
            time.sleep(0.5)

    def check(self) -> None:
        """Raise LabError, with its last words, if the server or the worker has ended."""
        for name, child in self._children:
            if child.poll() is not None:
                said = (self.log.parent / f"{name}.log").read_text(errors="replace")
                raise LabError(f"The LAVA {name} ended:\n{said[-800:]}")

    def _answers(self) -> bool:
        if not (self.folder / "ready").exists():
            return False
        try:
            return bool(self.get("system/version/").ok)
        except requests.ConnectionError:
            return False

    def get(self, path: str) -> Any:
        """Return the answer of LAVA's REST interface."""
        headers = {"Authorization": f"Token {self.token}"}
        return requests.get(f"{self.url}/api/v0.2/{path}", headers=headers, timeout=60)

    def job(self, number: int) -> dict[str, Any]:
        """Return what the server says of a job."""
        return dict(self.get(f"jobs/{number}/").json())


def run_job(rendered: lava.Rendered, target: str, say: Callable[[str], None]) -> int:
    """Submit a job to a server of its own; fetch JUnit and log. Return 0 if all passed.

    `lava-junit.xml` is the server's JUnit; lava.log, junit.xml and run.json are as lava-run's.
    """
    if os.geteuid() != 0:
        raise LabError("A LAVA server needs root: it mounts, and the worker's jobs do.")
    log = rendered.folder / "lava.log"
    with Server(f"{target}-1", rendered.dictionary, log) as server:
        facts = {"url": f"{server.url}/RPC2", "user": "hetoci"}
        number = lava.submit(rendered.job, facts, server.token)
        say(f"{server.url}: job {number} is submitted")
        _wait(server, number, rendered, say)
        for file, path in ((rendered.folder / "lava-junit.xml", "junit"), (log, "logs")):
            file.write_bytes(server.get(f"jobs/{number}/{path}/").content)
    return lava_results.convert(rendered.folder, f"lava-{target}")


def _wait(server: Server, number: int, rendered: lava.Rendered, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + JOB_TIMEOUT
    state, calmed = "", False
    while state != "Finished":
        if time.monotonic() > deadline:
            raise LabError(f"Job {number} did not end within {JOB_TIMEOUT:.0f} s; it is {state}.")
        server.check()
        job = server.job(number)
        if job["state"] != state:
            state = job["state"]
            say(f"job {number}: {state}, {job['health']}")
        boards = [] if calmed else qemu.using(rendered.scratch)
        for pid in boards:
            qemu.calm_real_time_cores(pid)
            calmed = True
        time.sleep(1)
