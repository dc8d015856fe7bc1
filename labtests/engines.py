# SPDX-License-Identifier: MIT
"""Engines on the board, as far as one container's life needs them, all by the same words.

Each holds at most one container, called NAME. What an engine says when it refuses is returned,
not raised.
"""

import re
import shlex
import time
from collections.abc import Mapping
from typing import Protocol

import grpc

from conftest import IMAGES, RUNTIME, Board, Result
from hetoci_lab.cri import Cri

NAME = "one"
#: What an image's program needs to be told so that it goes on; firmware always does.
FOREVER = {"pl-sha256": ("/bin/sha256", "--forever")}
RUNNING = "running"
EXITED = "exited"
SECONDS = 120
SHELL = ("/bin/busybox", "sh", "-c")


class Engine(Protocol):
    """The life of the container NAME. without_network, with_network: the engine's words for it."""

    network: str
    without_network: str
    with_network: str

    def load(self, image: str) -> None:
        """Bring the archive of `image` into the engine's store, once."""

    def start(self, image: str, annotations: Mapping[str, str]) -> Result:
        """Start the container in the background with the hetoci runtime; it goes on for ever."""

    def state(self) -> str:
        """Return RUNNING, EXITED or whatever else the engine says."""

    def identity(self) -> str:
        """Return the container's id, which is the last part of its bundle's path."""

    def log(self) -> str:
        """Return what the container has said so far."""

    def stop(self) -> None:
        """Ask the container to end, as the engine does it."""

    def exit_code(self) -> int:
        """Return the exit code of the container, which has ended."""

    def remove(self) -> None:
        """Remove the container, whatever state it is in, or its remains."""


def archive(image: str) -> str:
    """Return the image's archive on the board; a test may have put one in /run."""
    name = f"{image}.oci.tar"
    return f"$(ls /run/{name} {IMAGES}/{name} 2>/dev/null | head -n 1)"


class Containerd:
    """What `ctr` and CRI share: images come in by `ctr image import`."""

    namespace = "default"

    def __init__(self, board: Board) -> None:
        self.board = board
        self.ctr = f"ctr --namespace {self.namespace}"

    def load(self, image: str) -> None:
        """Import the archive, once."""
        if f"localhost/{image}:latest" not in self.board.check(f"{self.ctr} image ls -q"):
            self.board.check(f"{self.ctr} image import {archive(image)}")


class Ctr(Containerd):
    """containerd by its own client."""

    network = without_network = with_network = ""

    def start(self, image: str, annotations: Mapping[str, str]) -> Result:
        """`ctr run -d`."""
        options = words("--annotation", annotations)
        self.board.run(f"rm -f /run/{NAME}.log")
        return self.board.run(
            f"ctr run -d {RUNTIME} --log-uri file:///run/{NAME}.log {options} "
            f"localhost/{image}:latest {NAME} {' '.join(FOREVER.get(image, ()))}",
            SECONDS,
        )

    def state(self) -> str:
        """As `ctr task ls` says it."""
        row = self.board.check(f"ctr task ls | awk '$1 == \"{NAME}\" {{print $3}}'").lower()
        return EXITED if row == "stopped" else row

    def identity(self) -> str:
        """Its name."""
        return NAME

    def log(self) -> str:
        """The file of --log-uri."""
        return self.board.check(f"cat /run/{NAME}.log")

    def stop(self) -> None:
        """SIGTERM."""
        self.board.check(f"ctr task kill -s SIGTERM {NAME}")

    def exit_code(self) -> int:
        """`ctr task rm` ends with it."""
        done = self.board.run(f"ctr task rm {NAME}")
        found = re.search(r"exit code (\d+)", done.out)
        return int(found.group(1)) if found else done.status

    def remove(self) -> None:
        """As conftest does it."""
        self.board.remove(NAME)


