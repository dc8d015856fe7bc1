# SPDX-License-Identifier: MIT
"""containerd's store as far as the shim looks at it: a gRPC server with gRPC's own library."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

MESSAGES = grpc.protos("store.proto")
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CHUNK = 1 << 20
LAYERS = [f"sha256:{digit * 64}" for digit in "12"]


def chain(layers: list[str]) -> str:
    """The ChainID of image-spec, config.md."""
    if len(layers) < 2:
        return "".join(layers)
    both = f"{chain(layers[:-1])} {layers[-1]}"
    return "sha256:" + hashlib.sha256(both.encode()).hexdigest()


class FakeStore:
    """Containers, images, blobs and snapshots of the namespace `spaces`, served at `address`."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "containerd.sock")
        self.containers: dict[str, Any] = {}
        self.images: dict[str, Any] = {}
        self.blobs: dict[str, bytes] = {}
        self.snapshots: dict[str, str] = {}
        self.calls: list[str] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        read = grpc.unary_stream_rpc_method_handler(
            self._read, MESSAGES.ReadRequest.FromString, MESSAGES.ReadReply.SerializeToString
        )
        for service, method, handler in (
            ("containers.v1.Containers", "Get", self._unary(self._container, "Key")),
            ("images.v1.Images", "Get", self._unary(self._image, "Key")),
            ("snapshots.v1.Snapshots", "Stat", self._unary(self._snapshot, "StatRequest")),
            ("content.v1.Content", "Read", read),
        ):
            name = f"containerd.services.{service}"
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(name, {method: handler}),)
            )
        self._server.add_insecure_port(f"unix:{self.address}")
        self._server.start()

    def stop(self) -> None:
        """End the server."""
        self._server.stop(0).wait()

    def put(self, content: Any) -> str:
        """Store a blob (bytes, or what becomes JSON); return its digest."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    def manifest(
        self,
        labels: Any = None,
        annotations: Any = None,
        layers: list[str] | None = None,
        **more: Any,
    ) -> str:
        """Store an image's configuration and manifest; return the manifest's digest."""
        layers = LAYERS if layers is None else layers
        configuration = {"config": {"Labels": labels}, "rootfs": {"diff_ids": layers}, **more}
        manifest = {"config": {"digest": self.put(configuration)}, "annotations": annotations}
        return self.put(manifest)

    def image(self, name: str, digest: str, media_type: str = MANIFEST) -> None:
        """Let `name` stand for the manifest or index `digest`."""
        target = MESSAGES.Descriptor(media_type=media_type, digest=digest, size=1)
        self.images[name] = MESSAGES.Image(name=name, labels={"a": "b"}, target=target)

    def container(self, name: str, image: str, layers: list[str] | None = None) -> Any:
        """Make a container of `image`, whose snapshot stands on `layers`; return its record."""
        self.snapshots[name] = chain(LAYERS if layers is None else layers)
        record = MESSAGES.Container(
            id=name, image=image, snapshotter="overlayfs", snapshot_key=name,
            labels={"some": "label"}, created_at=MESSAGES.Time(seconds=1, nanos=-1),
            spec=MESSAGES.Any(type_url="spec", value=b"{}"),
        )  # fmt: skip
        self.containers[name] = record
        return record

    def cri(self, record: Any, image: str) -> None:
        """Add CRI's record of a container: the digest of its image's configuration."""
        extension = record.extensions["io.cri-containerd.container.metadata"]
        extension.value = json.dumps({"Version": "v1", "Metadata": {"ImageRef": image}}).encode()

    def configuration_of(self, manifest: str) -> str:
        """The digest of a manifest's configuration."""
        return str(json.loads(self.blobs[manifest])["config"]["digest"])

    def _unary(self, answer: Any, request: str) -> Any:
        def handle(message: Any, context: Any) -> Any:
            self._count(context)
            found = answer(message)
            if found is None:
                context.abort(grpc.StatusCode.NOT_FOUND, f"no such thing: {'ü' * 200}")
            return found

        return grpc.unary_unary_rpc_method_handler(
            handle, getattr(MESSAGES, request).FromString, lambda reply: reply.SerializeToString()
        )

    def _count(self, context: Any) -> None:
        namespace = dict(context.invocation_metadata()).get("containerd-namespace")
        if namespace != "space":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"namespace {namespace}")
        self.calls.append(namespace)

    def _container(self, key: Any) -> Any:
        found = self.containers.get(key.name)
        return found and MESSAGES.ContainerReply(container=found)

    def _image(self, key: Any) -> Any:
        found = self.images.get(key.name)
        return found and MESSAGES.ImageReply(image=found)

    def _snapshot(self, request: Any) -> Any:
        parent = self.snapshots.get(request.key)
        if request.snapshotter != "overlayfs" or parent is None:
            return None
        return MESSAGES.StatReply(info=MESSAGES.Snapshot(name=request.key, parent=parent, kind=2))

    def _read(self, request: Any, context: Any) -> Any:
        self._count(context)
        data = self.blobs.get(request.digest)
        if data is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such blob")
        end = len(data) if request.size <= 0 else request.offset + request.size
        wanted = data[request.offset : end]
        for at in range(0, len(wanted), CHUNK):
            yield MESSAGES.ReadReply(offset=at, data=wanted[at : at + CHUNK])
