# SPDX-License-Identifier: MIT
"""Making an image archive from another one: the same, but for one file."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

Blobs = dict[str, bytes]


def without(source: Path, file: str, target: Path, name: str) -> None:
    """Copy the OCI archive `source` to `target` without `file` in its layers, as localhost/NAME."""
    with tarfile.open(source) as tar:
        blobs: Blobs = {m.name: _read(tar, m) for m in tar.getmembers() if m.isfile()}
    index = json.loads(blobs["index.json"])
    manifest = json.loads(_blob(blobs, index["manifests"][0]))
    configuration = json.loads(_blob(blobs, manifest["config"]))
    kept: Blobs = {"oci-layout": blobs["oci-layout"]}
    layers = [_strip(_blob(blobs, layer), file) for layer in manifest["layers"]]
    media = "application/vnd.oci.image.layer.v1.tar"
    manifest["layers"] = [_put(kept, layer, media) for layer in layers]
    configuration["rootfs"]["diff_ids"] = [layer["digest"] for layer in manifest["layers"]]
    manifest["config"] = _put(
        kept, json.dumps(configuration).encode(), manifest["config"]["mediaType"]
    )
    entry = _put(kept, json.dumps(manifest).encode(), index["manifests"][0]["mediaType"])
    entry["annotations"] = {"org.opencontainers.image.ref.name": f"localhost/{name}:latest"}
    kept["index.json"] = json.dumps({**index, "manifests": [entry]}).encode()
    with tarfile.open(target, "w") as tar:
        for path, data in kept.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    assert stream is not None
    return stream.read()


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _blob(blobs: Blobs, descriptor: dict[str, Any]) -> bytes:
    return blobs[_path(descriptor["digest"])]


def _put(blobs: Blobs, data: bytes, media_type: str) -> dict[str, Any]:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    blobs[_path(digest)] = data
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _strip(layer: bytes, file: str) -> bytes:
    """The layer, which may be compressed, as a plain archive without `file`."""
    stripped = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(layer)) as old,
        tarfile.open(fileobj=stripped, mode="w") as new,
    ):
        for member in old.getmembers():
            if member.name.strip("/") != file.strip("/"):
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return stripped.getvalue()
