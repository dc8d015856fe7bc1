# SPDX-License-Identifier: MIT
"""The real bitbake over layer checkouts: build folders from our kas files, and running it in them.

A checkout is a folder with one repository a name, as kas leaves in KAS_WORK_DIR: bitbake,
openembedded-core, meta-openembedded and so on. Nothing is fetched and no one else's source is
built here.
"""

import os
import pwd
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hetoci_lab import paths
from hetoci_lab.errors import LabError

OWN = "hetoci"
"""The name of our own repository in the kas files."""
LOCALE = "en_US.UTF-8"
OFFLINE = 'BB_NO_NETWORK = "1"\nCONNECTIVITY_CHECK_URIS = ""\n'


class Outcome(NamedTuple):
    """One run of bitbake: exit status, all it printed, seconds it took."""

    status: int
    text: str
    seconds: float

    def lines(self, kind: str) -> list[str]:
        """Return the lines that begin with `kind` (ERROR or WARNING), each once, in order."""
        found = [line for line in self.text.splitlines() if line.startswith(f"{kind}: ")]
        return list(dict.fromkeys(found))


class Checkout:
    """Layer checkouts of one series, and the user that bitbake runs as.

    bitbake refuses to run as root, so root must name a `user`; LabError says so.
    """

    def __init__(self, folder: Path, user: str | None) -> None:
        if not (folder / "bitbake/bin/bitbake").is_file():
            raise LabError(
                f"{folder} has no bitbake.",
                hint="Name a folder with checkouts called as in kas/, such as KAS_WORK_DIR.",
            )
        if user is None and os.geteuid() == 0:
            raise LabError("bitbake does not run as root.", hint="Name another one with --user.")
        self.folder = folder
        self.user = user

    def missing(self, resolved: dict[str, Any]) -> list[str]:
        """Return the repositories of a kas configuration that have no checkout."""
        return sorted(n for n in resolved["repos"] if n != OWN and not (self.folder / n).is_dir())

    def layers(self, resolved: dict[str, Any]) -> list[Path]:
        """Return the folders of the layers that a kas configuration enables."""
        found = []
        for name, fields in resolved["repos"].items():
            root = paths.tree() if name == OWN else self.folder / name
            for layer, setting in (fields.get("layers") or {".": None}).items():
                if setting not in ("disabled", "excluded", "n", "no", "0", "false", False, 0):
                    found.append((root / layer).resolve())
        return sorted(found)

    def commits(self) -> dict[str, str]:
        """Return `commit date` of every repository, ours included; `not in git` where it is not."""
        names = sorted(path.name for path in self.folder.iterdir() if path.is_dir())
        places = {OWN: paths.tree()} | {name: self.folder / name for name in names}
        return {name: self._commit(place) for name, place in places.items()}

    def _commit(self, place: Path) -> str:
        git = ["git", "-c", "safe.directory=*", "-C", str(place)]
        done = subprocess.run(
            [*git, "log", "-1", "--format=%h %cs"], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() or "not in git"

    def prepare(
        self, resolved: dict[str, Any], build: Path, more: str = "", extra: Iterable[Path] = ()
    ) -> None:
        """Write bblayers.conf and local.conf of a kas configuration into `build`/conf.

        `more` is added to local.conf, the layers `extra` to bblayers.conf.
        """
        layers = "".join(f"    {layer} \\\n" for layer in [*self.layers(resolved), *extra])
        headers = "\n".join(text for _, text in sorted(resolved["local_conf_header"].items()))
        local = (
            f'MACHINE = "{resolved["machine"]}"\nDISTRO = "{resolved["distro"]}"\n'
            f"{headers}\n{OFFLINE}{more}"
        )
        conf = build / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        # A file that does not change keeps its date, so bitbake's cache stays valid.
        write(
            conf / "bblayers.conf",
            f'BBPATH = "${{TOPDIR}}"\nBBFILES ?= ""\nBBLAYERS = " \\\n{layers}"\n',
        )
        write(conf / "local.conf", local)
        # The layers belong to somebody else than bitbake's user; it asks git for their commits.
        write(build / ".gitconfig", "[safe]\n\tdirectory = *\n")
        self.give(build)

    def give(self, folder: Path) -> None:
        """Let bitbake's user own `folder` and what is in it now."""
        if self.user is None:
            return
        entry = pwd.getpwnam(self.user)
        for place in (folder, *folder.rglob("*")):
            os.chown(place, entry.pw_uid, entry.pw_gid, follow_symlinks=False)

    def run(
        self, build: Path, command: Iterable[str], log: Path, bins: Iterable[Path] = ()
    ) -> Outcome:
        """Run a command of bitbake or oe-core in `build`; what it prints is also kept in `log`.

        `bins` come first in its PATH.
        """
        bins = [*bins, self.folder / "bitbake/bin", self.folder / "openembedded-core/scripts"]
        environment = {
            "PATH": ":".join([*map(str, bins), "/usr/sbin:/usr/bin:/sbin:/bin"]),
            "HOME": str(build),
            "LANG": LOCALE,
            "LC_ALL": LOCALE,
            "BBPATH": str(build),
            "BUILDDIR": str(build),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        begin = time.monotonic()
        done = subprocess.run(
            list(command),
            cwd=build,
            env=environment,
            user=self.user,
            group=pwd.getpwnam(self.user).pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stdout)
        return Outcome(done.returncode, done.stdout, time.monotonic() - begin)


def write(file: Path, text: str) -> None:
    """Write `text` unless the file has it already."""
    if not file.is_file() or file.read_text() != text:
        file.write_text(text)
