# SPDX-License-Identifier: MIT
"""From keys and values to a workload, or to every reason why not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetoci import keys as table
from hetoci import metadata
from hetoci.config import Config
from hetoci.errors import HetociError, MetadataError, PolicyDenied
from hetoci.workloads import (
    AcceleratorWorkload,
    DomainWorkload,
    FirmwareWorkload,
    Workload,
)

W = "io.hetoci.workload"
F = "io.hetoci.firmware"
A = "io.hetoci.accelerator"
E = "io.hetoci.endpoint"
D = "io.hetoci.domain"
ALL = ("io.hetoci.*", "remoteproc.name")
POD = {"io.kubernetes.cri.container-name": "worker"}


@pytest.fixture(autouse=True)
def every_workload(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser knows all workloads; which ones run is another matter."""
    monkeypatch.setattr(metadata, "WORKLOADS", ("firmware", "accelerator", "domain"))
    monkeypatch.setattr(metadata, "PLANNED", ())


def workload(
    annotations: dict[str, Any],
    labels: dict[str, Any] | None = None,
    args: Sequence[str] = ("x.elf",),
    cwd: str = "/",
    allowed: Sequence[str] = ALL,
    **more: Any,
) -> Workload | None:
    image = [("image label", labels or {})]
    sources = metadata.Sources(annotations, image, args=args, cwd=cwd, **more)
    return metadata.workload(sources, Config({"image-keys": " ".join(allowed)}))


def firmware(*args: Any, **kwargs: Any) -> FirmwareWorkload:
    result = workload(*args, **kwargs)
    assert isinstance(result, FirmwareWorkload)
    return result


def accelerator(*args: Any, **kwargs: Any) -> AcceleratorWorkload:
    result = workload(*args, **kwargs)
    assert isinstance(result, AcceleratorWorkload)
    return result


def domain(*args: Any, **kwargs: Any) -> DomainWorkload:
    result = workload(*args, **kwargs)
    assert isinstance(result, DomainWorkload)
    return result


def reasons(*args: Any, **kwargs: Any) -> tuple[str, ...]:
    with pytest.raises(MetadataError) as caught:
        workload(*args, **kwargs)
    return caught.value.reasons


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
    assert reasons({"remoteproc.name": "a"}, {W: "domain"}) == (
        "annotation remoteproc.name needs io.hetoci.workload=firmware beside it",
    )


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
        ({f"{F}.timeout": "1", W: "firmware"}, "did you mean io.hetoci.firmware.stop-timeout?"),
        ({"io.hetoci.": "1"}, "annotation io.hetoci. is unknown"),
        ({"io.hetoci. a": "1"}, "annotation 'io.hetoci. a' is unknown"),
        ({W: "firmwire"}, "is 'firmwire', there are: firmware, accelerator, domain"),
        ({W: ""}, "annotation io.hetoci.workload is '', there are"),
        ({W: 1}, "io.hetoci.workload is a number, a string is needed"),
        ({W: True}, "is a boolean, a string"),
        ({W: None}, "is null, a string"),
        ({W: ["firmware"]}, "is a list, a string"),
        ({W: {}}, "is an object, a string"),
        ({F: "/x"}, "io.hetoci.firmware needs io.hetoci.workload=firmware beside it"),
        ({W: "firmware", F: ""}, "io.hetoci.firmware is '', right would be a path in the image"),
        ({W: "firmware", F: "/a/../../x"}, "a path in the image, not empty and without '..'"),
        ({W: "firmware", F: "/a\nb"}, "has unprintable characters in '/a\\nb'"),
        ({W: "firmware", F: "/" + "a" * 4000}, "a string of at most 4000 printable characters"),
        ({W: "firmware", F: "/" + "ä" * 2100}, "has more than 4096 bytes with its value"),
        ({W: "firmware", f"{F}.digest": "md5:0"}, "is 'md5:0', right would be sha256: and 64"),
        ({W: "firmware", f"{F}.core": ""}, "is '', right would be a name, or a pattern"),
        ({W: "firmware", f"{F}.console": "uart"}, "is 'uart', right would be trace, rpmsg-tty"),
        ({W: "firmware", f"{F}.stop-timeout": "4000"}, "right would be seconds above 0 and up"),
        ({W: "accelerator"}, "there is neither an accelerator's bitstream nor an endpoint's"),
        ({W: "domain", f"{D}.irqs": "92"}, "io.hetoci.domain.irqs is unknown, did you mean"),
        ({W: "firmware", "io.hetoci.spec": "2.0"}, "is 2.0, this hetoci knows version 1.0"),
        (
            {W: "firmware", "io.hetoci.spec": "1.9", "io.hetoci.new": ""},
            "(the metadata is of version 1.9, this hetoci knows 1.0)",
        ),
        ({"org.lfedge.eci.artifact.initrd": "/i"}, "needs io.hetoci.workload=domain beside it"),
        (
            {"org.lfedge.eci.artifact.kernel": "../k"},
            "annotation org.lfedge.eci.artifact.kernel is '../k', right would be a path",
        ),
        ({W: "domain", "krun.ram_mib": "64M"}, "is '64M', right would be a whole number of MiB"),
    ],
)
def test_bad_keys_are_named_with_what_would_be_right(keys: dict[str, Any], words: str) -> None:
    assert words in "; ".join(reasons(keys))


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
    with pytest.raises(MetadataError, match=r"image label io\.hetoci\.x is unknown"):
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
    assert [reason.split()[2] for reason in caught.value.reasons] == refused


