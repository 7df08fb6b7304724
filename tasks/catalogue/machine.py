"""This machine as a device: measured, not looked up. Its rates are those that `gemmflow calibrate`, or the first run, left behind."""

from dataclasses import replace

from tasks.catalogue.device import Device, Measured
from tasks.catalogue.price import Price
from tasks.hardware import THICK, THIN, Hardware, Layout, host_fingerprint, recall

NOTHING_MEASURED = "nothing was measured on this machine yet: run `gemmflow calibrate`"

NAME = "this machine"


def this_machine(usd_per_hour: float | None = None, device: str = "cpu") -> Device | None:
    """What was measured here, all workers together; None where nothing was (NOTHING_MEASURED says what to do).

    `device` is cpu or cuda. Raises BadInput where the price is none.
    """
    hardware = recall(host_fingerprint(device))
    if hardware is None:
        return None
    made = from_hardware(hardware)
    return made if usd_per_hour is None else replace(made, price=Price(usd_per_hour, source="told on the command line"))


def from_hardware(hardware: Hardware) -> Device:
    """A calibration as a device: of each rate, that of the layout that has most of it."""
    layouts = hardware.layouts
    measured = {name: _fastest(layouts, name) for name in dict.fromkeys(name for layout in layouts for name in layout.rates.kernels)}
    memory = hardware.device_memory_bytes if hardware.device == "cuda" else hardware.memory_bytes
    return Device(
        name=NAME,
        vendor=hardware.processor,
        kind="this machine",
        peaks={name: rates.thick for name, rates in measured.items()},
        memory_bytes=memory,
        memory_bandwidth=max(layout.workers * layout.rates.copy for layout in layouts),
        notes=f"{hardware.processor}, {hardware.cores} cores, measured",
        measured=measured,
        storage={
            "read": max(layout.workers * layout.rates.uncached for layout in layouts),
            "write": max(layout.workers * layout.rates.write for layout in layouts),
        },
    )


def _fastest(layouts: tuple[Layout, ...], arithmetic: str) -> Measured:
    able = [layout for layout in layouts if arithmetic in layout.rates.kernels]
    rates = [tuple(layout.workers * layout.rates.speed(arithmetic, edge) for edge in (THICK, THIN)) for layout in able]
    return Measured(*max(rates))
