# SPDX-License-Identifier: MIT
"""The control group of a firmware container.

Firmware uses no CPU time or memory of Linux, but engines read statistics from the cgroup of
the container's pid, which is the keeper. So the keeper goes into a group of its own, without
limits: a memory limit meant for a program must not kill what keeps the core in hand. Unified
hierarchy (v2) only; elsewhere the keeper stays where the engine started it.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .host import Host

MOUNT = "/sys/fs/cgroup"

#: Controllers whose statistics engines show.
_CONTROLLERS = ("cpu", "memory", "pids", "io")

#: How long to wait for the last process to leave, s.
_PATIENCE = 2.0


def path_for(cgroups_path: str, container: str) -> str:
    """The group for linux.cgroupsPath: a path below the mount point, or in systemd's form
    `slice:prefix:name`, for which we make the directory that systemd would make."""
    parts = cgroups_path.split(":")
    if len(parts) == 3 and "/" not in parts[0]:
        slice_name, prefix, name = parts
        unit = name if name.endswith(".slice") else f"{prefix}-{name}.scope".lstrip("-")
        return f"{MOUNT}/{_slice_path(slice_name or 'system.slice')}/{unit}"
    clean = [part for part in cgroups_path.split("/") if part not in ("", ".", "..")]
    return f"{MOUNT}/" + "/".join(clean or ["hetoci", container])


def _slice_path(name: str) -> str:
    """a-b.slice lies in a.slice (systemd.slice(5))."""
    if name == "-.slice":
        return ""
    words = name.removesuffix(".slice").split("-")
    return "/".join("-".join(words[: n + 1]) + ".slice" for n in range(len(words)))


def of_process(host: Host, pid: int) -> str:
    """The group of process `pid` below the mount point of the unified hierarchy (proc(5),
    /proc/pid/cgroup); "" where there is none."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    return f"{MOUNT}{own}" if own != "/" and host.exists(f"{MOUNT}{own}") else ""


def populated(host: Host, path: str) -> bool:
    """True if the group or one below it has a process (cgroup-v2.rst, cgroup.events)."""
    return "populated 1" in (host.text(f"{path}/cgroup.events") or "")


def join(host: Host, path: str) -> bool:
    """Make the group and move this process into it. False where that is not possible, which
    costs the engine its statistics and nothing else."""
    if not host.exists(f"{MOUNT}/cgroup.controllers"):
        return False
    try:
        host.make_directory(path, 0o755)
        _enable_controllers(host, path)
        host.poke(f"{path}/cgroup.procs", str(os.getpid()))
    except OSError:
        remove(host, path)
        return False
    return True


def _enable_controllers(host: Host, path: str) -> None:
    parent = MOUNT
    for part in path[len(MOUNT) + 1 :].split("/"):
        for controller in _CONTROLLERS:
            try:
                host.poke(f"{parent}/cgroup.subtree_control", f"+{controller}")
            except OSError:  # not offered here, or the group has processes of its own
                continue
        parent = f"{parent}/{part}"


def remove(host: Host, path: str) -> None:
    """Remove the group; that it is gone, or that somebody still uses it, is no error."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            os.rmdir(host.path(path))
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        else:
            return
