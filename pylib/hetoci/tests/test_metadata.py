# SPDX-License-Identifier: MIT
"""From keys and values to a workload, or to every reason why not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetoci import metadata
from hetoci.errors import HetociError, MetadataError, PolicyDenied
from hetoci.workloads import FirmwareWorkload

W = "io.hetoci.workload"
F = "io.hetoci.firmware"
ALL = ("io.hetoci.*", "remoteproc.name")


def workload(
    annotations: dict[str, Any],
    labels: dict[str, Any] | None = None,
    args: tuple[str, ...] = ("x.elf",),
    cwd: str = "/",
    allowed: tuple[str, ...] = ALL,
) -> FirmwareWorkload | None:
    return metadata.workload(annotations, labels or {}, args, cwd, allowed)


def firmware(*args: Any, **kwargs: Any) -> FirmwareWorkload:
    result = workload(*args, **kwargs)
    assert result is not None
    return result


@pytest.mark.parametrize(
    "annotations",
    [{}, {"org.opencontainers.image.title": "x"}, {"io.hetocix": "1"}, {"a": 5}],
)
def test_without_our_keys_it_is_a_plain_container(annotations: dict[str, Any]) -> None:
    assert workload(annotations) is None


@pytest.mark.parametrize(
    ("keys", "args", "cwd", "path"),
    [
        ({W: "firmware"}, ("x.elf",), "/", "/x.elf"),
        ({W: "firmware"}, ("fw/x.elf", "-v"), "/opt", "/opt/fw/x.elf"),
        ({W: "firmware"}, ("/lib/x.elf",), "/opt", "/lib/x.elf"),
        ({W: "firmware", F: "/a/b.elf"}, ("x.elf",), "/", "/a/b.elf"),
        ({W: "firmware", F: "a/b.elf"}, (), "/opt", "/a/b.elf"),
        ({"remoteproc.name": "r5f_0"}, ("x.elf",), "/", "/x.elf"),
    ],
)
def test_the_firmwares_path(
    keys: dict[str, str], args: tuple[str, ...], cwd: str, path: str
) -> None:
    assert firmware(keys, args=args, cwd=cwd).path == path


def test_arms_annotation_chooses_the_core() -> None:
    assert firmware({"remoteproc.name": "r5f_0"}).core == "r5f_0"


def test_our_core_key_wins_over_arms_in_the_same_source() -> None:
    assert firmware({"remoteproc.name": "a", f"{F}.core": "b"}).core == "b"


def test_the_users_alias_wins_over_the_images_key() -> None:
    labels = {W: "firmware", f"{F}.core": "image"}
    assert firmware({"remoteproc.name": "user"}, labels).core == "user"
    assert firmware({f"{F}.core": "user"}, {"remoteproc.name": "image"}).core == "user"


def test_a_workload_that_is_stated_wins_over_the_one_an_alias_implies() -> None:
    with pytest.raises(MetadataError, match=r"io\.hetoci\.workload=domain is unknown"):
        workload({"remoteproc.name": "a"}, {W: "domain"})


def test_defaults() -> None:
    found = firmware({W: "firmware"})
    assert (found.core, found.digest) == ("", "")
    assert found.consoles == ("trace", "rpmsg-tty")
    assert found.stop_timeout == 10.0


def test_all_keys() -> None:
    found = firmware(
        {
            W: "firmware",
            F: "/x",
            f"{F}.core": "r5*",
            f"{F}.digest": "sha256:" + "0f" * 32,
            f"{F}.console": "rpmsg-tty, trace",
            f"{F}.stop-timeout": "2.5s",
        }
    )
    assert (found.core, found.consoles) == ("r5*", ("rpmsg-tty", "trace"))
    assert (found.stop_timeout, found.digest) == (2.5, "sha256:" + "0f" * 32)


def test_no_console_at_all_can_be_asked_for() -> None:
    assert firmware({W: "firmware", f"{F}.console": ""}).consoles == ()


def test_the_user_wins_over_the_image() -> None:
    labels = {W: "firmware", F: "/image.elf", f"{F}.core": "image"}
    found = firmware({f"{F}.core": "user"}, labels)
    assert (found.path, found.core) == ("/image.elf", "user")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"io.hetoci.workloda": "firmware"}, "did you mean io.hetoci.workload?"),
        ({f"{F}.cor": "x", W: "firmware"}, "did you mean io.hetoci.firmware.core?"),
        ({f"{F}.timeout": "1", W: "firmware"}, "did you mean"),
        ({"io.hetoci.": "1"}, "annotation 'io.hetoci.' is unknown"),
        ({W: "firmwire"}, "io.hetoci.workload=firmwire is unknown, there is: firmware"),
        ({W: ""}, "io.hetoci.workload= is unknown"),
        ({W: 1}, "io.hetoci.workload is a number, a string is needed"),
        ({W: True}, "is a boolean, a string"),
        ({W: None}, "is null, a string"),
        ({W: ["firmware"]}, "is a list, a string"),
        ({W: {}}, "is an object, a string"),
        ({F: "/x"}, "io.hetoci.firmware needs io.hetoci.workload=firmware beside it"),
        ({W: "firmware", F: ""}, "io.hetoci.firmware is empty"),
        ({W: "firmware", F: "/a/../../x"}, "a path without '..' is needed"),
        ({W: "firmware", F: "/a\nb"}, "has control characters in '/a\\nb'"),
        ({W: "firmware", F: "/" + "a" * 5000}, "has 5001 characters, 4000 are allowed"),
        ({W: "firmware", F: "/" + "ä" * 2100}, "and its value have more than 4096 bytes"),
        ({W: "firmware", f"{F}.digest": "md5:0"}, "is no digest, sha256:<64"),
        ({W: "firmware", f"{F}.digest": "sha256:" + "G" * 64}, "is no digest"),
        ({W: "firmware", f"{F}.digest": "sha256:" + "0" * 63}, "is no digest"),
        ({W: "firmware", f"{F}.console": "uart"}, "'uart', there are: trace, rpmsg-tty"),
        ({W: "firmware", f"{F}.stop-timeout": "soon"}, "is no number of seconds above 0"),
        ({W: "firmware", f"{F}.stop-timeout": "0"}, "is no number of seconds above 0"),
        ({W: "firmware", f"{F}.stop-timeout": "-1"}, "is no number of seconds"),
        ({W: "firmware", f"{F}.stop-timeout": "1e9"}, "is no number of seconds"),
        ({W: "firmware", f"{F}.stop-timeout": "4000"}, "up to 3600"),
        ({W: "firmware", f"{F}.stop-timeout": "\u0663"}, "is no number of seconds"),
    ],
)
def test_bad_keys_are_named_with_what_would_be_right(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(MetadataError) as caught:
        workload(keys)
    assert words in str(caught.value)


def test_a_missing_entry_point_is_named() -> None:
    with pytest.raises(MetadataError, match=r"no firmware is named: set io\.hetoci\.firmware"):
        workload({W: "firmware"}, args=())


def test_all_bad_keys_are_reported_at_once() -> None:
    keys = {W: "firmware", f"{F}.cor": "x", f"{F}.digest": "x", f"{F}.console": "x", F: "/.."}
    with pytest.raises(MetadataError) as caught:
        workload(keys)
    assert len(caught.value.reasons) == 4
    assert "(4)" in str(caught.value)


def test_a_bad_label_says_that_it_is_the_images() -> None:
    with pytest.raises(MetadataError, match=r"image label 'io\.hetoci\.x' is unknown"):
        workload({}, {"io.hetoci.x": "1"})


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        (ALL, []),
        (("*",), []),
        ((W,), [F]),
        ((), [F, W]),
        (("io.hetoci.firmware*",), [W]),
        (("io.hetoci.?orkload", F), []),
    ],
)
def test_the_operator_says_what_images_may_set(
    allowed: tuple[str, ...], refused: list[str]
) -> None:
    labels = {W: "firmware", F: "/x", "other": "label"}
    if not refused:
        assert firmware({}, labels, allowed=allowed).path == "/x"
        return
    with pytest.raises(PolicyDenied) as caught:
        workload({}, labels, allowed=allowed)
    assert [reason.split()[0] for reason in caught.value.reasons] == refused


def test_the_users_annotations_need_no_permission() -> None:
    assert firmware({W: "firmware"}, allowed=()).path == "/x.elf"


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("io.hetoci.work-load", W),
        ("io.hetoci.firmware.digst", f"{F}.digest"),
        ("io.hetoci.firmware.stop_timeout", f"{F}.stop-timeout"),
    ],
)
def test_the_nearest_key(key: str, known: str) -> None:
    assert metadata.nearest(key) == known


keys = st.one_of(st.sampled_from(metadata.KEYS), st.text().map(lambda t: "io.hetoci." + t))
values = st.one_of(
    st.text(),
    st.none(),
    st.integers(),
    st.sampled_from(["firmware", "/x.elf", "trace", "5s", "sha256:" + "0" * 64]),
)


@given(st.dictionaries(keys, values, max_size=6), st.dictionaries(keys, values, max_size=6))
def test_no_metadata_breaks_the_parser(a: dict[str, Any], b: dict[str, Any]) -> None:
    try:
        found = workload(a, b)
    except HetociError as error:
        assert str(error).isprintable()
    else:
        assert found is None or (found.path[0] == "/" and ".." not in found.path.split("/"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a\nb", r"a\nb"), ("\x1b[2J", r"\x1b[2J"), ("\u2028", r"\u2028"), ("\udcff", r"\udcff")],
)
def test_a_value_cannot_break_out_of_the_sentence_about_it(value: str, shown: str) -> None:
    with pytest.raises(HetociError) as caught:
        workload({W: value}, {})
    assert shown in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("key", sorted(metadata.SANDBOX))
def test_a_pods_own_container_is_plain_whatever_the_pods_annotations_say(key: str) -> None:
    pod = {W: "firmware", F: "/x.elf"}
    assert workload({**pod, key: "sandbox"}, {}) is None
    assert workload({**pod, key: "container"}, {}) is not None
