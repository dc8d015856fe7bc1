# SPDX-License-Identifier: MIT
"""A board with programmable logic, and a delegate that runs programs."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import accelerator as make
from conftest import HELPERS, HERE, Board, Result, until
from fakefpga import OVERLAYS, FakeFpga
from hetoci import claims

IMAGE = {
    "bitstream": "/accelerator/sha256-{slot}.bit.bin",
    "overlay": "/accelerator/sha256-{slot}.dtbo",
    "flags": "partial",
}
SLEEP = ("sleep", "600")


def image(slots: int = make.SLOTS, name: str = "sha256") -> dict[str, bytes]:
    """The files of an image with a design for each slot."""
    files = {}
    for slot in range(slots):
        files[f"/accelerator/{name}-slot{slot}.bit.bin"] = make.bitstream(slot)
        files[f"/accelerator/{name}-slot{slot}.dtbo"] = make.slot_overlay(slot, name)
    return files


def keys(name: str = "hash", **values: str | None) -> dict[str, str]:
    """The keys of an accelerator of `image()`; None takes one away."""
    found = {**IMAGE, **values}
    return {
        f"io.hetoci.accelerator.{name}.{key}": value
        for key, value in found.items()
        if value is not None
    }


class Call:
    """A call of hetoci by way of `cli.py --serve`, as subprocess.Popen would have it."""

    def __init__(self, words: list[str], streams: tuple[Any, Any, Any]) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(_server())
        with open(os.devnull, "r+b") as null:  # noqa: PTH123
            numbers = [
                null.fileno() if stream in (None, subprocess.DEVNULL) else stream.fileno()
                for stream in streams
            ]
            socket.send_fds(self.connection, [json.dumps(words).encode()], numbers)
        self.answers = self.connection.makefile("r")
        self.pid = int(self.answers.readline())

    def wait(self, timeout: float = 30) -> int:
        """The exit code."""
        self.connection.settimeout(timeout)
        with self.connection, self.answers:
            self.returncode = int(self.answers.read())
        return self.returncode


@functools.cache
def _server() -> str:
    """The socket of this session's `cli.py --serve`, which ends with it."""
    directory = tempfile.mkdtemp(prefix="hetoci-test-")
    path = f"{directory}/cli"
    process = subprocess.Popen(
        [sys.executable, HERE / "cli.py", "--serve", path],
        env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent / 'src'}"},
    )

    HELPERS.add(process.pid)

    def end() -> None:
        process.kill()
        process.wait()
        shutil.rmtree(directory)

    atexit.register(end)
    until(lambda: Path(path).exists(), 60)
    return path


