# SPDX-License-Identifier: MIT
"""LAVA jobs: rendered for a target and its image, held to LAVA's schemas, run."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jinja2
import jsonschema
import yaml

from hetoci_lab import lava_results, lava_tools, machine, memmap, paths, qemu, site
from hetoci_lab.errors import LabError

SUITE = "hetoci-smoke"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["device_type", "extends", "job", "device", "site_facts"],
    "properties": {
        "device_type": {"type": "string"},
        "extends": {"type": "string"},
        "job": {"type": "string"},
        "variant": {"enum": list(qemu.VARIANTS)},
        "image": {"type": "object", "additionalProperties": {"type": "string"}},
        "device": {"type": "object"},
        "site_facts": {"type": "array", "items": {"type": "string"}},
    },
}


@dataclass(frozen=True)
class Rendered:
    """The files of a job: for a server the dictionary, for lava-run the device."""

    folder: Path
    job: Path
    device: Path
    dictionary: Path
    dispatcher: Path

    @property
    def scratch(self) -> Path:
        """The virtual board's scratch disk, for the length of the job."""
        return self.folder / "scratch.img"


def folder() -> Path:
    """Return the folder of templates, targets and test definitions."""
    return paths.tree() / "lava"


def targets() -> list[str]:
    """Return the names of the targets."""
    return sorted(file.stem for file in (folder() / "targets").glob("*.yaml"))


def target(name: str) -> dict[str, Any]:
    """Read a target. Raises LabError if there is none, or a wrong one."""
    file = folder() / "targets" / f"{name}.yaml"
    if not file.is_file():
        raise LabError(f"There is no LAVA target {name}; there are: {', '.join(targets())}.")
    data = site.read_yaml(file)
    for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(data):
        where = ".".join(str(word) for word in error.absolute_path) or "the file"
        raise LabError(f"{file}: {where}: {error.message}.")
    return dict(data)


def render(name: str, image: str, out: Path, scenarios: list[str]) -> Rendered:
    """Write the job and the device of a target into `out`.

    `image` is a folder or URL with what the target boots from; for the virtual board, a built
    board. `scenarios` are run by labgrid from inside the job.
    """
    facts = target(name)
    out.mkdir(parents=True, exist_ok=True)
    device = {**facts["device"], **_site_facts(name, facts["site_facts"])}
    values = {"name": name, "device_type": facts["device_type"], "scenarios": scenarios}
    values |= {"suite": suite(), "suite_path": f"inline/{SUITE}.yaml"}
    if "variant" in facts:
        board = Path(image).absolute()
        machine.check_files(board, facts["variant"])
        device |= _virtual_device(out, scenarios)
        values["images"] = virtual_images(board, facts["variant"])
        values["overlay"] = _url(out / "overlay.tar")
        with tarfile.open(out / "overlay.tar", "w"):
            """LAVA puts its test definitions into it."""
    else:
        values["images"] = {key: _join(image, file) for key, file in facts["image"].items()}
    return _write(out, facts, device, values)


def _write(
    out: Path, facts: dict[str, Any], device: dict[str, Any], values: dict[str, Any]
) -> Rendered:
    found = Rendered(
        out,
        *(out / file for file in ("job.yaml", "device.yaml", "device.jinja2", "dispatcher.yaml")),
    )
    loader = jinja2.FileSystemLoader([folder() / "jobs"])
    jobs = jinja2.Environment(loader=loader, trim_blocks=True, undefined=jinja2.StrictUndefined)  # noqa: S701
    found.job.write_text(jobs.get_template(facts["job"]).render(values))
    lines = [f"{{% set {key} = {json.dumps(value)} %}}" for key, value in device.items()]
    found.dictionary.write_text("\n".join([f"{{% extends '{facts['extends']}' %}}", *lines]) + "\n")
    found.dispatcher.write_text(yaml.safe_dump({"dispatcher_ip": "127.0.0.1"}))
    types = jinja2.FileSystemLoader([folder() / "device-types", lava_tools.shipped_types()])
    devices = jinja2.Environment(loader=types, trim_blocks=True)  # noqa: S701 - YAML, not HTML
    text = devices.from_string(found.dictionary.read_text()).render()
    found.device.write_text(text)
    return found


def suite() -> dict[str, Any]:
    """Return the on-target test definition with its script inside, as an inline job needs it."""
    place = folder() / "test-definitions" / SUITE
    data = dict(site.read_yaml(place / f"{SUITE}.yaml"))
    script = (place / f"{SUITE}.sh").read_text()
    steps = [f"cat > {SUITE}.sh <<'END_OF_SCRIPT'\n{script}END_OF_SCRIPT", f"chmod +x {SUITE}.sh"]
    data["run"] = {"steps": [*steps, *data["run"]["steps"]]}
    return data