def test_the_users_annotations_need_no_permission() -> None:
    assert firmware({W: "firmware"}, allowed=()).path == "/x.elf"


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("io.hetoci.work-load", W),
        ("io.hetoci.Workload", W),
        ("io.hetoci.firmware.digst", f"{F}.digest"),
        ("io.hetoci.firmware.stop_timeout", f"{F}.stop-timeout"),
        ("io.hetoci.accelerator.hash.bitsteam", f"{A}.hash.bitstream"),
        ("io.hetoci.accelerator.bitstream", f"{A}.<name>.bitstream"),
        ("io.hetoci.endpoint.motor.cores", f"{E}.motor.core"),
    ],
)
def test_the_nearest_key(key: str, known: str) -> None:
    assert table.nearest(key) == known


keys = st.one_of(
    st.sampled_from(
        [
            *(name.replace("<name>", "a") for name in table.all_names()),
            *metadata.ALIASES,
            f"{A}.b.bitstream",
            f"{F}.core/worker",
        ]
    ),
    st.text().map(lambda t: "io.hetoci." + t),
)
values = st.one_of(
    st.text(),
    st.none(),
    st.integers(),
    st.sampled_from(
        ["firmware", "accelerator", "domain", "/x.elf", "/{slot}", "5s", "1.0", "2", "64M", ""]
    ),
)
maps = st.dictionaries(keys, values, max_size=8)


@given(maps, maps, st.booleans())
def test_no_metadata_breaks_the_parser(a: dict[str, Any], b: dict[str, Any], pod: bool) -> None:
    try:
        found = workload({**a, **(POD if pod else {})}, b, allowed=("*",))
    except HetociError as error:
        assert str(error).isprintable()
    else:
        assert found is None or found.kind in metadata.WORKLOADS


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


# accelerators and endpoints


def test_an_accelerators_defaults() -> None:
    found = accelerator({W: "accelerator", f"{A}.hash.bitstream": "a/{slot}.bin"})
    (request,) = found.accelerators
    assert (request.name, request.bitstream, request.overlay) == ("hash", "/a/{slot}.bin", "")
    assert (request.slot, request.digests, request.parts, request.shells) == ("*", (), (), ())
    assert (request.partial, request.encrypted, request.memory) == (False, False, 0)
    assert (request.clocks, request.nodes, request.timeout) == ((), (), 10.0)
    assert (found.endpoints, found.platform) == ((), ())


def test_every_key_of_an_accelerator() -> None:
    digests = ("sha256:" + "0" * 64, "sha256:" + "1" * 64)
    found = accelerator(
        {
            W: "accelerator",
            "io.hetoci.platform": "xlnx,zynqmp-zcu102  xlnx,zynqmp",
            f"{A}.hash.bitstream": "/b",
            f"{A}.hash.overlay": "/o-{shell}",
            f"{A}.hash.digest": " , ".join(digests),
            f"{A}.hash.slot": "slot[12]",
            f"{A}.hash.part": "0x0e70c093, xck26",
            f"{A}.hash.shell": "0x48450001",
            f"{A}.hash.flags": "encrypted,partial",
            f"{A}.hash.clocks": "aclk=100M-125M,bclk=33.333M",
            f"{A}.hash.memory": "512K",
            f"{A}.hash.devices": "sha256,dma",
            f"{A}.hash.timeout": "0.5s",
        }
    )
    (request,) = found.accelerators
    assert found.platform == ("xlnx,zynqmp-zcu102", "xlnx,zynqmp")
    assert (request.overlay, request.digests, request.slot) == ("/o-{shell}", digests, "slot[12]")
    assert (request.parts, request.shells) == (("0x0e70c093", "xck26"), ("0x48450001",))
    assert request.partial
    assert request.encrypted
    first, second = request.clocks
    assert (first.clock, first.low, first.high) == ("aclk", 100e6, 125e6)
    assert (second.low, second.high) == pytest.approx((33.333e6 * 0.99, 33.333e6 * 1.01))
    assert (request.memory, request.nodes, request.timeout) == (512 << 10, ("sha256", "dma"), 0.5)


