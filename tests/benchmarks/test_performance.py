"""docs/performance.md is what the records give: no figure in it is written by hand."""

from dataclasses import replace
from html import unescape

from benchmarks.performance import PAGE, in_order, picture, render, write
from benchmarks.plots import described, description
from benchmarks.record import load, newest
from benchmarks.saved import RESULTS
from tests.benchmarks.samples import MACHINE, comparison, curve

AGAIN = "run `python -m benchmarks.performance`"


def test_the_page_is_what_the_records_give():
    assert PAGE.read_text() == render(newest(load(RESULTS)), PAGE.stem, ".."), AGAIN


def test_the_pictures_are_what_the_records_give():
    shown = [record for cases in newest(load(RESULTS)).values() for record in cases.values() if record.measured]
    there = {path.name: unescape(description(path.read_text())) for path in PAGE.with_suffix("").glob("*.svg")}
    assert there == {picture(record): described(record) for record in shown}, AGAIN


def test_a_page_shows_every_case_of_every_machine(tmp_path):
    elsewhere = replace(MACHINE, processor="Another", flags=())
    records = [comparison(), curve("k"), comparison(machine=elsewhere)]
    write(records, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert page.count("\n## ") == 4, "how, limits, and two machines"
    assert page.count("### 48 × 64 × 80") == 2
    assert "- cubed: the package cubed is not installed" in page
    assert "| gemmflow | 2 | 1 (0.5 – 2) | 1 | 4 | 1.00 MiB |" in page
    assert "OMP_PROC_BIND=true" in page
    assert all((tmp_path / "page" / picture(record)).exists() for record in records)


def test_writing_again_changes_nothing_and_forgets_what_is_gone(tmp_path):
    page = tmp_path / "page.md"
    write([comparison(), curve()], page)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    write([curve(), comparison()], page)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    write([comparison()], page)
    assert [path.name for path in (tmp_path / "page").iterdir()] == [picture(comparison())]


def test_without_records_the_page_says_so(tmp_path):
    write([], tmp_path / "page.md")
    assert "Nothing was measured in this form yet." in (tmp_path / "page.md").read_text()


def test_cases_stand_in_the_order_of_the_suites():
    cases = {record.case: record for record in (comparison(), curve("k"), curve("n"))}
    assert [record.case for record in in_order(cases)] == ["by-n", "by-k", "made-up"]
