# SPDX-License-Identifier: MIT
"""reap: give back what no living container owns."""

from __future__ import annotations

import os
import sys

from .. import cgroup, claims, state, verbs
from ..errors import DeviceBusy, HetociError, TeardownError
from ..host import explain
from ..model import OCCUPIED_STATES, Holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from ..cmdline import CommandLine
    from ..host import Host
    from ..state import Record

#: Kinds of devices.
KINDS = CORES, FABRICS, ENDPOINTS = ("cores", "fabrics", "endpoints")


def reap(host: Host, line: CommandLine) -> int:
    """`reap`: find and give back, and bring the CDI files up to date; one line on stdout for
    each thing given back."""
    done, failures = sweep(host, thorough=True)
    if line.flag("quiet", "q"):
        done = []
    sys.stdout.write("".join(f"{text}\n" for text in done))
    from .. import cdi, config

    try:
        cdi.refresh(host, config.load(host))
    except HetociError as error:
        if not failures:
            raise
        failures.append(str(error))
    if failures:
        raise TeardownError(failures)
    return 0


def quick(host: Host, kinds: Container[str]) -> None:
    """What create does first, so that a container that died badly does not block the next.
    What fails here is reported by whoever needs the device. kinds: as `sweep`."""
    sweep(host, thorough=False, kinds=kinds)


def sweep(
    host: Host, *, thorough: bool, kinds: Container[str] = KINDS
) -> tuple[list[str], list[str]]:
    """Give back everything without a living owner; (what was done, what failed).

    thorough: also forget stopped containers whose bundle is gone, that is whose engine will
    never ask for them again. kinds: of KINDS, the devices of the board that are looked at, which
    takes the modules of their backends; what records name and domains are looked at always.
    """
    done: list[str] = []
    failures: list[str] = []
    attributes: dict[str, Mapping[str, str]] = {}
    for record in list(state.records(host)):
        orphaned = thorough and not host.exists(record.data["bundle"])
        try:
            if record.kind == "firmware":
                said = _firmware(host, record, attributes, orphaned=orphaned)
            else:
                said = verbs.load(record.kind).reap(host, record, orphaned=orphaned)
        except TeardownError as error:
            failures += error.failures
            continue
        if said:
            done.append(said)
    if CORES in kinds:
        _free_cores(host, attributes, done, failures)
    _free_others(host, kinds, done, failures)
    _destroy_domains(host, done, failures)
    done += _remove_leftovers(host)
    return done, failures


def _firmware(
    host: Host, record: Record, attributes: dict[str, Mapping[str, str]], *, orphaned: bool
) -> str:
    if record.keeper or record.being_created:
        return ""
    attributes[record.core] = record.data["attributes"]
    if not (record.abandoned or orphaned):
        return ""
    failures = free_core(host, record.core, record.data["attributes"])
    if record.data["cgroup"]:
        cgroup.remove(host, record.data["cgroup"])
    record.remove()
    if failures:
        raise TeardownError(failures)
    return f"forgot container {record.id}, which nobody owns"


def _free_cores(
    host: Host, attributes: Mapping[str, Mapping[str, str]], done: list[str], failures: list[str]
) -> None:
    for instance in _ours(host):
        if claims.holder_of(host, f"remoteproc.{instance}") is None:
            trouble = free_core(host, instance, attributes.get(instance, {}))
            failures += trouble
            if not trouble:
                done.append(f"freed core {instance}")


def _free_others(host: Host, kinds: Container[str], done: list[str], failures: list[str]) -> None:
    """Regions, slots and endpoints with something of ours in them that nobody holds."""
    from .. import backends

    names: list[str] = []
    if FABRICS in kinds:
        names += backends.fabric_names(host)
    if ENDPOINTS in kinds:
        names += backends.OTHERS
    for name in names:
        try:
            backend = backends.load(host, name)
            keys = backend.leftovers(host)
        except HetociError as error:
            failures.append(str(error))
            continue
        for key in keys:
            try:
                claim = claims.take_back(host, key, "", "")
            except DeviceBusy:
                continue
            try:
                backend.clear(host, key)
                done.append(f"freed {key.partition('.')[2]}")
            except HetociError as error:
                failures.append(str(error))
            finally:
                claim.give_up()


def _destroy_domains(host: Host, done: list[str], failures: list[str]) -> None:
    """Domains with a name of ours that no record knows."""
    if not host.exists("/proc/xen/capabilities"):
        return
    from ..backends import xen
    from ..domain.store import Store

    try:
        store = Store(host)
    except HetociError:
        return
    try:
        known = {record.data["domain"] for record in state.records(host) if record.kind == "domain"}
        for name in xen.ours(store).keys() - known:
            xen.destroy(host, name)
            done.append(f"destroyed domain {name}, which nobody owns")
    except HetociError as error:
        failures.append(str(error))
    finally:
        store.close()


def _ours(host: Host) -> list[str]:
    """Cores that run firmware of ours or for which some is staged."""
    from ..backends import remoteproc

    return [
        name
        for name in host.listing(remoteproc.CLASS)
        if remoteproc.is_staged(host, name)
        or (remoteproc.runs_ours(host, name) and remoteproc.state(host, name) in OCCUPIED_STATES)
    ]


def free_core(host: Host, instance: str, attributes: Mapping[str, str]) -> list[str]:
    """Stop the core if it runs firmware of ours that nobody holds, remove what is staged for
    it and put its sysfs attributes back; what failed, in sentences."""
    from ..backends import remoteproc

    if not remoteproc.is_staged(host, instance) and not remoteproc.runs_ours(host, instance):
        return []
    start = host.start_time(os.getpid()) or ""
    try:
        claim = claims.acquire(
            host, f"remoteproc.{instance}", Holder(claims.REAPER, "", os.getpid(), start)
        )
    except DeviceBusy:  # it has a new owner already
        return []
    failures = []
    try:
        if remoteproc.runs_ours(host, instance):
            remoteproc.stop(host, instance)
            remoteproc.restore(host, instance, attributes)
            remoteproc.keep_on_release(host, instance)
        remoteproc.unstage(host, instance)
    except HetociError as error:
        failures.append(str(error))
    except OSError as error:
        failures.append(f"cannot free core {instance}: {explain(error)}")
    finally:
        claim.give_up()
    return failures


def _remove_leftovers(host: Host) -> list[str]:
    done = []
    for path in list(state.leftovers(host)):
        try:
            host.remove_tree(path)
        except OSError:  # somebody else is at it
            continue
        done.append(f"removed {path}")
    return done
