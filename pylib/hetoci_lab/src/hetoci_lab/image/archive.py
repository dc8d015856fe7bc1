# SPDX-License-Identifier: MIT
"""Writing OCI image layouts: blobs, layers, and archives whose bytes depend on nothing else."""

import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hetoci_lab import cache
from hetoci_lab.errors import LabError
from hetoci_lab.image import source

TAR = "application/vnd.oci.image.layer.v1.tar"


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder for temporary files, also of other user ids, that is removed afterwards."""
    work = Path(tempfile.mkdtemp(prefix="hetoci-image."))
    try:
        yield work
    finally:
        cache.remove(work)


def target(given: Path | None, name: str) -> Path:
    """The archive to write: `given`, or <name>.oci.tar in that folder or here."""
    if given is None or given.is_dir() or not given.name.endswith(".tar"):
        return (given or Path()) / f"{name}.oci.tar"
    return given


def packed(value: dict[str, Any]) -> bytes:
    """JSON that is always the same."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def digest(data: bytes) -> str:
    """The digest of `data`."""
    return source.digest_of(io.BytesIO(data))


def store(layout: Path, data: bytes, media_type: str) -> dict[str, Any]:
    """Put a blob into a layout; its descriptor."""
    name = digest(data)
    (layout / source.blob_name(name)).write_bytes(data)
    return {"mediaType": media_type, "digest": name, "size": len(data)}


def layer(path: str, content: bytes) -> bytes:
    """A layer with one file; not compressed, because that depends on zlib."""
    out = io.BytesIO()
    parts = path.strip("/").split("/")
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for count in range(1, len(parts)):
            folder = tarfile.TarInfo("/".join(parts[:count]))
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        file = tarfile.TarInfo("/".join(parts))
        file.mode, file.size = 0o644, len(content)
        tar.addfile(file, io.BytesIO(content))
    return out.getvalue()


def write(layout: Path, work: Path, archive: Path) -> Path:
    """Pack a layout by ourselves (archives that engines make carry the time of day) and put it
    where it belongs in one step."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    with tarfile.open(work / "packed", "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(layout.rglob("*")):
            tar.add(path, str(path.relative_to(layout)), recursive=False, filter=plain)
    archive.parent.mkdir(parents=True, exist_ok=True)
    beside = archive.with_name(f".{archive.name}.{os.getpid()}")
    try:
        shutil.copyfile(work / "packed", beside)
        beside.replace(archive)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise LabError(f"{archive} cannot be written: {error.strerror}.") from error
    return archive
