# SPDX-License-Identifier: MIT
"""A cache by content: an artefact's folder is named by the hash of everything it is made from."""

import ast
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from hetoci_lab import paths
from hetoci_lab.console import say
from hetoci_lab.errors import LabError

KEEP = 6
"""Newest artefacts of a kind that stay; older ones are removed when one is added."""


def digest_of(parts: Iterable[str | bytes | Path]) -> str:
    """Return a hex digest over strings, bytes, files and folders (names, modes and contents)."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file() and "__pycache__" not in file.parts:
                    name = file.relative_to(part) if part.is_dir() else file.name
                    mode = file.stat().st_mode & 0o111
                    total.update(f"{name}\0{mode}\0".encode())
                    total.update(hashlib.sha256(file.read_bytes()).digest())
        else:
            data = part.encode() if isinstance(part, str) else part
            total.update(hashlib.sha256(data).digest())
    return total.hexdigest()[:20]


def code(module: Path) -> str:
    """Return what a Python module does, as a digest part: comments and layout do not count."""
    return ast.dump(ast.parse(module.read_text()))


def artefact(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of artefact `kind`/`key`; have `make` fill it if it is not there.

    `make` works in a temporary folder that is renamed when it returns, so an interrupted build
    leaves nothing that looks finished. A lock a kind keeps two builds from doing the same work;
    what is finished is taken without it.
    """
    home = paths.cache() / kind
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(
            f"Cannot create the cache folder {home}: {error.strerror}.",
            hint="Set HETOCI_CACHE to a folder you may write to.",
        ) from error
    place = home / key
    with suppress(FileNotFoundError):
        os.utime(place)
        return place
    with locked(home, kind):
        if not place.is_dir():
            for stale in home.glob("tmp-*"):
                remove(stale)
            work = Path(mkdtemp(prefix="tmp-", dir=home))
            work.chmod(0o755)
            make(work)
            work.rename(place)
            _prune(home, place)
        os.utime(place)
    return place


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Hold the folder's lock file; say so when another build has it."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(name, "waiting for another build")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove(folder: Path) -> None:
    """Remove a folder, also one with files that another user id of a name space owns."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists() and os.geteuid() != 0:
        subprocess.run(["unshare", "--map-auto", "-r", "rm", "-rf", str(folder)], check=False)


def _prune(home: Path, newest: Path) -> None:
    others = [f for f in home.iterdir() if f.is_dir() and f != newest]
    others.sort(key=lambda f: f.stat().st_mtime, reverse=True)
    for old in others[KEEP - 1 :]:
        remove(old)
