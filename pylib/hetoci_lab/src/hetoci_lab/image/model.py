# SPDX-License-Identifier: MIT
"""An image: its manifest, configuration, keys and files, read from a layout or an archive."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hetoci import imagejson
from hetoci_lab import spec
from hetoci_lab.errors import LabError
from hetoci_lab.image import source
from hetoci_lab.image.source import Source
from hetoci_lab.image.tree import NotThere, Tree, components

#: Index, manifest or configuration: more than any has, less than hurts.
JSON_LIMIT = 4 << 20
LAYERS_LIMIT = 128
#: Indices in an index.
INDEX_DEPTH = 3
NAME = "org.opencontainers.image.ref.name"
EMPTY = "application/vnd.oci.empty.v1+json"
_FULL_NAME = "io.containerd.image.name"
_INDICES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


@dataclass(frozen=True)
class Layer:
    """A layer as it is stored. digest: "" in an archive of `docker save`; role: what it says
    that it has (docs/spec/layout.md, L10)."""

    digest: str
    size: int
    media_type: str
    role: str = ""


@dataclass
class Image:
    """What is known of an image. name, digest: "" if it has none (`docker save`)."""

    path: Path
    name: str
    digest: str
    config: Mapping[str, Any]
    annotations: Mapping[str, str]
    layers: list[Layer]
    tree: Tree = field(repr=False)
    #: What of the manifest and the configuration is of a wrong type: path, reason.
    misshapen: list[tuple[str, str]] = field(default_factory=list)

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the image's configuration."""
        return strings(section(self.config, "config", "Labels"))

    @property
    def platform(self) -> str:
        """OS and architecture, as engines write them."""
        found = f"{self.config.get('os', '')}/{self.config.get('architecture', '')}"
        variant = self.config.get("variant")
        return f"{found}/{variant}" if variant else found

    def labels_file(self) -> bytes | None:
        """The labels file, None if there is none. Raises NotThere if it cannot be used."""
        try:
            node = self.tree.find(spec.LABELS_FILE)
        except NotThere as error:
            if str(error) == "is not in the image":
                return None
            raise
        return self.tree.read(node, spec.LABELS_LIMIT)

    def entry_point(self) -> str:
        """Path of the first word that would be run, "" if there is none."""
        for name in ("Entrypoint", "Cmd"):
            words = section(self.config, "config", name)
            if isinstance(words, list) and words and isinstance(words[0], str):
                cwd = section(self.config, "config", "WorkingDir")
                base = cwd if isinstance(cwd, str) and not words[0].startswith("/") else ""
                return "/" + "/".join(components(f"{base}/{words[0]}"))
        return ""


