# SPDX-License-Identifier: MIT
"""`make shell`: the board's console on the terminal."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hetoci_lab import qemu
from hetoci_lab.session import ssh_command

NOTE = """\
The board's console is this terminal; it logs you in as root.
  leave        type `poweroff`, or press Ctrl-A then X
  ssh          {ssh}
  real-time    the EL3 firmware and the Cortex-R5 print to {uart1}
  try          hetoci devices
               ctr image import /usr/share/hetoci/images/fw-echo.oci.tar
               ctr run --runtime io.containerd.hetoci.v1 localhost/fw-echo:latest fw
What you change on the board is gone when it is switched off.
"""


def run(board: Path, variant: str) -> int:
    """Run a board until it is switched off; a reset starts it again. Return QEMU's status."""
    port = qemu.free_port()
    with TemporaryDirectory(prefix="hetoci-vboard-") as name:
        folder = Path(name)
        data, uart1 = folder / "data.img", folder / "uart1.log"
        qemu.make_data_disk(data)
        command = qemu.command(board, variant, data, port, uart1)
        ssh = " ".join(ssh_command(board, port))
        sys.stderr.write(NOTE.format(ssh=ssh, uart1=uart1))
        while True:
            with subprocess.Popen(command) as child:
                try:
                    qemu.calm_real_time_cores(child.pid)
                    status = child.wait()
                finally:
                    qemu.quit_politely(child)
            if status != qemu.RESET_STATUS:
                return status
