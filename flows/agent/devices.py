"""What could run a job: this machine as it was measured, which runs what is submitted, and the devices of the catalogue."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime

from flows.agent.faults import AgentError
from flows.agent.options import offer_of
from flows.agent.values import Device
from storage import expanded
from tasks import catalogue as known
from tasks.catalogue.machine import from_hardware
from tasks.catalogue.names import VENDORS, find, key
from tasks.errors import BadInput
from tasks.hardware import Hardware, available_memory, host_fingerprint, processor_name, recall, usable_cores

KINDS = ("cpu", "cuda")


def devices(name: str | None = None, own: str | None = None) -> list[Device]:
    """Every device in a fixed order, this machine first; those alone that a name, or part of one, may mean.

    `own` is the operator's file of devices and prices. Raises AgentError where a name means none, BadInput where that file makes no sense.
    """
    every = known.catalogue(expanded(own) if own else None)
    if name is None:
        return [*_this_machine(), *map(_of_catalogue, every)]
    here = [device for device in _this_machine() if _means(name, ("here", device.where, device.name))]
    return [*here, *map(_of_catalogue, _named(name, every, bool(here)))]


def _named(name: str, every: tuple[known.Device, ...], may_be_none: bool) -> list[known.Device]:
    found = [device for device in every if _means(name, (device.name, *device.aliases))]
    if found or may_be_none:
        return found
    try:
        return [find(name, every)]
    except BadInput as error:
        raise AgentError("unknown_device", str(error).partition("; or")[0], "call list_devices without name: it lists all") from None


def _means(name: str, names: tuple[str, ...]) -> bool:
    """Whether all parts of a name are in one of these."""
    parts = [key(part) for part in re.split(r"[^A-Za-z0-9+]+", name) if part and part.lower() not in VENDORS]
    return bool(parts) and any(all(part in key(one) for part in parts) for one in names)


def _of_catalogue(device: known.Device) -> Device:
    today = datetime.now(UTC).date()
    return Device(
        name=device.name,
        where="catalogue",
        kind=device.kind,
        vendor=device.vendor or None,
        memory_bytes=device.memory_bytes,
        flops=dict(device.peaks),
        measured=False,
        memory_bandwidth=device.memory_bandwidth,
        link_bandwidth=device.link_bandwidth,
        price=None if device.price is None else offer_of(device.price, today),
        conflicts=list(device.conflicts),
        note=_note(device, today),
    )


def _note(device: known.Device, today: date) -> str:
    return "; ".join(part for part in (device.notes, *device.cost_notes(today)) if part)


def _this_machine() -> Iterator[Device]:
    for kind in KINDS:
        hardware = recall(host_fingerprint(kind))
        if hardware is not None:
            yield _measured(hardware, kind)
        elif kind == "cpu":
            yield _unmeasured()


def _measured(hardware: Hardware, kind: str) -> Device:
    best: dict[str, float] = {}
    for layout in hardware.layouts:
        for name, rate in layout.rates.flops.items():
            best[name] = max(best.get(name, 0.0), rate * layout.workers)
    return Device(
        name=hardware.processor,
        where="this machine",
        kind=kind,
        cores=hardware.cores,
        memory_bytes=hardware.memory_bytes if kind == "cpu" else hardware.device_memory_bytes,
        flops=best,
        measured=True,
        memory_bandwidth=from_hardware(hardware).memory_bandwidth,
        note="rates of large blocks by the code that runs; a plan uses those of its own blocks",
    )


def _unmeasured() -> Device:
    return Device(
        name=processor_name(),
        where="this machine",
        kind="cpu",
        cores=usable_cores(),
        memory_bytes=available_memory(),
        flops={},
        measured=False,
        note="not measured yet: the first analyze does that, in some seconds",
    )
