"""Devices, what they can do, what they cost, and how long a product takes on each.

price, device            an offer; a device with every number's source     columns   units, credible ranges, a row made a device
builtin                  the tables that come with the program: devices, figures, prices, sources .csv
cells -> own             the user's own file over them, refused with line and column
names                    the device that somebody means
machine                  this machine, measured
span                     a quantity with its interval and what it rests on
shape -> linear, kernels -> fitted -> timing      from a product's shape to its seconds; kernels.csv has what was measured on known devices

This package imports neither torch nor Dask: it answers while a person waits.
"""

from pathlib import Path

from tasks.catalogue.builtin import builtin
from tasks.catalogue.columns import made
from tasks.catalogue.device import KINDS, PRECISIONS, Device, Figure, Measured, Price
from tasks.catalogue.machine import NOTHING_MEASURED, this_machine
from tasks.catalogue.names import find
from tasks.catalogue.own import with_own

__all__ = [
    "KINDS",
    "NOTHING_MEASURED",
    "PRECISIONS",
    "Device",
    "Figure",
    "Measured",
    "Price",
    "catalogue",
    "find",
    "this_machine",
]


def catalogue(own: Path | None = None) -> tuple[Device, ...]:
    """All devices that are known, with what the user's own file says of them, or adds.

    Raises BadInput, with line and column, where that file makes no sense.
    """
    entries = builtin() if own is None else with_own(builtin(), own)
    return tuple(made(entry) for entry in entries.values())
