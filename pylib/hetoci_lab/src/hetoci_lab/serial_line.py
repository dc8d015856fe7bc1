# SPDX-License-Identifier: MIT
"""A serial line between an emulated UART and a tty that stays when the board is off."""

import os
import select
import socket
import termios
import threading
import tty
from pathlib import Path
from typing import Any

CHUNK = 4096
FULL_WAIT = 0.05
"""Seconds that output waits for a slow reader before it is lost, as on a real line."""


class SerialLine:
    """Carries bytes between the UART that connects to `socket` and whoever opens `tty`.

    What the UART says while nobody reads the tty is lost there; `log` has all of it.
    """

    def __init__(self, path: Path, log: Path) -> None:
        self.socket = path
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(1)
        # Held open, so that a reader who leaves does not hang up the line.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.tty = os.ttyname(self._slave)
        self._log = log.open("ab", buffering=0)
        self._stop, self._stopper = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the line."""
        os.write(self._stopper, b"x")
        self._thread.join()
        for handle in (self._master, self._slave, self._stop, self._stopper):
            os.close(handle)
        self._server.close()
        self._log.close()
        self.socket.unlink(missing_ok=True)

    def _carry(self) -> None:
        uart: socket.socket | None = None
        while True:
            wanted: list[Any] = [self._stop, self._server, self._master, *([uart] if uart else [])]
            ready = select.select(wanted, [], [])[0]
            if self._stop in ready:
                break
            if self._server in ready:
                if uart:
                    uart.close()
                uart = self._server.accept()[0]
            elif uart and uart in ready:
                uart = self._from_uart(uart)
            if self._master in ready:
                self._to_uart(uart)
        if uart:
            uart.close()

    def _from_uart(self, uart: socket.socket) -> socket.socket | None:
        try:
            data = uart.recv(CHUNK)
        except ConnectionError:
            data = b""
        if not data:
            uart.close()
            return None
        self._log.write(data)
        while data:
            if not select.select([], [self._master], [], FULL_WAIT)[1]:
                termios.tcflush(self._slave, termios.TCIFLUSH)
                continue
            data = data[os.write(self._master, data) :]
        return uart

    def _to_uart(self, uart: socket.socket | None) -> None:
        data = os.read(self._master, CHUNK)
        if uart:
            try:
                uart.sendall(data)
            except ConnectionError:
                return
