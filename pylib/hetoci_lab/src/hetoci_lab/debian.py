# SPDX-License-Identifier: MIT
"""Debian packages for the board: where they come from, and fetching single ones.

No mirror is named here. HETOCI_MIRROR (lines of an apt sources.list, or one URL) wins; else a
Debian host's own sources are used with the board's suite; else what mmdebstrap would use.
"""

import os
import re
import subprocess
from pathlib import Path

from hetoci_lab import run
from hetoci_lab.errors import LabError

SUITE = "trixie"
ARCHITECTURE = "arm64"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
OFFLINE = (
    "If this machine has no network, run the command again when it has: finished parts are kept. "
    "A mirror of your own is set with HETOCI_MIRROR."
)


def sources(suite: str = SUITE) -> list[str]:
    """Return the apt sources of the board, or of another suite, as lines of a sources.list."""
    chosen = os.environ.get("HETOCI_MIRROR", "").strip()
    if chosen:
        if chosen.startswith("deb "):
            return chosen.splitlines()
        return [f"deb {chosen} {suite} main"]
    return _host_sources(suite) or _default_sources(suite)


def _host_sources(suite: str) -> list[str]:
    """Sources with the URLs of a Debian host's own configuration; empty elsewhere."""
    listed = run.output(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(ORIGIN)|$(LABEL)|$(REPO_URI)|$(COMPONENT)",
            "Created-By: Packages",
        ]
    )
    found: dict[str, str] = {}
    for line in listed.splitlines():
        origin, label, uri, component = line.split("|")
        if origin == "Debian" and component == "main":
            found.setdefault(label, uri)
    if "Debian" not in found:
        return []
    main = found["Debian"]
    lines = [f"deb {main} {suite} main", f"deb {main} {suite}-updates main"]
    if "Debian-Security" in found:
        lines.append(f"deb {found['Debian-Security']} {suite}-security main")
    return lines


def _default_sources(suite: str) -> list[str]:
    """Sources that mmdebstrap writes when it is given none.

    It has no option to print them, so a set-up hook shows the file and ends the run there.
    """
    command = ["mmdebstrap", "--variant=custom", f"--architectures={ARCHITECTURE}"]
    command += ['--setup-hook=cat "$1"/etc/apt/sources.list; exit 1', suite, "/dev/null"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise LabError(
            f"Cannot start mmdebstrap: {error.strerror}.", hint="Run `make setup`."
        ) from error
    lines = re.findall(r"^deb .*$", shown.stdout + shown.stderr, re.MULTILINE)
    if not lines:
        raise LabError(
            f"mmdebstrap named no package source for {suite}: {shown.stderr.strip()[-300:]}",
            hint="Set HETOCI_MIRROR to the URL of a Debian mirror.",
        )
    return lines


def fetch(packages: list[str], folder: Path, log: Path) -> None:
    """Download `packages` (`name` or `name=version`) into `folder`, verified by apt."""
    root = folder / "apt"
    for name in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "state/lists/partial"):
        (root / name).mkdir(parents=True)
    (root / "cache/archives/partial").mkdir(parents=True)
    (root / "state/status").touch()
    signed = re.compile(r"^deb (\[[^]]*\] )?")
    lines = [signed.sub(f"deb [signed-by={KEYRING}] ", line) for line in sources()]
    (root / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
    options = [
        f"Dir={root}",
        f"Dir::Etc={root}/etc/apt",
        f"Dir::State={root}/state",
        f"Dir::State::status={root}/state/status",
        f"Dir::Cache={root}/cache",
        f"APT::Architecture={ARCHITECTURE}",
        f"APT::Architectures={ARCHITECTURE}",
        "APT::Sandbox::User=root",
        "Acquire::Retries=3",
        "APT::Update::Error-Mode=any",
    ]
    apt = ["apt-get", "-q", *[word for option in options for word in ("-o", option)]]
    run.logged([*apt, "update"], log, hint=OFFLINE)
    run.logged([*apt, "download", *packages], log, cwd=folder, hint=OFFLINE)


def unpack(deb: Path, folder: Path, log: Path) -> None:
    """Extract the files of a package into `folder`; maintainer scripts are not run."""
    run.logged(["dpkg-deb", "-x", deb, folder], log)


def version_of(deb: Path) -> str:
    """Return the version field of a package file."""
    return run.output(["dpkg-deb", "-f", deb, "Version"]).strip()
