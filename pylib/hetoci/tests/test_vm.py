# SPDX-License-Identifier: MIT
"""`vm` in config.json: the user's word about a domain, with paths on the host."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetoci import metadata
from hetoci.config import Config
from hetoci.errors import HetociError, MetadataError
from hetoci.workloads import DomainWorkload, VmConfig

W = "io.hetoci.workload"
D = "io.hetoci.domain"
A = "io.hetoci.accelerator"


@pytest.fixture(autouse=True)
def every_workload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "WORKLOADS", ("firmware", "accelerator", "domain"))
    monkeypatch.setattr(metadata, "PLANNED", ())


def test_vm_is_refused_until_something_acts_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "PLANNED", ("vm",))
    (reason,) = reasons(FULL)
    assert reason.startswith("config.json's vm is not acted on yet by hetoci")
    monkeypatch.setattr(metadata, "WORKLOADS", ("firmware",))
    (reason,) = reasons(FULL)
    assert reason.startswith("config.json's vm asks for the workload domain, which hetoci")


def domain(
    vm: Any, annotations: dict[str, Any] | None = None, labels: dict[str, Any] | None = None
) -> DomainWorkload:
    image = [("image label", labels or {})]
    sources = metadata.Sources(annotations or {}, image, vm=vm)
    found = metadata.workload(sources, Config({"image-keys": "*"}))
    assert isinstance(found, DomainWorkload)
    return found


def config(vm: Any, **more: Any) -> VmConfig:
    found = domain(vm, **more).vm
    assert found is not None
    return found


def reasons(vm: Any, **more: Any) -> tuple[str, ...]:
    with pytest.raises(MetadataError) as caught:
        domain(vm, **more)
    return caught.value.reasons


FULL: dict[str, Any] = {
    "hypervisor": {"path": "", "parameters": []},
    "kernel": {"path": "/host/Image", "initrd": "/host/initrd", "parameters": ["a=b", "quiet"]},
    "image": {"path": "/host/disk.img", "format": "raw"},
    "hwConfig": {
        "deviceTree": "/host/partial.dtb",
        "vcpus": 2,
        "memory": 64 << 20,
        "dtdevs": ["/axi/dma@0"],
        "iomems": [{"firstMFN": 0xFFFC0, "nrMFNs": 1}, {"firstGFN": 5, "firstMFN": 6, "nrMFNs": 7}],
        "irqs": [32, 121],
    },
}


def test_everything_that_vm_says_is_there() -> None:
    found = domain(FULL)
    assert (found.kernel, found.ramdisk, found.disk) == ("", "", "")
    assert (found.cmdline, found.vcpus, found.memory) == ("a=b quiet", 2, 64 << 20)
    vm = config(FULL)
    assert (vm.kernel, vm.ramdisk, vm.cmdline) == ("/host/Image", "/host/initrd", "a=b quiet")
    assert (vm.disk, vm.device_tree) == ("/host/disk.img", "/host/partial.dtb")
    assert (vm.vcpus, vm.memory) == (2, 64 << 20)
    assert (vm.dtdevs, vm.irqs) == (("/axi/dma@0",), (32, 121))
    assert [(p.first, p.count, p.guest) for p in vm.iomems] == [(0xFFFC0, 1, 0xFFFC0), (6, 7, 5)]


@pytest.mark.parametrize(
    "vm",
    [
        {},
        {"kernel": None},
        {"hypervisor": {}, "kernel": {"path": ""}, "image": {"path": "", "format": ""}},
        {"hypervisor": {"path": "", "parameters": None}, "hwConfig": {}},
        {"com.example.new": {"a": 1}},
    ],
)
def test_empty_members_as_go_programs_write_them_say_nothing(vm: Any) -> None:
    found = config(vm)
    assert (found.kernel, found.disk, found.device_tree) == ("", "", "")
    assert (found.vcpus, found.memory, found.dtdevs, found.iomems, found.irqs) == (0, 0, (), (), ())


@pytest.mark.parametrize("name", ["hwConfig", "hwconfig"])
def test_both_spellings_of_the_hardware_are_read(name: str) -> None:
    assert config({name: {"vcpus": 3}}).vcpus == 3


@pytest.mark.parametrize(
    ("vm", "words"),
    [
        ([], "config.json's vm is no object"),
        ("x", "config.json's vm is no object"),
        ({"kernel": []}, "config.json's vm.kernel is no object"),
        ({"kernel": {"path": 5}}, "vm.kernel.path is '5', an absolute path on the host"),
        ({"kernel": {"path": "Image"}}, "vm.kernel.path is 'Image', an absolute path"),
        ({"kernel": {"path": "/a\nb"}}, "vm.kernel.path is '/a\\nb', an absolute path"),
        ({"kernel": {"initrd": "/i"}}, "vm.kernel.initrd needs path beside it"),
        ({"kernel": {"parameters": ["a"]}}, "vm.kernel.parameters needs path beside it"),
        ({"kernel": {"path": "/k", "parameters": "a"}}, "vm.kernel.parameters is no list"),
        ({"kernel": {"path": "/k", "parameters": [1]}}, "parameters[0] is '1', a word of"),
        ({"kernel": {"path": "/k", "parameters": ["a", ""]}}, "parameters[1] is '', a word of"),
        ({"kernel": {"path": "/k", "parameters": ["é"]}}, "parameters[0] is 'é', a word of"),
        ({"kernel": {"path": "/k", "parameters": ["a b"]}}, "with blanks or quotes are refused"),
        ({"kernel": {"path": "/k", "parameters": ['a"']}}, "with blanks or quotes are refused"),
        ({"kernel": {"path": "/k", "parameters": ["a" * 2048]}}, "at most 2047 printable ASCII"),
        ({"hypervisor": {"path": "/usr/bin/xl"}}, "vm.hypervisor.path is the operator's to choose"),
        ({"hypervisor": {"parameters": ["-x"]}}, "vm.hypervisor.parameters is the operator's"),
        ({"image": {"path": "/d", "format": "qcow2"}}, "vm.image.format is 'qcow2', there is: raw"),
        ({"image": {"path": "/d"}}, "vm.image.format is '', there is: raw"),
        ({"image": {"path": "/d", "format": "raw"}}, "vm.image.path needs a kernel beside it"),
        ({"hwConfig": {}, "hwconfig": {}}, "vm.hwConfig stands beside hwconfig"),
        ({"hwConfig": {"vcpus": 129}}, "vcpus is '129', a whole number 1 to 128 is needed"),
        ({"hwConfig": {"vcpus": True}}, "vcpus is 'True', a whole number"),
        ({"hwConfig": {"memory": "64M"}}, "memory is '64M', a whole number"),
        ({"hwConfig": {"memory": 1.5}}, "memory is '1.5', a whole number"),
        ({"hwConfig": {"dtdevs": ["dma"]}}, "dtdevs[0] is 'dma', the path of a device-tree node"),
        ({"hwConfig": {"irqs": [31]}}, "irqs[0] is '31', a whole number 32 to 1019"),
        ({"hwConfig": {"irqs": {}}}, "vm.hwConfig.irqs is no list"),
        ({"hwConfig": {"iomems": [{"firstMFN": 1}]}}, "iomems[0].nrMFNs is missing"),
        ({"hwConfig": {"iomems": [{"firstMFN": -1, "nrMFNs": 1}]}}, "firstMFN is '-1', a whole"),
        ({"hwConfig": {"iomems": [{"firstMFN": 1, "nrMFNs": 0}]}}, "nrMFNs is '0', a whole"),
        ({"hwConfig": {"iomems": ["x"]}}, "iomems[0] is no object"),
    ],
)
def test_what_is_wrong_in_vm_is_named_with_its_place(vm: Any, words: str) -> None:
    assert words in "; ".join(reasons(vm))


def test_all_that_is_wrong_is_said_at_once() -> None:
    vm = {"kernel": {"path": "x"}, "hwConfig": {"vcpus": 0.5, "irqs": [1, 2]}}
    assert len(reasons(vm, annotations={f"{D}.consol": "pv"})) == 5


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({W: "firmware"}, "annotation io.hetoci.workload is firmware, and config.json has vm"),
        ({W: "accelerator", f"{A}.a.bitstream": "/b"}, "is accelerator, and config.json has vm"),
        ({f"{D}.kernel": "/k"}, "names a file of the image, config.json's vm.kernel.path one of"),
        ({f"{D}.ramdisk": "/k"}, "domain.ramdisk names a file of the image"),
        ({f"{D}.disk": "/k"}, "domain.disk names a file of the image"),
        ({f"{D}.cmdline": "x"}, "means 'x', config.json's vm.kernel.parameters 'a=b quiet'"),
        ({f"{D}.vcpus": "3"}, "means '3', config.json's vm.hwConfig.vcpus '2'"),
        ({f"{D}.memory": "1G"}, "means '1073741824', config.json's vm.hwConfig.memory '67108864'"),
    ],
)
def test_a_user_who_says_two_things_is_refused(keys: dict[str, str], words: str) -> None:
    (reason,) = reasons(FULL, annotations=keys)
    assert words in reason


def test_a_user_may_say_the_same_twice() -> None:
    keys = {W: "domain", f"{D}.vcpus": "2", f"{D}.memory": "64M", f"{D}.cmdline": "a=b quiet"}
    assert domain(FULL, keys).vcpus == 2


def test_the_images_keys_give_way() -> None:
    labels = {
        W: "accelerator",
        f"{A}.a.bitstream": "/b",
        f"{D}.kernel": "/image/kernel",
        f"{D}.ramdisk": "/image/initrd",
        f"{D}.cmdline": "from the image",
        f"{D}.memory": "1G",
        f"{D}.stop-timeout": "3",
    }
    found = domain({"kernel": {"path": "/host/Image"}}, labels=labels)
    assert (found.kernel, found.ramdisk, found.cmdline) == ("", "", "")
    assert (found.memory, found.stop_timeout) == (1 << 30, 3.0)
    assert [request.name for request in found.accelerators] == ["a"]


def test_the_images_kernel_stays_where_vm_names_none() -> None:
    labels = {W: "domain", f"{D}.kernel": "/k", f"{D}.cmdline": "x"}
    found = domain({"image": {"path": "/host/disk", "format": "raw"}}, labels=labels)
    assert (found.kernel, found.cmdline, found.disk) == ("/k", "x", "")


def test_a_users_ramdisk_fits_a_kernel_of_the_host() -> None:
    found = domain({"kernel": {"path": "/host/Image"}}, {f"{D}.ramdisk": "/initrd"})
    assert (found.kernel, found.ramdisk) == ("", "/initrd")


MEMBERS = [
    "hypervisor",
    "kernel",
    "image",
    "hwConfig",
    "hwconfig",
    "path",
    "initrd",
    "format",
    "parameters",
    "deviceTree",
    "vcpus",
    "memory",
    "dtdevs",
    "iomems",
    "irqs",
    "firstMFN",
    "nrMFNs",
    "firstGFN",
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(anything)
def test_no_vm_breaks_the_parser(vm: Any) -> None:
    sources = metadata.Sources({}, vm=vm)
    try:
        found = metadata.workload(sources, Config({}))
    except HetociError as error:
        assert str(error).isprintable()
    else:
        assert (found is None) == (vm is None)


@given(
    st.integers(1, 128),
    st.integers(1, 1 << 48),
    st.lists(st.integers(32, 1019), max_size=5),
    st.lists(st.tuples(st.integers(0, 1 << 35), st.integers(1, 1 << 20)), max_size=5),
)
def test_hardware_is_read_as_written(
    vcpus: int, memory: int, irqs: list[int], pages: list[tuple[int, int]]
) -> None:
    iomems = [{"firstMFN": first, "nrMFNs": count} for first, count in pages]
    found = config({"hwConfig": {"vcpus": vcpus, "memory": memory, "irqs": irqs, "iomems": iomems}})
    assert (found.vcpus, found.memory, list(found.irqs)) == (vcpus, memory, irqs)
    assert [(p.first, p.count, p.guest) for p in found.iomems] == [(f, c, f) for f, c in pages]
