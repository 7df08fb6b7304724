"""Which way holds a writer up less: both are tried, the faster one is kept, a change is noticed, and looking costs little."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.pace import OTHER, TRIED_FOR, Pace, Way

SIZE = 1 << 24


def play(pace: Pace, rates: dict[Way, float], files: int) -> list[Way]:
    """So many files, each way at its rate in bytes/s."""
    ways: list[Way] = []
    for _ in range(files):
        ways.append(pace.choose())
        pace.took(ways[-1], SIZE / rates[ways[-1]], SIZE)
    return ways


@pytest.mark.parametrize("faster", OTHER)
def test_both_are_tried_and_the_faster_one_is_kept(faster: Way) -> None:
    ways = play(Pace(), {faster: 2e9, OTHER[faster]: 1e9}, 20)
    assert set(ways[:2]) == set(OTHER) and ways[2:] == [faster] * 18


@given(st.floats(1.1, 1000), st.sampled_from(list(OTHER)))
def test_looking_costs_a_small_share_of_the_time(times: float, faster: Way) -> None:
    rates = {faster: 1e9, OTHER[faster]: 1e9 / times}
    pace = Pace()
    play(pace, rates, 2)
    ways = play(pace, rates, 5000)
    lost = ways.count(OTHER[faster]) * (times - 1)
    assert lost <= 1.01 * TRIED_FOR * (len(ways) + lost) + (times - 1)


@pytest.mark.parametrize("faster", OTHER)
def test_a_way_that_becomes_faster_is_found(faster: Way) -> None:
    pace = Pace()
    play(pace, {faster: 4e9, OTHER[faster]: 1e9}, 50)
    ways = play(pace, {faster: 4e9, OTHER[faster]: 40e9}, 500)
    assert ways[-50:].count(OTHER[faster]) > 40


@pytest.mark.parametrize("faster", OTHER)
def test_a_way_that_becomes_slower_is_left_at_once(faster: Way) -> None:
    pace = Pace()
    play(pace, {faster: 4e9, OTHER[faster]: 1e9}, 50)
    ways = play(pace, {faster: 0.1e9, OTHER[faster]: 1e9}, 20)
    assert ways[0] == faster and ways.count(faster) <= 2


def test_waiting_for_what_is_on_its_way_counts_for_the_way_behind() -> None:
    pace = Pace()
    play(pace, {"behind": 2e9, "cached": 1e9}, 10)
    pace.took("behind", 1.0, 0)
    assert pace.choose() == "cached"


def test_no_way_past_the_cache_no_choice() -> None:
    assert play(Pace(passes=False), {"behind": 9e9, "cached": 1e9}, 5) == ["cached"] * 5
