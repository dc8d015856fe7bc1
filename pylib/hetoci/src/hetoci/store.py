# SPDX-License-Identifier: MIT
"""The file in which an engine's side hands on what its store says of the image.

Checked by hand against docs/spec/schema/image-metadata.schema.json: the target has no
library for schemas, and a test compares the two.
"""

from __future__ import annotations

from . import fastjson
from .errors import BundleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_REQUIRED = ("specVersion", "source", "labels", "annotations")
_MEMBERS = (*_REQUIRED, "name", "digest")
_MAX_KEYS = 256
_MAX_KEY = 256
_MAX_VALUE = 4096


def parse(raw: bytes, where: str) -> tuple[dict[str, str], dict[str, str]]:
    """(labels, annotations) of the file `where` with the content `raw`. Raises BundleError."""
    try:
        document = fastjson.loads(raw.decode(), unique=True)
    except (ValueError, UnicodeDecodeError) as error:
        raise BundleError(f"{where} is not JSON: {error}") from error
    objection = next(_objections(document), None)
    if objection:
        raise BundleError(
            f"{where} {objection}",
            hint="it has to be as the image-metadata schema of the image extension says",
        )
    return document["labels"], document["annotations"]


def _objections(document: Any) -> Iterator[str]:
    if not isinstance(document, dict):
        yield "is not a JSON object"
        return
    missing = [name for name in _REQUIRED if name not in document]
    if missing:
        yield f"lacks {', '.join(missing)}"
        return
    unknown = sorted(set(document) - set(_MEMBERS))
    if unknown:
        yield f"has unknown members: {', '.join(unknown)[:100]}"
    if not _is_version(document["specVersion"]):
        yield f"has the specVersion {str(document['specVersion'])[:60]!r}, 1.x is needed"
    if not isinstance(document["source"], str) or not document["source"]:
        yield "has no source"
    if not isinstance(document.get("name", ""), str):
        yield "has a name that is no string"
    if "digest" in document and not _is_digest(document["digest"]):
        yield f"has the digest {str(document['digest'])[:80]!r}, sha256:<64 hex digits> is needed"
    for name in ("labels", "annotations"):
        yield from _key_objections(name, document[name])


def _key_objections(name: str, keys: Any) -> Iterator[str]:
    if not isinstance(keys, dict):
        yield f"has {name} that are no object"
        return
    if len(keys) > _MAX_KEYS:
        yield f"has {len(keys)} {name}, {_MAX_KEYS} are allowed"
    for key, value in keys.items():
        if not 0 < len(key) <= _MAX_KEY:
            yield f"has {name} with a key of {len(key)} characters, 1 to {_MAX_KEY} are allowed"
        if not isinstance(value, str):
            yield f"has {name} in which {key[:60]!r} is no string"
        elif len(value) > _MAX_VALUE:
            yield f"has {name} in which {key[:60]!r} has more than {_MAX_VALUE} characters"


def _is_version(value: Any) -> bool:
    major, _, minor = value.partition(".") if isinstance(value, str) else ("", "", "")
    return major == "1" and minor.isascii() and minor.isdecimal()


def _is_digest(value: Any) -> bool:
    algorithm, _, digits = value.partition(":") if isinstance(value, str) else ("", "", "")
    return algorithm == "sha256" and len(digits) == 64 and not digits.strip("0123456789abcdef")
