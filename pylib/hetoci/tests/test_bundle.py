# SPDX-License-Identifier: MIT
"""Files of an image are read inside the image, or not at all."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetoci import bundle, fastjson
from hetoci.errors import BundleError
from hetoci.host import Host


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """An image with a file in /usr/lib, reached by links too, beside a secret of the host."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/fw.elf").write_text("secret")
    root = tmp_path / "rootfs"
    (root / "usr/lib").mkdir(parents=True)
    (root / "usr/lib/fw.elf").write_text("firmware")
    (root / "lib").symlink_to("usr/lib")
    (root / "abs").symlink_to("/usr/lib")
    return root


def read(rootfs: Path, path: str, limit: int = 1000) -> str:
    return bundle.read_inside(Host(), os.fspath(rootfs), path, limit).decode()


@pytest.mark.parametrize(
    "path",
    ["/usr/lib/fw.elf", "usr/./lib//fw.elf", "/lib/fw.elf", "/abs/fw.elf", "/lib/../lib/fw.elf"],
)
def test_files_and_links_inside_are_read(rootfs: Path, path: str) -> None:
    assert read(rootfs, path) == "firmware"


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("fw.elf", "../secret"),
        ("fw.elf", "../../../../../../../../{secret}"),
        ("fw.elf", "{secret}"),
        ("dir", "../secrets"),
        ("dir", "{secrets}"),
    ],
)
def test_no_link_leads_out(rootfs: Path, link: str, target: str) -> None:
    secret = rootfs.parent / "secret"
    (rootfs / link).symlink_to(target.format(secret=secret, secrets=rootfs.parent / "secrets"))
    path = f"/{link}" if link == "fw.elf" else f"/{link}/fw.elf"
    with pytest.raises(FileNotFoundError):
        read(rootfs, path)


@pytest.mark.parametrize("path", ["/../secret", "/usr/../../secret", "../../../secret"])
def test_dots_do_not_lead_out(rootfs: Path, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        read(rootfs, path)


def test_loops_of_links_end(rootfs: Path) -> None:
    (rootfs / "a").symlink_to("b")
    (rootfs / "b").symlink_to("a")
    with pytest.raises(BundleError, match=r"Too many levels of symbolic links \(ELOOP\)"):
        read(rootfs, "/a")


def test_a_directory_in_place_of_a_file_is_named(rootfs: Path) -> None:
    with pytest.raises(BundleError, match="/usr in the image is a directory, a regular file"):
        read(rootfs, "/usr")


def test_a_fifo_does_not_block(rootfs: Path) -> None:
    os.mkfifo(rootfs / "fifo")
    with pytest.raises(BundleError, match="/fifo in the image is a FIFO"):
        read(rootfs, "/fifo")


def test_a_device_is_not_opened() -> None:
    with pytest.raises(BundleError, match="/null in the image is a character device"):
        read(Path("/dev"), "/null")


def test_a_socket_is_refused(rootfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(rootfs)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(BundleError, match="is a socket"):
            read(rootfs, "/s")


def test_a_file_as_directory_is_refused(rootfs: Path) -> None:
    with pytest.raises(BundleError, match=r"Not a directory \(ENOTDIR\)"):
        read(rootfs, "/usr/lib/fw.elf/x")


def test_a_file_that_is_too_large_is_not_read(rootfs: Path) -> None:
    with (rootfs / "big").open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(BundleError, match="2147483648 bytes, more than the 1000 allowed"):
        read(rootfs, "/big")


def test_no_descriptor_stays_open(rootfs: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("/lib/fw.elf", "/abs/../usr/lib/fw.elf", "/nope", "/usr"):
        try:
            read(rootfs, path)
        except (OSError, BundleError):
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# config.json and the labels file


def load(path: Path, config: str) -> bundle.Bundle:
    (path / "config.json").write_text(config)
    return bundle.load(Host(), os.fspath(path))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("", "is not JSON: expecting a value at character 0"),
        ("[]", "is not a JSON object"),
        ('{"a": 1} x', "is not JSON: extra data at character 9"),
        ('{"a": NaN}', "is not JSON: NaN is not JSON"),
        ('{"a": "', "is not JSON"),
        ("[" * 100000, "is not JSON: nested too deeply"),
    ],
)
def test_a_bad_config_is_refused(tmp_path: Path, config: str, words: str) -> None:
    with pytest.raises(BundleError) as caught:
        load(tmp_path, config)
    assert words in str(caught.value)


def test_a_missing_config_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="--bundle must name a directory with an OCI config"):
        bundle.load(Host(), os.fspath(tmp_path))


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ({"path": "rootfs"}, "{}/rootfs"),
        ({"path": "/abs"}, "/abs"),
        ({"path": ""}, None),
        ({"path": 1}, None),
        ([], None),
    ],
)
def test_the_root_is_relative_to_the_bundle(
    tmp_path: Path, root: object, expected: str | None
) -> None:
    found = load(tmp_path, json.dumps({"root": root}))
    assert found.rootfs == (expected.format(tmp_path) if expected else None)