def section(value: Any, *names: str) -> Any:
    """value[names[0]][names[1]]..., None where the way ends."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def strings(value: Any) -> dict[str, str]:
    """The members of an object that are strings; empty for anything else."""
    pairs = value.items() if isinstance(value, dict) else ()
    return {name: text for name, text in pairs if isinstance(text, str)}


@contextmanager
def opened(path: Path, *, name: str = "", platform: str = "linux/arm64") -> Iterator[Image]:
    """Read the image at `path`; its files can be read inside the `with`.

    name, platform: which one, if there are several. Every digest and size that the image states
    of itself is checked. Raises LabError.
    """
    with ExitStack() as stack:
        place = stack.enter_context(source.opened(path))
        if place.has("index.json"):
            yield _from_layout(stack, path, place, name, platform)
        elif place.has("manifest.json"):
            yield _from_docker(stack, path, place, name)
        else:
            raise LabError(
                f"{path} has no index.json, so it is no OCI image layout.",
                hint="`skopeo copy` or `podman save --format oci-archive` make one.",
            )


def _read_json(place: Source, name: str, what: str) -> Any:
    with place.open(name) as stream:
        raw = stream.read(JSON_LIMIT + 1)
    if len(raw) > JSON_LIMIT:
        raise LabError(f"{what} has more than {JSON_LIMIT >> 20} MiB.")
    return spec.read_json(raw, what)


def _object(place: Source, name: str, what: str) -> dict[str, Any]:
    found = _read_json(place, name, what)
    if not isinstance(found, dict):
        raise LabError(f"{what} is no JSON object.")
    return found


def _descriptor(value: Any, what: str) -> tuple[str, int, str]:
    """Digest, size and media type. Raises LabError for what is no descriptor."""
    digest, size = section(value, "digest"), section(value, "size")
    if not isinstance(digest, str) or type(size) is not int or size < 0:
        raise LabError(f"The descriptor of {what} lacks a digest or a size.")
    source.blob_name(digest)
    return digest, size, str(section(value, "mediaType") or "")


def only_manifest(place: Source) -> dict[str, Any]:
    """The manifest of the only image or artifact, its digest checked. Raises LabError."""
    if not place.has("index.json"):
        raise LabError("It has no index.json, so it is no OCI image layout.")
    index = _object(place, "index.json", "index.json")
    chosen = _choose(place, index, "linux/arm64", "", INDEX_DEPTH)
    return _object(place, check_blob(place, chosen, "the manifest"), "the manifest")


def descriptor_of(path: Path) -> dict[str, Any]:
    """The descriptor of the manifest of the only image at `path`. Raises LabError."""
    with source.opened(path) as place:
        if not place.has("index.json"):
            raise LabError(f"{path} has no index.json, so it is no OCI image layout.")
        index = _object(place, "index.json", "index.json")
        chosen = _choose(place, index, "linux/arm64", "", INDEX_DEPTH)
        check_blob(place, chosen, "the manifest")
    return {name: chosen[name] for name in ("mediaType", "digest", "size") if name in chosen}


def check_blob(place: Source, descriptor: Any, what: str) -> str:
    """Check a blob against its descriptor; return its name."""
    digest, size, _ = _descriptor(descriptor, what)
    name = source.blob_name(digest)
    with place.open(name) as stream:
        found = source.digest_of(stream, digest.partition(":")[0])
        length = stream.tell()
    if length != size:
        raise LabError(f"{what} has {length} bytes, its descriptor says {size}.")
    if found != digest:
        raise LabError(f"{what} has the digest {found}, its descriptor says {digest}.")
    return name


def _choose(place: Source, index: dict[str, Any], platform: str, name: str, depth: int) -> Any:
    """The descriptor of the image meant, from an index and those below it."""
    found = [entry for entry in items(index, "manifests") if isinstance(entry, dict)]
    if name:
        found = [entry for entry in found if name in _names(entry)]
        if not found:
            there = sorted({n for e in items(index, "manifests") for n in _names(e)})
            shown = source.printable(", ".join(there)) or "none"
            raise LabError(f"There is no image {name!r}; there are: {shown}.")
    if len(found) > 1:
        fitting = [entry for entry in found if _platform(entry) == platform]
        found = fitting or found
    if len(found) != 1:
        there = [" ".join(_names(entry)) or _platform(entry) for entry in found[:20]]
        raise LabError(
            source.printable(f"There are {len(found)} images: {', '.join(there)}."),
            hint="Choose one with --name or --platform.",
        )
    [entry] = found
    if section(entry, "mediaType") not in _INDICES:
        return entry
    if depth == 0:
        raise LabError(f"Its index holds more than {INDEX_DEPTH} indices in each other.")
    inner = _object(place, check_blob(place, entry, "the index"), "the index")
    chosen = _choose(place, inner, platform, "", depth - 1)
    return {"annotations": entry.get("annotations"), **chosen}


def items(value: Any, name: str) -> list[Any]:
    """The member `name` if it is a list, else nothing."""
    found = section(value, name)
    return found if isinstance(found, list) else []


def _names(entry: Any) -> list[str]:
    notes = strings(section(entry, "annotations"))
    return [notes[key] for key in (NAME, _FULL_NAME) if key in notes]


def _platform(entry: Any) -> str:
    found = strings(section(entry, "platform"))
    return f"{found.get('os', '')}/{found.get('architecture', '')}"


def _from_layout(stack: ExitStack, path: Path, place: Source, name: str, platform: str) -> Image:
    index = _object(place, "index.json", "index.json")
    chosen = _choose(place, index, platform, name, INDEX_DEPTH)
    digest = _descriptor(chosen, "the manifest")[0]
    manifest = _object(place, check_blob(place, chosen, "the manifest"), "the manifest")
    if manifest.get("artifactType") and section(manifest, "config", "mediaType") == EMPTY:
        raise LabError(
            source.printable(f"{path} is an artifact ({manifest['artifactType']}), no image."),
            hint="`hetoci-image build --artifact` makes a file of an image of it.",
        )
    if "config" not in manifest:
        raise LabError("The manifest names no configuration, so it is no image's.")
    config = _object(
        place, check_blob(place, manifest["config"], "the configuration"), "the configuration"
    )
    layers = [
        Layer(*_descriptor(entry, f"layer {n}"), role=_role(entry))
        for n, entry in enumerate(items(manifest, "layers"), 1)
    ]
    names = [
        check_blob(place, entry, f"layer {n}")
        for n, entry in enumerate(items(manifest, "layers"), 1)
    ]
    tree = _tree(stack, place, names, config)
    shown = next(iter(_names(chosen)), "")
    notes = strings(manifest.get("annotations"))
    wrong = list(imagejson.problems(manifest, config))
    return Image(path, shown, digest, config, notes, layers, tree, wrong)


def _role(entry: Any) -> str:
    return strings(section(entry, "annotations")).get("io.hetoci.role", "")


def _from_docker(stack: ExitStack, path: Path, place: Source, name: str) -> Image:
    entries = _read_json(place, "manifest.json", "manifest.json")
    listed = entries if isinstance(entries, list) else []
    found = [entry for entry in listed if isinstance(entry, dict)]
    if name:
        found = [entry for entry in found if name in items(entry, "RepoTags")]
    if len(found) != 1 or not isinstance(found[0].get("Config"), str):
        raise LabError(
            f"{path} has {len(found)} images{' of that name' if name else ''}.",
            hint="Choose one with --name.",
        )
    [entry] = found
    config = _object(place, entry["Config"], "the configuration")
    names = [layer for layer in items(entry, "Layers") if isinstance(layer, str)]
    layers = []
    for layer in names:
        with place.open(layer) as stream:
            layers.append(Layer("", stream.seek(0, 2), ""))
    tree = _tree(stack, place, names, config)
    tags = [tag for tag in items(entry, "RepoTags") if isinstance(tag, str)]
    wrong = list(imagejson.problems({}, config))
    return Image(path, next(iter(tags), ""), "", config, {}, layers, tree, wrong)


def _tree(stack: ExitStack, place: Source, names: list[str], config: dict[str, Any]) -> Tree:
    if len(names) > LAYERS_LIMIT:
        raise LabError(f"The image has {len(names)} layers, {LAYERS_LIMIT} are allowed.")
    stated = items(section(config, "rootfs"), "diff_ids")
    if len(stated) != len(names):
        raise LabError(f"The image has {len(names)} layers, its configuration {len(stated)}.")
    tree = Tree()
    left = source.UNPACKED_LIMIT
    for number, (name, expected) in enumerate(zip(names, stated, strict=True), 1):
        where = f"layer {number}"
        packed = stack.enter_context(place.open(name))
        plain = stack.enter_context(source.spooled(packed, where, left))
        plain.seek(0)
        found = source.digest_of(plain, _algorithm(expected))
        left -= plain.tell()
        if found != expected:
            raise LabError(f"{where} has the digest {found} unpacked, it should be {expected}.")
        tree.apply(plain, where)
    return tree


def _algorithm(digest: Any) -> str:
    match = re.fullmatch(r"(sha256|sha512):[0-9a-f]+", digest) if isinstance(digest, str) else None
    if match is None:
        raise LabError("The image's configuration has a digest of a layer that is none.")
    return match[1]
