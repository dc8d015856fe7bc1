# SPDX-License-Identifier: MIT
"""A board to run hetoci on, with the test process in the place of an engine's shim."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import firmware
from fakekernel import BoardHost, FakeKernel

if TYPE_CHECKING:
    from plboard import PlBoard

PR_SET_CHILD_SUBREAPER = 36
HERE = Path(__file__).parent


def until(what: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until `what()` is true and return it; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.01)
    return result


#: Processes of ours that outlive a test.
HELPERS: set[int] = set()


def children() -> list[int]:
    """Processes that became our children, as a shim's."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(child) for child in found if int(child) not in HELPERS]


class Result:
    """Exit code, standard output and standard error of one call of hetoci."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    def json(self) -> Any:
        return json.loads(self.out)


class Board:
    """The fake kernel, the command line, and what an engine keeps of each container."""

    def __init__(self, root: Path, cores: int) -> None:
        self.root = root
        self.kernel = FakeKernel(root, cores)
        self.host = BoardHost(os.fspath(root))
        self.outputs: dict[str, Path] = {}

    @property
    def core(self) -> Any:
        return self.kernel.cores["remoteproc0"]

    def start_hetoci(self, *args: str, die_at: str = "", **streams: Any) -> subprocess.Popen[str]:
        source = HERE.parent / "src"
        return subprocess.Popen(
            [sys.executable, HERE / "cli.py", self.root, die_at, *args],
            env={**os.environ, "PYTHONPATH": f"{HERE}:{source}"},
            text=True,
            **streams,
        )

    def hetoci(self, *args: str, die_at: str = "") -> Result:
        """Call hetoci and wait for it."""
        process = self.start_hetoci(
            *args, die_at=die_at, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = process.communicate(timeout=30)
        return Result(process.returncode, out, err)

    def ok(self, *args: str) -> Result:
        """Call hetoci, which must succeed in silence on stderr."""
        result = self.hetoci(*args)
        assert (result.code, result.err) == (0, "")
        return result

    def bundle(self, script: str = "say hello", **config: Any) -> str:
        """Make a bundle whose firmware does `script`; its path on the board."""
        number = len(list(self.root.glob("bundle*")))
        path = self.root / f"bundle{number}"
        (path / "rootfs").mkdir(parents=True)
        (path / "rootfs/x.elf").write_bytes(firmware.scripted(script))
        base: dict[str, Any] = {
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            "process": {"args": ["x.elf"], "cwd": "/"},
            "annotations": {"io.hetoci.workload": "firmware"},
        }
        (path / "config.json").write_text(json.dumps({**base, **config}))
        return f"/{path.name}"

    def create(
        self,
        name: str,
        bundle: str,
        *args: str,
        before: tuple[str, ...] = (),
        die_at: str = "",
        stdin: Any = None,
    ) -> Result:
        """Create as a shim does: the container inherits files as standard streams."""
        output = self.outputs[name] = self.root / f"{name}.out"
        error = self.root / f"{name}.err"
        pid_file = f"/{name}.pid"
        with output.open("w") as out, error.open("w") as err:
            process = self.start_hetoci(
                *before, "create", "--bundle", bundle, "--pid-file", pid_file, *args, name,
                die_at=die_at, stdout=out, stderr=err, stdin=stdin or subprocess.DEVNULL,
            )  # fmt: skip
        process.wait(timeout=30)
        return Result(process.returncode, output.read_text(), error.read_text())

    def running(self, name: str, script: str = "say hello", **config: Any) -> int:
        """Create and start a container; its pid."""
        assert self.create(name, self.bundle(script, **config)).code == 0
        self.ok("start", name)
        return self.pid(name)

    def pid(self, name: str) -> int:
        return int((self.root / f"{name}.pid").read_text())

    def exit_code(self, name: str) -> int:
        """Wait for the container's process as its shim, and return its exit code."""
        pid = self.pid(name)
        descriptor = os.pidfd_open(pid)
        try:
            assert select.select([descriptor], [], [], 15)[0], f"{name} does not end"
        finally:
            os.close(descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def log(self, name: str) -> str:
        return self.outputs[name].read_text()

    def errors(self, name: str) -> str:
        return (self.root / f"{name}.err").read_text()

    def status(self, name: str) -> str:
        return str(self.ok("state", name).json()["status"])

    def leftovers(self) -> list[str]:
        """Everything a container could leave behind: claims held, files, a core that runs."""
        found = [
            f"{core.instance} is {core.state}"
            for core in self.kernel.cores.values()
            if core.state != "offline"
        ]
        found += [
            f"{core['device']} is held by {core['holder']}"
            for core in self.hetoci("devices", "--json").json()
            if core["holder"]
        ]
        for place in ("containers/*/*", "containers/*/.*", "firmware/*"):
            found += [os.fspath(p) for p in (self.root / "run/hetoci").glob(place)]
        return found


@pytest.fixture(autouse=True, scope="session")
def subreaper() -> None:
    """Keepers become our children when create ends, as those of a shim."""
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """A board with one Cortex-R5F core."""
    yield from _board(Board(tmp_path, 1))


@pytest.fixture
def two_cores(tmp_path: Path) -> Iterator[Board]:
    """A board with two Cortex-R5F cores."""
    yield from _board(Board(tmp_path, 2))


@pytest.fixture
def pl(tmp_path: Path) -> Iterator[PlBoard]:
    """A board with programmable logic: a shell with four slots."""
    from plboard import PlBoard

    yield from _board(PlBoard(tmp_path))


@pytest.fixture
def bare_pl(tmp_path: Path) -> Iterator[PlBoard]:
    """A board with programmable logic and no shell in it."""
    from plboard import PlBoard

    yield from _board(PlBoard(tmp_path, shell=False))


@pytest.fixture
def xlnx_pl(tmp_path: Path) -> Iterator[PlBoard]:
    """A board with linux-xlnx's attributes of the FPGA manager, and without configfs."""
    from plboard import PlBoard

    yield from _board(PlBoard(tmp_path, shell=False, configfs=False, xlnx=True))


def _board(made: Any) -> Iterator[Any]:
    yield made
    for child in children():  # keepers and inits that the test did not end
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    made.kernel.close()
