"""Records come back from their files as they were, and the newest one counts."""

from dataclasses import replace

from benchmarks.record import load, newest, save
from tests.benchmarks.samples import MACHINE, comparison, curve


def test_a_record_comes_back_as_it_was(tmp_path):
    for made in (comparison(), curve("budget")):
        save(made, tmp_path)
    (tmp_path / "2026-11-25-compare.json").write_text("{}")
    assert set(map(repr, load(tmp_path))) == {repr(comparison()), repr(curve("budget"))}


def test_one_file_a_day_and_case(tmp_path):
    assert save(comparison(), tmp_path).name == "2026-11-25-bench-made-up.json"
    save(comparison(date="2026-11-25T13:00:00"), tmp_path)
    save(comparison(date="2026-11-26T13:00:00"), tmp_path)
    assert [record.date[8:13] for record in load(tmp_path)] == ["25T13", "26T13"]


def test_the_newest_of_each_case_and_machine_is_taken():
    old, new = comparison(date="2026-01-01T00:00:00"), comparison(date="2026-01-02T00:00:00")
    elsewhere = comparison(machine=replace(MACHINE, cores=2), date="2025-01-01T00:00:00")
    assert newest([new, old, elsewhere]) == {
        "made-up-9000-avx512_bf16-4": {"made-up": new},
        "made-up-9000-avx512_bf16-2": {"made-up": elsewhere},
    }
