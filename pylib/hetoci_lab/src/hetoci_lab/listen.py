# SPDX-License-Identifier: MIT
"""A board's consoles, read beside a run that does not look at them."""

import socket
import threading
from pathlib import Path
from typing import Any

import serial

PIECE = 4096
WAIT = 0.5


class Listener:
    """Appends what an exported serial port says to a file, until `close`.

    ser2net serves several at once, so a test may talk on the same port meanwhile. A port that
    cannot be opened, or goes away, ends the listening and nothing else.
    """

    def __init__(self, port: Any, file: Path) -> None:
        kind = "rfc2217" if port.protocol == "rfc2217" else "socket"
        options = "?ign_set_control" if kind == "rfc2217" else ""
        self._url = f"{kind}://{port.host}:{port.port}{options}"
        self._file = file
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the listening."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        try:
            with (
                serial.serial_for_url(self._url, timeout=WAIT) as line,
                self._file.open("ab", buffering=0) as log,
            ):
                while not self._stop.is_set():
                    log.write(line.read(max(1, min(PIECE, line.in_waiting))))
        except (OSError, serial.SerialException):
            return


class Reader:
    """Takes what a connected socket says at once and keeps it until `read`, until its end.

    QEMU's processors stand still while nobody takes what a serial port says. A Unix socket holds
    a few hundred characters that came one at a time: each counts as much as a page's header.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line.dup()
        self._line.setblocking(True)
        self._kept = bytearray()
        self._ended = False
        self._change = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def read(self, size: int, timeout: float) -> bytes:
        """Return at most `size` bytes, waiting `timeout` seconds for the first.

        Empty after the end of the line. Raises TimeoutError.
        """
        with self._change:
            if not self._change.wait_for(lambda: self._kept or self._ended, timeout):
                raise TimeoutError
            data = bytes(self._kept[:size])
            del self._kept[:size]
            return data

    def _run(self) -> None:
        with self._line:
            while data := self._receive():
                with self._change:
                    self._kept += data
                    self._change.notify_all()
        with self._change:
            self._ended = True
            self._change.notify_all()

    def _receive(self) -> bytes:
        try:
            return self._line.recv(PIECE)
        except OSError:
            return b""


def exported_port(target: Any, name: str) -> Any | None:
    """Return a target's serial port of that name if an exporter offers it."""
    for resource in target.resources:
        exported = getattr(resource, "_remote_entry", None) is not None
        if exported and resource.name == name and hasattr(resource, "protocol"):
            return resource
    return None