class Pod(Containerd):
    """containerd by the calls that kubelet makes: a pod with one container."""

    namespace = "k8s.io"
    without_network = "NODE"
    with_network = "POD"

    def __init__(self, board: Board, port: int) -> None:
        super().__init__(board)
        self.cri = Cri(f"127.0.0.1:{port}")
        self.network = self.without_network
        self.pod = ""
        self.container = ""

    def load(self, image: str) -> None:
        """Import it, and wait until CRI has noticed."""
        for name in ("pause", image):
            super().load(name)
            for _ in range(20):
                if self.cri.has_image(f"localhost/{name}:latest"):
                    break
            else:
                raise AssertionError(f"CRI does not see the image {name}")

    def start(self, image: str, annotations: Mapping[str, str]) -> Result:
        """RunPodSandbox, CreateContainer, StartContainer."""
        try:
            self.pod = self.cri.run_pod("pod", network=self.network, annotations=annotations)
            self.container = self.cri.start(
                self.pod,
                NAME,
                f"localhost/{image}:latest",
                args=FOREVER.get(image, ())[1:],
                annotations=annotations,
            )
        except grpc.RpcError as error:
            return Result(str(error.details()), 1)
        return Result("", 0)

    def with_device(self, device: str, image: str, script: str) -> str:
        """What busybox's shell in `image` says to `script` in a container with a CDI device, run
        to its end in a pod of runc's."""
        self.pod = self.cri.run_pod("pod", handler="", network=self.network)
        reference = f"localhost/{image}:latest"
        self.container = self.cri.start(
            self.pod, NAME, reference, command=(*SHELL, script), devices=[device]
        )
        for _ in range(100):
            if self.state() == EXITED:
                break
            time.sleep(0.3)
        return self.log()

    def state(self) -> str:
        """As ListContainers says it; ContainerStatus must agree."""
        listed = {row.id: row.state for row in self.cri.containers()}
        assert listed[self.container] == self.cri.status(self.container)[0]
        return listed[self.container]

    def identity(self) -> str:
        """From CreateContainer."""
        return self.container

    def log(self) -> str:
        """The lines of the log file without what CRI puts in front."""
        lines = self.board.check(f"cat /run/pod/{NAME}.log").splitlines()
        return "\n".join(line.split(" ", 3)[-1] for line in lines)

    def stop(self) -> None:
        """StopContainer."""
        self.cri.stop(self.container)

    def exit_code(self) -> int:
        """From ContainerStatus."""
        return self.cri.status(self.container)[1]

    def remove(self) -> None:
        """The container, then its pod."""
        if self.container:
            self.cri.remove(self.container)
        if self.pod:
            self.cri.remove_pod(self.pod)
        self.pod = self.container = ""


class Commands:
    """Podman and Docker, whose commands agree where it matters here."""

    program = ""
    without_network = "none"
    with_network = ""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.network = self.without_network

    def load(self, image: str) -> None:
        """`load`, once."""
        if f"localhost/{image}" not in self.board.check(
            f"{self.program} images --format '{{{{.Repository}}}}'", SECONDS
        ):
            self.board.check(f"{self.program} load -q -i {archive(image)}", SECONDS)

    def start(self, image: str, annotations: Mapping[str, str]) -> Result:
        """`run -d`."""
        options = words("--annotation", annotations)
        return self.board.run(
            f"{self.program} run -d --name {NAME} --runtime hetoci --network {self.network}"
            f" {options} "
            f"localhost/{image}:latest {' '.join(FOREVER.get(image, ())[1:])}",
            SECONDS,
        )

    def with_device(self, device: str, image: str, script: str) -> str:
        """The same by `run --rm --device`, under the engine's own runtime."""
        return self.board.check(
            f"{self.program} run --rm --network {self.network} --device {device}"
            f" --entrypoint {SHELL[0]} localhost/{image}:latest {shlex.join((*SHELL[1:], script))}",
            SECONDS,
        )

    def state(self) -> str:
        """As `inspect` says it."""
        return self._inspect(".State.Status")

    def identity(self) -> str:
        """As `inspect` says it."""
        return self._inspect(".Id")

    def log(self) -> str:
        """`logs`."""
        return self.board.check(f"{self.program} logs {NAME} 2>&1", SECONDS)

    def stop(self) -> None:
        """`stop`."""
        self.board.check(f"{self.program} stop {NAME}", SECONDS)

    def exit_code(self) -> int:
        """As `inspect` says it."""
        return int(self._inspect(".State.ExitCode"))

    def remove(self) -> None:
        """`rm -f`."""
        self.board.run(f"{self.program} rm -f {NAME}", SECONDS)

    def _inspect(self, field: str) -> str:
        template = f"{{{{{field}}}}}"
        return self.board.check(f"{self.program} inspect --format '{template}' {NAME}", SECONDS)


class Podman(Commands):
    """Podman, as root."""

    program = "podman"
    with_network = "podman"


class Docker(Commands):
    """Docker, whose daemon is started for the tests."""

    program = "docker"
    with_network = "tests"


def words(option: str, values: Mapping[str, str]) -> str:
    """Return `option KEY=VALUE` for each of `values`, for a shell."""
    return " ".join(f"{option} {shlex.quote(f'{key}={text}')}" for key, text in values.items())
