# SPDX-License-Identifier: MIT
"""A gRPC client for a daemon on a Unix socket: one call at a time, small answers, a deadline.

HTTP/2 as RFC 9113 has it, with what such a client may leave out left out: we ask the server for
an HPACK table of size 0 (RFC 7541), so header blocks carry no state, and of the headers only
`grpc-status` is read. We never widen the windows that we grant at the start, so a server
cannot send more than LIMIT bytes on a connection.
"""

from __future__ import annotations

import _socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of messages that one connection takes in, in all.
LIMIT = 16 << 20

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _CONTINUATION = 0, 1, 3, 4, 6, 7, 9
_WINDOW_UPDATE = 8
_END_STREAM = _ACK = 0x1
_END_HEADERS = 0x4
_PADDED = 0x8
_PRIORITY = 0x20

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WINDOW_AT_START = 65535
_MAX_FRAME = 16384
_MAX_HEADERS = 64 << 10

#: Status codes that matter here (gRPC, statuscodes.md).
OK, NOT_FOUND = 0, 5


class GrpcError(Exception):
    """A call failed. `status` is gRPC's code, None if the bytes were not gRPC."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Channel:
    """A connection to the daemon at `address`; the deadline holds for all calls together."""

    def __init__(self, address: str, seconds: float) -> None:
        """Raises OSError if nobody listens there."""
        self._deadline = time.monotonic() + seconds
        self._stream = -1
        self._received = 0
        self._unread = b""
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            self._wait()
            self._socket.connect(address)
            settings = b"".join(
                number.to_bytes(2, "big") + value.to_bytes(4, "big")
                for number, value in ((1, 0), (2, 0), (4, LIMIT))  # table, push, window
            )
            more = (LIMIT - _WINDOW_AT_START).to_bytes(4, "big")
            self._send(
                _PREFACE, _frame(_SETTINGS, 0, 0, settings), _frame(_WINDOW_UPDATE, 0, 0, more)
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def call(self, method: str, request: bytes, **metadata: str) -> list[bytes]:
        """The messages with which the daemon answers `request`; of a unary method one.

        method: `package.Service/Method`; `_` in the names of metadata becomes `-`. Raises
        GrpcError, and OSError (TimeoutError when the deadline has passed).
        """
        self._stream += 2
        block = _literal(":method", "POST") + _literal(":scheme", "http")
        block += _literal(":path", f"/{method}") + _literal(":authority", "localhost")
        block += _literal("content-type", "application/grpc") + _literal("te", "trailers")
        for name, value in metadata.items():
            block += _literal(name.replace("_", "-"), value)
        body = b"\0" + len(request).to_bytes(4, "big") + request
        if max(len(block), len(body)) > _MAX_FRAME:
            raise GrpcError(f"the request to {method} does not fit into one frame")
        self._send(
            _frame(_HEADERS, _END_HEADERS, self._stream, block),
            _frame(_DATA, _END_STREAM, self._stream, body),
        )
        body, status = self._answer()
        if status is None:
            raise GrpcError(f"{method}: the answer ended without a status")
        if status != OK:
            raise GrpcError(f"{method}: status {status}", status)
        return _messages(body)

    def _answer(self) -> tuple[bytes, int | None]:
        parts = []
        status = None
        while True:
            kind, flags, stream, payload = self._next()
            if kind == _SETTINGS and not flags & _ACK:
                self._send(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                self._send(_frame(_PING, _ACK, 0, payload))
            elif kind == _GOAWAY:
                raise GrpcError("the daemon closes the connection")
            if stream != self._stream or kind not in (_DATA, _HEADERS, _RST_STREAM):
                continue
            if kind == _RST_STREAM:
                raise GrpcError("the daemon broke the call off")
            if kind == _DATA:
                parts.append(_unpadded(flags, payload))
            else:
                block = self._header_block(flags, payload)
                found = status_of(block)
                status = status if found is None else found
            if flags & _END_STREAM:
                return b"".join(parts), status

    def _header_block(self, flags: int, payload: bytes) -> bytes:
        block = _unpadded(flags, payload)
        if flags & _PRIORITY:
            block = block[5:]
        while not flags & _END_HEADERS:
            kind, flags, stream, payload = self._next()
            if kind != _CONTINUATION or stream != self._stream:
                raise GrpcError("a header block is interrupted")
            block += payload
            if len(block) > _MAX_HEADERS:
                raise GrpcError("a header block is too large")
        return block

    def _next(self) -> tuple[int, int, int, bytes]:
        """The next frame: type, flags, stream, payload."""
        head = self._read(9)
        size = int.from_bytes(head[:3], "big")
        if size > _MAX_FRAME:
            raise GrpcError("a frame is larger than allowed")
        self._received += size
        if self._received > 2 * LIMIT:
            raise GrpcError("the daemon sends without end")
        stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        return head[3], head[4], stream, self._read(size)

    def _read(self, size: int) -> bytes:
        parts = [self._unread]
        have = len(self._unread)
        while have < size:
            self._wait()
            part = self._socket.recv(1 << 16)
            if not part:
                raise GrpcError("the daemon closed the connection")
            parts.append(part)
            have += len(part)
        data = b"".join(parts)
        self._unread = data[size:]
        return data[:size]

    def _send(self, *frames: bytes) -> None:
        self._wait()
        self._socket.sendall(b"".join(frames))

    def _wait(self) -> None:
        """Let the next system call wait until the deadline and no longer."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise GrpcError("a frame is all padding")
    return payload[1 : len(payload) - payload[0]]


