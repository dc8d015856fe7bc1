# SPDX-License-Identifier: MIT
"""Which core a firmware may go to, and every reason why not."""

from __future__ import annotations

from typing import Any

import pytest

import firmware as make
from hetoci import elf, plan
from hetoci.backends.remoteproc import core_type
from hetoci.errors import DeviceBusy, DeviceNotFound, PolicyDenied
from hetoci.model import Core, Holder, MemoryRange
from hetoci.workloads import FirmwareWorkload

CARVEOUT = make.CARVEOUT


def core(number: int = 0, **attributes: Any) -> Core:
    made = Core(f"remoteproc{number}", f"r5f_{number}", core_type(("xlnx,zynqmp-r5f",)))
    made.state = "offline"
    made.cdev = True
    made.node = f"/sys/firmware/devicetree/base/remoteproc/r5f@{number}"
    made.memory = (
        MemoryRange("atcm0", 0, 0x10000),
        MemoryRange("fw", CARVEOUT, 0x40000),
        MemoryRange("vdev0vring0", 0x3ED40000, 0x4000, loadable=False),
    )
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def build(
    segments: list[tuple[int, bytes, int, int]], *entries: bytes, **kwargs: Any
) -> plan.Firmware:
    table = make.table(entries) if entries else None
    return plan.examine(make.elf(segments, resource_table=table, **kwargs), "/x.elf")


CODE = (0, b"code", 0x100, 5)
DATA = (CARVEOUT, b"", 0x1000, 6)
WORKLOAD = FirmwareWorkload("/x.elf")


def objections(firmware: plan.Firmware, **attributes: Any) -> list[str]:
    return plan.objections(core(**attributes), firmware, ("*",))


def test_good_firmware_has_no_objections() -> None:
    firmware = build(
        [CODE, DATA],
        make.trace("log", CARVEOUT + 0x100),
        make.trace("hetoci-exit", CARVEOUT + 0x100, 0x100),
        make.vdev([(0x3ED40000, 4096, 256), (0xFFFFFFFF, 4096, 256)]),
        make.memory(0, "heap", CARVEOUT + 0x2000, 0x1000),
    )
    assert objections(firmware) == []


@pytest.mark.parametrize(
    ("firmware", "words"),
    [
        (
            build([CODE], machine=elf.EM_AARCH64),
            "the ELF is 32-bit AArch64, a Cortex-R5F needs 32-bit Arm (EM_ARM)",
        ),
        (build([CODE], bits=64), "the ELF is 64-bit Arm (EM_ARM), a Cortex-R5F needs 32-bit"),
        (
            build([CODE], entry=0x100),
            "the entry point 0x100 lies in no executable segment (executable are segment 0"
            " 0x0-0xff)",
        ),
        (build([(0, b"x", 4, 6)]), "lies in no executable segment (none is executable)"),
        (
            build([CODE, (0x10000, b"x", 16, 6)]),
            "segment 1 (0x10000-0x1000f) lies outside the core's memory (atcm0 0x0-0xffff,"
            " fw 0x3ed00000-0x3ed3ffff)",
        ),
        (build([CODE, (0xFFF0, b"x", 0x20, 6)]), "segment 1 (0xfff0-0x1000f) lies outside"),
        (build([CODE, (0x3ED40000, b"x", 16, 6)]), "segment 1 (0x3ed40000-0x3ed4000f) lies"),
        (
            build([CODE], make.trace("log", 0x80000000)),
            "entry 0 (trace buffer 'log') at 0x80000000-0x80000fff lies outside",
        ),
        (
            build([CODE], make.trace("log", 0xFFFFFFFF, 1)),
            "entry 0 (trace buffer 'log') at 0xffffffff-0xffffffff lies outside",
        ),
        (
            build([CODE], make.memory(0, "heap", 0x50000000, 16)),
            "entry 0 (carve-out 'heap') at 0x50000000-0x5000000f lies outside",
        ),
        (
            build([CODE], make.vdev([(0x50000000, 4096, 256)])),
            "entry 0 (vdev 'vring0') at 0x50000000-0x50002fff lies outside",
        ),
        (
            build([CODE], make.memory(1, "uart", 0xFF000000, 16)),
            "entry 0 (device memory 'uart') needs an IOMMU, which the core does not have",
        ),
        (
            build([CODE], make.trace("hetoci-exit", CARVEOUT)),
            "lies in no segment, so it would not be empty at the start; place it in .bss",
        ),
    ],
)
def test_each_objection_names_what_would_be_right(firmware: plan.Firmware, words: str) -> None:
    (reason,) = objections(firmware)
    assert words in reason


def test_an_iommu_makes_device_memory_possible() -> None:
    firmware = build([CODE], make.memory(1, "uart", 0xFF000000, 16))
    assert objections(firmware, iommu=True) == []


