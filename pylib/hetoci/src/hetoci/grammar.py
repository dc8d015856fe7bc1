# SPDX-License-Identifier: MIT
"""Which texts are values of which type (docs/spec/metadata.md, Types).

docs/spec/schema/metadata.schema.json says the same in regular expressions, and a test compares
the two. Here are functions, because the import of `re` and fourteen patterns to compile take
longer than all else that is done to the keys. Text is printable when it gets here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[str], bool]

DIGITS = frozenset("0123456789")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
_LETTERS = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_PLAIN = _LETTERS | DIGITS
_HEXADECIMAL = DIGITS | frozenset("abcdef")
_ID = _PLAIN | frozenset("._-")
_COMPATIBLE = _PLAIN | frozenset(",._+/-")
_NODE = _PLAIN | frozenset("._+-")
_SERVICE = _PLAIN | frozenset("._:-")
_DEVICE = _LOWER | DIGITS | frozenset("-")

_SECONDS = 3600


def _made_of(text: str, characters: frozenset[str], most: int) -> bool:
    return 0 < len(text) <= most and characters.issuperset(text)


def up_to(most: int) -> Check:
    """Any text of 1 to `most` characters."""
    return lambda text: 0 < len(text) <= most


def one_of(*words: str) -> Check:
    """One of `words`."""
    return lambda text: text in words


def list_of(word: Check, most: int, *, empty: bool = False) -> Check:
    """1 to `most` words with commas between, and blanks around the commas; or nothing."""

    def check(text: str) -> bool:
        words = text.split(",")
        if not text:
            return empty
        unframed = text == text.strip(" ")
        return unframed and len(words) <= most and all(word(part.strip(" ")) for part in words)

    return check


def whole(most_digits: int) -> Check:
    """A whole number above 0, without zeros before it."""
    return lambda text: _made_of(text, DIGITS, most_digits) and text[0] != "0"


def version(text: str) -> bool:
    """Two numbers with a point between."""
    major, _, minor = text.partition(".")
    return all(part == "0" or whole(4)(part) for part in (major, minor))


def path(text: str) -> bool:
    """Not empty, and no component is `..`."""
    return bool(text) and ".." not in text.split("/")


def template(text: str) -> bool:
    """A path in which placeholders may stand, and else no braces."""
    bare = text
    for word in ("{slot}", "{shell}", "{part}"):
        bare = bare.replace(word, "_")
    return path(text) and "{" not in bare and "}" not in bare


def digest(text: str) -> bool:
    """`sha256:` and 64 digits."""
    return text.startswith("sha256:") and len(text) == 71 and _HEXADECIMAL.issuperset(text[7:])


def consoles(text: str) -> bool:
    """Up to two sources of output, with blanks wherever one likes."""
    return not text.strip(" ") or list_of(one_of("trace", "rpmsg-tty"), 2)(text.strip(" "))


def seconds(text: str) -> bool:
    """Above 0 and up to an hour, in thousandths."""
    number, dot, fraction = text.removesuffix("s").partition(".")
    if dot and not _made_of(fraction, DIGITS, 3):
        return False
    if number != "0" and not whole(4)(number):
        return False
    if int(number) >= _SECONDS:
        return int(number) == _SECONDS and not dot
    return bool((number + fraction).strip("0"))


def rates(text: str) -> bool:
    """A rate, or two with a dash between."""
    low, dash, high = text.partition("-")
    return _rate(low) and (not dash or _rate(high))


def _rate(text: str) -> bool:
    if text[-1:] in ("k", "M", "G"):
        text = text[:-1]
    number, dot, fraction = text.partition(".")
    return _made_of(number, DIGITS, 12) and (not dot or _made_of(fraction, DIGITS, 9))


def clock(text: str) -> bool:
    """A clock's name and its rates."""
    name, equals, found = text.partition("=")
    return bool(equals) and _made_of(name, _ID, 31) and name[0] in _LETTERS and rates(found)


def clocks(text: str) -> bool:
    """The rates of the only clock, or those of several by name."""
    return rates(text) or list_of(clock, 16)(text)


def size(text: str) -> bool:
    """Bytes, with a unit or without."""
    return whole(12)(text[:-1] if text[-1:] in ("K", "M", "G") else text)


def vcpus(text: str) -> bool:
    """From 1 to 128."""
    return whole(3)(text) and int(text) <= 128


def identifier(text: str) -> bool:
    """Of a part or a shell."""
    return _made_of(text, _ID, 64) and text[0] in _PLAIN


def compatibles(text: str) -> bool:
    """Up to 16 compatible strings with blanks between."""
    words = text.split()
    return text == text.strip(" ") and 0 < len(words) <= 16 and all(map(_compatible, words))


def _compatible(text: str) -> bool:
    return _made_of(text, _COMPATIBLE, 128) and text[0] in _PLAIN and text[-1] in _PLAIN


def node(text: str) -> bool:
    """A device-tree node's name without its unit address."""
    return _made_of(text, _NODE, 31) and text[0] in _LETTERS


def service(text: str) -> bool:
    """An RPMsg channel's name."""
    return _made_of(text, _SERVICE, 31)


def command_line(text: str) -> bool:
    """Of a kernel."""
    return text.isascii() and len(text) <= 2047


def device_name(text: str) -> bool:
    """What stands for <name> in a key."""
    return _made_of(text, _DEVICE, 16) and text[0] in _LOWER and text[-1] != "-"
