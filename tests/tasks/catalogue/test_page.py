"""docs/hardware.md: its examples run and print what it shows, its files are read, its columns are all there are."""

import contextlib
import io
import re
from pathlib import Path

from tasks.catalogue import catalogue, find
from tasks.catalogue.cells import read_rows
from tasks.catalogue.columns import COLUMNS, PRICED, TEXTS
from tasks.catalogue.device import KINDS
from tasks.catalogue.kernels import references
from tasks.catalogue.span import GROUNDS
from tests.documents import ROOT, blocks

PAGE = ROOT / "docs/hardware.md"


def texts(language):
    return [block.text for block in blocks(PAGE) if block.language == language]


def test_the_examples_print_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (table,) = texts("csv")
    Path("devices.csv").write_text(table)
    printed, names = io.StringIO(), {"Path": Path}
    with contextlib.redirect_stdout(printed):
        for program in texts("python"):
            exec(program, names)
    assert printed.getvalue() == "".join(texts("text"))


def test_both_files_say_the_same(tmp_path):
    (table,), (tree,) = texts("csv"), texts("yaml")
    for name, text in (("own.csv", table), ("own.yaml", tree)):
        (tmp_path / name).write_text(text)
    rows = [[{key: cell.text for key, cell in row.items()} for row in read_rows(tmp_path / name)] for name in ("own.csv", "own.yaml")]
    assert rows[0] == rows[1]
    assert find("lab card", catalogue(tmp_path / "own.yaml")).memory_bandwidth == 936e9


def test_the_table_names_every_column_kind_and_ground():
    table = re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.MULTILINE)
    named = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    assert named - {*GROUNDS, "how"} == {*TEXTS, *COLUMNS, *PRICED}
    assert all(f"`{kind}`" in PAGE.read_text() for kind in KINDS if kind != "this machine")
    assert {"measured", "efficiency", "prior"} <= named & set(GROUNDS)


def test_its_figures_are_those_of_the_tables():
    text = PAGE.read_text()
    assert f"{len(catalogue())} accelerators and CPUs" in text
    for precision, low, high in (("bfloat16", 61, 91), ("fp8", 35, 68)):
        shares = [100 * row.efficiency[1] for row in references() if row.precision == precision]
        assert (round(min(shares)), round(max(shares))) == (low, high)
    assert sum(row.precision == "bfloat16" for row in references()) == 10
    assert sum(row.precision == "fp8" for row in references()) == 8
    assert {"bfloat16 products reach 61 to 91 %", "fp8 35 to 68 %"} <= {
        *re.findall(r"bfloat16 products reach \d+ to \d+ %|fp8 \d+ to \d+ %", text)
    }
    waves = {row.device: row.weights[1] for row in references() if row.precision == "bfloat16"}
    assert abs(waves["A100-SXM4-80GB"] - 1) < 0.05 and abs(waves["H100-SXM5-80GB"]) < 0.15 and abs(waves["B200-SXM-180GB"]) < 0.15
