# SPDX-License-Identifier: MIT
"""`hetoci-image validate` and `inspect`: what is wrong with an image, in sentences."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagemaker as make
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from imagemaker import Entry, file, layer

from hetoci import fdt
from hetoci_lab import spec
from hetoci_lab.errors import LabError
from hetoci_lab.image import cli, contents, keys, model, validate

A = "io.hetoci.accelerator.sum"
F = "io.hetoci.firmware"
D = "io.hetoci.domain"
ELF = make.elf()


@dataclass
class Parts:
    """What an image is made of."""

    labels: dict[str, str]
    files: dict[str, bytes]
    labels_file: bool = True
    more: list[Entry] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    def put(self, path: str, content: bytes) -> None:
        self.files[path] = content

    def to_folder(self, folder: Path) -> Path:
        entries = [file(path.lstrip("/"), data) for path, data in self.files.items()]
        if self.labels_file:
            entries.append(file(spec.LABELS_FILE, json.dumps(self.labels)))
        layers = [layer([*entries, *self.more])]
        return make.layout(folder, layers, self.labels, **self.options)


def accelerator() -> Parts:
    """An image with an accelerator for two slots, as it should be."""
    labels = {
        "io.hetoci.workload": "accelerator",
        f"{A}.bitstream": "/accelerator/sum-{slot}.bit.bin",
        f"{A}.overlay": "/accelerator/sum-{slot}.dtbo",
        f"{A}.flags": "partial",
        f"{A}.part": "0x0E70C093",
        f"{A}.shell": "0x12345678, 0x48450001",
    }
    files = {}
    for slot in range(2):
        files[f"/accelerator/sum-slot{slot}.bit.bin"] = make.vbit(slot)
        files[f"/accelerator/sum-slot{slot}.dtbo"] = make.overlay(f"slot{slot}")
    labels[f"{A}.digest"] = ",".join(map(make.digest, files.values()))
    return Parts(labels, files)


def firmware() -> Parts:
    """An image with firmware, as it should be."""
    labels = {"io.hetoci.workload": "firmware", F: "/firmware/a.elf"}
    return Parts({**labels, f"{F}.digest": make.digest(ELF)}, {"/firmware/a.elf": ELF})


def domain() -> Parts:
    """An image with a kernel, as it should be."""
    kernel = bytes(56) + b"ARM\x64" + bytes(100)
    labels = {"io.hetoci.workload": "domain", f"{D}.kernel": "boot/Image"}
    labels |= {f"{D}.ramdisk": "/boot/initrd", f"{D}.disk": "/boot/disk"}
    files = {"/boot/Image": kernel, "/boot/initrd": b"x", "/boot/disk": bytes(1024)}
    return Parts({**labels, f"{D}.digest": ",".join(map(make.digest, files.values()))}, files)


def report(parts: Parts, folder: Path) -> validate.Report:
    with model.opened(parts.to_folder(folder / "image")) as image:
        return validate.check(image)


def sentences(parts: Parts, folder: Path) -> list[str]:
    return [str(finding) for finding in report(parts, folder).findings]


@pytest.mark.parametrize("parts", [accelerator, firmware, domain])
def test_a_good_image_has_no_findings(tmp_path: Path, parts: Callable[[], Parts]) -> None:
    assert sentences(parts(), tmp_path) == []


def test_an_image_without_keys_is_good(tmp_path: Path) -> None:
    assert sentences(Parts({"other": "x"}, {}, labels_file=False), tmp_path) == []


def relabel(parts: Parts, **changes: str | None) -> None:
    """Change labels; the digests go, which change with the files."""
    parts.labels.pop(f"{A}.digest", None)
    parts.labels.pop(f"{F}.digest", None)
    for name, value in changes.items():
        key = f"{A}.{name}"
        parts.labels.pop(key, None)
        if value is not None:
            parts.labels[key] = value


def reput(parts: Parts, path: str, content: bytes) -> None:
    relabel(parts)
    parts.put(path, content)


def drop(parts: Parts, path: str) -> None:
    relabel(parts)
    del parts.files[path]


def setlabel(parts: Parts, key: str, value: str) -> None:
    relabel(parts)
    parts.labels[key] = value


BIT0, DTBO0 = "/accelerator/sum-slot0.bit.bin", "/accelerator/sum-slot0.dtbo"
BIT1, DTBO1 = "/accelerator/sum-slot1.bit.bin", "/accelerator/sum-slot1.dtbo"
TWO = make.overlay("slot0", "vadd@0", "dma@1")


def forged_overlay() -> bytes:
    """An overlay that refers to a node in a property that holds no reference."""
    root = fdt.parse(make.overlay("slot0"), "x")
    fixups = root.child("__fixups__")
    assert fixups
    place = "/fragment@0/__overlay__/vadd@fffc0000:compatible:0"
    fixups.properties["gic"] = fdt.from_strings(place)
    return fdt.build(root)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda p: relabel(p, overlai="/x"),
            f"error: {A}.overlai (label) is unknown, did you mean {A}.overlay?.",
        ),
        (
            lambda p: setlabel(p, f"{A}.shell", "a b"),
            f"error: {A}.shell (label) is 'a b', right would be",
        ),
        (
            lambda p: relabel(p, bitstream="/../x"),
            f"error: {A}.bitstream (label) is '/../x', right would be",
        ),
        (
            lambda p: relabel(p, bitstream=None),
            f"error: {A}.flags (label) needs {A}.bitstream beside it",
        ),
        (
            lambda p: relabel(p, bitstream="/nowhere/{slot}.bin"),
            f"error: {A}.bitstream is /nowhere/{{slot}}.bin, and no file in the image fits it.",
        ),
        (
            lambda p: relabel(p, bitstream="/accelerator/x.bin"),
            f"error: /accelerator/x.bin ({A}.bitstream) is not in the image. COPY it there",
        ),
        (lambda p: drop(p, DTBO1), f"error: {A}.overlay has no overlay to go with {BIT1}"),
        (lambda p: drop(p, BIT1), f"warning: {A}.overlay has {DTBO1} with no bitstream to it"),
        (
            lambda p: p.put(BIT0, make.vbit(0) + b"x"),
            f"error: {BIT0} ({A}.bitstream) is damaged: its header says 192 bytes, it has 193",
        ),
        (
            lambda p: p.put(DTBO0, make.overlay("slot0", "other@0")),
            f"error: {A}.digest lacks {make.digest(make.overlay('slot0', 'other@0'))},"
            f" which {DTBO0} has",
        ),
        (
            lambda p: p.put(DTBO0, make.overlay("slot0", "other@0")),
            f"warning: {A}.digest has {make.digest(make.overlay('slot0'))}, which no file of it",
        ),
        (
            lambda p: reput(p, BIT0, make.vbit(1)),
            f"error: {BIT0} ({A}.bitstream) is for slot1 by its header, the key or name says slot0",
        ),
        (
            lambda p: reput(p, BIT0, make.vbit(0, part=0x04738093)),
            f"error: {BIT0} ({A}.part) is for part 0x04738093 by its header, the key or name says"
            " 0x0E70C093",
        ),
        (
            lambda p: reput(p, BIT0, make.vbit(0, shell_id=1)),
            f"error: {BIT0} ({A}.shell) is for shell 0x00000001 by its header",
        ),
        (
            lambda p: reput(p, BIT0, make.vbit(partial=False)),
            f"error: {BIT0} ({A}.flags) is a full bitstream by its header, the key or name says"
            " partial",
        ),
        (
            lambda p: relabel(p, flags=None),
            f"error: {BIT0} ({A}.flags) is a partial bitstream by its header, the key or name says"
            " no flags",
        ),
        (lambda p: reput(p, DTBO0, b"x"), f"error: {DTBO0} ({A}.overlay) "),
        (
            lambda p: reput(p, DTBO0, bytes((1 << 20) + 1)),
            f"error: {DTBO0} ({A}.overlay) has 1048577 bytes, 1048576 are allowed",
        ),
        (
            lambda p: reput(p, DTBO0, make.overlay("slot0", bootargs=b"x\0")),
            f"error: {DTBO0} ({A}.overlay) would be refused: it sets bootargs of the region",
        ),
        (
            lambda p: reput(p, DTBO0, forged_overlay()),
            f"error: {DTBO0} ({A}.overlay) would be refused: it refers to another node in",
        ),
        (
            lambda p: reput(p, DTBO0, make.overlay("slot1")),
            f"warning: {DTBO0} ({A}.overlay) is for slot0 by its name and targets &slot1",
        ),
        (
            lambda p: reput(p, DTBO0, TWO),
            f"error: {DTBO0} ({A}.overlay) has the nodes vadd, dma. Say with {A}.devices which",
        ),
        (
            lambda p: relabel(p, devices="vadd,dma"),
            f"error: {A}.devices names dma; nodes of {DTBO0} are: vadd",
        ),
        (
            lambda p: p.options.update(annotations={f"{A}.slott": "x"}),
            f"error: {A}.slott (annotation) is unknown, did you mean {A}.slot?.",
        ),
        (
            lambda p: setattr(p, "labels_file", False),
            "warning: /.hetoci/labels.json is not in the image, so under Podman and CRI-O it has",
        ),
        (
            lambda p: p.more.append(file(spec.LABELS_FILE, '{"io.hetoci.workload": "firmware"}')),
            "error: /.hetoci/labels.json and the labels differ in",
        ),
        (
            lambda p: p.more.append(file(spec.LABELS_FILE, "{")),
            "error: /.hetoci/labels.json cannot be read: /.hetoci/labels.json is not JSON",
        ),
        (
            lambda p: p.more.append(file(spec.LABELS_FILE, bytes(65537))),
            "error: /.hetoci/labels.json has 65537 bytes, 65536 are allowed",
        ),
        (
            lambda p: p.more.append((spec.LABELS_FILE.lstrip("/"), "", "char")),
            "error: /.hetoci/labels.json is a character device, a regular file is needed",
        ),
        (
            lambda p: p.more.append((BIT0.lstrip("/"), "../../../../etc/passwd", "link")),
            f"error: {BIT0} ({A}.bitstream) is not in the image",
        ),
        (
            lambda p: p.more.append((BIT0.lstrip("/"), "", "fifo")),
            f"error: {BIT0} ({A}.bitstream) is a FIFO, a regular file is needed",
        ),
        (
            lambda p: p.more.append(file("../../escape")),
            "error: '../../escape' (layer 1) leads out of the image",
        ),
    ],
)
def test_what_is_wrong_with_an_accelerator_is_said(
    tmp_path: Path, change: Callable[[Parts], object], sentence: str
) -> None:
    parts = accelerator()
    change(parts)
    found = sentences(parts, tmp_path)
    assert any(line.startswith(sentence) for line in found), found
    assert len(found) <= 4, "one mistake should not be reported many times over"


def entry_point(parts: Parts, *words: str) -> None:
    relabel(parts)
    del parts.labels[F]
    parts.options["Entrypoint"] = list(words)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda p: setlabel(p, F, "/no/such.elf"),
            f"error: /no/such.elf ({F}) is not in the image. COPY it there, or correct the key.",
        ),
        (
            lambda p: p.put("/firmware/a.elf", make.elf(machine=183)),
            f"error: {F}.digest lacks sha256:",
        ),
        (
            lambda p: reput(p, "/firmware/a.elf", b"#!/bin/sh"),
            f"error: /firmware/a.elf ({F}) is no ELF file",
        ),
        (
            lambda p: reput(p, "/firmware/a.elf", ELF[:90]),
            f"error: /firmware/a.elf ({F}) is truncated: segment 0 ends at byte 100",
        ),
        (
            lambda p: reput(p, "/firmware/a.elf", make.elf(entry=0x1000)),
            f"error: /firmware/a.elf ({F}) has its entry point 0x1000 in no executable segment",
        ),
        (
            lambda p: reput(p, "/firmware/a.elf", make.elf(flags=6)),
            f"error: /firmware/a.elf ({F}) has its entry point 0x0 in no executable segment",
        ),
        (
            lambda p: entry_point(p),
            "error: the image names no firmware. Set the label io.hetoci.firmware, or the entry",
        ),
        (
            lambda p: entry_point(p, "b.elf"),
            "error: /b.elf (the image's entry point) is not in the image",
        ),
        (
            lambda p: setlabel(p, f"{D}.memory", "64M"),
            f"error: {D}.memory (label) needs io.hetoci.workload=domain beside it",
        ),
    ],
)
def test_what_is_wrong_with_firmware_is_said(
    tmp_path: Path, change: Callable[[Parts], object], sentence: str
) -> None:
    parts = firmware()
    change(parts)
    found = sentences(parts, tmp_path)
    assert any(line.startswith(sentence) for line in found), found


def test_the_entry_point_is_firmware_from_the_working_folder(tmp_path: Path) -> None:
    parts = firmware()
    entry_point(parts, "a.elf", "more words")
    parts.options["WorkingDir"] = "/firmware"
    assert sentences(parts, tmp_path) == []


def test_an_image_made_for_another_runtime_is_checked_alike(tmp_path: Path) -> None:
    parts = Parts({"remoteproc.name": "r5f_0"}, {"/b.elf": b"no ELF"})
    parts.options["Entrypoint"] = ["/b.elf"]
    assert "/b.elf (the image's entry point) is no ELF file" in sentences(parts, tmp_path)[0]


def test_the_labels_file_counts_where_there_are_no_labels(tmp_path: Path) -> None:
    parts = firmware()
    parts.more.append(file(spec.LABELS_FILE, json.dumps({**parts.labels, F: "/other"})))
    parts.labels, parts.labels_file = {}, False
    [found] = sentences(parts, tmp_path)
    assert found.startswith(f"error: /other ({F}) is not in the image")


@pytest.mark.parametrize(
    ("path", "content", "sentence"),
    [
        ("/boot/disk", bytes(1000), "has 1000 bytes, right would be a multiple of 512"),
        ("/boot/initrd", b"", "is empty"),
    ],
)
def test_what_is_wrong_with_a_domain_is_said(
    tmp_path: Path, path: str, content: bytes, sentence: str
) -> None:
    parts = domain()
    del parts.labels[f"{D}.digest"]
    parts.put(path, content)
    [found] = sentences(parts, tmp_path)
    assert f"{path} ({D}.{'disk' if 'disk' in path else 'ramdisk'}) {sentence}" in found


def test_a_program_for_another_machine_is_a_warning(tmp_path: Path) -> None:
    folder = accelerator().to_folder(tmp_path / "image")
    with model.opened(folder) as image:
        image.config = {**image.config, "architecture": "amd64"}
        [finding] = validate.check(image).findings
    assert str(finding).startswith("warning: the image is for linux/amd64")


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("/a/{slot}.bin", "/a/slot1.bin", {"slot": "slot1"}),
        ("/a/{slot}/{part}.bin", "/a/s/0x1.bin", {"slot": "s", "part": "0x1"}),
        ("/{slot}/{slot}.bin", "/s/s.bin", {"slot": "s"}),
        ("/{slot}/{slot}.bin", "/s/t.bin", None),
        ("/a/{slot}.bin", "/a/b/c.bin", None),
        ("/a/{slot}/x", "/a/../x", None),
        ("/a/{slot}/x", "/a/./x", None),
        ("/a.b/{slot}", "/aXb/s", None),
        ("/{slot}", "/" + "s" * 65, None),
    ],
)
def test_templates_stand_for_the_paths_that_the_runtime_tries(
    template: str, path: str, values: dict[str, str] | None
) -> None:
    match = keys.template_pattern(template).fullmatch(path)
    assert (match.groupdict() if match else None) == values


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli.cli, [str(word) for word in words])


def test_validate_says_so_and_ends_with_its_status(tmp_path: Path) -> None:
    good = run("validate", firmware().to_folder(tmp_path / "good"))
    assert (good.exit_code, good.output) == (0, f"{tmp_path}/good: good\n")
    parts = firmware()
    parts.put("/firmware/a.elf", b"x")
    bad = run("validate", "--json", parts.to_folder(tmp_path / "bad"))
    assert bad.exit_code == 1
    document = json.loads(bad.stdout)
    assert document["good"] is False
    assert {finding["level"] for finding in document["findings"]} == {"error", "warning"}


def test_an_image_that_cannot_be_read_is_a_finding_for_programs(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"no tar")
    done = run("validate", "--json", tmp_path / "image.tar")
    assert isinstance(done.exception, LabError)
    document = json.loads(done.stdout)
    assert document["good"] is False
    assert "is no tar archive" in document["findings"][0]["reason"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["validate", "missing.tar"], 2, "Path 'missing.tar' does not exist"),
        (["validate", "empty.tar"], 3, "hetoci-image: empty.tar has no index.json"),
        (["build", "."], 3, "hetoci-image: . has no Containerfile"),
        (["build", "--engine", "docker", "."], 2, "'docker' is not one of"),
    ],
)
def test_the_command_ends_with_a_sentence_and_its_status(
    tmp_path: Path, words: list[str], code: int, sentence: str
) -> None:
    make.archive(tmp_path, tmp_path.parent / "empty.tar").rename(tmp_path / "empty.tar")
    command = [sys.executable, "-m", "hetoci_lab.image.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr


def test_inspect_shows_keys_with_their_meaning_and_files(tmp_path: Path) -> None:
    folder = accelerator().to_folder(tmp_path / "image")
    text = run("inspect", folder)
    assert text.exit_code == 0
    for line in (
        f"{A}.bitstream (label)",
        "The bitstream. It makes the name an accelerator",
        f"{BIT0}  192 bytes  bitstream",
        "VBIT, partial, part 0x0e70c093, shell 0x48450001, slot0",
        "targets &slot1",
        "node vadd@fffc0000: hetoci,vadd, generic-uio",
    ):
        assert line in text.output
    document = json.loads(run("inspect", "--json", folder).stdout)
    [entry] = [f for f in document["files"] if f["path"] == BIT1]
    assert entry["for"] == {"slot": "slot1"}
    assert entry["content"]["shell"] == "0x48450001"
    assert document["workload"] == "accelerator"


def test_inspect_shows_what_firmware_asks_for(tmp_path: Path) -> None:
    text = run("inspect", firmware().to_folder(tmp_path / "image"))
    assert "ELF, 32-bit Arm (EM_ARM), entry point 0x0" in text.output
    assert "segment at 0x0, 16 bytes" in text.output


def test_nothing_of_an_image_reaches_the_terminal_unquoted(tmp_path: Path) -> None:
    parts = Parts(
        {"io.hetoci.workload": "a\x1b[31mb\nerror: forged", "io.hetoci.\x1b": ""},
        {},
        labels_file=False,
    )
    parts.more.append(file("../\x1b[31m"))
    folder = parts.to_folder(tmp_path / "image")
    for verb in ("inspect", "validate"):
        shown = run(verb, folder).output
        assert "\x1b" not in shown
        assert "\nerror: forged" not in shown


SAMPLES = {
    "firmware": ELF,
    "bitstream": make.vbit(),
    "overlay": make.overlay("slot0", "vadd@0", "dma@1"),
    "kernel": domain().files["/boot/Image"],
}


@pytest.mark.parametrize("role", contents.READERS)
@given(st.data())
def test_any_file_is_read(role: str, data: st.DataObject) -> None:
    content = bytearray(SAMPLES.get(role, b""))
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.sampled_from([0, 1, 4]))] = data.draw(st.binary(max_size=8))
    found = contents.READERS[role](bytes(content), "/x")
    assert json.dumps(found.facts)
    assert all(found.problems)


@given(
    st.dictionaries(
        st.sampled_from([key.spelt("sum") for key in spec.known_keys()]) | st.text(max_size=20),
        st.text(max_size=30) | st.sampled_from(["accelerator", "firmware", "/a/{slot}", "/x"]),
        max_size=6,
    )
)
def test_any_labels_are_checked(
    tmp_path_factory: pytest.TempPathFactory, labels: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    found = report(Parts(labels, {"/x": ELF, "/a/slot0": make.vbit()}), folder)
    for finding in found.findings:
        assert str(finding).isprintable()


@pytest.mark.parametrize(
    ("process", "sentence"),
    [
        (
            {"Labels": {"io.hetoci.workload": 5}},
            'error: configuration: config.Labels["io.hetoci.workload"] is 5,'
            " right would be a string.",
        ),
        (
            {"Labels": ["a"]},
            "error: configuration: config.Labels is a list, right would be an object of strings.",
        ),
        (
            {"Entrypoint": "/a"},
            'error: configuration: config.Entrypoint is "/a", right would be a list of strings.',
        ),
        ({"Env": [None]}, "error: configuration: config.Env[0] is null, right would be a string."),
    ],
)
def test_what_engines_cannot_read_is_an_error_with_its_path(
    tmp_path: Path, process: dict[str, Any], sentence: str
) -> None:
    made = make.Layout(tmp_path / "image")
    config = {"os": "linux", "architecture": "arm64", "config": process}
    config["rootfs"] = {"type": "layers", "diff_ids": []}
    made.index(made.json({"config": made.json(config), "layers": []}))
    with model.opened(made.folder) as image:
        assert [str(finding) for finding in validate.check(image).findings] == [sentence]


@pytest.mark.parametrize(
    ("member", "value", "sentence"),
    [
        ("layers", 5, "error: manifest: layers is 5, right would be a list of descriptors."),
        (
            "annotations",
            {"io.hetoci.workload": ["domain"]},
            'error: manifest: annotations["io.hetoci.workload"] is a list,'
            " right would be a string.",
        ),
    ],
)
def test_a_manifest_that_engines_cannot_read_is_an_error(
    tmp_path: Path, member: str, value: Any, sentence: str
) -> None:
    made = make.Layout(tmp_path / "image")
    config = made.json({"os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": []}})
    made.index(made.json({"config": config, "layers": [], member: value}))
    with model.opened(made.folder) as image:
        assert [str(finding) for finding in validate.check(image).findings] == [sentence]
