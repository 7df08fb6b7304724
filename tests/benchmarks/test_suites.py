"""What is measured: names that fit together, and settings that mean something."""

import doctest
import re

import pytest

from benchmarks import suites
from benchmarks.contenders import CONTENDERS
from storage import CODECS, GOALS

CASES = {case.name: case for suite in suites.suites().values() for case in suite}


def test_no_two_cases_share_a_name():
    assert len(CASES) == sum(map(len, suites.suites().values()))
    assert all(re.fullmatch(r"[\w-]+", name) for name in CASES), "names are file names"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_entries_name_contenders_and_codecs_that_exist(case):
    for entry in case.entries:
        assert entry.contender in CONTENDERS
        assert entry.setting.codec in (*GOALS, *CODECS)
        assert (entry.at > 0) == bool(case.axis)
    assert len({(entry.series, entry.at) for entry in case.entries}) == len(case.entries)


@pytest.mark.parametrize("case", [case for case in CASES.values() if not case.axis], ids=lambda case: case.name)
def test_a_comparison_begins_with_the_floor_and_has_gemmflow(case):
    assert case.entries[0].series == "torch in memory"
    assert "gemmflow" in [entry.series for entry in case.entries]


@pytest.mark.parametrize(
    ("axis", "of"),
    [
        ("n", lambda setting: setting.shape[2]),
        ("k", lambda setting: setting.shape[1]),
        ("budget", lambda setting: setting.memory),
        ("workers", lambda setting: setting.cores),
    ],
)
def test_points_lie_where_their_settings_are(axis, of):
    assert all(entry.at == of(entry.setting) for entry in CASES[f"by-{axis}"].entries)


def test_examples():
    assert doctest.testmod(suites).failed == 0
