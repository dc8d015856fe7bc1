# SPDX-License-Identifier: MIT
"""Files where the kernel's request_firmware() looks for them.

Interface: Documentation/driver-api/firmware/fw_search_path.rst. An empty search path of the
kernel is pointed to our directory; one that somebody set is respected, and files go into a
folder of ours below it.
"""

from __future__ import annotations

from .errors import BackendError
from .host import RUN, explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .host import Host

SEARCH_PATH = "/sys/module/firmware_class/parameters/path"
OWN = f"{RUN}/firmware"


class StagingError(BackendError):
    """A file could not be put into the kernel's search path."""


def stage(host: Host, name: str, data: bytes) -> tuple[str, str]:
    """Put `data` into the search path; return (file's path, name for request_firmware()).

    Raises StagingError.
    """
    custom = host.text(SEARCH_PATH)
    if custom is None:
        raise StagingError(
            f"{SEARCH_PATH} cannot be read",
            op="stage",
            path=SEARCH_PATH,
            hint="the kernel needs CONFIG_FW_LOADER=y, and sysfs must be mounted",
        )
    directory, firmware = OWN, name
    if custom and custom != OWN:
        directory, firmware = f"{custom.rstrip('/')}/hetoci", f"hetoci/{name}"
    path = f"{directory}/{name}"
    try:
        host.make_directory(directory, 0o700)
        host.put(path, data, 0o600)
        if not custom:
            host.poke(SEARCH_PATH, OWN)
    except OSError as error:
        raise StagingError(
            f"cannot stage firmware in {directory}: {explain(error)}",
            op="stage",
            path=path,
            errno=error.errno or 0,
            hint=f"point {SEARCH_PATH} to a writable directory" if custom else None,
        ) from error
    return path, firmware


def staged(host: Host, name: str) -> list[str]:
    """Paths of what is staged as `name`, with what a process killed while staging has left."""
    custom = host.text(SEARCH_PATH) or ""
    directories = [OWN]
    if custom and custom != OWN:
        directories.append(f"{custom.rstrip('/')}/hetoci")
    return [
        f"{directory}/{found}"
        for directory in directories
        for found in host.listing(directory)
        if found.startswith(name)
    ]


def unstage(host: Host, name: str) -> None:
    """Remove what is staged as `name`; the caller holds the device's claim."""
    for path in staged(host, name):
        host.remove(path)
