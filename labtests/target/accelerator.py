# SPDX-License-Identifier: MIT
"""On the board: drive an accelerator through UIO and compare it with Python's own result.

usage: accelerator.py vadd NODE COUNT...      vectors of COUNT elements
       accelerator.py sha256 NODE LENGTH...   messages of LENGTH bytes
       accelerator.py refuse NODE             jobs that reach beyond the DMA memory
       accelerator.py id NODE                 print the first register

NODE is the accelerator's device-tree node, such as vadd@fffc0000. Each job must raise the slot's
interrupt. Registers: docs/virtual-board.md.
"""

import hashlib
import mmap
import os
import random
import select
import sys
from pathlib import Path

CTRL, STATUS, OWN = 2, 3, 16
START, IRQ_ENABLE = 1, 2
DONE, ERROR = 2, 4


class Accelerator:
    """A UIO device: map 0 is the register window, map 1 the DMA memory."""

    def __init__(self, node: str) -> None:
        devices = Path("/sys/class/uio").glob("uio*")
        self.sysfs = next(
            (d for d in devices if (d / "device/of_node").resolve().name == node), None
        )
        if self.sysfs is None:
            sys.exit(f"no UIO device is {node}")
        self.file = os.open(f"/dev/{self.sysfs.name}", os.O_RDWR)
        self.registers = self._map(0).cast("I")
        self.memory = self._map(1)
        self.base = int((self.sysfs / "maps/map1/addr").read_text(), 16)

    def _map(self, number: int) -> memoryview:
        size = int((self.sysfs / f"maps/map{number}/size").read_text(), 16)
        return memoryview(mmap.mmap(self.file, size, offset=number * mmap.PAGESIZE))

    def run(self) -> int:
        """Start a job, wait for its interrupt, return the status register."""
        os.write(self.file, (1).to_bytes(4, "little"))
        self.registers[CTRL] = START | IRQ_ENABLE
        if not select.select([self.file], [], [], 20)[0]:
            sys.exit(f"no interrupt within 20 s; status {self.registers[STATUS]:#x}")
        os.read(self.file, 4)
        return self.registers[STATUS]

    def fill(self, offset: int, data: bytes) -> None:
        """Copy into the DMA memory, which is device memory: whole aligned words."""
        padded = data + bytes(-len(data) % 64)
        self.memory[offset : offset + len(padded)] = padded


def vadd(device: Accelerator, counts: list[int]) -> None:
    numbers = random.Random(1)  # noqa: S311 - test data
    for count in counts:
        size = (4 * count + 63) // 64 * 64
        a, b = numbers.randbytes(4 * count), numbers.randbytes(4 * count)
        device.fill(0, a)
        device.fill(size, b)
        for index, value in enumerate([device.base + n * size for n in range(3)] + [count]):
            device.registers[OWN + index] = value
        status = device.run()
        if status != DONE:
            sys.exit(f"{count} elements: status {status:#x}")
        result = bytes(device.memory[2 * size : 3 * size])[: 4 * count]
        pairs = zip(memoryview(a).cast("I"), memoryview(b).cast("I"), strict=True)
        expected = [(x + y) & 0xFFFFFFFF for x, y in pairs]
        if list(memoryview(result).cast("I")) != expected:
            sys.exit(f"{count} elements: the sum is wrong")


def sha256(device: Accelerator, lengths: list[int]) -> None:
    numbers = random.Random(2)  # noqa: S311 - test data
    for length in lengths:
        message = numbers.randbytes(length)
        device.fill(0, message)
        device.registers[OWN] = device.base
        device.registers[OWN + 1] = length
        status = device.run()
        if status != DONE:
            sys.exit(f"{length} bytes: status {status:#x}")
        words = [device.registers[OWN + DIGEST + n] for n in range(8)]
        digest = "".join(f"{word:08x}" for word in words)
        if digest != hashlib.sha256(message).hexdigest():
            sys.exit(f"{length} bytes: digest {digest}")


DIGEST = 8  # first digest register of sha256, after PL_REG_OWN


def refuse(device: Accelerator) -> None:
    size = len(device.memory)
    for address, amount, code in (
        (device.base - 4, 1, 1),
        (device.base + 1, 1, 1),
        (0x200000, 1, 1),
        (device.base, size, 2),
    ):
        for index, value in enumerate([address, address, address, amount]):
            device.registers[OWN + index] = value
        status = device.run()
        if not status & ERROR or status >> 8 & 0xFF != code:
            sys.exit(f"address {address:#x}, {amount} elements: status {status:#x}")


def main() -> None:
    action, node, *rest = sys.argv[1:]
    device = Accelerator(node)
    sizes = [int(word) for word in rest]
    if action == "id":
        print(f"{device.registers[0]:#010x}")
        return
    {"vadd": vadd, "sha256": sha256}[action](device, sizes) if sizes else refuse(device)
    print("all right")


main()
