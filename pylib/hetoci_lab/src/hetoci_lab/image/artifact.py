# SPDX-License-Identifier: MIT
"""Data without a program as OCI artifacts (docs/spec/layout.md, L11): made from a file, and read
again to become a file of an image."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hetoci_lab.errors import LabError
from hetoci_lab.image import archive, keys, model, source
from hetoci_lab.image.contents import READERS
from hetoci_lab.image.tree import components

#: Role of a layer (L10) -> type of an artifact, in the order of docs/spec/layout.md.
TYPES = {
    role: f"application/vnd.hetoci.{role}.v1"
    for role in ("bitstream", "overlay", "firmware", "kernel", "ramdisk")
}
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_TITLE = "org.opencontainers.image.title"


@dataclass(frozen=True)
class Artifact:
    """The content of one. title: the file's name when it was made, "" if it does not say."""

    role: str
    title: str
    data: bytes


def make(
    file: Path, role: str, target: Path | None, *, tag: str = "", subject: Path | None = None
) -> Path:
    """Make an artifact of `file` and pack it as an OCI archive; its path.

    target: the archive, or the folder it goes to as <file>.oci.tar; subject: the image that it
    is attached to, as a layout or an archive. Raises LabError, also for a file that is damaged.
    """
    data = _content(file, role)
    _check(role, data, file.name)
    notes = {_TITLE: file.name}
    with archive.work_folder() as work:
        layout = work / "artifact"
        (layout / "blobs/sha256").mkdir(parents=True)
        (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "artifactType": TYPES[role],
            "config": archive.store(layout, b"{}", model.EMPTY),
            "layers": [{**archive.store(layout, data, TYPES[role]), "annotations": notes}],
        }
        if subject is not None:
            manifest["subject"] = model.descriptor_of(subject)
        entry = archive.store(layout, archive.packed(manifest), _MANIFEST)
        name = {model.NAME: tag} if tag else {}
        entry |= {"artifactType": TYPES[role], **({"annotations": name} if name else {})}
        index = {"schemaVersion": 2, "manifests": [entry]}
        (layout / "index.json").write_bytes(archive.packed(index))
        return archive.write(layout, work, archive.target(target, file.name))


def _content(file: Path, role: str) -> bytes:
    limit = keys.LIMITS[role] or 0
    try:
        with file.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise LabError(f"{file} cannot be read: {error.strerror}.") from error
    if len(data) > limit:
        raise LabError(
            f"{file} has more than the {limit >> 20} MiB that its kind ({role}) may have."
        )
    return data


def _check(role: str, data: bytes, where: str) -> None:
    problems = READERS[role](data, where).problems
    if problems:
        raise LabError(f"{where} is no usable {role}: it {'; it '.join(problems)}.")


def read(path: Path) -> Artifact:
    """The only artifact of ours in a layout or an archive. Raises LabError."""
    with source.opened(path) as place:
        manifest = model.only_manifest(place)
        kind = str(manifest.get("artifactType") or "")
        role = next((role for role, name in TYPES.items() if name == kind), "")
        if not role:
            raise LabError(
                f"{path} is {'an artifact of the type ' + kind if kind else 'no artifact'}.",
                hint=f"Right would be {', '.join(TYPES.values())}.",
            )
        layers = model.items(manifest, "layers")
        if len(layers) != 1 or model.section(layers[0], "mediaType") != kind:
            raise LabError(f"{path} has {len(layers)} layers, one of the type {kind} is needed.")
        name = model.check_blob(place, layers[0], "the layer")
        if layers[0]["size"] > (keys.LIMITS[role] or 0):
            raise LabError(f"{path} has {layers[0]['size']} bytes, too many for a {role}.")
        with place.open(name) as stream:
            data = stream.read()
    _check(role, data, str(path))
    title = model.strings(layers[0].get("annotations")).get(_TITLE, "")
    return Artifact(role, title, data)


def parse(text: str) -> tuple[Path, str]:
    """`ARCHIVE:PATH` as the archive and the path in the image. Raises LabError."""
    given, colon, path = text.rpartition(":")
    parts = components(path)
    if not colon or not given or not parts or ".." in parts or not path.startswith("/"):
        raise LabError(
            f"{text!r} does not say which artifact goes where.",
            hint="Write for instance sum.oci.tar:/accelerator/sum-slot0.bit.bin.",
        )
    return Path(given), str(PurePosixPath("/", *parts))
