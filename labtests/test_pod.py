# SPDX-License-Identifier: MIT
"""One pod of Kubernetes' kind with containers of every kind (the demo's last act)."""

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from conftest import IMAGES, Board
from hetoci_lab.cri import SOCKET, Cri
from hetoci_lab.demo import POD

pytestmark = [pytest.mark.lg_feature("domains"), pytest.mark.lg_feature("engines")]


@pytest.fixture
def cri(board: Board) -> Iterator[Cri]:
    """containerd's CRI with the images of POD, and without containers afterwards."""
    for name in ("pause", *dict.fromkeys(image for image, _, _ in POD.values())):
        board.check(f"ctr -n k8s.io image import {IMAGES}/{name}.oci.tar", 120)
    with board.forward(SOCKET) as port, closing(Cri(f"127.0.0.1:{port}")) as client:
        yield client
        for pod in {row.pod for row in client.containers()}:
            client.remove_pod(pod)


@pytest.mark.smoke
def test_linux_firmware_an_rtos_and_a_micro_vm_run_in_one_pod(board: Board, cri: Cri) -> None:
    pod = cri.run_pod("four")
    for name, (image, keys, _) in POD.items():
        cri.start(pod, name, f"localhost/{image}:latest", annotations=keys)
    for name, (_, _, words) in POD.items():
        board.until(f"cat /run/four/{name}.log", words, 60)
    rows = [row for row in cri.containers() if row.pod == pod]
    assert {row.name: row.state for row in rows} == dict.fromkeys(POD, "running")
    kinds = [row["kind"] for row in json.loads(board.check("hetoci ps --json"))]
    assert sorted(kinds) == ["domain", "domain", "firmware"]
    assert len(board.check("xl list").splitlines()) == 4  # heading, dom0, RTOS, micro-VM
    cri.remove_pod(pod)
    assert json.loads(board.check("hetoci ps --json")) == []
    assert len(board.check("xl list").splitlines()) == 2
    assert board.core_state() == "offline"
