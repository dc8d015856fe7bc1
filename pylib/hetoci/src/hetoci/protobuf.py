# SPDX-License-Identifier: MIT
"""As much of the protocol buffers encoding as containerd's messages need.

Written to https://protobuf.dev/programming-guides/encoding. Groups, which proto3 does not have,
are refused. Fields are known by number; what a number means is the caller's business.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1


class Malformed(ValueError):
    """The bytes are no message, or not of the type that was expected."""


def encode(*fields: tuple[int, str | bytes | int]) -> bytes:
    """A message of `fields` (number, value); a str is written as UTF-8."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts.append(_varint(number << 3) + _varint(value & _MASK))
            continue
        data = value.encode() if isinstance(value, str) else value
        parts.append(_varint(number << 3 | 2) + _varint(len(data)) + data)
    return b"".join(parts)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


class Message:
    """A message that was received. A field that is not there has its type's empty value, as
    in proto3; of one that is there several times the last counts."""

    __slots__ = ("_fields",)

    def __init__(self, data: bytes) -> None:
        """Raises Malformed if `data` is no message."""
        self._fields: dict[int, list[int | bytes]] = {}
        at = 0
        while at < len(data):
            key, at = _read_varint(data, at)
            value, at = _read_value(data, at, key & 7)
            self._fields.setdefault(key >> 3, []).append(value)

    def blob(self, number: int) -> bytes:
        """The bytes of field `number`."""
        value = self._fields.get(number, (b"",))[-1]
        if isinstance(value, int):
            raise Malformed(f"field {number} is a number")
        return value

    def text(self, number: int) -> str:
        """The string of field `number`."""
        try:
            return self.blob(number).decode()
        except UnicodeDecodeError:
            raise Malformed(f"field {number} is not UTF-8") from None

    def message(self, number: int) -> Message:
        """The message in field `number`."""
        return Message(self.blob(number))

    def entry(self, number: int, key: str) -> bytes:
        """The value for `key` of the map from strings in field `number`."""
        found = b""
        for item in self._fields.get(number, ()):
            if isinstance(item, int):
                raise Malformed(f"field {number} is a number")
            pair = Message(item)
            if pair.blob(1) == key.encode():
                found = pair.blob(2)
        return found


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Malformed("the message ends in a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
    raise Malformed("a number has more than 64 bits")


def _read_value(data: bytes, at: int, wire: int) -> tuple[int | bytes, int]:
    if wire == 0:
        return _read_varint(data, at)
    if wire == 2:
        size, at = _read_varint(data, at)
    elif wire in (1, 5):
        size = 8 if wire == 1 else 4
    else:
        raise Malformed(f"wire type {wire} is not in use")
    if size > len(data) - at:
        raise Malformed("the message ends in a field")
    return data[at : at + size], at + size