def _messages(body: bytes) -> list[bytes]:
    """Length-prefixed messages (gRPC, PROTOCOL-HTTP2.md)."""
    found = []
    at = 0
    while at < len(body):
        size = int.from_bytes(body[at + 1 : at + 5], "big")
        end = at + 5 + size
        if body[at] or end > len(body):
            raise GrpcError("the answer is cut off or compressed")
        found.append(body[at + 5 : end])
        at = end
    return found


# HPACK (RFC 7541)


def _literal(name: str, value: str) -> bytes:
    """A header field that is not indexed, without Huffman coding (6.2.2)."""
    return b"\0" + _string(name.encode()) + _string(value.encode())


def _string(data: bytes) -> bytes:
    size = len(data)
    if size < 0x7F:
        return bytes((size,)) + data
    size -= 0x7F
    head = bytearray((0x7F,))
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + data


def status_of(block: bytes) -> int | None:
    """The value of `grpc-status` in a header block, None if it is not there or no number.

    Raises GrpcError if the block cannot be read.
    """
    for name, value in _fields(block):
        if name in _STATUS:
            return _NUMBERS.get(value)
    return None


def _fields(block: bytes) -> Iterator[tuple[tuple[int, bytes], tuple[int, bytes]]]:
    """The fields with a literal name: name and value, each as (Huffman-coded?, bytes)."""
    at = 0
    while at < len(block):
        first = block[at]
        if first & 0x80:  # indexed name and value
            _, at = _integer(block, at, 7)
            continue
        if first & 0xE0 == 0x20:  # size of the table, which is 0
            _, at = _integer(block, at, 5)
            continue
        index, at = _integer(block, at, 6 if first & 0x40 else 4)
        name = (0, b"")
        if not index:
            name, at = _read_string(block, at)
        value, at = _read_string(block, at)
        yield name, value


def _read_string(block: bytes, at: int) -> tuple[tuple[int, bytes], int]:
    if at >= len(block):
        raise GrpcError("a header block is cut off")
    coded = block[at] >> 7
    size, at = _integer(block, at, 7)
    if size > len(block) - at:
        raise GrpcError("a header block is cut off")
    return (coded, block[at : at + size]), at + size


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """An integer whose first byte has `bits` bits for it (5.1)."""
    limit = (1 << bits) - 1
    value = block[at] & limit
    at += 1
    if value < limit:
        return value, at
    for shift in range(0, 28, 7):
        if at >= len(block):
            break
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise GrpcError("a header block is cut off or has a number that is too large")


def _huffman(text: str) -> bytes:
    """`text` in HPACK's Huffman code (Appendix B), for the characters that a status has."""
    bits = "".join(_CODES.get(character) or f"{ord(character) - 26:06b}" for character in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


#: Codes of five bits, and those of six that do not follow the digits 3 to 9.
_CODES = {
    "0": "00000", "1": "00001", "2": "00010", "a": "00011", "c": "00100", "s": "01000",
    "t": "01001", "-": "010110", "p": "101011", "r": "101100", "u": "101101", "g": "100110",
}  # fmt: skip

_STATUS = ((0, b"grpc-status"), (1, _huffman("grpc-status")))
_NUMBERS = {
    key: number
    for number in range(17)
    for key in ((0, str(number).encode()), (1, _huffman(str(number))))
}