def test_devices_are_sorted_by_name() -> None:
    found = accelerator(
        {
            W: "accelerator",
            **{f"{A}.{name}.bitstream": "/b" for name in ("b", "a", "c-1")},
            f"{E}.z.service": "rpmsg-raw",
            f"{E}.motor.service": "echo",
            f"{E}.motor.core": "r5f_0",
            f"{E}.motor.timeout": "30",
        }
    )
    assert [request.name for request in found.accelerators] == ["a", "b", "c-1"]
    motor, other = found.endpoints
    assert (motor.name, motor.service, motor.core, motor.timeout) == ("motor", "echo", "r5f_0", 30)
    assert (other.name, other.service, other.core, other.timeout) == ("z", "rpmsg-raw", "*", 10)


def test_a_user_may_give_one_accelerator_of_the_image_another_slot() -> None:
    labels = {W: "accelerator", f"{A}.a.bitstream": "/b", f"{A}.a.slot": "slot0"}
    (request,) = accelerator({f"{A}.a.slot": "slot2"}, labels).accelerators
    assert (request.bitstream, request.slot) == ("/b", "slot2")


# domains


def test_a_domains_defaults() -> None:
    found = domain({W: "domain"})
    assert (found.kernel, found.ramdisk, found.cmdline, found.disk) == ("", "", "", "")
    assert (found.digests, found.memory, found.vcpus) == ((), 0, 0)
    assert (found.console, found.boot_timeout, found.on_crash) == ("pv", None, "destroy")
    assert (found.stop_method, found.stop_timeout, found.network) == ("shutdown", 10.0, "engine")
    assert (found.accelerators, found.platform) == ((), ())


def test_every_key_of_a_domain() -> None:
    found = domain(
        {
            W: "domain",
            f"{D}.kernel": "/boot/Image",
            f"{D}.ramdisk": "/boot/initrd",
            f"{D}.cmdline": 'console=hvc0 a="b c"',
            f"{D}.disk": "boot/root.img",
            f"{D}.digest": "sha256:" + "0" * 64,
            f"{D}.memory": "64M",
            f"{D}.vcpus": "128",
            f"{D}.console": "vuart",
            f"{D}.boot-timeout": "2.5",
            f"{D}.stop-method": "destroy",
            f"{D}.stop-timeout": "3600",
            f"{D}.on-crash": "coredump",
            f"{D}.network": "none",
            f"{A}.sum.bitstream": "/b",
        }
    )
    assert (found.kernel, found.ramdisk, found.disk) == (
        "/boot/Image",
        "/boot/initrd",
        "/boot/root.img",
    )
    assert found.cmdline == 'console=hvc0 a="b c"'
    assert (found.digests, found.memory, found.vcpus) == (("sha256:" + "0" * 64,), 64 << 20, 128)
    assert (found.console, found.boot_timeout, found.on_crash) == ("vuart", 2.5, "coredump")
    assert (found.stop_method, found.stop_timeout, found.network) == ("destroy", 3600.0, "none")
    assert [request.name for request in found.accelerators] == ["sum"]


# keys of other projects


def test_an_edge_containers_kernel_makes_a_domain() -> None:
    found = domain(
        {},
        {
            "org.lfedge.eci.artifact.kernel": "/kernel",
            "org.lfedge.eci.artifact.initrd": "/initrd",
            "org.lfedge.eci.artifact.root": "/root.raw",
            "org.lfedge.eci.artifact.disk-0": "/more.raw",
        },
        allowed=("org.lfedge.eci.*",),
    )
    assert (found.kernel, found.ramdisk, found.disk) == ("/kernel", "/initrd", "/root.raw")


URUNC = {
    "com.urunc.unikernel.binary": "/unikernel/app",
    "com.urunc.unikernel.initrd": "/unikernel/initrd",
    "com.urunc.unikernel.cmdline": "app -x",
    "com.urunc.unikernel.block": "/unikernel/block",
    "com.urunc.unikernel.hypervisor": "qemu",
}


