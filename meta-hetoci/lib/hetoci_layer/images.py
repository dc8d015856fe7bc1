# SPDX-License-Identifier: MIT
"""What an image recipe takes from the Containerfile of the same image in recipes/."""

import importlib.util
import shlex
from pathlib import Path

import bb
import bb.parse

PREFIX = "io.hetoci."


def found(d):
    """Return the labels of HETOCI_IMAGE's Containerfile; none if there is no such file.

    Ends the parse with a sentence for one whose labels cannot be read.
    """
    root = Path(d.getVar("HETOCI_TREE") or "")
    file = root / "recipes" / (d.getVar("HETOCI_IMAGE") or "") / "Containerfile"
    if not file.is_file():
        return {}
    bb.parse.mark_dependency(d, str(file))  # a changed label is read again
    reader = root / "recipes/common/labels.py"
    spec = importlib.util.spec_from_file_location("hetoci_labels", reader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return module.labels(file.read_text(encoding="utf-8"))
    except ValueError as error:
        bb.fatal(f"{file}: {error}")


def labels(d):
    """Return OCI_IMAGE_LABELS: meta-virtualization splits it at spaces, so values have none.

    The labels with spaces (title, description) are for people and stay out.
    """
    words = [f"{key}={value}" for key, value in found(d).items() if key.startswith(PREFIX)]
    wrong = [word for word in words if len(shlex.split(word)) != 1]
    if wrong:
        bb.fatal(
            f"recipes/{d.getVar('HETOCI_IMAGE')}/Containerfile: image-oci cannot set the label "
            f"{wrong[0]!r}, which has a space; take the space out."
        )
    return " ".join(words)
