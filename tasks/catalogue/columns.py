"""The columns of a catalogue, in the units of data sheets: what may stand in each, and how a device is made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from tasks.catalogue.device import PRECISIONS, Device, Figure, cheapest
from tasks.catalogue.price import Price

TERA, GIGA = 1e12, 1e9


@dataclass(frozen=True)
class Column:
    """A number's unit and the range in which it is credible."""

    unit: str
    low: float
    high: float


PEAKS = {name: f"{name}_{'tops' if name == 'int8' else 'tflops'}" for name in PRECISIONS}
"""Column of each precision."""

COLUMNS = {
    **{column: Column(f"{'TOP' if column.endswith('tops') else 'TFLOP'}/s, dense", 1e-3, 1e5) for column in PEAKS.values()},
    "best_bfloat16_tflops": Column("TFLOP/s, measured", 1e-3, 1e5),
    "memory_gb": Column("GB", 0.25, 1e5),
    "memory_gbps": Column("GB/s", 1, 1e5),
    "link_gbps": Column("GB/s, one way", 0.1, 1e4),
    "multiprocessors": Column("multiprocessors", 1, 1e5),
}
"""Those that say what a device can do."""

PRICED = {
    "usd_per_hour": Column("dollars an hour for one device", 0, 1e4),
    "devices_per_instance": Column("devices", 1, 4096),
}

TEXTS = ("name", "vendor", "kind", "aliases", "notes", "instance", "provider", "region", "date", "source")

WHOLE = ("multiprocessors", "devices_per_instance")


def read_value(column: str, text: str) -> float:
    """The number that a cell says. Raises ValueError with what is wrong with it.

    >>> read_value("bfloat16_tflops", "989e12")
    Traceback (most recent call last):
    ...
    ValueError: 989e12 TFLOP/s, dense are not credible (0.001 to 100000): is it written in another unit?
    """
    allowed = COLUMNS.get(column) or PRICED[column]
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text} is no number; write {allowed.unit} without a unit") from None
    if not isfinite(value) or not allowed.low <= value <= allowed.high:
        raise ValueError(f"{text} {allowed.unit} are not credible ({allowed.low:g} to {allowed.high:g}): is it written in another unit?")
    if column in WHOLE and value != int(value):
        raise ValueError(f"{text} {allowed.unit} are not credible: write a whole number")
    return value


@dataclass(frozen=True)
class Entry:
    """What is known of a device, column by column."""

    texts: Mapping[str, str]
    """Name, vendor, kind, aliases, notes."""
    figures: Mapping[str, Figure]
    prices: tuple[Price, ...] = ()


def made(entry: Entry) -> Device:
    """The device; raises BadInput where its kind is none."""
    values = {name: figure.value for name, figure in entry.figures.items()}
    units = values.get("multiprocessors")
    memory = values.get("memory_gb")
    return Device(
        name=entry.texts["name"],
        vendor=entry.texts.get("vendor", ""),
        kind=entry.texts.get("kind", ""),
        peaks={name: values[column] * TERA for name, column in PEAKS.items() if column in values},
        memory_bytes=None if memory is None else int(memory * GIGA),
        memory_bandwidth=_rate(values.get("memory_gbps")),
        link_bandwidth=_rate(values.get("link_gbps")),
        price=cheapest(entry.prices),
        prices=entry.prices,
        multiprocessors=None if units is None else int(units),
        aliases=tuple(filter(None, entry.texts.get("aliases", "").split("|"))),
        notes=entry.texts.get("notes", ""),
        figures=entry.figures,
        best=_best(values),
    )


def _best(values: Mapping[str, float]) -> dict[str, float]:
    """What the fastest product reached, also for float16 where the units compute it at the same rate."""
    if "best_bfloat16_tflops" not in values:
        return {}
    best, same = values["best_bfloat16_tflops"] * TERA, values.get(PEAKS["float16"]) == values.get(PEAKS["bfloat16"])
    return dict.fromkeys(("bfloat16", "float16") if same else ("bfloat16",), best)


def _rate(gigabytes: float | None) -> float | None:
    return None if gigabytes is None else gigabytes * GIGA
