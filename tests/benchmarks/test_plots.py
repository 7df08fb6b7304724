"""Pictures stand alone, say their figures, and come out the same every time."""

import re
import xml.etree.ElementTree as ElementTree
from html import unescape
from itertools import pairwise

import pytest

from benchmarks.plots import BETWEEN_NAMES, _apart, described, description, plot
from tests.benchmarks.samples import comparison, curve

RECORDS = {"comparison": comparison(), **{axis: curve(axis) for axis in ("n", "k", "budget", "workers")}}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_picture_is_a_small_file_of_its_own(record):
    svg = plot(record)
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(--" not in svg
    assert "nan" not in svg.lower()
    assert len(svg) < 30_000
    assert unescape(description(svg)) == described(record)
    for line in record.measured:
        assert line.series in re.findall(r">([^<>]+)</text>", svg)


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_the_same_record_gives_the_same_picture(record):
    assert plot(record) == plot(record)


def test_names_never_lie_on_one_another_and_stay_inside():
    ends = {str(number): 2.2 for number in range(6)} | {"low": 1.0}
    heights = sorted(_apart(ends, curve()).values())
    assert all(upper - lower >= BETWEEN_NAMES * 0.999 for lower, upper in pairwise(heights))
    assert heights[-1] <= 1.0
