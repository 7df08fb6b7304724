"""Everybody in turn: what is kept of each round, and what becomes of those who fail."""

import sys
from contextlib import nullcontext
from dataclasses import replace

import pytest

from benchmarks import compare
from benchmarks.contenders import Failed
from benchmarks.record import load
from tests.benchmarks.samples import COMPARED, run


@pytest.fixture
def played(monkeypatch):
    """A world in which contenders only say their turn; the list of turns."""
    turns: list[str] = []

    def launch(name, folder, setting):
        turns.append(name)
        return run(float(len(turns)))

    monkeypatch.setattr(compare, "launch", launch)
    monkeypatch.setattr(compare, "settled", lambda folder: nullcontext())
    monkeypatch.setattr(compare, "spot_error", lambda folder, product: 1e-8)
    monkeypatch.setattr(compare, "lacking", lambda name: "")
    monkeypatch.setattr(compare.machine, "versions", dict)
    return turns


def test_the_order_turns_every_round_and_the_first_one_does_not_count(played, tmp_path):
    record = compare.measure(replace(COMPARED, rounds=2), tmp_path)
    names = [entry.contender for entry in COMPARED.entries]
    assert played == names[::-1] + names + names[::-1]
    assert [line.seconds for line in record.lines] == [[4.0, 9.0], [5.0, 8.0], [6.0, 7.0]]
    assert [line.spot_error for line in record.lines] == [None, 1e-8, 1e-8]
    assert not list(tmp_path.iterdir()), "inputs go"


def test_who_cannot_run_here_is_named(played, tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "lacking", lambda name: "it is not here" * (name == "cubed"))
    record = compare.measure(replace(COMPARED, rounds=1), tmp_path)
    assert "cubed" not in played
    assert record.lines[1].left_out == "it is not here"
    assert [line.series for line in record.measured] == ["torch in memory", "gemmflow"]


def test_who_fails_once_is_left_out_from_then_on(played, tmp_path, monkeypatch):
    whole = compare.launch

    def launch(name, folder, setting):
        found = whole(name, folder, setting)
        if name == "cubed" and played.count("cubed") == 2:
            raise Failed("MemoryError: too much")
        return found

    monkeypatch.setattr(compare, "launch", launch)
    record = compare.measure(COMPARED, tmp_path)
    assert (record.lines[1].runs, record.lines[1].left_out) == ((), "MemoryError: too much")
    assert played.count("cubed") == 2
    assert len(record.lines[2].runs) == COMPARED.rounds


@pytest.mark.parametrize("error", [1e-3, float("nan")])
def test_a_wrong_product_does_not_count(played, tmp_path, monkeypatch, error):
    monkeypatch.setattr(compare, "spot_error", lambda folder, product: error)
    record = compare.measure(COMPARED, tmp_path)
    assert [line.series for line in record.measured] == ["torch in memory"]
    assert "its product is wrong" in record.lines[2].left_out


def test_unknown_cases_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare", "quick", "--case", "nonsense"])
    with pytest.raises(SystemExit):
        compare.main()
    assert "nonsense: quick has 4096" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tiny_suite_runs(monkeypatch, tmp_path, capsys):
    (tmp_path / "scratch").mkdir()
    words = ["compare", "tiny", "--rounds", "1", "--scratch", f"{tmp_path}/scratch", "--results", f"{tmp_path}/results"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr("benchmarks.settled.MOST_HELD", 1 << 20)
    compare.main()
    records = {record.case: record for record in load(tmp_path / "results")}
    assert set(records) == {"tiny", "tiny-by-k"}
    for record in records.values():
        assert all(len(line.runs) == 1 or "not installed" in line.left_out for line in record.lines), record
    assert "/ torch in memory" in capsys.readouterr().out
    assert not list((tmp_path / "scratch").iterdir())
