# SPDX-License-Identifier: MIT
"""`hetoci-lab shell`: the virtual board's console on the terminal."""

import sys
from pathlib import Path

from hetoci_lab import qemu
from hetoci_lab.machine import Machine, ssh_command

CONSOLE = "mon:stdio"
NOTE = """\
The board's console is this terminal; it logs you in as root.
  leave        type `poweroff`, or press Ctrl-A then X
  ssh          {ssh}
  real-time    the EL3 firmware and the Cortex-R5 print to {uart1};
               `microcom -t 127.0.0.1:{uart1_port}` is their console
  try          hetoci devices
               ctr image import /usr/share/hetoci/images/fw-echo.oci.tar
               ctr run --runtime io.containerd.hetoci.v1 localhost/fw-echo:latest fw
What you change on the board is gone when it is switched off.
"""


def run(board: Path, variant: str) -> int:
    """Run a board until it is switched off; a reset starts it again. Return QEMU's status."""
    with Machine(board, variant) as machine:
        ssh = ssh_command("127.0.0.1", machine.ssh_port, board / "id_ed25519")
        note = NOTE.format(ssh=" ".join(ssh), uart1=machine.uart1, uart1_port=machine.uart1_port)
        sys.stderr.write(note)
        status = machine.on(CONSOLE).wait()
        while status == qemu.RESET_STATUS:
            status = machine.on(CONSOLE, reset=True).wait()
        return status
