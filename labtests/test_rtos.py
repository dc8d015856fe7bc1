# SPDX-License-Identifier: MIT
"""The RTOS of recipes/rtos-jitter in a domain, by plain xl: nothing of hetoci takes part; and the
same image as a container."""

import re
from collections.abc import Iterator

import pytest

from conftest import RUNTIME, Board
from hetoci_lab import run

pytestmark = pytest.mark.lg_feature("domains")

IMAGE = "/usr/share/hetoci/images/rtos-jitter.oci.tar"
KERNEL = "/run/rtos/rtos.bin"
OVERLAYS = "/sys/kernel/config/device-tree/overlays"
SLOT_OVERLAY = "/lib/firmware/rtos-slot.dtbo"
LEAST = 4
SLOT = 2
WINDOW, MEMORY = 0xFFFC0000 + SLOT * 0x1000, 0x3F000000 + SLOT * 0x100000
LINE = 60 + SLOT
JITTER = (
    r"^jitter: \d+ releases, late by min [\d.]+ avg [\d.]+ p99 [\d.]+ max [\d.]+ us, \d+ missed"
)
# An emulated processor that dom0 shares has better to do than a thousand releases a second.
CALM = "period=20000 tasks=2"

TREE = f"""
/dts-v1/;
/ {{
    #address-cells = <2>; #size-cells = <2>;
    passthrough {{
        compatible = "simple-bus"; ranges; #address-cells = <2>; #size-cells = <2>;
        vadd@{WINDOW:x} {{
            compatible = "hetoci,vadd";
            reg = <0 {WINDOW:#x} 0 0x1000  0 {MEMORY:#x} 0 0x100000>;
            interrupt-parent = <65000>;
            interrupts = <0 {LINE} 1>;
        }};
    }};
}};
"""
PASSED = [
    'device_tree = "/run/rtos/passed.dtb"',
    f'iomem = ["{WINDOW >> 12:#x},1", "{MEMORY >> 12:#x},0x100"]',
    f"irqs = [{32 + LINE}]",
]
# Programs the slot's region, and adds no node: nothing in dom0 asks for the interrupt.
OVERLAY = f"""
/dts-v1/; /plugin/;
&slot{SLOT} {{ firmware-name = "vadd-slot{SLOT}.bit.bin"; partial-fpga-config; }};
"""


