# SPDX-License-Identifier: MIT
"""The shim finds an image's metadata in containerd's store."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hpack
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakestore import INDEX, LAYERS, MESSAGES, FakeStore
from hetoci import containerd, grpc, protobuf, shim

TREE = Path(__file__).parents[3]
SOURCE = TREE / "pylib/hetoci/src"
SCHEMAS = TREE / "docs/spec/schema"
NAME = "localhost/fw:1"
LABELS = {"io.hetoci.workload": "firmware", "io.hetoci.firmware": "/f.elf"}
OTHERS = {"org.opencontainers.image.title": "fw", "maintainer": "m"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeStore]:
    served = FakeStore(tmp_path_factory.mktemp("containerd"))
    yield served
    served.stop()


@pytest.fixture
def store(server: FakeStore) -> FakeStore:
    """An empty store."""
    for table in (server.containers, server.images, server.blobs, server.snapshots, server.calls):
        table.clear()
    return server


def found(store: FakeStore, container: str = "c", seconds: float = 10.0) -> Any:
    return containerd.image_of(store.address, "space", container, seconds)


# what is found


def test_labels_and_manifest_annotations_that_concern_us_are_found(store: FakeStore) -> None:
    digest = store.manifest({**LABELS, **OTHERS}, {"remoteproc.name": "r5*", **OTHERS})
    store.image(NAME, digest)
    store.container("c", NAME)
    assert found(store) == {
        "specVersion": "1.0",
        "source": "containerd",
        "name": NAME,
        "digest": digest,
        "labels": LABELS,
        "annotations": {"remoteproc.name": "r5*"},
    }


def test_keys_are_handed_on_unchecked(store: FakeStore) -> None:
    labels = {
        "io.hetoci.firmwear": 7,
        "io.hetoci.x\n": '"\ud800',
        **{f"io.hetoci.{n}": "v" for n in range(9999)},
    }
    store.image(NAME, store.manifest(labels))
    store.container("c", NAME)
    assert found(store)["labels"] == labels


@pytest.mark.parametrize(
    ("labels", "annotations"),
    [(None, None), ({}, {}), (OTHERS, OTHERS), ([], "x"), (1, [LABELS])],
)
def test_an_image_without_our_keys_has_no_metadata(
    store: FakeStore, labels: Any, annotations: Any
) -> None:
    store.image(NAME, store.manifest(labels, annotations))
    store.container("c", NAME)
    assert found(store) is None


def test_a_container_without_an_image_has_no_metadata(store: FakeStore) -> None:
    store.container("c", "")
    assert found(store) is None
    assert len(store.calls) == 1


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_image_is_known_by_its_layers(store: FakeStore, count: int) -> None:
    layers = [f"sha256:{number:064x}" for number in range(count)]
    store.image(NAME, store.manifest(LABELS, layers=layers))
    store.container("c", NAME, layers)
    assert found(store)["labels"] == LABELS


def test_a_name_that_has_moved_to_another_image_does_not_count(store: FakeStore) -> None:
    store.image(NAME, store.manifest(LABELS, layers=LAYERS[:1]))
    store.container("c", NAME, LAYERS)
    with pytest.raises(containerd.LookupFailed, match="not what the container was made from"):
        found(store)


def test_the_configuration_that_cri_recorded_counts_also_if_the_name_has_moved(
    store: FakeStore,
) -> None:
    right, wrong = store.manifest(LABELS), store.manifest({"io.hetoci.workload": "domain"})
    configuration = store.configuration_of(right)
    store.image(NAME, wrong)
    store.image(configuration, right)
    store.cri(store.container("c", NAME), configuration)
    assert (found(store)["digest"], found(store)["labels"]) == (right, LABELS)
    del store.images[configuration]
    with pytest.raises(containerd.LookupFailed, match="not what the container was made from"):
        found(store)


def test_snapshots_of_the_engine_in_between_are_stepped_over(store: FakeStore) -> None:
    store.image(NAME, store.manifest(LABELS))
    store.container("c", NAME)
    store.snapshots |= {"c-init": store.snapshots["c"], "c": "c-init"}
    assert found(store)["labels"] == LABELS
    store.snapshots["c-init"] = "c"
    with pytest.raises(containerd.LookupFailed, match="does not stand on"):
        found(store)


def test_the_snapshot_of_a_record_that_names_none_is_called_as_the_container(
    store: FakeStore,
) -> None:
    store.image(NAME, store.manifest(LABELS))
    record = store.container("c", NAME)
    record.ClearField("snapshotter")
    record.ClearField("snapshot_key")
    assert found(store)["labels"] == LABELS
    store.snapshots.clear()
    with pytest.raises(grpc.GrpcError, match="Stat: status 5"):
        found(store)


def test_of_an_index_the_manifest_for_this_host_counts(store: FakeStore) -> None:
    ours = os.uname().machine
    ours = containerd._ARCHITECTURES.get(ours, ours)
    mine, other = store.manifest(LABELS), store.manifest({"io.hetoci.workload": "domain"})
    rows = [("s390x", other), ("unknown", f"sha256:{'9' * 64}"), (ours, mine)]
    index = {"manifests": [{"digest": d, "platform": {"architecture": a}} for a, d in rows]}
    store.image(NAME, store.put(index), INDEX)
    store.container("c", NAME)
    assert found(store)["digest"] == mine


def test_of_an_index_the_manifest_of_an_emulated_platform_is_known_by_its_layers(
    store: FakeStore,
) -> None:
    one, other = store.manifest(None, layers=LAYERS[:1]), store.manifest(LABELS)
    rows = [7, {}, {"digest": one}, {"digest": other, "platform": {"architecture": "s390x"}}]
    store.image(NAME, store.put({"manifests": rows}), INDEX)
    store.container("c", NAME)
    with pytest.raises(containerd.LookupFailed, match="for a digest"):
        found(store)
    store.image(NAME, store.put({"manifests": rows[2:]}), INDEX)
    assert found(store)["digest"] == other


def _without_image(store: FakeStore) -> None:
    store.images.clear()


def _without_blobs(store: FakeStore) -> None:
    store.blobs.clear()


def _huge(store: FakeStore) -> None:
    labels = {"io.hetoci.a": "x" * containerd.MAX_JSON}
    store.image(NAME, store.manifest(labels))


def _no_json(store: FakeStore) -> None:
    store.image(NAME, store.put(b"[" * 100_000))


def _a_list(store: FakeStore) -> None:
    store.image(NAME, store.put([]))


def _no_digest(store: FakeStore) -> None:
    store.image(NAME, store.put({"config": {"digest": "../../etc/passwd"}}))


def _odd_parts(store: FakeStore) -> None:
    store.image(NAME, store.put({"config": {"digest": store.put({"rootfs": 1, "config": 2})}}))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_without_image, "is not in the store"),
        (_without_blobs, "is not what the container was made from"),
        (_huge, "has more than 4 MiB"),
        (_no_json, "nested too deeply"),
        (_a_list, "is not a JSON object"),
        (_no_digest, "for a digest"),
        (_odd_parts, "is not what the container was made from"),
    ],
)
def test_a_damaged_store_is_an_error_with_its_reason(
    store: FakeStore, damage: Callable[[FakeStore], None], sentence: str
) -> None:
    store.image(NAME, store.manifest(LABELS))
    store.container("c", NAME)
    damage(store)
    with pytest.raises((containerd.LookupFailed, ValueError), match=sentence):
        found(store)


def test_an_unknown_container_is_an_error(store: FakeStore) -> None:
    with pytest.raises(grpc.GrpcError, match="Get: status 5"):
        found(store)


# the shim


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle as working directory, a stock shim that shows what it gets, a system log."""
    stock = tmp_path / "bin" / shim.STOCK
    stock.parent.mkdir()
    stock.write_text('#!/bin/sh\nprintf "%s|" "$*"\ncat\n')
    stock.chmod(0o755)
    (tmp_path / "bundle").mkdir()
    monkeypatch.chdir(tmp_path / "bundle")
    return tmp_path / "bundle"