def test_a_urunc_image_is_a_domain_where_the_user_says_so() -> None:
    found = domain({W: "domain"}, URUNC, allowed=("com.urunc.*",))
    assert (found.kernel, found.ramdisk) == ("/unikernel/app", "/unikernel/initrd")
    assert (found.cmdline, found.disk) == ("app -x", "/unikernel/block")
    assert workload({}, URUNC, allowed=()) is None
    assert domain({}, {W: "domain", **URUNC}).kernel == ""


def test_kruns_sizes_count_for_a_domain_only() -> None:
    sizes = {"krun.cpus": "4", "krun.ram_mib": "512"}
    found = domain({W: "domain", **sizes})
    assert (found.vcpus, found.memory) == (4, 512 << 20)
    assert firmware({W: "firmware", **sizes}).core == ""
    assert workload(sizes) is None


def test_runxs_variables_are_the_images() -> None:
    env = ["PATH=/bin", "RUNX_KERNEL=/k", "RUNX_RAMDISK=/r", "XLCONF=/host", "RUNX_KERNEL"]
    found = domain({W: "domain"}, env=env, allowed=("RUNX_*",))
    assert (found.kernel, found.ramdisk) == ("/k", "/r")
    assert domain({W: "domain", f"{D}.kernel": "/u"}, env=env, allowed=("RUNX_*",)).kernel == "/u"
    with pytest.raises(PolicyDenied, match="variable RUNX_KERNEL is not among the allowed"):
        workload({W: "domain"}, env=env)
    assert firmware({W: "firmware"}, env=env).path == "/x.elf"


def test_a_hybrid_runtimes_board_and_mcu_count_together_and_if_the_operator_names_them() -> None:
    labels = {"board": "NXP i.MX8MPlus EVK board", "mcu": "imx-rproc"}
    allowed = ("board", "mcu")
    found = firmware({}, labels, allowed=allowed)
    assert (found.core, found.model, found.platform) == ("imx-rproc", labels["board"], ())
    assert workload({}, labels, allowed=ALL) is None
    assert workload(labels, allowed=ALL) is None
    assert workload({}, {"board": "x"}, allowed=allowed) is None
    assert workload({"board": "x"}, {"mcu": "y"}, allowed=allowed) is None


def test_our_platform_wins_over_a_board_of_the_same_source() -> None:
    keys = {"board": "b", "mcu": "m", "io.hetoci.platform": "xlnx,zynqmp"}
    found = firmware(keys, allowed=("board", "mcu"))
    assert (found.core, found.model, found.platform) == ("m", "", ("xlnx,zynqmp",))


# pods


def test_a_scoped_key_speaks_to_its_container_and_wins() -> None:
    keys = {W: "firmware", f"{F}.core": "a", f"{F}.core/worker": "b", f"{F}.core/other": "c"}
    assert firmware({**POD, **keys}).core == "b"
    assert firmware({"io.kubernetes.container.name": "other", **keys}).core == "c"


def test_a_scoped_workload_leaves_the_other_containers_of_the_pod_plain() -> None:
    keys = {f"{W}/motor": "firmware", f"{F}.core/motor": "r5f_0"}
    assert workload({**POD, **keys}) is None


def test_a_scoped_key_is_unknown_outside_of_pods_and_in_images() -> None:
    assert reasons({W: "firmware", f"{F}.core/worker": "b"}) == (
        "annotation io.hetoci.firmware.core/worker is unknown outside of a pod,"
        " the part after '/' names a container",
    )
    (reason,) = reasons(POD, {W: "firmware", f"{F}.core/worker": "b"})
    assert reason.startswith("image label io.hetoci.firmware.core/worker is unknown")


def test_a_bad_scoped_key_is_named_as_it_stands() -> None:
    (reason,) = reasons({**POD, W: "firmware", f"{F}.cor/worker": "b"})
    assert reason == (
        "annotation io.hetoci.firmware.cor/worker is unknown, did you mean io.hetoci.firmware.core?"
    )


# bounds


@pytest.mark.parametrize("source", ["user", "image"])
def test_ten_thousand_keys_are_refused_at_once(source: str) -> None:
    many = {f"{A}.a{n}.bitstraem": "/a" * 1000 for n in range(10_000)}
    before = time.process_time()
    found = reasons(many) if source == "user" else reasons({}, many)
    assert time.process_time() - before < 0.5
    assert len(found) == 1
    assert "10000 keys of the extension, 256 are allowed" in found[0]


