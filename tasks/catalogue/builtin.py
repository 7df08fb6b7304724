"""The devices that come with the program: tables beside this file, one number a line, each with who says so.

devices.csv   name, vendor, kind, other names, notes      figures.csv   one number: device, column, value, sources, who says otherwise
prices.csv    one offer, of a whole instance, dated       sources.csv   what the short names of sources stand for
"""

import csv
from functools import cache
from pathlib import Path

from tasks.catalogue.columns import Entry, read_value
from tasks.catalogue.device import Figure
from tasks.catalogue.price import Price


@cache
def sources() -> dict[str, str]:
    """What each short name stands for, with the licence where one is known."""
    return {row["code"]: f"{row['what']} ({row['licence']})" if row["licence"] else row["what"] for row in _table("sources")}


@cache
def builtin() -> dict[str, Entry]:
    """What is known of each device, by name."""
    figures: dict[str, dict[str, Figure]] = {}
    for row in _table("figures"):
        said = tuple(sources()[code] for code in row["sources"].split(";"))
        figures.setdefault(row["device"], {})[row["figure"]] = Figure(read_value(row["figure"], row["value"]), said, row["conflict"])
    prices: dict[str, list[Price]] = {}
    for row in _table("prices"):
        prices.setdefault(row["device"], []).append(_price(row))
    return {row["name"]: Entry(row, figures.get(row["name"], {}), tuple(prices.get(row["name"], ()))) for row in _table("devices")}


def _price(row: dict[str, str]) -> Price:
    count = int(row["devices_per_instance"])
    where = (row["instance"], row["provider"], row["region"], row["date"], sources()[row["source"]])
    return Price(float(row["usd_per_hour"]) / count, count, *where)


def _table(name: str) -> list[dict[str, str]]:
    with (Path(__file__).parent / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
