# SPDX-License-Identifier: MIT
"""Pods on a board, by the calls of Kubernetes' Container Runtime Interface that kubelet makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

SOCKET = "/run/containerd/containerd.sock"
"""Where containerd serves it, on the board."""
SECONDS = 120.0
"""For one call; an emulated board on a busy host takes its time."""


@dataclass(frozen=True)
class Row:
    """A container as ListContainers has it; `state` in small letters (running, exited)."""

    id: str
    pod: str
    name: str
    image: str
    state: str


class Cri:
    """A client of a runtime service; `target` is gRPC's name for where it listens.

    What the engine refuses comes as grpc.RpcError, whose `details()` is the engine's sentence.
    """

    def __init__(self, target: str) -> None:
        self.messages, services = grpc.protos_and_services("hetoci_lab/cri.proto")
        self._channel = grpc.insecure_channel(target)
        self._runtime = services.RuntimeServiceStub(self._channel)
        self._images = services.ImageServiceStub(self._channel)
        self._pods: dict[str, Any] = {}

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def has_image(self, reference: str) -> bool:
        """Return whether the engine can start containers of an image."""
        request = self.messages.ImageStatusRequest(image={"image": reference})
        return bool(self._images.ImageStatus(request, timeout=SECONDS).image.id)

    def run_pod(
        self,
        name: str,
        *,
        handler: str = "hetoci",
        network: str = "POD",
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """RunPodSandbox; return the pod's id. network: POD for one of its own, NODE for none.

        Its containers' logs are in /run/NAME.
        """
        mode = self.messages.NamespaceMode.Value(network)
        config = self.messages.PodSandboxConfig(
            metadata={"name": name, "uid": "1", "namespace": "default"},
            log_directory=f"/run/{name}",
            annotations=dict(annotations or {}),
            linux={"security_context": {"namespace_options": {"network": mode}}},
        )
        reply = self._call("RunPodSandbox", config=config, runtime_handler=handler)
        pod = str(reply.pod_sandbox_id)
        self._pods[pod] = config
        return pod

    def start(
        self,
        pod: str,
        name: str,
        image: str,
        *,
        command: Sequence[str] = (),
        args: Sequence[str] = (),
        annotations: Mapping[str, str] | None = None,
        devices: Sequence[str] = (),
    ) -> str:
        """CreateContainer and StartContainer in a pod of `run_pod`; return the container's id.

        command is in place of the image's entry point, args go after it. devices: by their CDI
        names. What the container says is in NAME.log.
        """
        pod_config = self._pods[pod]
        options = pod_config.linux.security_context.namespace_options
        config = self.messages.ContainerConfig(
            metadata={"name": name},
            image={"image": image},
            command=command,
            args=args,
            annotations=dict(annotations or {}),
            CDI_devices=[{"name": device} for device in devices],
            log_path=f"{name}.log",
            linux={"security_context": {"namespace_options": options}},
        )
        reply = self._call(
            "CreateContainer", pod_sandbox_id=pod, config=config, sandbox_config=pod_config
        )
        container = str(reply.container_id)
        self._call("StartContainer", "ContainerRequest", container_id=container)
        return container

    def containers(self) -> list[Row]:
        """ListContainers: those of all pods, running or not."""
        return [
            Row(
                row.id,
                row.pod_sandbox_id,
                row.metadata.name,
                row.image.image,
                self._state(row.state),
            )
            for row in self._call("ListContainers", "Nothing").containers
        ]

    def status(self, container: str) -> tuple[str, int]:
        """ContainerStatus: state, and exit code of one that has ended."""
        reply = self._call("ContainerStatus", "ContainerRequest", container_id=container)
        return self._state(reply.status.state), int(reply.status.exit_code)

    def stop(self, container: str, seconds: int = 30) -> None:
        """StopContainer: SIGTERM, and SIGKILL after `seconds`."""
        self._call("StopContainer", container_id=container, timeout=seconds)

    def remove(self, container: str) -> None:
        """RemoveContainer, running or not."""
        self._call("RemoveContainer", "ContainerRequest", container_id=container)

    def remove_pod(self, pod: str) -> None:
        """StopPodSandbox, which ends its containers, and RemovePodSandbox."""
        self._call("StopPodSandbox", "PodSandboxRequest", pod_sandbox_id=pod)
        self._call("RemovePodSandbox", "PodSandboxRequest", pod_sandbox_id=pod)
        self._pods.pop(pod, None)

    def _state(self, number: int) -> str:
        name = str(self.messages.ContainerState.Name(number))
        return name.removeprefix("CONTAINER_").lower()

    def _call(self, method: str, message: str = "", **fields: Any) -> Any:
        request = getattr(self.messages, message or f"{method}Request")(**fields)
        return getattr(self._runtime, method)(request, timeout=SECONDS)
