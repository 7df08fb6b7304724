"""docs/performance.md and its pictures, made of the records in benchmarks/results and of nothing else.

    python -m benchmarks.performance [--results DIR] [--page FILE]

Of each machine and case the newest record is shown. The prose is in `templates/performance.md`; no figure is written by hand,
and a test compares the page with what the records give.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.machine import ROOT
from benchmarks.plots import plot
from benchmarks.record import Machine, Record, load, newest
from benchmarks.saved import RESULTS
from benchmarks.suites import suites
from benchmarks.summary import decisions, left_out, rows
from tasks.tables import markdown
from tasks.units import format_bytes

PAGE = ROOT / "docs" / "performance.md"


@dataclass(frozen=True)
class Section:
    """A case of a machine, as the page shows it."""

    record: Record
    table: str
    picture: str
    """Path from the page; empty where nothing was measured."""
    left_out: list[str]
    decisions: list[str]
    wrong: float
    """Largest normwise error of the products that were looked at."""


def main() -> None:
    """Write page and pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    write(load(options.results), options.page)
    print(f"wrote {options.page}")


def write(records: Iterable[Record], page: Path) -> None:
    """The page, and its pictures in a folder of its name; pictures of cases that are gone go, too."""
    found = newest(records)
    pictures = page.with_suffix("")
    for old in pictures.glob("*.svg"):
        old.unlink()
    for record in (record for cases in found.values() for record in cases.values() if record.measured):
        pictures.mkdir(parents=True, exist_ok=True)
        (pictures / picture(record)).write_text(plot(record))
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render(found, pictures.name, relpath(ROOT, page.parent)))


def render(found: dict[str, dict[str, Record]], folder: str, root: str) -> str:
    """The page; `folder` is where its pictures are and `root` where this repository is, both seen from it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    machines = [(_facts(cases), [_section(record, folder) for record in in_order(cases)]) for _, cases in sorted(found.items())]
    return environment.get_template("performance.md").render(machines=machines, root=root, bytes=format_bytes, items=_items).rstrip() + "\n"


def in_order(cases: dict[str, Record]) -> list[Record]:
    """As the suites name them, then what they do not name."""
    order = [case.name for suite in suites().values() for case in suite]
    return [cases[name] for name in [*order, *sorted(set(cases) - set(order))] if name in cases]


def picture(record: Record) -> str:
    """File name of its picture."""
    return f"{record.machine.slug}-{record.case}.svg"


def _section(record: Record, folder: str) -> Section:
    where = f"{folder}/{picture(record)}" if record.measured else ""
    wrong = max((line.spot_error or 0.0 for line in record.measured), default=0.0)
    return Section(record, markdown(rows(record)), where, left_out(record), decisions(record), wrong)


def _items(table: dict[str, str], between: str) -> str:
    return ", ".join(f"{name}{between}{value}" for name, value in table.items())


def _facts(cases: dict[str, Record]) -> Machine:
    return max(cases.values(), key=lambda record: record.date).machine


if __name__ == "__main__":
    main()
