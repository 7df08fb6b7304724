"""The user's own devices and prices over those that come with the program: a field at a time where the name is known, else added."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from tasks.catalogue.cells import Cell, Row, read_rows
from tasks.catalogue.columns import COLUMNS, PRICED, TEXTS, Entry, read_value
from tasks.catalogue.device import KINDS, Figure
from tasks.catalogue.names import key
from tasks.catalogue.price import Price
from tasks.errors import BadInput

OFFERED = ("usd_per_hour", "devices_per_instance", "instance", "provider", "region", "date")
"""Columns of a price."""

DESCRIBED = ("vendor", "kind", "aliases", "notes")

OWN_KINDS = tuple(kind for kind in KINDS if kind != "this machine")

MEASURED = ("here", "this machine")
"""Names of this machine, which is measured."""


def with_own(known: Mapping[str, Entry], path: Path) -> dict[str, Entry]:
    """`known` with what the file says. Raises BadInput, with line and column, where it makes no sense."""
    entries = dict(known)
    names = {key(one): name for name, entry in known.items() for one in (name, *entry.texts.get("aliases", "").split("|")) if one}
    seen: dict[str, Cell] = {}
    for row in read_rows(path):
        cell = _name(row, path)
        _check_columns(row)
        if key(cell.text) in map(key, MEASURED):
            raise cell.refuse(f"{cell.text} is this machine, which is measured: give another name, or its price with --price-here")
        name = names.get(key(cell.text), cell.text)
        if key(name) in seen:
            raise cell.refuse(f"{cell.text} is there twice, first in line {seen[key(name)].line}")
        seen[key(name)] = cell
        entries[name] = _over(entries[name], row) if name in entries else _new(row)
    if not seen:
        raise BadInput(f"{path} names no device")
    return entries


def _name(row: Row, path: Path) -> Cell:
    if "name" in row and key(row["name"].text):
        return row["name"]
    where = next(iter(row.values()), None)
    raise where.refuse("this device has no name") if where else BadInput(f"{path} has a device without a name")


def _check_columns(row: Row) -> None:
    possible = (*TEXTS, *COLUMNS, *PRICED)
    for column, cell in row.items():
        if column not in possible:
            near = get_close_matches(column, possible, n=1, cutoff=0.0)[0]
            raise cell.refuse(f"there is no column {column}; the nearest is {near}, and all are in docs/hardware.md")


def _new(row: Row) -> Entry:
    name = row["name"]
    figures = _figures(row)
    if "kind" not in row:
        raise name.refuse(f"{name.text} is new, so it needs a kind: one of {', '.join(OWN_KINDS)}")
    if not any(column in figures for column in COLUMNS):
        raise name.refuse(f"{name.text} is new, and no number says what it can do")
    return Entry({"name": name.text, **_texts(row)}, figures, _prices(row))


def _over(entry: Entry, row: Row) -> Entry:
    return replace(
        entry,
        texts={**entry.texts, **_texts(row)},
        figures={**entry.figures, **_figures(row)},
        prices=_prices(row) or entry.prices,
    )


def _texts(row: Row) -> dict[str, str]:
    kind = row.get("kind")
    if kind is not None and kind.text not in OWN_KINDS:
        raise kind.refuse(f"{kind.text} is no kind: one of {', '.join(OWN_KINDS)}")
    return {column: row[column].text for column in DESCRIBED if column in row}


def _figures(row: Row) -> dict[str, Figure]:
    return {column: Figure(_number(row[column], column), (_source(row, row[column]),)) for column in COLUMNS if column in row}


def _prices(row: Row) -> tuple[Price, ...]:
    if "usd_per_hour" not in row:
        stray = next((row[column] for column in OFFERED if column in row), None)
        if stray is not None:
            raise stray.refuse("a price needs usd_per_hour")
        return ()
    cell = row["usd_per_hour"]
    count = int(_number(row["devices_per_instance"], "devices_per_instance")) if "devices_per_instance" in row else 1
    words = (row[column].text if column in row else "" for column in ("instance", "provider", "region", "date"))
    usd = _number(cell, "usd_per_hour")
    try:
        return (Price(usd, count, *words, source=_source(row, cell)),)
    except BadInput as error:
        raise row.get("date", cell).refuse(str(error)) from None


def _number(cell: Cell, column: str) -> float:
    try:
        return read_value(column, cell.text)
    except ValueError as error:
        raise cell.refuse(f"{column}: {error}") from None


def _source(row: Row, cell: Cell) -> str:
    return row["source"].text if "source" in row else f"{cell.path}, line {cell.line}"
