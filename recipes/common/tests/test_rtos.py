# SPDX-License-Identifier: MIT
"""The RTOS, as far as a build host can run or read it; the rest runs on the board (labtests)."""

import random
import struct
import subprocess
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2]
RTOS = RECIPES / "common/rtos"
JITTER = RECIPES / "rtos-jitter/src"
FLAGS = [
    "-std=gnu11",
    "-g",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-format-zero-length",
    "-fno-builtin",
]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def compile_host(target: Path, sources: list[Path], *more: str) -> Path:
    command: list[str | Path] = ["cc", *FLAGS, *SANITIZE, *more, "-DRTOS_HOST"]
    command += [f"-I{folder}" for folder in (RTOS, RTOS / "tests", JITTER)]
    subprocess.run([*command, "-o", target, *sources], check=True)
    return target


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("fdt", "format", "machine", "message", "options", "ring")
    sources = [RTOS / f"{name}.c" for name in names]
    sources += [JITTER / "stats.c", RTOS / "tests/pure_test.c"]
    return compile_host(tmp_path_factory.mktemp("rtos") / "pure", sources)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [RTOS / "sched.c", RTOS / "tests/sched_test.c"]
    return compile_host(tmp_path_factory.mktemp("rtos") / "sched", sources)


def said(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr
    return done.stdout


TREE = """
/dts-v1/;
/ {
    #address-cells = <2>; #size-cells = <2>;
    chosen { bootargs = "period=500"; };
    memory@40000000 { device_type = "memory"; reg = <0 0x40000000 0 0x800000>; };
    interrupt-controller@3001000 {
        compatible = "arm,gic-v3"; #interrupt-cells = <3>; interrupt-controller;
        reg = <0 0x3001000 0 0x10000  0 0x3020000 0 0x1000000>;
    };
    timer { compatible = "arm,armv8-timer";
        interrupts = <1 13 0xf08  1 14 0xf08  1 11 0xf08>; };
    hypervisor { compatible = "xen,xen-4.20", "xen,xen"; interrupts = <1 15 0xf08>;
        reg = <0 0x38000000 0 0x1000000>; };
    passthrough {
        #address-cells = <2>; #size-cells = <2>; ranges; compatible = "simple-bus";
        other@1000 { compatible = "x,y"; };
        vadd@fffc2000 { compatible = "hetoci,vadd";
            reg = <0 0xfffc2000 0 0x1000  0 0x3f200000 0 0x100000>; interrupts = <0 62 1>; };
    };
};
"""


def blob(source: str) -> bytes:
    command = ["dtc", "-q", "-I", "dts", "-O", "dtb"]
    return subprocess.run(command, input=source.encode(), capture_output=True, check=True).stdout


def read_tree(pure: Path, folder: Path, data: bytes) -> str:
    file = folder / "tree.dtb"
    file.write_bytes(data)
    return said(pure, "machine", file)


def test_the_kernel_finds_its_way_in_the_tree_of_a_domain(pure: Path, tmp_path: Path) -> None:
    assert read_tree(pure, tmp_path, blob(TREE)).splitlines() == [
        "memory 0x40000000+0x800000 gic 0x3001000 0x3020000 timer 27 events 31 "
        "xen xen,xen-4.20 bootargs [period=500]",
        "device 0xfffc2000+0x1000 0x3f200000+0x100000 irq 94 edge",
    ]


LACKING = {
    "no memory": ("reg = <0 0x40000000 0 0x800000>;", ""),
    "no arm,gic-v3": ("arm,gic-v3", "arm,gic-400"),
    "an arm,gic-v3 without distributor and redistributor": ("0 0x10000  0 0x3020000 0 0x1000000",
                                                            "0 0x10000"),
    "no virtual timer with an interrupt": ("  1 11 0xf08", ""),
    "no Xen in /hypervisor with an interrupt": ('"xen,xen-4.20", "xen,xen"', '"vendor,other"'),
}  # fmt: skip


@pytest.mark.parametrize("problem", LACKING)
def test_what_the_tree_lacks_is_named(pure: Path, tmp_path: Path, problem: str) -> None:
    data = blob(TREE.replace(*LACKING[problem]))
    assert read_tree(pure, tmp_path, data).splitlines()[0] == f"problem: {problem}"


def test_a_tree_cut_anywhere_is_read_without_leaving_it(pure: Path, tmp_path: Path) -> None:
    whole = blob(TREE)
    for size in range(0, len(whole), 53):
        assert "no device tree" in read_tree(pure, tmp_path, whole[:size])
        # The same bytes with a header that claims to be complete.
        if size >= 40:
            data = bytearray(whole[:size])
            struct.pack_into(">I", data, 4, size)
            read_tree(pure, tmp_path, bytes(data))


def test_a_tree_with_wrong_bytes_is_read_without_leaving_it(pure: Path, tmp_path: Path) -> None:
    whole = blob(TREE)
    chance = random.Random(4)  # noqa: S311
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            at = chance.choice([chance.randrange(40), chance.randrange(len(data))])
            data[at] = chance.choice([0, 1, 2, 3, 4, 9, 0x7F, 0x80, 0xFF])
        read_tree(pure, tmp_path, bytes(data))


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("", "period 1000 tasks 3"),
        ("  tasks=0   period=100 ", "period 100 tasks 0"),
        ("period=99", "option period=99: write period=N, N from 100 to 1000000"),
        ("period=99999999999999", "option period=99999999999999: write period=N, N from 100"),
        ("tasks=2 period=1e3", "option period=1e3: write period=N"),
        ("tasks=", "option tasks=: write tasks=N, N from 0 to 6"),
        ("tasks", "option tasks: there is none of that name; there are period, tasks"),
        ("tasksx=1", "option tasksx=1: there is none of that name"),
        ("-- root=/dev/xvda", "option --: there is none"),
        ("\x1b[2Jx", "option ?[2Jx: there is none"),
        ("y" * 3000, f"option {'y' * 40}: there is none"),
    ],
)
def test_options_are_taken_whole_or_refused_in_a_sentence(
    pure: Path, line: str, answer: str
) -> None:
    assert said(pure, "options", line).startswith(answer)


