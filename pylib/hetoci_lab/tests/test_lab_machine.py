# SPDX-License-Identifier: MIT
"""The virtual board's command line, and what is refused before power-on."""

import re
from pathlib import Path

import pytest

from hetoci_lab import memmap, qemu
from hetoci_lab.errors import LabError
from hetoci_lab.machine import Machine, check_files


def test_a_machine_leaves_no_file_behind(board_folder: Path) -> None:
    with Machine(board_folder, "xen") as machine:
        machine.fresh_disk()
        folder = machine.folder
        assert machine.data.stat().st_size == qemu.DATA_BYTES
    assert not folder.exists()


def test_the_second_uart_follows_the_first(board_folder: Path) -> None:
    with Machine(board_folder, "linux") as machine:
        words = machine.command("mon:stdio")
    serials = [words[at + 1] for at, word in enumerate(words) if word == "-serial"]
    assert serials == ["mon:stdio", "chardev:uart1"]


def test_images_are_loaded_where_the_header_says(board_folder: Path) -> None:
    words = " ".join(qemu.arguments(board_folder, "xen", Path("data"), []))
    assert f"/xen,addr={memmap.value('VB_KERNEL_BASE'):#x}," in words
    assert f"/xen.dtb,addr={memmap.value('VB_DTB_BASE'):#x}," in words
    assert f"/Image,addr={memmap.value('VB_DOM0_KERNEL_BASE'):#x}," in words


def test_an_address_that_the_header_lacks_is_named() -> None:
    with pytest.raises(LabError, match=r"vboard\.h defines no VB_NOWHERE"):
        memmap.value("VB_NOWHERE")


@pytest.mark.parametrize("name", ["el3.elf", "xen", "xen.dtb", "parts.sqfs"])
def test_a_board_with_a_file_missing_is_refused_by_name(board_folder: Path, name: str) -> None:
    (board_folder / name).unlink()
    with pytest.raises(LabError, match=rf"{re.escape(name)} is missing.*hetoci-lab build"):
        Machine(board_folder, "xen")


def test_a_variant_that_does_not_exist_is_refused(board_folder: Path) -> None:
    with pytest.raises(LabError, match=r"no variant bsd.*linux or xen"):
        check_files(board_folder, "bsd")


@pytest.mark.parametrize("content", [b"", b"\x7fELF" + bytes(100), b"MZ" + bytes(200)])
def test_a_kernel_of_another_kind_is_the_wrong_image(board_folder: Path, content: bytes) -> None:
    (board_folder / "Image").write_bytes(content)
    with pytest.raises(LabError, match="wrong image for this board: it is no arm64 Linux Image"):
        check_files(board_folder, "linux")
