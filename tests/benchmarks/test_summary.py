"""Ratios are made within a round; what was left out is said."""

import doctest

from benchmarks import summary
from benchmarks.case import Entry
from benchmarks.summary import comparison_rows, curve_rows, decisions, left_out, over, rows, text
from tests.benchmarks.samples import COMPARED, SMALL, comparison, curve, line, record


def test_ratios_are_within_a_round():
    floor, _, ours = comparison().lines
    ratio = over(ours, floor)
    assert (ratio.middle, ratio.low, ratio.high) == (1.0, 0.5, 2.0)


def test_a_comparison_has_seconds_both_ratios_start_and_memory():
    head, floor, ours = comparison_rows(comparison())
    assert head == ("", "seconds", "/ torch in memory", "/ gemmflow", "with start, s", "peak memory")
    assert floor == ("torch in memory", "2 (1 – 4)", "1", "1 (0.5 – 2)", "4", "1.00 MiB")
    assert ours == ("gemmflow", "2", "1 (0.5 – 2)", "1", "4", "1.00 MiB")


def test_the_fastest_in_memory_comes_first():
    entries = [Entry(name, name, SMALL) for name in ("torch in memory", "scipy in memory", "gemmflow")]
    made = record([line(entry, seconds) for entry, seconds in zip(entries, (2.0, 1.0, 3.0), strict=True)])
    head, *_, ours = comparison_rows(made)
    assert head[2:5] == ("/ scipy in memory", "/ torch in memory", "/ gemmflow")
    assert ours[2:5] == ("3", "1.5", "1")


def test_a_curve_has_a_line_for_each_place():
    assert curve_rows(curve()) == [
        ("n", "torch in memory", "gemmflow"),
        ("1024", "1.05 (1 – 1.1)", "1.05 (1 – 1.1)"),
        ("2048", "2.1 (2 – 2.2)", "2.1 (2 – 2.2)"),
    ]
    assert rows(curve("budget"))[1][0] == "1.00 KiB"


def test_who_was_left_out_is_named_with_the_reason():
    assert left_out(comparison()) == ["cubed: the package cubed is not installed"]
    assert "left out: cubed: the package cubed is not installed" in text(comparison())


def test_decisions_are_shown_with_their_place():
    assert decisions(comparison()) == ["gemmflow: float32"]
    assert decisions(curve()) == ["gemmflow at 1024: float32", "gemmflow at 2048: float32"]


def test_nothing_measured_is_said():
    assert rows(record([line(entry, left_out="no") for entry in COMPARED.entries])) == [("nothing was measured",)]


def test_without_gemmflow_there_is_no_ratio_to_it():
    head, *_ = comparison_rows(record([line(COMPARED.entries[0], 1.0)]))
    assert "/ gemmflow" not in head


def test_examples():
    assert doctest.testmod(summary).failed == 0