def run_shim(bundle: Path, address: str, *words: str) -> tuple[bytes, float]:
    """Run the shim as containerd does; what it answered, and how long it took."""
    program = "import sys; from hetoci.shim import main; sys.exit(main(sys.argv[1:], '/private'))"
    begun = time.monotonic()
    done = subprocess.run(
        [
            sys.executable, "-c", program,
            "-namespace", "space", "-address", address, "-publish-binary", "/x", "-id", "c",
            *words,
        ],
        env={"PATH": f"{bundle.parent}/bin:/usr/bin:/bin", "PYTHONPATH": str(SOURCE)},
        cwd=bundle, input=b"\0bootstrap", check=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout, time.monotonic() - begun


def test_start_writes_the_file_and_leaves_the_conversation_to_the_stock_shim(
    store: FakeStore, bundle: Path
) -> None:
    store.image(NAME, store.manifest(LABELS))
    store.container("c", NAME)
    answer, _ = run_shim(bundle, store.address, "-debug", "start")
    assert answer.endswith(b"-id c -debug start|\0bootstrap")
    file = bundle / shim.IMAGE_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = json.loads(file.read_text())
    schema = json.loads((SCHEMAS / "image-metadata.schema.json").read_text())
    jsonschema.validate(content, schema)
    assert content["labels"] == LABELS
    assert [entry.name for entry in bundle.iterdir()] == [shim.IMAGE_FILE]


@pytest.mark.parametrize("words", [["delete"], ["-bundle", "start", "delete"], ["-v"], []])
def test_other_actions_ask_nothing(store: FakeStore, bundle: Path, words: list[str]) -> None:
    store.image(NAME, store.manifest(LABELS))
    store.container("c", NAME)
    run_shim(bundle, store.address, *words)
    assert not store.calls
    assert not list(bundle.iterdir())


def test_a_plain_image_leaves_no_file(store: FakeStore, bundle: Path) -> None:
    store.image(NAME, store.manifest(OTHERS))
    store.container("c", NAME)
    run_shim(bundle, store.address, "start")
    assert not list(bundle.iterdir())


@pytest.mark.parametrize("address", ["", "/nonexistent/containerd.sock", "/dev/null"])
def test_without_containerd_the_container_starts_all_the_same(bundle: Path, address: str) -> None:
    answer, _ = run_shim(bundle, address, "start")
    assert answer.endswith(b"start|\0bootstrap")


def test_the_reason_is_in_the_systems_log(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        monkeypatch.setattr(shim, "_SYSLOG", str(tmp_path / "log"))
        shim.bring_image({"id": "c\n", "address": "unix:///nonexistent"})
        line = log.recv(4096).decode()
    assert line.startswith("<28>containerd-shim-hetoci-v1[")
    assert "container c\\n: no metadata from containerd: FileNotFoundError" in line


def test_a_containerd_that_does_not_answer_costs_no_more_than_our_patience(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        usual = shim.PATIENCE
        monkeypatch.setattr(shim, "PATIENCE", 0.3)
        begun = time.monotonic()
        shim.bring_image({"id": "c", "address": str(tmp_path / "silent")})
        assert 0.2 < time.monotonic() - begun < usual
        assert not list(bundle.iterdir())


@pytest.mark.parametrize(
    ("words", "action", "identity"),
    [
        ("-id a start", "start", "a"),
        ("--id=a -debug start", "start", "a"),
        ("-debug=true -id a=b start -id c", "start", "a=b"),
        ("-id start delete", "delete", "start"),
        ("-id", "", ""),
        ("- -id a", "-", None),
    ],
)
def test_the_command_line_is_read_as_go_reads_it(
    words: str, action: str, identity: str | None
) -> None:
    found, flags = shim.parse(words.split())
    assert (found, flags.get("id")) == (action, identity)


# gRPC and HTTP/2


class Script:
    """A daemon that says what it was told to, whatever it is asked."""

    def __init__(self, folder: Path, said: bytes) -> None:
        self.address = str(folder / "s")
        Path(self.address).unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.address)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, args=(said,))
        self._thread.start()

    def _serve(self, said: bytes) -> None:
        peer, _ = self._listener.accept()
        with peer, self._listener:
            try:
                peer.sendall(said)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(1 << 16):
                    pass
            except OSError:
                return

    def ask(self, seconds: float = 10.0) -> list[bytes]:
        channel = grpc.Channel(self.address, seconds)
        try:
            return channel.call("p.S/M", b"request")
        finally:
            channel.close()
            self._thread.join()


def block(status: str, huffman: bool = False) -> bytes:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode(
        [(":status", "200"), ("x-a", "b" * 200), ("grpc-status", status)], huffman
    )


def answer(*messages: bytes) -> bytes:
    body = b"".join(b"\0" + len(text).to_bytes(4, "big") + text for text in messages)
    return frame(0, 0, body) + frame(1, 5, block("0"))


def frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return grpc._frame(kind, flags, stream, payload)


def test_frames_may_be_padded_split_and_between_others(tmp_path: Path) -> None:
    trailer = block("0", huffman=True)
    said = [
        frame(4, 0, b"\0\3\0\0\0\1", 0),  # SETTINGS
        frame(6, 0, b"12345678", 0),  # PING
        frame(99, 255, b"of a type that nobody knows", 0),
        frame(1, 0x4 | 0x20, b"\0\0\0\0\1" + block("9")[:1]),  # HEADERS with a priority
        frame(0, 0x8, b"\2\0\0\0\0\1A\0\0"),  # padded DATA
        frame(0, 0, b"\0\0\0\0\0"),
        frame(8, 0, b"\0\0\0\1"),  # WINDOW_UPDATE
        frame(1, 0x1 | 0x8, b"\1" + trailer[:3] + b"\0"),
        frame(9, 0, trailer[3:40]),
        frame(9, 4, trailer[40:]),
    ]
    assert Script(tmp_path, b"".join(said)).ask() == [b"A", b""]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "larger than allowed"),
        (frame(7, 0, b"\0" * 8, 0), "closes the connection"),
        (frame(3, 0, b"\0\0\0\2"), "broke the call off"),
        (frame(0, 1, b""), "without a status"),
        (frame(1, 5, block("x")), "without a status"),
        (frame(1, 5, block("14")), "status 14"),
        (frame(1, 5, block("14", huffman=True)), "status 14"),
        (frame(1, 1, block("0")) + frame(6, 0, b"12345678", 0), "is interrupted"),
        (frame(1, 1, b"\0" * 16384) + frame(9, 0, b"\0" * 16384) * 4, "is too large"),
        (frame(1, 5, b"\x7f"), "cut off"),
        (frame(1, 5, b"\x00\x05abc"), "cut off"),
        (frame(1, 5, b"\xff" * 9), "too large"),
        (frame(0, 8, b"\1"), "all padding"),
        (frame(0, 0, b"\1\0\0\0\1A") + frame(1, 5, block("0")), "compressed"),
        (frame(0, 0, b"\0\0\0\0\2A") + frame(1, 5, block("0")), "cut off"),
        (frame(6, 1, b"\0" * 16384, 0) * 2049, "without end"),
    ],
)
def test_an_answer_that_is_not_one_is_an_error(tmp_path: Path, said: bytes, sentence: str) -> None:
    with pytest.raises(grpc.GrpcError, match=sentence):
        Script(tmp_path, said).ask()


