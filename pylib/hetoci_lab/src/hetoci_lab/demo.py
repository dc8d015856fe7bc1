# SPDX-License-Identifier: MIT
"""`make demo`: firmware on a real-time core as a container, every claim checked as it is made."""

import re
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from grpc import RpcError

from hetoci_lab.cri import SOCKET, Cri
from hetoci_lab.errors import LabError
from hetoci_lab.session import Session

RUNTIME = "--runtime io.containerd.hetoci.v1"
IMAGES = "/usr/share/hetoci/images"
POD: dict[str, tuple[str, dict[str, str], str]] = {
    "linux": ("hello", {}, "hello"),
    "firmware": ("fw-echo", {}, "Cortex-R5"),
    "rtos": ("rtos-jitter", {"io.hetoci.domain.cmdline": "period=20000"}, "jitter: "),
    "micro-vm": ("hello", {"io.hetoci.workload": "domain"}, "hello"),
}
"""Containers of the last act: image, annotations, and what each says when it works. The RTOS has 50
releases a second instead of 1000, which leaves the one emulated core to the others."""


def run(board: Path) -> None:
    """Run the demonstration on a freshly booted board; raise LabError at the first failure."""
    with Session(board, "xen") as session:
        Demo(session).play()


class Demo:
    """The acts of the demonstration; each shows commands with their output, then what it proved."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def play(self) -> None:
        """Run all acts in order."""
        self.boot()
        self.images()
        self.start()
        self.look()
        self.stop()
        self.pod()
        self.power_off()
        tell("\nAll of it was observed, not assumed. Try it yourself: make shell")

    def boot(self) -> None:
        """Power on under Xen and wait for containerd."""
        act("Power on: an unmodified QEMU with our EL3 firmware, Xen, Linux as dom0, containerd")
        passed(f"containerd was ready after {self.session.wait_ready(Progress()):.1f} s")
        self.check("xl info | grep -E 'xen_version|total_memory'", "xen_version", "Xen is running")
        self.check("hetoci devices", r"r5f.*\bfree\b", "a Cortex-R5 core is there, and free")

    def images(self) -> None:
        """Import the images."""
        act("Import two OCI images: a Linux program, and firmware for the Cortex-R5")
        for name in ("hello", "fw-echo"):
            self.check(
                f"ctr image import --no-unpack {IMAGES}/{name}.oci.tar",
                "",
                f"{name} imported",
            )

    def start(self) -> None:
        """Start one container of each kind with the same command."""
        act("Start both with the same command and the same runtime")
        for name in ("hello", "fw-echo"):
            self.check(
                f"ctr run -d {RUNTIME} --log-uri file:///run/{name}.log "
                f"localhost/{name}:latest {name}",
                "",
                f"{name} started",
            )

    def look(self) -> None:
        """Show the list of containers, the logs, and the core itself."""
        act("Both are containers like any other")
        self.check(
            "ctr task ls",
            r"(?s)(fw-echo.*RUNNING.*hello.*RUNNING|hello.*RUNNING.*fw-echo.*RUNNING)",
            "the list of containers shows them side by side",
        )
        self.until("cat /run/fw-echo.log", r"(?i)cortex-r5", "the firmware's own output is its log")
        self.check("tail -n 2 /run/hello.log", r"\S", "so is the Linux program's")
        self.check(
            "cat /sys/class/remoteproc/remoteproc0/state",
            r"^running$",
            "Linux's remoteproc says that the core runs",
        )
        self.check("hetoci devices", r"fw-echo", "the core is held by the container")

    def stop(self) -> None:
        """Stop both and show that the core came back."""
        act("Stop them")
        for name in ("fw-echo", "hello"):
            self.check(f"ctr task kill -s SIGKILL {name}", "", f"{name} told to stop")
            self.until("ctr task ls", rf"{name}\s+\d+\s+STOPPED", f"{name} has stopped")
            self.check(f"ctr task rm {name}; ctr container rm {name}", "", f"{name} removed")
        self.check(
            "cat /sys/class/remoteproc/remoteproc0/state", r"^offline$", "the core is stopped"
        )
        self.check("hetoci devices", r"r5f.*\bfree\b", "and free for the next container")

    def pod(self) -> None:
        """Run a Linux program, firmware, an RTOS and a micro-VM side by side in one pod."""
        act("One pod of four kinds, by the calls that Kubernetes makes")
        for name in ("pause", *dict.fromkeys(image for image, _, _ in POD.values())):
            archive = f"{IMAGES}/{name}.oci.tar"
            self.check(f"ctr -n k8s.io image import --no-unpack {archive}", "", f"{name} imported")
        with self.session.forward(SOCKET) as port, closing(Cri(f"127.0.0.1:{port}")) as cri:
            try:
                pod = cri.run_pod("demo")
                call("RunPodSandbox demo", pod[:12])
                for name, (image, keys, _) in POD.items():
                    reference = f"localhost/{image}:latest"
                    container = cri.start(pod, name, reference, annotations=keys)
                    words = " ".join(f"{key}={value}" for key, value in keys.items())
                    call(f"CreateContainer, StartContainer {name} {image} {words}", container[:12])
                self.look_at_pod(cri, pod)
                cri.remove_pod(pod)
                call("StopPodSandbox, RemovePodSandbox demo", "")
            except RpcError as error:
                raise LabError(f"The engine refused: {error.details()}") from error
        self.check("xl list", r"\A[^\n]*\nDomain-0[^\n]*\n?\Z", "Xen has no domain but dom0 again")
        self.check("hetoci devices", r"r5f.*\bfree\b", "and the core is free")

    def look_at_pod(self, cri: Cri, pod: str) -> None:
        """Show the engine's list, each container's own words, and what is behind each."""
        for name, (_, _, words) in POD.items():
            said = f"grep -m 1 '{words}' /run/demo/{name}.log | cut -d' ' -f 4-"
            self.until(said, words, f"{name} speaks for itself")
        rows = [row for row in cri.containers() if row.pod == pod]
        lines = [f"{row.id[:12]}  {row.name:9} {row.image:32} {row.state}" for row in rows]
        call("ListContainers", *sorted(lines))
        if sorted(row.name for row in rows if row.state == "running") != sorted(POD):
            raise LabError("Not observed: the pod's four containers, running at once.")
        passed("the engine's list has all four, running at once")
        self.check("hetoci ps", "(?s)(firmware.*domain.*domain|domain.*firmware|domain.*domain)",
                   "hetoci says what hardware each has")  # fmt: skip
        self.check("xl list", "(?s)hetoci-.*hetoci-", "two of them are domains of Xen")

    def power_off(self) -> None:
        """Switch the board off from inside."""
        act("Power off")
        self.session.ssh("systemctl poweroff")
        status = self.session.wait_off()
        if status != 0:
            raise LabError(f"QEMU ended with status {status} instead of 0.")
        passed("the board switched itself off")

    def check(self, command: str, pattern: str, claim: str) -> None:
        """Run a command on the board, show it, and hold it to `pattern` and exit status 0."""
        done = self.session.ssh(command)
        show(command, done.stdout)
        if done.returncode or not re.search(pattern, done.stdout, re.MULTILINE):
            raise LabError(
                f"Not observed: {claim} (exit status {done.returncode}).",
                hint="`make shell` gives a board to look at.",
            )
        passed(claim)

    def until(self, command: str, pattern: str, claim: str, seconds: float = 20.0) -> None:
        """Repeat a command until its output matches; show the last output."""
        _repeat(lambda: bool(re.search(pattern, self.session.ssh(command).stdout)), seconds)
        self.check(command, pattern, claim)


class Progress:
    """Shows the console's newest line every two seconds."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, line: str) -> None:
        now = time.monotonic()
        if now - self._said >= 2 and line:
            self._said = now
            tell(f"    ... {line[:100]}")


def _repeat(ready: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.5)


def act(title: str) -> None:
    """Print the heading of an act."""
    tell(f"\n== {title}")


def show(command: str, output: str) -> None:
    """Print a command as typed on the board, and its output."""
    tell(f"  board# {command}")
    for line in output.rstrip().splitlines():
        tell(f"    {line}")


def call(what: str, *answer: str) -> None:
    """Print a call of the Container Runtime Interface and what came back."""
    tell(f"  CRI: {what.rstrip()}")
    for line in filter(None, answer):
        tell(f"    {line}")


def passed(claim: str) -> None:
    """Print what was just observed."""
    tell(f"  ok: {claim}")


def tell(text: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