def test_a_core_without_character_device_is_not_used() -> None:
    (reason,) = objections(build([CODE]), cdev=False)
    assert "/dev/remoteproc0 is missing (CONFIG_REMOTEPROC_CDEV)" in reason


def test_where_only_the_driver_knows_the_memory_the_kernel_decides() -> None:
    anywhere = build([(0x1234, b"x", 16, 5)], make.trace("t", 0x99), entry=0x1234)
    assert objections(anywhere, memory=None) == []


@pytest.mark.parametrize(
    ("compatible", "title"),
    [
        (("xlnx,zynqmp-r5f",), "Cortex-R5F"),
        (("xlnx,versal-r5f",), "Cortex-R5F"),
        (("xlnx,versal-net-r52f",), "Cortex-R52"),
        (("st,stm32mp1-m4",), "Cortex-M4"),
        (("fsl,imx8mp-cm7",), "Cortex-M7"),
        (("fsl,imx93-cm33",), "Cortex-M33"),
        (("ti,am64-r5f",), "Cortex-R5F"),
        (("ti,am4376-pru",), "PRU"),
        (("ti,j721e-c66-dsp",), "C66x DSP"),
        (("vendor,new", "xlnx,zynqmp-r5f"), "Cortex-R5F"),
        (("vendor,new",), "unknown"),
        ((), "unknown"),
    ],
)
def test_cores_are_known_by_their_compatible(compatible: tuple[str, ...], title: str) -> None:
    assert core_type(compatible).title == title


def test_an_unknown_core_takes_any_machine() -> None:
    unknown = core(memory=None, type=core_type(("vendor,new",)))
    firmware = build([CODE], machine=elf.EM_RISCV, bits=64)
    assert plan.objections(unknown, firmware, ("*",)) == []


def test_all_objections_of_all_cores_are_reported() -> None:
    bad = build([(0x50000000, b"x", 16, 6)], machine=elf.EM_RISCV)
    with pytest.raises(PolicyDenied) as caught:
        plan.make(WORKLOAD, bad, [core(0), core(1)])
    assert len(caught.value.reasons) == 3
    assert "firmware /x.elf cannot run on this board: (1) r5f_0, r5f_1: " in str(caught.value)


def test_cores_are_taken_in_order_and_busy_ones_passed_over() -> None:
    busy = core(0, holder=Holder("other", "", 5, "1"))
    made = plan.make(WORKLOAD, build([CODE]), [busy, core(1), core(2)])
    assert [c.instance for c in made.candidates] == ["remoteproc1", "remoteproc2"]
    assert [step.op for step in made.steps] == ["claim", "prepare", "activate"]


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        (
            {"holder": Holder("c1", "/run/x", 5, "1")},
            "core r5f_0 is held by container c1 of /run/x (pid 5)",
        ),
        (
            {"state": "attached", "firmware": "boot.elf"},
            "core r5f_0 is attached (firmware boot.elf), not started by a container",
        ),
        ({"state": "detached"}, "core r5f_0 is detached (firmware unknown)"),
        ({"state": "suspended-ish"}, "core r5f_0 is suspended-ish"),
    ],
)
def test_a_busy_core_names_its_holder(attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(DeviceBusy) as caught:
        plan.make(WORKLOAD, build([CODE]), [core(0, **attributes)])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("r5f_1", ["remoteproc1"]),
        ("remoteproc0", ["remoteproc0"]),
        ("r5f@1", ["remoteproc1"]),
        ("r5f_*", ["remoteproc0", "remoteproc1"]),
        ("r5f_[1-9]", ["remoteproc1"]),
        ("", ["remoteproc0", "remoteproc1"]),
    ],
)
def test_a_core_can_be_asked_for_by_each_of_its_names(wanted: str, chosen: list[str]) -> None:
    workload = FirmwareWorkload("/x.elf", core=wanted)
    made = plan.make(workload, build([CODE]), [core(0), core(1)])
    assert [c.instance for c in made.candidates] == chosen


def test_an_unknown_core_is_answered_with_those_that_exist() -> None:
    with pytest.raises(DeviceNotFound) as caught:
        plan.make(FirmwareWorkload("/x.elf", core="m4"), build([CODE]), [core(0), core(1)])
    words = "no remote core is named 'm4'; there are r5f_0 (remoteproc0), r5f_1 (remoteproc1)"
    assert str(caught.value) == words


def test_a_board_without_cores_says_so() -> None:
    with pytest.raises(DeviceNotFound, match="the board has no remote core"):
        plan.make(WORKLOAD, build([CODE]), [])


def test_the_operator_says_which_cores_containers_may_use() -> None:
    made = plan.make(WORKLOAD, build([CODE]), [core(0), core(1)], ("r5f_1",))
    assert [c.instance for c in made.candidates] == ["remoteproc1"]
    with pytest.raises(PolicyDenied, match=r"not among the cores that containers may use \(m4\)"):
        plan.make(WORKLOAD, build([CODE]), [core(0)], ("m4",))
