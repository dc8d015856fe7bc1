# SPDX-License-Identifier: MIT
"""Patience with a QEMU that has gigabytes to give back.

LAVA ends it by pexpect, which waits a tenth of a second after each signal, SIGKILL too, and then
calls the job failed; on a busy host that is too short.
"""

try:
    from ptyprocess import PtyProcess  # type: ignore[import-untyped]
except ImportError:  # a Python that is not LAVA's
    pass
else:
    _init = PtyProcess.__init__

    def _patient(self: PtyProcess, pid: int, fd: int) -> None:
        _init(self, pid, fd)
        self.delayafterterminate = 1.0

    PtyProcess.__init__ = _patient