def test_a_request_that_fits_no_frame_is_refused_before_it_is_sent(store: FakeStore) -> None:
    with pytest.raises(grpc.GrpcError, match="does not fit"):
        found(store, "c" * 20000)


def test_a_namespace_of_any_length_arrives(store: FakeStore) -> None:
    with pytest.raises(grpc.GrpcError, match="status 3"):
        containerd.image_of(store.address, "n" * 5000, "c", 10.0)


@given(st.integers(0, 16), st.booleans(), st.lists(st.text("abc-", min_size=1), max_size=5))
def test_a_status_is_found_in_whatever_coding(status: int, huffman: bool, names: list[str]) -> None:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    fields = [(f"x{name}", name * 30) for name in names]
    data = encoder.encode([*fields, ("grpc-status", str(status)), ("grpc-message", "m")], huffman)
    assert grpc.status_of(data) == status


@given(st.binary())
def test_any_header_block_is_read_or_refused(data: bytes) -> None:
    try:
        grpc.status_of(data)
    except grpc.GrpcError:
        pass


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.binary(), st.integers(0, 1))))
def test_any_frames_are_answered_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, bytes, int]]
) -> None:
    folder = tmp_path_factory.mktemp("s")
    said = b"".join(frame(*row) for row in rows)
    try:
        Script(folder, said).ask()
    except (grpc.GrpcError, OSError):
        pass


