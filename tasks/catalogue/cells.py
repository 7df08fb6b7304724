"""A table that somebody wrote, as CSV or YAML, cell by cell with its place, so that a refusal can say where."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tasks.errors import BadInput
from tasks.yaml_file import read_yaml

ADVICE = ": name a CSV or YAML file with devices (docs/hardware.md)"

EMPTY = "tag:yaml.org,2002:null"


@dataclass(frozen=True)
class Cell:
    """What stands somewhere, stripped."""

    text: str
    path: Path
    line: int
    """From 1."""
    column: int
    """From 1: the field of a CSV row, the character of a YAML line."""

    def refuse(self, why: str) -> BadInput:
        """The error to raise for it."""
        return BadInput(f"{self.path}, line {self.line}, column {self.column}: {why}")


Row = dict[str, Cell]
"""Cells by the name of their column; those that say nothing are left out."""


def read_rows(path: Path) -> list[Row]:
    """All rows of a file. Raises BadInput where it cannot be read, or is no table."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return list(_yaml_rows(path))
    if path.suffix.lower() == ".csv":
        return list(_csv_rows(path))
    raise BadInput(f"{path} is neither .csv nor .yaml{ADVICE}")


def _csv_rows(path: Path) -> Iterator[Row]:
    lines = list(_csv_lines(path))
    if not lines:
        raise BadInput(f"{path} is empty{ADVICE}")
    (first, head), *rest = lines
    names = [Cell(name.strip().lower(), path, first, place) for place, name in enumerate(head, 1)]
    if len(names) == 1 and any(mark in names[0].text for mark in ";\t|"):
        raise names[0].refuse("the columns are not separated by commas")
    for cell in names:
        if [other.text for other in names].count(cell.text) > 1:
            raise cell.refuse(f"the column {cell.text or 'without a name'} is there twice")
    for line, values in rest:
        cells = [Cell(value.strip(), path, line, place) for place, value in enumerate(values, 1)]
        if len(cells) > len(names):
            raise cells[len(names)].refuse(f"{len(cells)} values in a table of {len(names)} columns")
        yield {name.text: cell for name, cell in zip(names, cells, strict=False) if cell.text}


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines that say something, with their numbers."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for values in reader:
                if any(value.strip() for value in values) and not values[0].lstrip().startswith("#"):
                    yield reader.line_num, values
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}){ADVICE}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no CSV: {error}") from None


def _yaml_rows(path: Path) -> Iterator[Row]:
    read_yaml(path, ADVICE)  # refuses what is no YAML, and what is given twice
    node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    if isinstance(node, yaml.MappingNode) and [key.value for key, _ in node.value] == ["devices"]:
        node = node.value[0][1]
    if not isinstance(node, yaml.SequenceNode):
        raise BadInput(f"{path} has no list of devices{ADVICE}")
    for item in node.value:
        if not isinstance(item, yaml.MappingNode):
            raise _cell(path, item).refuse("a device is written as name: value lines")
        yield {str(key.value).lower(): _scalar(path, value) for key, value in item.value if value.tag != EMPTY}


def _scalar(path: Path, node: yaml.Node) -> Cell:
    cell = _cell(path, node)
    if not isinstance(node, yaml.ScalarNode):
        raise cell.refuse("a single value is wanted, not a list")
    return cell


def _cell(path: Path, node: yaml.Node) -> Cell:
    return Cell(str(node.value).strip(), path, node.start_mark.line + 1, node.start_mark.column + 1)