@pytest.mark.parametrize("part", ["format", "ring", "message"])
def test_a_part_does_what_its_header_says(pure: Path, part: str) -> None:
    assert said(pure, part) == ""


def test_percentiles_are_an_eighth_too_large_at_most(pure: Path) -> None:
    chance = random.Random(7)  # noqa: S311
    numbers = sorted(int(2 ** chance.uniform(0, 34)) for _ in range(2000))
    low, mean, half, p99, high, below = map(int, said(pure, "stats", *map(str, numbers)).split())
    assert (low, high) == (numbers[0], numbers[-1])
    assert mean == sum(numbers) // 2000
    for exact, found in ((numbers[999], half), (numbers[1979], p99)):
        assert exact <= found <= exact * 9 / 8
    assert below == sum(number < 1024 for number in numbers)


def test_statistics_of_nothing_and_of_too_much_are_defined(pure: Path) -> None:
    assert said(pure, "stats").split() == ["0"] * 6
    assert said(pure, "stats", str(2**60)).split()[2:5] == [str(2**60)] * 3


SCENARIOS = {
    "preemption": "0 low begins|10 high woke|20 high woke|25 low ends|30 high woke",
    "turns": "0 one begins|10 two begins|45 one ends|50 two ends",
    "timeouts": "5 taker timed out|8 taker took|8 giver gave",
    "order": "0 six took|0 first5 took|0 second5 took",
    "inheritance": "0 holder locked|10 holder unlocks|10 urgent locked|10 between begins|"
    "30 between ends|30 holder goes on",
    "chain": "0 holder locked|10 holder unlocks|10 middle locked both|10 top locked|"
    "10 between begins|30 between ends|30 middle unlocked both|30 holder goes on",
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scheduler_keeps_its_rules(scheduler: Path, name: str) -> None:
    assert said(scheduler, name).splitlines() == SCENARIOS[name].split("|")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rtos-jitter")
    subprocess.run(["make", "-s", "-C", JITTER, f"O={folder}"], check=True)
    return folder


def test_the_kernel_is_an_arm64_image_that_can_lie_anywhere(kernel: Path) -> None:
    data = (kernel / "rtos.bin").read_bytes()
    offset, size, flags = struct.unpack_from("<QQQ", data, 8)
    assert data[56:60] == b"ARM\x64"
    assert (offset, flags) == (0, 0xA)
    assert len(data) < size <= 2 << 20
    listed = said("readelf", "-rW", kernel / "rtos.elf")
    kinds = {line.split()[2] for line in listed.splitlines() if " R_" in line}
    assert kinds == {"R_AARCH64_RELATIVE"}


def test_the_kernel_is_the_same_wherever_it_is_built(kernel: Path, tmp_path: Path) -> None:
    subprocess.run(["make", "-s", "-C", JITTER, f"O={tmp_path}"], check=True)
    assert (tmp_path / "rtos.bin").read_bytes() == (kernel / "rtos.bin").read_bytes()
