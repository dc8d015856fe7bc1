# SPDX-License-Identifier: MIT
"""The errors hetoci reports.

    HetociError
    +-- UsageError               the command line is wrong
    +-- BundleError              config.json or the root file system is wrong
    |   +-- MetadataError        lists every bad key
    +-- PolicyDenied             lists every reason
    +-- DeviceError
    |   +-- DeviceNotFound       lists what exists
    |   +-- DeviceBusy           names the holder
    |   +-- BackendError         an operation on a device failed: op, path, errno
    |       +-- RemoteprocError
    |       +-- FpgaError
    |       +-- XenError
    |       +-- BackendTimeout
    +-- StateError               the container is not in a state that allows this
    |   +-- NoContainer
    +-- DelegateError            the delegate runtime cannot be used
    +-- TeardownError            everything that failed, after trying all

A message is one sentence for the person at the other end of the engine: what was wrong,
where, and (as the hint) what would be right. Any other exception is a bug of ours.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def printable(text: str) -> str:
    """`text` on one line, safe for a terminal and a log: other characters as Python escapes.

    Messages quote images and users, who may have put newlines or escape sequences there.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class HetociError(Exception):
    """Root of everything that is reported to the caller as one sentence and exit code 1."""

    def __init__(self, message: str, *, device: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.device = device
        self.hint = hint

    def __str__(self) -> str:
        return printable(f"{self.message}; {self.hint}" if self.hint else self.message)


class UsageError(HetociError):
    """The command line cannot be understood."""


class BundleError(HetociError):
    """The bundle's config.json or root file system is not usable."""


def _numbered(lead: str, reasons: Sequence[str]) -> str:
    """One sentence from one reason, a numbered list in one line from several."""
    if len(reasons) == 1:
        return f"{lead}: {reasons[0]}"
    return f"{lead}: " + "; ".join(f"({n}) {text}" for n, text in enumerate(reasons, 1))


class MetadataError(BundleError):
    """Keys of the image's or the user's metadata are wrong; `reasons` has every one of them."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(_numbered("bad metadata", reasons))
        self.reasons = tuple(reasons)


class PolicyDenied(HetociError):
    """What is asked for is understood but not allowed; `reasons` has every objection."""

    def __init__(self, lead: str, reasons: Sequence[str], *, device: str | None = None) -> None:
        super().__init__(_numbered(lead, reasons), device=device)
        self.reasons = tuple(reasons)


class DeviceError(HetociError):
    """Something about a device of the board."""


class DeviceNotFound(DeviceError):
    """No device fits; the message lists those that exist."""


class DeviceBusy(DeviceError):
    """The device has another holder, which the message names."""


class BackendError(DeviceError):
    """The kernel refused an operation on a device."""

    def __init__(
        self,
        message: str,
        *,
        op: str = "",
        path: str = "",
        errno: int = 0,
        device: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, device=device, hint=hint)
        self.op = op
        self.path = path
        self.errno = errno


class RemoteprocError(BackendError):
    """An operation on a remoteproc instance failed."""


class FpgaError(BackendError):
    """Programming or emptying a region or slot failed."""


class XenError(BackendError):
    """An operation on a Xen domain failed."""


class BackendTimeout(BackendError):
    """A device did not reach the wanted state in time."""


class StateError(HetociError):
    """The container's state does not allow the operation."""


class NoContainer(StateError):
    """There is no such container."""


class DelegateError(HetociError):
    """The runtime that plain containers are handed to cannot be used."""


class TeardownError(HetociError):
    """Parts of a teardown failed; all of it was tried. `failures` has each sentence."""

    def __init__(self, failures: Sequence[str]) -> None:
        super().__init__(_numbered("could not give everything back", failures))
        self.failures = tuple(failures)
