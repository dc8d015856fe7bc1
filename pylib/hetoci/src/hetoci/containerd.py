# SPDX-License-Identifier: MIT
"""The image of a container, as containerd's store has it, and what that image says about itself.

containerd's record of a container names an image and a snapshot. The name may have moved to
another image since; the snapshot's parent is named by the layers it is made of. So an image
counts only if its layers are those of the snapshot, and, where the record says which
configuration the image had (CRI does), if it has that one.
"""

from __future__ import annotations

from . import fastjson
from .grpc import NOT_FOUND, Channel, GrpcError
from .metadata import concerns_us
from .protobuf import Message, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: Largest manifest or configuration that is read, in bytes.
MAX_JSON = 4 << 20

#: Manifests of one index that are looked at, and snapshots between a container and its image.
_MAX_MANIFESTS = 16
_MAX_SNAPSHOTS = 4

#: Where an engine that does not say it has its snapshots: containerd's default.
_SNAPSHOTTER = "overlayfs"

_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)

#: CRI's record of a container; ImageRef in it is the digest of the image's configuration.
_CRI = "io.cri-containerd.container.metadata"

#: uname(2)'s words for what an image index calls otherwise.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv8l": "arm"}


class LookupFailed(Exception):
    """The container has an image, but what it says cannot be found out."""


def image_of(address: str, namespace: str, container: str, seconds: float) -> dict[str, Any] | None:
    """What hetoci-image.json has to hold for `container` (docs/spec/carriers.md, "Store").

    None if the container has no image, or one without any of our keys. address: containerd's
    socket. Raises LookupFailed, GrpcError, OSError, and ValueError for answers that are not
    what they should be; after `seconds` in all, TimeoutError.
    """
    channel = Channel(address, seconds)
    try:
        return _Store(channel, namespace).image_of(container)
    finally:
        channel.close()


class _Store:
    """containerd's services, seen from one namespace."""

    def __init__(self, channel: Channel, namespace: str) -> None:
        self._channel = channel
        self._namespace = namespace

    def image_of(self, container: str) -> dict[str, Any] | None:
        """See the function of this name."""
        request = encode((1, container))
        record = self._one("containers.v1.Containers/Get", request).message(1)
        name = record.text(3)
        if not name:
            return None
        configuration = _cri_image(record.entry(10, _CRI))
        # Docker names an image (from 27 on), but not the snapshot, which it calls as the container.
        layers = self._layers(record.text(6) or _SNAPSHOTTER, record.text(7) or container)
        known = False
        for reference in (configuration, name):
            target = self._target(reference) if reference else None
            known = known or target is not None
            for digest, manifest, image in self._images(target) if target else ():
                if configuration and _digest(manifest.get("config")) != configuration:
                    continue
                if _chain(image) == layers:
                    return _document(name, digest, manifest, image)
        why = "is not what the container was made from" if known else "is not in the store"
        raise LookupFailed(f"image {name} {why}")

    def _layers(self, snapshotter: str, key: str) -> str:
        """The chain of layers that the snapshot `key` stands on; empty for none. Engines may
        put snapshots of their own in between (Docker's -init, remapped user ids)."""
        for _ in range(_MAX_SNAPSHOTS):
            request = encode((1, snapshotter), (2, key))
            key = self._one("snapshots.v1.Snapshots/Stat", request).message(1).text(2)
            if not key or _is_digest(key):
                return key
        raise LookupFailed("the container's snapshot does not stand on an image's layers")

    def _target(self, name: str) -> Message | None:
        """The descriptor that the image `name` stands for."""
        try:
            image = self._one("images.v1.Images/Get", encode((1, name))).message(1)
        except GrpcError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        return image.message(3)

    def _images(self, target: Message) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        """The images behind a descriptor: digest, manifest and configuration, those for this
        host's architecture first. What is not in the store is left out."""
        digests = [target.text(2)]
        if target.text(1) in _INDEXES:
            digests = _preferred(self._json(digests[0]))
        for digest in digests[:_MAX_MANIFESTS]:
            try:
                manifest = self._json(digest)
                image = self._json(_digest(manifest.get("config")))
            except GrpcError as error:
                if error.status != NOT_FOUND:
                    raise
                continue
            yield digest, manifest, image

    def _json(self, digest: str) -> dict[str, Any]:
        if not _is_digest(digest):
            raise LookupFailed(f"the image has {digest[:100]!r} for a digest")
        parts = self._call("content.v1.Content/Read", encode((1, digest), (3, MAX_JSON + 1)))
        data = b"".join(Message(part).blob(2) for part in parts)
        if len(data) > MAX_JSON:
            raise LookupFailed(f"{digest} of the image has more than {MAX_JSON >> 20} MiB")
        found = fastjson.loads(data.decode())
        if not isinstance(found, dict):
            raise LookupFailed(f"{digest} of the image is not a JSON object")
        return found

    def _one(self, method: str, request: bytes) -> Message:
        parts = self._call(method, request)
        return Message(parts[-1] if parts else b"")

    def _call(self, method: str, request: bytes) -> list[bytes]:
        return self._channel.call(
            f"containerd.services.{method}", request, containerd_namespace=self._namespace
        )


def _is_digest(text: str) -> bool:
    digits = text.removeprefix("sha256:")
    return len(text) == 71 and len(digits) == 64 and not digits.strip("0123456789abcdef")


def _digest(descriptor: object) -> str:
    found = descriptor.get("digest") if isinstance(descriptor, dict) else None
    return found if isinstance(found, str) else ""


def _cri_image(extension: bytes) -> str:
    """The configuration's digest in CRI's record (a protobuf Any with JSON); empty without."""
    if not extension:
        return ""
    record = fastjson.loads(Message(extension).blob(2).decode())
    metadata = record.get("Metadata") if isinstance(record, dict) else None
    found = metadata.get("ImageRef") if isinstance(metadata, dict) else None
    return found if isinstance(found, str) else ""


def _preferred(index: dict[str, Any]) -> list[str]:
    """The digests of an index's manifests, those for this host's architecture first."""
    from os import uname

    machine = uname().machine
    wanted = _ARCHITECTURES.get(machine, machine)
    ours: list[str] = []
    others: list[str] = []
    found = index.get("manifests")
    for item in found if isinstance(found, list) else ():
        platform = item.get("platform") if isinstance(item, dict) else None
        fits = isinstance(platform, dict) and platform.get("architecture") == wanted
        (ours if fits else others).append(_digest(item))
    return ours + others


def _chain(image: dict[str, Any]) -> str:
    """The name of the image's layers together (image-spec, config.md, "Layer ChainID")."""
    rootfs = image.get("rootfs")
    layers = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    chain = ""
    for layer in layers if isinstance(layers, list) else ():
        if not chain:
            chain = str(layer)
            continue
        from . import digest

        chain = digest.name(f"{chain} {layer}".encode())
    return chain


def _document(
    name: str, digest: str, manifest: dict[str, Any], image: dict[str, Any]
) -> dict[str, Any] | None:
    section = image.get("config")
    labels = _ours(section.get("Labels") if isinstance(section, dict) else None)
    annotations = _ours(manifest.get("annotations"))
    if not labels and not annotations:
        return None
    return {
        "specVersion": "1.0",
        "source": "containerd",
        "name": name,
        "digest": digest,
        "labels": labels,
        "annotations": annotations,
    }


def _ours(found: object) -> dict[str, Any]:
    """The keys that the extension reads; their values as they are."""
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if concerns_us(key)}
