# SPDX-License-Identifier: MIT
"""The R5 support code, as far as a build host can run or read it."""

import ctypes
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hetoci import elf, rsctable
from hetoci.console import TraceFollower

RECIPES = Path(__file__).parents[2]
R5 = RECIPES / "common/r5"
HERE = Path(__file__).parent
FIRMWARES = sorted(f.parent for f in RECIPES.glob("fw-*/src"))

TRACE_SIZE = 32768
LINE_MAX = 256
MARKER = re.compile(rb"^--- trace part (\d+), after (\d+) bytes ---\n", re.MULTILINE)

ATCM = range(0x10000)
CARVEOUT = range(0x3ED00000, 0x3ED40000)
VRINGS = range(0x3ED40000, 0x3ED48000)


class Trace:
    """trace.c, compiled for this machine: what a firmware writes and what Linux reads."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._buffer = (ctypes.c_char * TRACE_SIZE).in_dll(self._library, "trace_buffer")

    def write(self, text: bytes) -> None:
        self._library.trace_write(text, ctypes.c_size_t(len(text)))

    def printf(self, fmt: bytes, *values: object) -> None:
        self._library.trace_printf(fmt, *values)

    def read(self) -> bytes:
        return self._buffer.value


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[Trace]:
    library = tmp_path / "trace.so"
    flags: list[str | Path] = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    sources = [R5 / "trace.c", R5 / "format.c"]
    flags += ["-include", HERE / "host_barrier.h", "-o", library]
    subprocess.run(["cc", *flags, *sources], check=True)
    yield Trace(library)


def test_text_is_appended(trace: Trace) -> None:
    trace.write(b"one\n")
    trace.printf(b"%s %u %d 0x%x %c%%\n", b"two", 4294967295, -2147483648, 0xBEEF, 33)
    assert trace.read() == b"one\ntwo 4294967295 -2147483648 0xbeef !%\n"


def test_control_characters_do_not_reach_the_reader(trace: Trace) -> None:
    trace.write(b"a\0b\x1b[31m\tc\x7f\xc3\xa9\n")
    assert trace.read() == b"a?b?[31m\tc?\xc3\xa9\n"


def test_a_piece_too_long_is_cut(trace: Trace) -> None:
    trace.printf(b"%s", b"x" * 1000)
    assert trace.read() == b"x" * (LINE_MAX - 1)


def test_a_full_buffer_begins_again_and_tells_how_much_there_was(trace: Trace) -> None:
    line = b"y" * 99 + b"\n"
    fitting = (TRACE_SIZE - 1) // len(line)
    for _ in range(fitting):
        trace.write(line)
    assert trace.read() == line * fitting
    trace.write(line)
    expected = b"--- trace part 2, after %d bytes ---\n" % (fitting * len(line)) + line
    assert trace.read() == expected


def test_the_last_byte_is_used_for_the_end_only(trace: Trace) -> None:
    for _ in range(TRACE_SIZE // 128 - 1):
        trace.write(b"z" * 128)
    trace.write(b"z" * 127)
    assert len(trace.read()) == TRACE_SIZE - 1
    trace.write(b"!")
    assert trace.read().endswith(b" bytes ---\n!")


def test_the_runtimes_reader_loses_nothing_over_many_parts(trace: Trace) -> None:
    chance = random.Random(4)  # noqa: S311
    follower, copied, written = TraceFollower(TRACE_SIZE), b"", b""
    for number in range(6000):
        line = b"%d %s\n" % (number, b"-" * chance.randrange(100))
        trace.write(line)
        written += line
        # The writer may empty the buffer between two looks, so look at its last state too.
        if chance.random() < 0.3 or len(trace.read()) > TRACE_SIZE - 2 * LINE_MAX:
            copied += follower.feed(trace.read())
    copied += follower.feed(trace.read())
    parts = [int(part) for part, _ in MARKER.findall(copied)]
    assert parts == list(range(2, len(parts) + 2))
    assert len(parts) > 5
    assert MARKER.sub(b"", copied) == written


def make(recipe: Path, folder: Path) -> Path:
    """Build the firmware of `recipe` in `folder`; returns the ELF file."""
    command: list[str | Path] = ["make", "-s", "-C", recipe / "src", f"O={folder}"]
    subprocess.run([*command, "CROSS_COMPILE=arm-none-eabi-"], check=True)
    [made] = folder.glob("*.elf")
    return made


@pytest.fixture(scope="module", params=FIRMWARES, ids=lambda path: path.name)
def firmware(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ELF file of each firmware recipe, built here."""
    return make(request.param, tmp_path_factory.mktemp(request.param.name))


def within(start: int, size: int, region: range) -> bool:
    return start in region and start + size <= region.stop


def test_vectors_are_in_the_tcm_and_the_rest_in_the_carve_out(firmware: Path) -> None:
    parsed = elf.parse(firmware.read_bytes(), firmware.name)
    assert (parsed.bits, parsed.machine, parsed.entry) == (32, elf.EM_ARM, 0)
    vectors, *rest = parsed.segments
    assert vectors.address == 0
    assert vectors.executes(0)
    assert within(vectors.address, vectors.memory_size, ATCM)
    assert all(within(s.address, s.memory_size, CARVEOUT) for s in rest)


def test_the_resource_table_asks_for_log_exit_record_and_rpmsg(firmware: Path) -> None:
    section = elf.parse(firmware.read_bytes(), firmware.name).resource_table
    assert section
    table = rsctable.parse(section, firmware.name)
    rings = [entry for entry in table.entries if entry.kind == rsctable.VDEV]
    assert [entry.address for entry in rings] == [VRINGS.start, VRINGS.start + 0x4000]
    assert all(within(entry.address, entry.size, VRINGS) for entry in rings)
    traces = [entry for entry in table.entries if entry.kind == rsctable.TRACE]
    named = [(entry.name, entry.size) for entry in traces]
    assert named == [("trace", TRACE_SIZE), (rsctable.EXIT_RECORD, 128)]
    assert all(within(entry.address, entry.size, CARVEOUT) for entry in traces)


def test_two_builds_give_the_same_bytes(firmware: Path, tmp_path: Path) -> None:
    again = make(RECIPES / f"fw-{firmware.stem}", tmp_path)
    assert firmware.read_bytes() == again.read_bytes()
