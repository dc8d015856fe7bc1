# SPDX-License-Identifier: MIT
"""Prompts that survive kernel messages; the serial line of the virtual bench."""

import os
import re
import select
import socket
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetoci_lab.drivers import KernelTalk
from hetoci_lab.listen import Listener, Reader
from hetoci_lab.serial_line import SerialLine

PROMPT = b"\r\nroot@vboard:~# "
TALK = [
    b"[   12.345678] remoteproc0: powering up\r\n",
    b"(XEN) d0v0: vGICD\r\n",
    b"[ 1234.000001] x\n",
]


def quiet(pieces: list[bytes]) -> bytes:
    talk = KernelTalk()
    return b"".join(talk.feed(piece) for piece in pieces) + talk.flush()


@pytest.mark.parametrize("message", TALK)
@pytest.mark.parametrize("at", range(len(PROMPT) + 1))
def test_a_message_anywhere_in_a_prompt_leaves_the_prompt(message: bytes, at: int) -> None:
    assert quiet([PROMPT[:at] + message + PROMPT[at:]]) == PROMPT


@given(st.sampled_from(TALK), st.integers(0, len(PROMPT)), st.sets(st.integers(0, 60)))
def test_it_does_not_matter_in_which_pieces_the_message_comes(
    message: bytes, at: int, cuts: set[int]
) -> None:
    whole = PROMPT[:at] + message + PROMPT[at:]
    edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    assert quiet([whole[a:b] for a, b in pairwise(edges)]) == PROMPT


@given(st.text("ab[]( 0123456789.\nXEN)").map(str.encode))
def test_what_is_no_message_comes_through(text: bytes) -> None:
    expected = KernelTalk.LINE.sub(b"", text)
    assert KernelTalk.LINE.sub(b"", quiet([text])) == KernelTalk.LINE.sub(b"", expected)


def test_lines_end_the_same_under_xen() -> None:
    assert quiet([b"word\r", b"\r\nnext\r\r\n"]) == b"word\r\nnext\r\n"


def test_a_bracket_alone_is_held_back_only_until_somebody_gives_up_waiting() -> None:
    talk = KernelTalk()
    assert talk.feed(b"a list [") == b"a list "
    assert talk.flush() == b"["


def read(handle: int, wanted: bytes) -> bytes:
    got, deadline = b"", time.monotonic() + 5
    while wanted not in got and time.monotonic() < deadline:
        if select.select([handle], [], [], 0.1)[0]:
            got += os.read(handle, 4096)
    return got


@pytest.fixture
def line(tmp_path: Path) -> SerialLine:
    return SerialLine(tmp_path / "uart", tmp_path / "log")


def connect(line: SerialLine) -> socket.socket:
    uart = socket.socket(socket.AF_UNIX)
    uart.connect(str(line.socket))
    return uart


def test_a_serial_line_carries_bytes_both_ways_and_logs(line: SerialLine, tmp_path: Path) -> None:
    uart, tty = connect(line), os.open(line.tty, os.O_RDWR | os.O_NOCTTY)
    uart.sendall(b"boot\r\n")
    assert read(tty, b"boot") == b"boot\r\n"
    os.write(tty, b"root\r")
    assert uart.recv(10) == b"root\r"
    uart.close()
    os.close(tty)
    line.close()
    assert (tmp_path / "log").read_bytes() == b"boot\r\n"


def test_a_serial_line_outlives_the_board(line: SerialLine) -> None:
    tty = os.open(line.tty, os.O_RDWR | os.O_NOCTTY)
    for number in range(2):
        uart = connect(line)
        uart.sendall(b"life %d" % number)
        assert b"life %d" % number in read(tty, b"life %d" % number)
        uart.close()
    os.close(tty)
    line.close()


def test_a_board_that_nobody_listens_to_is_not_held_up(line: SerialLine, tmp_path: Path) -> None:
    uart = connect(line)
    uart.settimeout(10)
    for _ in range(200):
        uart.sendall(b"x" * 1000)
    uart.sendall(b"last words")
    deadline = time.monotonic() + 10
    while (tmp_path / "log").stat().st_size < 200_010 and time.monotonic() < deadline:
        time.sleep(0.05)
    tty = os.open(line.tty, os.O_RDWR | os.O_NOCTTY)
    assert re.search(rb"last words$", read(tty, b"last words"))
    uart.close()
    os.close(tty)
    line.close()


def test_a_listener_writes_down_a_port_until_it_goes_away(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = SimpleNamespace(protocol="raw", host="127.0.0.1", port=server.getsockname()[1])
        listener = Listener(port, tmp_path / "uart1")
        there = server.accept()[0]
        file, deadline = tmp_path / "uart1", time.monotonic() + 10
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)  # what comes while the port is being opened is lost
        there.sendall(b"EL3: up\r\n")
        while not file.read_bytes().endswith(b"\n") and time.monotonic() < deadline:
            time.sleep(0.05)
        there.close()
        listener.close()
    assert (tmp_path / "uart1").read_bytes() == b"EL3: up\r\n"


def test_a_board_that_speaks_letter_by_letter_never_waits_for_a_reader() -> None:
    board, ours = socket.socketpair()
    with ours:
        reader = Reader(ours)
        with pytest.raises(TimeoutError):
            reader.read(1, 0.01)
        with board:
            board.settimeout(5)
            for _ in range(5000):
                board.sendall(b"x")
        assert reader.read(1000, 5) == b"x" * 1000
        rest = 4000
        while rest:
            rest -= len(reader.read(rest, 5))
        assert reader.read(1, 5) == b""
