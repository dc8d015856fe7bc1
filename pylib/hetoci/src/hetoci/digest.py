# SPDX-License-Identifier: MIT
"""SHA-256 of what images bring.

`hashlib` loads OpenSSL, which takes longer than hashing a megabyte without it; for more than
that OpenSSL is worth it, because it uses the processor's own instructions. CPython has an
implementation of its own for those without OpenSSL; where that is missing, `hashlib` serves.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SMALL = 1 << 20


def sha256(*parts: bytes | memoryview) -> bytes:
    """The digest of `parts`, one after the other."""
    found = _make(sum(len(part) for part in parts))()
    for part in parts:
        found.update(part)
    result: bytes = found.digest()
    return result


def name(data: bytes) -> str:
    """The digest of `data` as OCI writes it: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{sha256(data).hex()}"


def of_file(descriptor: int) -> str:
    """As `name`, of a file however large it is."""
    from hashlib import file_digest

    with open(descriptor, "rb", closefd=False) as stream:
        return f"sha256:{file_digest(stream, 'sha256').hexdigest()}"


def _make(size: int) -> Callable[[], Any]:
    own = _own() if size <= _SMALL else None
    if own is not None:
        return own
    import hashlib

    return hashlib.sha256


def _own() -> Callable[[], Any] | None:
    """CPython's implementation without OpenSSL: `_sha2` from 3.12 on, `_sha256` before."""
    for module in ("_sha2", "_sha256"):
        try:
            found: Callable[[], Any] = __import__(module).sha256
        except (ImportError, AttributeError):
            continue
        return found
    return None