def virtual_images(board: Path, variant: str) -> list[dict[str, str]]:
    """Return what the virtual board boots from: QEMU's words with LAVA's {name} for the file."""
    entry = qemu.branch(0, memmap.value("VB_EL3_BASE"))
    reset = f"-device loader,addr=0x0,data={entry:#x},data-len=4"
    at = {
        "kernel": ("xen" if variant == "xen" else "Image", memmap.value("VB_KERNEL_BASE")),
        "dtb": (f"{variant}.dtb", memmap.value("VB_DTB_BASE")),
    }
    if variant == "xen":
        at["dom0"] = ("Image", memmap.value("VB_DOM0_KERNEL_BASE"))
    rows = [_image("el3", board / "el3.elf", f"{reset} -device loader,file={{el3}}")]
    for name, (file, address) in at.items():
        words = f"-device loader,file={{{name}}},addr={address:#x},force-raw=on"
        rows.append(_image(name, board / file, words))
    for number, name in enumerate(("root", "parts")):
        drive = f"-drive if=none,id=d{number},file={{{name}}},format=raw,readonly=on"
        words = (
            f"{drive} -device virtio-blk-device,drive=d{number},bus=virtio-mmio-bus.{7 - number}"
        )
        rows.append(_image(name, board / f"{name}.sqfs", words))
    return rows


def _image(name: str, file: Path, argument: str) -> dict[str, str]:
    return {"name": name, "url": _url(file), "argument": argument}


def _url(file: Path) -> str:
    return file.resolve().as_uri()


def _join(image: str, name: str) -> str:
    if "://" in image:
        return f"{image.rstrip('/')}/{name}"
    file = Path(image) / name
    if not file.is_file():
        raise LabError(
            f"{image} holds the wrong image for this board: it has no {name}.",
            hint="Build it with kas, or name a folder or URL that has it with --image.",
        )
    return _url(file)


def _site_facts(name: str, wanted: list[str]) -> dict[str, str]:
    known = site.load().lava_devices.get(name, {})
    missing = [fact for fact in wanted if fact not in known]
    if missing:
        raise LabError(
            f"{site.path()} does not say {', '.join(missing)} of LAVA device {name}.",
            hint=f"Add them under lava_devices: {name}: (docs/lab.md has an example).",
        )
    return {fact: known[fact] for fact in wanted}


def _virtual_device(out: Path, scenarios: list[str]) -> dict[str, str | int]:
    scratch = out / "scratch.img"
    qemu.make_data_disk(scratch)
    port = qemu.free_port()
    facts: dict[str, str | int] = {
        "scratch_disk": str(scratch.absolute()),
        "ssh_port": port,
        "uart1_log": str((out / "console/uart1").absolute()),
    }
    (out / "console").mkdir(exist_ok=True)
    if scenarios:
        run = [sys.executable, "-m", "hetoci_lab.cli", "run", *scenarios, "--env", "lava"]
        words = ["env", f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", "LG_BOARD=127.0.0.1"]
        words += [f"LG_BOARD_PORT={port}", *run, "--out", str((out / "scenarios").absolute())]
        facts["scenarios_command"] = " ".join(words)
    return facts


def validate(rendered: Rendered) -> None:
    """Hold job and device to LAVA's schemas. Raises LabError: file, path, reason."""
    lava_tools.check(rendered.device, "device")
    lava_tools.check(rendered.job, "job")


def command(rendered: Rendered, job_id: str = "1") -> tuple[list[str], dict[str, str]]:
    """Return the lava-run command line, and its environment."""
    return lava_tools.command(
        lava_tools.lava_run(),
        *("--job-id", job_id, "--output-dir", rendered.folder / "output"),
        *("--device", rendered.device, "--dispatcher", rendered.dispatcher),
        rendered.job,
    )


def submit_command(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return lavacli's command line before the job's file; its settings are in `folder`."""
    words, env = lava_tools.command("-m", "lavacli", "-i", "hetoci", "jobs", "submit")
    return words, env | {"XDG_CONFIG_HOME": str(folder)}


def submit(job: Path, facts: dict[str, str], token: str) -> int:
    """Submit a job with lavacli; return its number. Raises LabError with the server's reason.

    The token goes to lavacli in a file: a command line is for everybody to see.
    """
    with TemporaryDirectory(prefix="hetoci-lavacli-") as name:
        folder = Path(name)
        identity = {"uri": facts["url"], "username": facts["user"], "token": token}
        (folder / "lavacli.yaml").write_text(yaml.safe_dump({"hetoci": identity}))
        words, env = submit_command(folder)
        done = subprocess.run([*words, job], env=env, capture_output=True, text=True, check=False)
    number = done.stdout.strip().rsplit("/", 1)[-1]
    if done.returncode or not number.isdecimal():
        said = (done.stdout + done.stderr).replace(token, "…").strip()
        raise LabError(f"The LAVA server {facts['url']} refused {job}: {said}")
    return int(number)


def run(rendered: Rendered, say: Callable[[str], None]) -> int:
    """Run a job with lava-run; write lava.log, junit.xml and run.json. Return 0 if all passed."""
    if os.geteuid() != 0:
        raise LabError(
            "lava-run needs root: it mounts, and writes to /var/lib/lava.",
            hint="HETOCI_WITHOUT_LAVA=1 leaves the job out of `make lab-test`.",
        )
    words, env = command(rendered)
    log = rendered.folder / "lava.log"
    child = subprocess.Popen(
        [*qemu.DIE_WITH_PARENT, *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert child.stdout is not None  # noqa: S101 - PIPE above
        with child, log.open("wb") as out:
            for line in child.stdout:
                out.write(line)
                shown = lava_results.shown(line.decode(errors="replace"))
                if shown:
                    say(shown)
                if shown == "lava: execute-qemu: pass":
                    for pid in qemu.using(rendered.scratch):
                        qemu.calm_real_time_cores(pid)
    finally:
        qemu.quit_politely(child)
    return lava_results.convert(rendered.folder, "lava-vboard")