# protocol buffers


def test_what_we_encode_is_what_the_library_reads() -> None:
    data = protobuf.encode((1, "sha256:ü"), (2, 300), (3, -1))
    read = MESSAGES.ReadRequest.FromString(data)
    assert (read.digest, read.offset, read.size) == ("sha256:ü", 300, -1)


@given(
    st.text(), st.text(), st.integers(-(2**63), 2**63 - 1), st.dictionaries(st.text(), st.binary())
)
def test_what_the_library_encodes_is_what_we_read(
    image: str, key: str, seconds: int, extensions: dict[str, bytes]
) -> None:
    record = MESSAGES.Container(image=image, created_at=MESSAGES.Time(seconds=seconds))
    for name, value in extensions.items():
        record.extensions[name].value = value
    read = protobuf.Message(record.SerializeToString())
    assert read.text(3) == image
    assert read.text(7) == ""
    for name, value in extensions.items():
        assert protobuf.Message(read.entry(10, name)).blob(2) == value
    assert key in extensions or read.entry(10, key) == b""


@given(st.binary())
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        message = protobuf.Message(data)
        for number in range(4):
            message.message(number)
            message.text(number)
            message.entry(number, "a")
    except protobuf.Malformed:
        pass


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x08", "ends in a number"),
        (b"\x08" + b"\xff" * 11, "more than 64 bits"),
        (b"\x0a\x05ab", "ends in a field"),
        (b"\x09\0", "ends in a field"),
        (b"\x0b", "wire type 3"),
    ],
)
def test_a_damaged_message_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(protobuf.Malformed, match=sentence):
        protobuf.Message(data)
