import doctest
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import units
from tasks.units import format_bytes, format_count, format_seconds, parse_bytes, round_up


def test_the_examples_of_the_documentation_hold():
    assert doctest.testmod(units).failed == 0


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("12", 12),
        ("12B", 12),
        ("1k", 1000),
        ("1Ki", 1024),
        ("4GiB", 4 * 2**30),
        ("4 gib", 4 * 2**30),
        ("4GB", 4 * 10**9),
        ("0.5TiB", 2**39),
        (" 1.5 MiB ", 3 * 2**19),
        ("9007199254740993", 2**53 + 1),
        (7, 7),
    ],
)
def test_sizes_are_read_as_people_write_them(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "GiB", "4 GiBi", "-1GiB", "1e3", "4,5GiB", "nan", "inf", "4GiB\n4", 1.5, None, True, [1]])
def test_what_is_no_size_is_refused_by_name(text):
    with pytest.raises(ValueError, match="is not a size"):
        parse_bytes(text)


LARGER = {"PiB": 2**10, "EiB": 2**20, "ZiB": 2**30, "YiB": 2**40}
"""Times a TiB: no file is as large, so nobody types these."""


@given(st.integers(0, 2**59) | st.integers(2**59, 2**89))
def test_a_printed_size_is_within_half_a_per_cent_and_reads_back(count):
    text = format_bytes(count)
    number, unit = text.split()
    size = parse_bytes(f"{number}TiB") * LARGER[unit] if unit in LARGER else parse_bytes(text)
    assert abs(size - count) <= 0.005 * count + 0.5
    assert float(number) < 1024
    assert len(number.replace(".", "")) <= 4


@given(st.floats(0, 1e23) | st.floats(1e23, 9e32))
def test_a_printed_count_has_at_most_three_digits_before_its_prefix(count):
    number = format_count(count, "FLOP").split()[0]
    assert float(number) < 1000
    assert len(number.replace(".", "")) <= 3


@given(st.floats(0, 1e7))
def test_a_printed_duration_is_near_and_never_says_sixty(seconds):
    text = format_seconds(seconds)
    found = (re.search(rf"([\d.]+) {unit}\b", text) for unit in ("d", "h", "min", "s"))
    days, hours, minutes, rest = (float(match[1]) if match else 0.0 for match in found)
    assert rest < 60
    assert minutes < 60
    assert hours < (24 if days else 48)
    near = 3600 if days else 60 if hours else 0.5 if minutes else 0.05
    assert abs(86400 * days + 3600 * hours + 60 * minutes + rest - seconds) <= near + 1e-9


@given(st.floats(730 * 86400, 1e12))
def test_what_takes_years_is_said_in_years(seconds: float) -> None:
    years = format_seconds(seconds)
    assert years.endswith(" years")
    assert abs(float(years.split()[0].replace(",", "")) - seconds / (365.25 * 86400)) <= 0.51


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_rounded_up_error_is_enough_and_not_much_more(value):
    printed = Decimal(round_up(value))
    assert float(printed) >= value
    assert float(printed) <= value * 1.0101
