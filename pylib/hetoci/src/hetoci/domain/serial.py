# SPDX-License-Identifier: MIT
"""A domain's console: the pseudo-terminal that xenconsoled makes for it, of Xen's own console or of
an emulated UART (SBSA, the registers of a PL011 that such drivers use)."""

from __future__ import annotations

import os
import select
import time

from ..errors import XenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host
    from .sessions import Session
    from .store import Store

#: Kind -> its node below the domain's.
_PLACES = {"pv": "console", "vuart": "vuart/0"}

_TAIL = 4096
_LAST_LINES = 4

#: How long xenconsoled may take to say where the terminal is, s.
_PATIENCE = 5.0


class Serial:
    """The console of domain number `domain`. It is the container's output and input, or kept for
    what a kernel that fails said last."""

    def __init__(
        self, host: Host, store: Store, domain: int, poller: select.poll, kind: str = "pv"
    ) -> None:
        """Raises XenError if there is no console."""
        deadline = time.monotonic() + _PATIENCE
        while not (path := store.read(f"/local/domain/{domain}/{_PLACES[kind]}/tty")):
            if time.monotonic() > deadline:
                raise XenError(
                    f"domain {domain} has no console", hint="xenconsoled has to run in dom0"
                )
            time.sleep(0.005)
        try:
            self._descriptor = host.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise XenError(f"the console {path} cannot be opened: {error.strerror}") from error
        self._poll = poller
        self._kept = b""
        self._session: Session | None = None
        self._input = True
        self.spoke = False

    def keep_tail(self) -> None:
        """Read it, and keep the end."""
        self._poll.register(self._descriptor, select.POLLIN)

    def begin(self, session: Session) -> None:
        """From now on it is the output and input of `session`."""
        self._session = session
        self.keep_tail()
        self._poll.register(session.descriptors[0], select.POLLIN)

    def event(self, descriptor: int) -> bool:
        """Handle what poll(2) reports; False if it is not about the console."""
        if descriptor == self._descriptor:
            if self._read() is False:
                self._poll.unregister(self._descriptor)
            return True
        if self._session is None or descriptor != self._session.descriptors[0]:
            return False
        try:
            data = os.read(descriptor, 1024)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(descriptor)
        try:
            os.write(self._descriptor, data)
        except OSError:  # the guest takes no more: input is lost, as on a serial line
            pass
        return True

    def _read(self) -> bool | None:
        """True if there was something, False if there will be nothing any more."""
        try:
            data = os.read(self._descriptor, 4096)
        except BlockingIOError:
            return None
        except OSError:
            return False
        if not data:
            return False
        self.spoke = True
        self._kept = (self._kept + data)[-_TAIL:]
        if self._session is not None:
            self._session.output(1, data)
        return True

    def settle(self) -> None:
        """Write what the reader takes."""
        if self._session is not None:
            self._session.write_out()

    def drain(self) -> None:
        """Read what is left."""
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline and self._read() is not False:
            waiter = select.poll()
            waiter.register(self._descriptor, select.POLLIN)
            if not waiter.poll(100):
                return

    def tail(self) -> str:
        """The last lines in one, with ` | ` between."""
        lines = [line.strip() for line in self._kept.decode("utf-8", "replace").splitlines()]
        return " | ".join([line for line in lines if line][-_LAST_LINES:])
