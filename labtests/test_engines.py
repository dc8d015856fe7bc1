# SPDX-License-Identifier: MIT
"""The same unmodified images in containerd (by `ctr` and by CRI), Podman and Docker."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator

import pytest

from conftest import IMAGES, RUNTIME, Board
from engines import EXITED, NAME, RUNNING, Commands, Ctr, Docker, Engine, Pod, Podman
from hetoci_lab.cri import SOCKET
from ociimage import without
from test_accelerator_container import leftovers
from test_firmware_container import free

pytestmark = pytest.mark.lg_feature("engines")

#: What each image says when it works, and its exit code when it is told to stop.
SAYS = {"fw-echo": "(?i)cortex-r5", "pl-sha256": "round 2: .*right"}
STOPPED = {"fw-echo": 143, "pl-sha256": 0}
LIVES = [(engine, image) for engine in ("ctr", "cri", "podman", "docker") for image in SAYS]
BARE = "fw-bare"
BUNDLES = "/run/containerd/io.containerd.runtime.v2.task"
IMAGE_FILE = "hetoci-image.json"


@pytest.fixture(scope="session")
def engines(board: Board) -> Iterator[dict[str, Engine]]:
    """All engines, their daemons running."""
    board.check("systemctl start docker", 120)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(board.forward(SOCKET))
        yield {"ctr": Ctr(board), "cri": Pod(board, port), "podman": Podman(board),
               "docker": Docker(board)}  # fmt: skip
    board.run("systemctl stop docker docker.socket", 60)


@pytest.fixture(params=["ctr", "cri", "podman", "docker"])
def engine(
    request: pytest.FixtureRequest, fabric: Board, clean_board: Board, engines: dict[str, Engine]
) -> Iterator[Engine]:
    """One engine after the other, without a container before and after."""
    chosen = engines[request.param]
    yield chosen
    chosen.remove()
    assert leftovers(fabric) == []


@pytest.fixture
def with_network(board: Board, engine: Engine) -> Iterator[Engine]:
    """The engine, whose containers have a network."""
    if isinstance(engine, Docker):
        board.check("docker network create --subnet 10.77.0.0/24 tests", 60)
    engine.network = engine.with_network
    yield engine
    engine.network = engine.without_network
    engine.remove()
    if isinstance(engine, Docker):
        board.check("docker network rm tests", 60)


@pytest.fixture(scope="session")
def bare_image(board: Board, tmp_path_factory: pytest.TempPathFactory) -> str:
    """fw-echo without its labels file: only its labels say what it is."""
    folder = tmp_path_factory.mktemp("image")
    board.get(f"{IMAGES}/fw-echo.oci.tar", str(folder / "with.tar"))
    without(folder / "with.tar", "/.hetoci/labels.json", folder / "bare.tar", BARE)
    board.put(str(folder / "bare.tar"), f"/run/{BARE}.oci.tar")
    return BARE


def until(ask: Callable[[], str], pattern: str, seconds: float = 30) -> None:
    """Ask again and again until the answer matches; fail with the last one."""
    deadline = time.monotonic() + seconds
    while not re.search(pattern, answer := ask()):
        assert time.monotonic() < deadline, f"never matched {pattern}: {answer}"
        time.sleep(0.3)


def refused(engine: Engine, image: str, annotations: dict[str, str]) -> str:
    """Start a container that the runtime must refuse; return what the engine says."""
    engine.load(image)
    done = engine.start(image, annotations)
    assert done.status != 0, done.out
    return done.out


@pytest.mark.parametrize(("engine", "image"), LIVES, indirect=["engine"])
def test_an_image_lives_its_life(clean_board: Board, engine: Engine, image: str) -> None:
    engine.load(image)
    done = engine.start(image, {})
    assert done.status == 0, done.out
    until(engine.log, SAYS[image])
    assert engine.state() == RUNNING
    assert not free(clean_board)
    engine.stop()
    until(engine.state, EXITED)
    assert free(clean_board)
    assert engine.exit_code() == STOPPED[image]


@pytest.mark.lg_feature("domains")
@pytest.mark.parametrize("engine", ["cri", "podman", "docker"], indirect=True)
def test_a_linux_image_is_a_domain_with_its_engines_address(
    board: Board, with_network: Engine
) -> None:
    with_network.load("hello")
    done = with_network.start("hello", {"io.hetoci.workload": "domain"})
    assert done.status == 0, done.out
    until(with_network.log, "hello from Linux .*guest")
    (container,) = json.loads(board.check("hetoci ps --json"))
    assert container["name"].rpartition("/")[2] == NAME
    space = f"nsenter -t {container['pid']} -n ip -4 -o address show dev eth0"
    found = re.search(r"inet ([0-9.]+)/", board.check(space))
    assert found
    board.check(f"ping -c 1 -W 10 {found[1]}")  # in that namespace only the domain answers
    with_network.stop()
    until(with_network.state, EXITED)
    assert with_network.exit_code() == 0
    assert "hello: told to stop" in with_network.log()
    assert len(board.check("xl list").splitlines()) == 2


def test_the_users_annotation_wins_over_the_images_key(clean_board: Board, engine: Engine) -> None:
    wish = {"io.hetoci.firmware": "/users/choice.elf"}
    if isinstance(engine, Pod):  # of a pod's annotations, the one for the container wins
        wish = {"io.hetoci.firmware": "/x", f"io.hetoci.firmware/{NAME}": "/users/choice.elf"}
    said = refused(engine, "fw-echo", wish)
    assert "/users/choice.elf" in said
    assert free(clean_board)


def test_a_key_that_the_operator_does_not_allow_is_refused_with_its_name(
    clean_board: Board, engine: Engine
) -> None:
    settings = "/etc/hetoci/hetoci.conf"
    clean_board.check(f"cp {settings} /run && echo 'image-keys = io.hetoci.workload' >> {settings}")
    try:
        said = refused(engine, "fw-echo", {})
    finally:
        clean_board.check(f"cp /run/hetoci.conf {settings}")
    assert "io.hetoci.firmware is not among the allowed image-keys (io.hetoci.workload)" in said
    assert free(clean_board)


# Docker tells containerd its container's image from version 27 on.
@pytest.mark.parametrize("engine", ["ctr", "cri"], indirect=True)
def test_an_image_with_nothing_but_labels_is_found_in_containerds_store(
    clean_board: Board, engine: Engine, bare_image: str
) -> None:
    engine.load(bare_image)
    done = engine.start(bare_image, {})
    assert done.status == 0, done.out
    until(engine.log, SAYS["fw-echo"])
    assert engine.state() == RUNNING
    found = json.loads(clean_board.check(f"cat {BUNDLES}/*/{engine.identity()}/{IMAGE_FILE}"))
    assert found["labels"]["io.hetoci.workload"] == "firmware"
    engine.stop()
    until(engine.state, EXITED)


# `ctr` knows CDI names from containerd 2.0 on.
@pytest.mark.parametrize("engine", ["cri", "podman", "docker"], indirect=True)
def test_any_container_gets_a_service_of_firmware_by_cdi(
    clean_board: Board, engine: Pod | Commands
) -> None:
    board = clean_board
    reference = board.import_image("fw-echo")
    board.check(
        f"ctr run -d {RUNTIME} --log-uri file:///run/fw.log"
        f" --annotation io.hetoci.firmware.endpoints=rpmsg-raw {reference} fw"
    )
    core = next(device["name"] for device in board.devices() if device["holder"])
    files = f"/var/run/cdi/hetoci.io-endpoint-{core}.json"
    board.until(f"cat {files}", f'"{core}.rpmsg-raw"')
    engine.load("hello")
    look = "busybox ls -l /dev/hetoci; busybox cat /run/hetoci/devices.d/*"
    said = engine.with_device(f"hetoci.io/endpoint={core}.rpmsg-raw", "hello", look)
    assert re.search(rf"^crw.* {re.escape(core)}\.rpmsg-raw$", said, re.MULTILINE)
    assert '"service": "rpmsg-raw"' in said
    board.remove("fw")
    board.fails(f"ls {files}", "No such file")
