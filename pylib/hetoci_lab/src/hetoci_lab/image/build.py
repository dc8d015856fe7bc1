# SPDX-License-Identifier: MIT
"""From a Containerfile to an OCI archive that every engine runs alike.

buildah or podman builds; then the labels file is made from the labels that came out, in a layer
of its own, and the archive is packed so that the same input gives the same bytes.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetoci_lab import spec
from hetoci_lab.errors import LabError
from hetoci_lab.image import archive, artifact, keys, model, source
from hetoci_lab.image import validate as check
from hetoci_lab.image.tree import NotThere

ENGINES = ("buildah", "podman")
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_BASE = "org.opencontainers.image.base."
_ROLE = "io.hetoci.role"
_TAIL = 15
_SUMS = re.compile(r"\b(file|dir|multi):[0-9a-f]{64}")
_MISSING = re.compile("no such file|no items matching", re.IGNORECASE)


@dataclass(frozen=True)
class Options:
    """How to build. tag: the image's name, "" for localhost/<folder>:latest; engine: "" for
    the first that is installed; digests: write the digest keys from the files; layers: one an
    instruction, so that a new program does not move a bitstream again (layout.md, L9); artifacts:
    ARCHIVE:PATH of each that becomes a file of the image (L11)."""

    tag: str = ""
    engine: str = ""
    platform: str = "linux/arm64"
    digests: bool = False
    layers: bool = True
    arguments: Sequence[str] = ()
    artifacts: Sequence[str] = ()


def build(given: Path, target: Path | None, options: Options) -> tuple[Path, list[check.Finding]]:
    """Build the image of `given`, a Containerfile or the folder of one, into an OCI archive.

    target: the archive, or the folder it goes to as <name>.oci.tar. Returns the archive and
    the warnings. Raises LabError and leaves nothing if an engine fails or the image is wrong.
    """
    containerfile, context = _containerfile(given)
    name = context.resolve().name.lower()
    if not options.tag and not _NAME.fullmatch(name):
        raise LabError(f"{name!r} cannot be an image's name.", hint="Give one with --tag.")
    tag = options.tag or f"localhost/{name}:latest"
    place = archive.target(target, tag.rpartition("/")[2].partition(":")[0])
    added = [(artifact.read(given), path) for given, path in map(artifact.parse, options.artifacts)]
    with archive.work_folder() as work:
        layout = work / "image"
        _run_engine(work, layout, containerfile, context, tag, options)
        if added:
            _rewrite(layout, {}, [(path, found.data, found.role) for found, path in added])
        finish(layout, digests=options.digests, platform=options.platform)
        with model.opened(layout, platform=options.platform) as image:
            report = check.check(image)
        if not report.good:
            lines = "\n  ".join(str(finding) for finding in report.findings)
            raise LabError(f"{containerfile} gives an image that would not run:\n  {lines}")
        archive.write(layout, work, place)
    return place, report.findings


def _containerfile(given: Path) -> tuple[Path, Path]:
    """The Containerfile, and the folder that it copies from."""
    if given.is_file():
        return given, given.parent
    for name in ("Containerfile", "Dockerfile"):
        if (given / name).is_file():
            return given / name, given
    raise LabError(
        f"{given} has no Containerfile.", hint="Give a folder such as recipes/hello, or the file."
    )


def _engine(wanted: str) -> str:
    for name in [wanted] if wanted else ENGINES:
        if shutil.which(name):
            return name
    raise LabError(
        f"{wanted or ' and '.join(ENGINES)} cannot be found.",
        hint="On Debian: apt install buildah.",
    )


def _run_engine(
    work: Path, layout: Path, containerfile: Path, context: Path, tag: str, options: Options
) -> None:
    engine = _engine(options.engine)
    # Storage of our own: nothing of the user's is touched, nothing of an earlier build is used.
    # Nothing is checked by signature that the Containerfile's author does not have to trust.
    policy = work / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}\n')
    command = [engine, "--storage-driver", "vfs", "--root", str(work / "root")]
    command += ["--runroot", str(work / "run")]
    words = ["build", "--quiet", "--platform", options.platform, "--timestamp", "0"]
    words += ["--format", "oci", f"--layers={str(options.layers).lower()}"]
    words += ["--identity-label=false", "--tag", tag]
    words += [f"--build-arg={argument}" for argument in options.arguments]
    words += ["--signature-policy", str(policy), "--file", str(containerfile), str(context)]
    identity = _run([*command, *words]).split()[-1]
    push = ["push", "--quiet", "--signature-policy", str(policy), identity]
    _run([*command, *push, f"oci:{layout}:{tag}"])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        tail = "\n  ".join(line for line in done.stderr.splitlines()[-_TAIL:] if line)
        hint = (
            "Is all that its Containerfile copies in its folder?" if _MISSING.search(tail) else None
        )
        raise LabError(f"{command[0]} ended with status {done.returncode}:\n  {tail}\n", hint=hint)
    return done.stdout


def finish(layout: Path, *, digests: bool, platform: str) -> None:
    """Give the only image in a layout its digest keys, and the labels file that says what its
    labels say. Without keys of the extension it gets neither."""
    labels: dict[str, str] = {}
    roles: dict[int, str] = {}
    content = b""
    with model.opened(layout, platform=platform) as image:
        found = keys.of(image)
        if found.stored:
            new = _digest_labels(image, keys.own_names(found.values)) if digests else {}
            labels = {**image.labels, **new}
            content = (json.dumps(labels, indent=2, sort_keys=True) + "\n").encode()
            try:
                there = image.labels_file()
            except NotThere:
                there = None
            content = b"" if there == content else content
            roles = _roles(image, keys.own_names(found.values))
    _rewrite(layout, labels, [(spec.LABELS_FILE, content, "metadata")] if content else [], roles)


def _roles(image: model.Image, values: dict[str, str]) -> dict[int, str]:
    """The roles of the layers in which nothing but data lie, by the layers' numbers from 0
    (layout.md, L10); of a layer with bitstreams and their overlays it is `bitstream`."""
    named: dict[Any, str] = {}
    for file in keys.files(image, values):
        try:
            node = image.tree.find(file.path)
        except NotThere:
            continue  # validation says so
        named[node.content] = file.role
    found: dict[int, set[str]] = {}
    for path, node in image.tree.files():
        if path != spec.LABELS_FILE:  # a new one may come over it
            found.setdefault(node.layer, set()).add(named.get(node.content, ""))
    order = [*artifact.TYPES, "disk"]
    return {
        number: min(roles, key=order.index) for number, roles in found.items() if "" not in roles
    }


def _digest_labels(image: model.Image, values: dict[str, str]) -> dict[str, str]:
    """The digest keys that the files call for, where the author wrote none."""
    found: dict[str, list[str]] = {}
    for named in keys.files(image, values):
        if named.device:
            key = f"{spec.PREFIX}accelerator.{named.device}.digest"
        elif named.role == "firmware":
            key = f"{spec.PREFIX}firmware.digest"
        else:
            key = f"{spec.PREFIX}domain.digest"
        try:
            digest = image.tree.digest(image.tree.find(named.path))
        except NotThere:
            continue  # validation says so
        if key not in values and digest not in found.setdefault(key, []):
            found[key].append(digest)
    return {key: ",".join(digests) for key, digests in found.items()}


def _rewrite(
    layout: Path,
    labels: dict[str, str],
    files: Sequence[tuple[str, bytes, str]],
    roles: Mapping[int, str] | None = None,
) -> None:
    """Put labels, and a layer for each of `files` (path, content, role), into a layout's only
    image, say the `roles` of the layers that it has, and take out of its history what depends
    on the user who built it."""
    index = json.loads((layout / "index.json").read_text())
    [entry] = index["manifests"]
    manifest = _blob(layout, entry)
    config = _blob(layout, manifest["config"])
    old = {entry["digest"], manifest["config"]["digest"]}
    history = [_history(row) for row in config.get("history") or ()]
    if labels:
        config["config"]["Labels"] = labels
    for number, role in (roles or {}).items():
        manifest["layers"][number].setdefault("annotations", {})[_ROLE] = role
    for path, content, role in files:
        layer = archive.layer(path, content)
        words = "labels file" if path == spec.LABELS_FILE else f"artifact to {path}"
        row = {"created": "1970-01-01T00:00:00Z", "created_by": f"hetoci-image: {words}"}
        history.append(row)
        config["rootfs"]["diff_ids"].append(archive.digest(layer))
        added = {**archive.store(layout, layer, archive.TAR), "annotations": {_ROLE: role}}
        manifest["layers"].append(added)
    config["history"] = history
    notes = manifest.get("annotations", {})
    if not notes.get(f"{_BASE}name"):  # an image on the way, which nobody has
        notes.pop(f"{_BASE}name", None)
        notes.pop(f"{_BASE}digest", None)
    manifest["config"] |= archive.store(
        layout, archive.packed(config), manifest["config"]["mediaType"]
    )
    entry |= archive.store(layout, archive.packed(manifest), entry["mediaType"])
    for digest in old - {entry["digest"], manifest["config"]["digest"]}:
        (layout / source.blob_name(digest)).unlink()
    (layout / "index.json").write_bytes(archive.packed(index))


def _history(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the history without the digests of folders copied, in which user ids count, and of
    the images on the way."""
    kept = {name: value for name, value in row.items() if name != "comment"}
    kept["created_by"] = _SUMS.sub(r"\1", str(row.get("created_by", "")))
    return kept


def _blob(layout: Path, descriptor: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (layout / source.blob_name(descriptor["digest"])).read_bytes()
    )
    return found