class PlBoard(Board):
    """A Board without remote cores and with a FakeFpga. options: of the FakeFpga."""

    def __init__(self, root: Path, **options: bool) -> None:
        super().__init__(root, 0)
        self.fpga = FakeFpga(self.kernel, **options)
        crun = root / "usr/bin/crun"
        crun.parent.mkdir(parents=True)
        text = (HERE / "fakedelegate.py").read_text()
        crun.write_text(f"#!{os.path.realpath(sys.executable)} -IS\n{text}")
        crun.chmod(0o755)

    def start_hetoci(self, *args: str, die_at: str = "", **streams: Any) -> Any:
        words = [os.fspath(self.root), die_at, *args]
        found = (streams.get("stdin"), streams.get("stdout"), streams.get("stderr"))
        return Call(words, found)

    def hetoci(self, *args: str, die_at: str = "") -> Result:
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            code = self.start_hetoci(*args, die_at=die_at, stdout=out, stderr=err).wait()
            for file in (out, err):
                file.seek(0)
            return Result(code, out.read(), err.read())

    def accelerator(
        self,
        *annotations: Mapping[str, str],
        files: Mapping[str, bytes] | None = None,
        args: tuple[str, ...] = SLEEP,
        **config: Any,
    ) -> str:
        """A bundle with accelerators, by default with one of `image()`; its path."""
        base = {
            "process": {"args": list(args), "cwd": "/", "user": {"uid": 1000, "gid": 100}},
            "annotations": {
                "io.hetoci.workload": "accelerator",
                **{key: value for one in annotations or (keys(),) for key, value in one.items()},
            },
        }
        path = self.bundle(**{**base, **config})
        for name, data in (image() if files is None else files).items():
            self.file(path, name, data)
        return path

    def file(self, bundle: str, name: str, data: bytes) -> Path:
        """Put a file into the image of `bundle`."""
        file = self.root / bundle[1:] / "rootfs" / name[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    def settings(self, text: str) -> None:
        (self.root / "etc/hetoci").mkdir(parents=True, exist_ok=True)
        (self.root / "etc/hetoci/hetoci.conf").write_text(text)

    def config(self, name: str, engine: str = "@") -> Any:
        """config.json as the delegate got it."""
        return json.loads((self.root / f"delegate/{engine}/{name}/config.json").read_text())

    def description(self, name: str) -> Any:
        """What the container sees as /run/hetoci/devices.json."""
        mount = self.config(name)["mounts"][-1]
        assert mount["destination"] == "/run/hetoci/devices.json"
        return json.loads((self.root / mount["source"][1:]).read_text())

    def slots(self) -> dict[str, str]:
        """The holder, or what else is in it, of each slot that is not free and empty."""
        found = {}
        for device in self.ok("devices", "--json").json():
            if device["kind"] == "slot" and (device["holder"] or device["design"]):
                found[device["name"]] = (device["holder"] or {}).get("container", device["design"])
        return found

    def overlays(self) -> list[str]:
        return sorted(path.name for path in (self.root / OVERLAYS).glob("*"))

    def leftovers(self) -> list[str]:
        """Everything a container could leave behind."""
        found = [name for name in self.overlays() if name not in ("pl-shell", SHELL_ITEM)]
        directory = self.root / "run/hetoci/claims"
        for path in directory.iterdir() if directory.is_dir() else ():
            if claims.holder_of(self.host, path.name):
                found.append(f"{path.name} is held by {claims.holder_of(self.host, path.name)}")
        for place in ("run/hetoci/containers/*/*", "run/hetoci/containers/*/.*",
                      "run/hetoci/firmware/*", "delegate/*/*"):  # fmt: skip
            found += [os.fspath(path) for path in self.root.glob(place)]
        found += [f"device {path.name}" for path in (self.root / "sys/class/uio").iterdir()]
        return found

    def snapshot(self) -> dict[str, str]:
        """The state of the board, and what hetoci and the delegate keep: path -> content."""
        found = {}
        for top in ("sys", "dev", "run", "delegate", "etc"):
            for directory, names, files in os.walk(self.root / top):
                found[directory] = ""
                for name in [*names, *files]:
                    path = Path(directory, name)
                    if path.is_symlink():
                        found[os.fspath(path)] = os.fspath(path.readlink())
                    elif path.is_file():
                        found[os.fspath(path)] = path.read_bytes()[:4096].hex()
        return found


#: The item in which a shell of the operator's is.
SHELL_ITEM = "hetoci.shell-fpga-region"

SCHEMAS = Path(__file__).parents[3] / "docs/spec/schema"


def valid(value: Any, schema: str) -> None:
    """`value` is valid against one of the specification's schemas."""
    text = (SCHEMAS / f"{schema}.schema.json").read_text()
    Draft202012Validator(json.loads(text)).validate(value)


def running(pl: PlBoard, name: str, *annotations: Any, **options: Any) -> str:
    """Create and start a container; its bundle."""
    bundle = pl.accelerator(*annotations, **options)
    result = pl.create(name, bundle)
    assert (result.code, result.err) == (0, "")
    pl.ok("start", name)
    return bundle


def end(pl: PlBoard, name: str) -> None:
    """Stop and delete a container as an engine does."""
    pl.ok("kill", name, "KILL")
    assert pl.exit_code(name) == -signal.SIGKILL
    pl.ok("delete", name)


def full(name: str = "sha256") -> dict[str, bytes]:
    """The files of an image with a full bitstream."""
    return {
        "/full.bit": make.bitstream(0xFFFFFFFF, partial=False),
        "/full.dtbo": make.full_overlay(name),
    }


FULL = keys(bitstream="/full.bit", overlay="/full.dtbo", flags=None)


def shell_file(pl: PlBoard, shell: int = make.SHELL, **options: Any) -> str:
    """Make an overlay for hetoci.conf's `shells`; its path on the board."""
    path = f"/etc/hetoci/{shell:08x}.dtbo"
    (pl.root / "etc/hetoci").mkdir(parents=True, exist_ok=True)
    (pl.root / path[1:]).write_bytes(make.shell_overlay(shell, **options))
    return path