class Domain:
    """One domain, made by xl from a configuration of its own."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def create(self, cmdline: str = CALM, memory: int = 8, *more: str) -> None:
        lines = ['name = "rtos"', f'kernel = "{KERNEL}"', f"memory = {memory}"]
        lines += [f'cmdline = "{cmdline}"', 'on_poweroff = "preserve"', 'on_crash = "preserve"']
        text = "\n".join([*lines, *more])
        self.board.check(f"cat > /run/rtos/rtos.cfg <<'END'\n{text}\nEND")
        self.board.check("xl create -q /run/rtos/rtos.cfg")

    def says(self, pattern: str, *lines: str, seconds: int = 40) -> str:
        """Write lines to the console; return what it wrote once the pattern is in it."""
        words = " ".join(f"'{word}'" for word in (pattern, *lines))
        place = "/run/rtos/domain_console.py"
        return self.board.check(f"python3 {place} rtos {seconds} {words}", seconds + 30)

    def ends(self, letter: str) -> None:
        """Wait for a state of xl list: s is shut down, c crashed."""
        self.board.until("xl list rtos", rf"^rtos(?: +\d+){{3}} +\S*{letter}")


@pytest.fixture(scope="module")
def kernel(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Board:
    """The board with the kernel out of its image, and what the tests need beside it."""
    folder = tmp_path_factory.mktemp("rtos")
    (folder / "passed.dts").write_text(TREE)
    (folder / "slot.dts").write_text(OVERLAY)
    board.check(
        f"mkdir -p /run/rtos/image && cd /run/rtos && tar -xf {IMAGE} -C image && "
        "for layer in image/blobs/sha256/*; do "
        "tar -xOf $layer boot/rtos.bin > rtos.bin 2>/dev/null && break; done; "
        "rm -r image; test -s rtos.bin"
    )
    board.put("labtests/target/domain_console.py", "/run/rtos/domain_console.py")
    for source, target in (("passed.dts", "/run/rtos/passed.dtb"), ("slot.dts", SLOT_OVERLAY)):
        blob = folder / "blob"
        run.output(["dtc", "-q", "-O", "dtb", "-o", blob, folder / source])
        board.put(str(blob), target)
    return board


@pytest.fixture
def domain(kernel: Board) -> Iterator[Domain]:
    """A domain still to be made; afterwards it is gone."""
    yield Domain(kernel)
    kernel.run("xl destroy rtos")
    assert kernel.run("xl domid rtos").status != 0


def test_it_measures_its_jitter_in_eight_megabytes(domain: Domain) -> None:
    domain.create()
    said = domain.says(f"{JITTER}(.|\n)*{JITTER}")
    assert "8192 KiB at 0x40000000" in said
    said = domain.says("report +priority 12", "stat")
    assert re.search(r"since the start: \d+ releases", said)
    assert re.search(r"work: 2 tasks, \d+ rounds$", said, re.MULTILINE)
    assert re.search(r"jitter +priority 31 +(sleeping|ready)", said)


def test_it_runs_in_the_least_memory_that_xl_gives(domain: Domain) -> None:
    domain.create(memory=LEAST)
    assert f"{LEAST * 1024} KiB" in domain.says(JITTER)


def test_it_powers_off_and_leaves_the_number_that_it_was_told(domain: Domain) -> None:
    domain.create()
    said = domain.says("^exit 7$", "exit x", "nonsense", "exit 7")
    assert "exit takes a number from 0 to 255" in said
    assert "there is no such command" in said
    domain.ends("s")
    key = "/local/domain/$(xl domid rtos)/data/hetoci-exit-status"
    assert domain.board.check(f"xenstore-read {key}") == "7"


def test_a_fault_is_reported_and_crashes_the_domain(domain: Domain) -> None:
    domain.create()
    said = domain.says(r"^ +x28 .*x30", "crash")
    assert "fault: data abort in a task, task commands" in said
    assert "address 0x0" in said
    domain.ends("c")


def test_a_bad_option_is_named_and_crashes_the_domain(domain: Domain) -> None:
    domain.create("period=soon")
    domain.says("option period=soon: write period=N, N from 100 to 1000000")
    domain.ends("c")


def test_a_polite_shutdown_and_a_reboot_are_obeyed(domain: Domain) -> None:
    domain.create(CALM, 8, 'on_reboot = "restart"')
    domain.says(JITTER)
    first = domain.board.check("xl domid rtos")
    domain.says("^reboot$", "reboot")
    domain.board.until("xl domid rtos", rf"^(?!{first}$)\d+$")
    domain.says(JITTER)
    assert "reason code 0" in domain.board.check("xl shutdown -w rtos", 60)


@pytest.fixture
def programmed(kernel: Board) -> Iterator[Board]:
    """The board with vadd in a slot for domains, programmed by dom0."""
    kernel.check(f"mkdir {OVERLAYS}/pl-shell && echo pl-shell.dtbo > {OVERLAYS}/pl-shell/path")
    kernel.check(f"mkdir {OVERLAYS}/rtos && echo rtos-slot.dtbo > {OVERLAYS}/rtos/path")
    yield kernel
    kernel.check(f"rmdir {OVERLAYS}/rtos {OVERLAYS}/pl-shell")


def test_it_uses_an_accelerator_by_its_interrupt(programmed: Board, domain: Domain) -> None:
    domain.create(f"{CALM} vadd=10", 8, *PASSED)
    domain.says(r"^vadd: 10 jobs, \d+ elements, 10 interrupts, every sum right")
    domain.says(r"^vadd: 30 jobs, \d+ elements, 30 interrupts, every sum right", "vadd 30")
    # A second domain finds the line as the first did: Xen took it back.
    domain.board.check("xl destroy rtos")
    domain.create(f"{CALM} vadd=5", 8, *PASSED)
    domain.says(r"^vadd: 5 jobs, \d+ elements, 5 interrupts, every sum right")


def test_an_interrupt_of_dom0_is_refused_to_a_domain(kernel: Board, domain: Domain) -> None:
    lines = [line for line in PASSED if "irqs" not in line] + [f"irqs = [{32 + 60}]"]
    with pytest.raises(AssertionError, match="irq"):
        domain.create(CALM, 8, *lines)


@pytest.mark.smoke
@pytest.mark.lg_feature("containers")
def test_its_image_is_a_container_whose_log_is_its_console(board: Board) -> None:
    started = board.start("rtos", "rtos-jitter")
    assert started.status == 0, started.out
    board.until("cat /run/rtos.log", JITTER, 40)
    assert re.search(r"rtos +- +domain +running", board.check("hetoci ps"))
    board.check("ctr task kill -s SIGTERM rtos")
    board.until("ctr task ls", r"rtos +\d+ +STOPPED")
    assert "shutdown asked for" in board.check("cat /run/rtos.log")
    board.check("ctr task rm rtos && ctr container rm rtos")  # with its own exit code, 0


@pytest.mark.lg_feature("containers")
@pytest.mark.parametrize(("command", "code"), [("exit 7", 7), ("reboot", 75), ("crash", 139)])
def test_its_end_is_the_containers_exit_code(board: Board, command: str, code: int) -> None:
    reference = board.import_image("rtos-jitter")
    done = board.run(f"echo {command} | ctr run --rm {RUNTIME} {reference} rtos")
    assert done.status == code, done.out
    assert ("the domain crashed" in done.out) == (command == "crash")
    assert len(board.check("xl list").splitlines()) == 2


@pytest.mark.lg_feature("containers")
def test_a_crash_leaves_its_core_where_the_operator_wants_it(board: Board) -> None:
    reference = board.import_image("rtos-jitter")
    options = f"{RUNTIME} --annotation io.hetoci.domain.on-crash=coredump {reference}"
    board.fails(f"ctr run --rm {options} rtos", "domain-dumps in hetoci.conf names no directory")
    conf = "/etc/hetoci/hetoci.conf"
    board.check(f"mkdir -p /run/dumps; cp {conf} /run; echo domain-dumps = /run/dumps >> {conf}")
    try:
        done = board.run(f"echo crash | ctr run --rm {options} rtos")
    finally:
        board.check(f"mv /run/hetoci.conf {conf}")
    assert done.status == 139, done.out
    found = re.search(r"its core is in (/run/dumps/hetoci-\w+\.core)", done.out)
    assert found, done.out
    assert "ELF" in board.check(f"head -c 4 {found.group(1)}; rm -r /run/dumps")


def test_dom0_sees_which_slots_are_for_domains(board: Board) -> None:
    assert board.own_slots() == [0, 1]
