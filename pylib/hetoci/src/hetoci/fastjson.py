# SPDX-License-Identifier: MIT
"""JSON without the import of `json` (which pulls in `re` and `enum`).

`create` of a plain container parses config.json and nothing else, so the import would
double the time hetoci adds to it (docs/decisions/0102-start-up-time.md). CPython's C
scanner and encoder are the very ones that `json` uses; where they are missing, `json` serves.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_WHITESPACE = " \t\n\r"


def _number_not_json(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member {twice!r} stands there more than once")
    return found


class _Context:
    """The attributes that the C scanner reads off its decoder."""

    strict = True
    object_hook = None
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_number_not_json)
    memo: dict[str, str]

    def __init__(self) -> None:
        self.memo = {}


def _scanner(unique: bool) -> Callable[[str, int], tuple[Any, int]] | None:
    try:
        from _json import make_scanner
    except ImportError:
        return None
    context: Any = _Context()
    if unique:
        context.object_pairs_hook = _unique
    return make_scanner(context)


def as_object(data: bytes) -> dict[str, Any]:
    """The JSON object that `data` is; {} for anything else."""
    try:
        found = loads(data.decode())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def loads(text: str, *, unique: bool = False) -> Any:
    """Parse one JSON document (RFC 8259; NaN and Infinity are refused).

    unique: refuse an object that has a member twice, of which else the last one counts.
    Raises ValueError with the position for anything else, a document nested too deeply
    for the interpreter included.
    """
    scan = _scanner(unique)
    if scan is None:
        from json import loads as json_loads

        hook = _unique if unique else None
        return json_loads(text, parse_constant=_number_not_json, object_pairs_hook=hook)
    start = len(text) - len(text.lstrip(_WHITESPACE))
    try:
        value, end = scan(text, start)
    except StopIteration as stop:
        raise ValueError(f"expecting a value at character {stop.value}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    rest = text[end:].lstrip(_WHITESPACE)
    if rest:
        raise ValueError(f"extra data at character {len(text) - len(rest)}")
    return value


def _encoder(sort_keys: bool) -> Callable[[Any, int], Sequence[str]] | None:
    try:
        from _json import encode_basestring_ascii, make_encoder
    except ImportError:
        return None
    encoder: Callable[[Any, int], Sequence[str]] = make_encoder(
        None, _not_json, encode_basestring_ascii, None, ": ", ", ", sort_keys, False, False
    )
    return encoder


def _not_json(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} is no type of JSON")


def dumps(value: Any, *, sort_keys: bool = False) -> str:
    """`value` as JSON on one line, in ASCII. Raises TypeError or ValueError for what JSON
    has not."""
    encode = _encoder(sort_keys)
    if encode is None:
        from json import dumps as json_dumps

        return json_dumps(value, sort_keys=sort_keys, allow_nan=False)
    return "".join(encode(value, 0))