@pytest.mark.parametrize("annotations", [None, [], "x", 5])
def test_odd_annotations_are_none(tmp_path: Path, annotations: object) -> None:
    assert load(tmp_path, json.dumps({"annotations": annotations})).annotations == {}


def _labels(tmp_path: Path, text: str | None) -> dict[str, object]:
    labels = tmp_path / "rootfs/.hetoci/labels.json"
    labels.parent.mkdir(parents=True)
    if text is not None:
        labels.write_text(text)
    return bundle.image_labels(Host(), load(tmp_path, '{"root": {"path": "rootfs"}}'))


def test_an_image_without_labels_file_has_no_labels(tmp_path: Path) -> None:
    assert _labels(tmp_path, None) == {}


def test_labels_are_read(tmp_path: Path) -> None:
    assert _labels(tmp_path, '{"a": "b"}') == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "is not a JSON object"),
        ("x", "labels.json in the image is not JSON"),
        ('{"a": "1", "a": "2"}', "the member 'a' stands there more than once"),
        ('{"a": "' + "x" * 70000 + '"}', "more than the 65536 allowed"),
    ],
)
def test_bad_labels_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BundleError) as caught:
        _labels(tmp_path, text)
    assert words in str(caught.value)


def test_a_root_file_system_that_is_missing_is_not_an_image_without_labels(
    tmp_path: Path,
) -> None:
    with pytest.raises(BundleError, match=r"cannot open the image at .*/rootfs: No such file"):
        bundle.image_labels(Host(), load(tmp_path, '{"root": {"path": "rootfs"}}'))


# the reader of JSON

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(json_values, st.sampled_from([None, 2]))
def test_what_json_writes_is_read(value: object, indent: int | None) -> None:
    assert fastjson.loads(" \n" + json.dumps(value, indent=indent) + "\t ") == value


@given(json_values, st.booleans())
def test_what_is_written_is_what_json_writes(value: object, sort_keys: bool) -> None:
    assert fastjson.dumps(value, sort_keys=sort_keys) == json.dumps(value, sort_keys=sort_keys)


@pytest.mark.parametrize("value", [{"a": object()}, [float("nan")]])
def test_what_json_has_not_is_not_written(value: object) -> None:
    with pytest.raises((TypeError, ValueError), match=r"JSON"):
        fastjson.dumps(value)


@given(st.text())
def test_what_is_refused_is_what_json_refuses(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            fastjson.loads(text)
        return
    if text.strip(" \t\r\n") not in ("NaN", "Infinity", "-Infinity"):
        assert fastjson.loads(text) == expected


def test_without_the_c_modules_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastjson, "_scanner", lambda _unique: None)
    monkeypatch.setattr(fastjson, "_encoder", lambda _sort_keys: None)
    assert fastjson.dumps({"b": "\x00", "a": [1, 2.5]}) == json.dumps({"b": "\x00", "a": [1, 2.5]})
    assert fastjson.loads('{"a": [1, 2]}') == {"a": [1, 2]}
    with pytest.raises(ValueError, match="NaN is not JSON"):
        fastjson.loads("NaN")
    with pytest.raises(ValueError, match="'a' stands there more than once"):
        fastjson.loads('{"a": 1, "a": 2}', unique=True)