def test_as_many_bad_keys_as_are_allowed_are_named_in_reasonable_time() -> None:
    many = {f"io.hetoci.{'x' * 4000}{n}": "/a" for n in range(256)}
    before = time.process_time()
    assert len(reasons(many)) == 256
    assert time.process_time() - before < 2


def test_sixteen_devices_are_allowed_and_no_more() -> None:
    devices = {f"{A}.a{n}.bitstream": "/a" for n in range(16)}
    assert len(accelerator({W: "accelerator", **devices}).accelerators) == 16
    assert reasons({W: "accelerator", **devices, f"{E}.m.service": "s"}) == (
        "the metadata names 17 devices, 16 are allowed",
    )


# what is understood and not done yet


def test_a_workload_that_does_not_run_yet_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metadata, "WORKLOADS", ("firmware", "domain"))
    (reason,) = reasons({W: "accelerator", f"{A}.a.bitstream": "/b"})
    assert "asks for the workload accelerator, which hetoci" in reason
    assert reason.endswith("does not run yet; it runs: firmware, domain")


def test_a_key_that_nothing_acts_on_yet_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "PLANNED", (f"{F}.clocks",))
    (reason,) = reasons({W: "firmware", f"{F}.clocks": "500M"})
    assert reason.startswith("annotation io.hetoci.firmware.clocks is not acted on yet")


# values


@given(st.integers(1, 10**12 - 1), st.sampled_from(["", "K", "M", "G"]))
def test_sizes_are_read_as_written(number: int, unit: str) -> None:
    size = table.TYPES["size"]
    assert size.objection(f"{number}{unit}") is None
    assert size.convert(f"{number}{unit}") == number << {"": 0, "K": 10, "M": 20, "G": 30}[unit]


@given(st.integers(1, 3_600_000), st.sampled_from(["", "s"]))
def test_seconds_are_read_as_written(milliseconds: int, unit: str) -> None:
    text = f"{milliseconds // 1000}.{milliseconds % 1000:03}{unit}"
    seconds = table.TYPES["seconds"]
    if milliseconds == 3_600_000:
        text = "3600" + unit
    assert seconds.objection(text) is None
    assert seconds.convert(text) == pytest.approx(milliseconds / 1000)


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,30}", fullmatch=True),
            st.integers(0, 10**11),
            st.integers(0, 10**11),
        ),
        min_size=1,
        max_size=16,
    )
)
def test_clocks_are_read_as_they_are_shown(clocks: list[tuple[str, int, int]]) -> None:
    wanted = [(name, min(a, b), max(a, b)) for name, a, b in clocks]
    text = ",".join(f"{name}={low}-{high}" for name, low, high in wanted)
    assert table.TYPES["clocks"].objection(text) is None
    found = table.TYPES["clocks"].convert(text)
    assert [(c.clock, c.low, c.high) for c in found] == wanted
    assert ",".join(str(c) for c in found) == text.replace(",", " Hz,") + " Hz"


@pytest.mark.parametrize("name", ["digests", "ids", "nodes", "services", "flags", "consoles"])
@given(data=st.data())
def test_lists_are_read_as_written(name: str, data: st.DataObject) -> None:
    words = {
        "digests": "sha256:[0-9a-f]{64}",
        "ids": "[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        "nodes": "[A-Za-z][A-Za-z0-9._+-]{0,30}",
        "services": "[A-Za-z0-9._:-]{1,31}",
        "flags": "partial|encrypted",
        "consoles": "trace|rpmsg-tty",
    }
    most = 2 if name in ("flags", "consoles") else 8
    word = st.from_regex(words[name], fullmatch=True)
    wanted = data.draw(st.lists(word, min_size=1, max_size=most, unique=True))
    text = data.draw(st.sampled_from([",", " , ", ", "])).join(wanted)
    assert table.TYPES[name].objection(text) is None
    assert table.TYPES[name].convert(text) == tuple(wanted)


@pytest.mark.parametrize("name", sorted(table.TYPES))
@given(text=st.text())
def test_what_is_accepted_can_be_converted(name: str, text: str) -> None:
    if table.TYPES[name].objection(text) is None:
        table.TYPES[name].convert(text)


@given(st.text("ab.*", max_size=8), st.text("ab.*?", max_size=8))
def test_names_fit_globs_as_fnmatch_says(name: str, glob: str) -> None:
    assert metadata.matches(name, (glob,)) == fnmatchcase(name, glob)
