# SPDX-License-Identifier: MIT
"""On the board: send messages of 1 to 496 bytes to an RPMsg device and compare the echoes.

usage: rpmsg_echo.py DEVICE COUNT      prints: messages seconds
"""

import os
import random
import select
import sys
import time

LARGEST = 496  # 512-byte buffer less the 16-byte rpmsg header


def main() -> None:
    device, count = sys.argv[1], int(sys.argv[2])
    numbers = random.Random(7)  # noqa: S311 - test data
    channel = os.open(device, os.O_RDWR)
    begun = time.monotonic()
    for number in range(count):
        size = number % LARGEST + 1 if number < LARGEST else numbers.randint(1, LARGEST)
        message = numbers.randbytes(size)
        os.write(channel, message)
        if not select.select([channel], [], [], 5)[0]:
            sys.exit(f"no echo of message {number} ({size} bytes) within 5 s")
        echo = os.read(channel, LARGEST + 1)
        if echo != message:
            sys.exit(f"message {number}: sent {size} bytes, {len(echo)} came back, not the same")
    print(count, f"{time.monotonic() - begun:.2f}")


main()
