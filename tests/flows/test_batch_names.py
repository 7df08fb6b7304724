from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch_names import fill, in_zone, parse_time
from tasks.errors import BadInput

NIGHT = datetime(2026, 1, 31, 3, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain.zarr", "plain.zarr"),
        ("s-{scheduled:%Y-%m-%d}.zarr", "s-2026-01-31.zarr"),
        ("{scheduled:%Y}/{scheduled:%m}/x", "2026/01/x"),
        ("{scheduled:%H:%M} {scheduled:%j}", "03:05 031"),
        ("{{a}}-{scheduled:%d%%}", "{a}-31%"),
    ],
)
def test_dates_are_filled_in(text: str, filled: str) -> None:
    assert fill(text, NIGHT) == (filled, ())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{date:%Y}", "{date} is no name"),
        ("{}", "{} is no name"),
        ("{scheduled.year}", "{scheduled.year} is no name"),
        ("{scheduled!r:%Y}", "{scheduled!r} is no name"),
        ("{scheduled}", "{scheduled} needs a form"),
        ("{scheduled:daily}", "no form of a date"),
        ("{scheduled:%Y{x}}", "no form of a date"),
        ("{scheduled:%Y-%Q}", "%Q, which is no part of a date"),
        ("{scheduled:%}", "which is no part of a date"),
        ("a}b", "double the braces"),
        ("a{b", "double the braces"),
    ],
)
def test_what_is_unknown_is_a_problem(text: str, says: str) -> None:
    same, [problem] = fill(text, NIGHT)
    assert same == text and says in problem


def test_every_problem_of_a_text_is_found() -> None:
    assert len(fill("{a}-{b}-{scheduled:%Q%P}", NIGHT)[1]) == 4


@given(st.text())
def test_text_with_doubled_braces_is_itself(text: str) -> None:
    assert fill(text.replace("{", "{{").replace("}", "}}"), NIGHT) == (text, ())


def test_the_day_is_that_of_the_zone() -> None:
    late = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    assert in_zone(late, "Europe/Berlin").strftime("%d %H") == "01 00"
    assert in_zone(parse_time("2026-01-31T03:00"), "America/New_York").strftime("%d %H %z") == "31 03 -0500"
    assert in_zone(parse_time("2026-01-31T03:00+00:00"), "America/New_York").strftime("%d %H") == "30 22"
    assert abs((in_zone(None, "UTC") - datetime.now(UTC)).total_seconds()) < 60
    with pytest.raises(ValueError, match="give a time such as"):
        parse_time("yesterday")


def test_a_time_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(BadInput, match=r"scheduled is 9999-12-31T23:59:00\+00:00, which has no date in Asia/Tokyo: give a time"):
        in_zone(parse_time("9999-12-31T23:59+00:00"), "Asia/Tokyo")
