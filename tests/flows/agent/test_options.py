import doctest
import json
from datetime import date

import pytest

from flows.agent import options
from flows.agent.options import MOST_ELSEWHERE, elsewhere, offer_of, option_of
from tasks.catalogue import Price, catalogue
from tasks.choice.matrix_job import MatrixJob
from tasks.choice.rank import Aim, Ranking, rank
from tasks.choice.site import Site

TODAY = date(2026, 11, 26)


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    return rank(MatrixJob((20_000, 20_000, 20_000)), catalogue(), Aim("time"), Site())


def test_the_examples_hold() -> None:
    assert doctest.testmod(options).failed == 0


def test_an_option_says_what_the_ranking_does(ranking: Ranking) -> None:
    first = ranking.options[0]
    shown = option_of(first, ranking, TODAY)
    assert first.seconds is not None and first.usd is not None
    assert (shown.device, shown.count, shown.seconds, shown.usd) == (
        first.device.name,
        first.count,
        first.seconds.expected,
        first.usd.expected,
    )
    assert shown.seconds_interval == (first.seconds.low, first.seconds.high) and shown.bottleneck == first.bottleneck
    json.dumps(shown.model_dump(mode="json"), allow_nan=False)


def test_an_option_that_cannot_says_why() -> None:
    small = rank(
        MatrixJob((20_000, 20_000, 20_000), precision="float64", output="float64", inputs=("float64", "float64")),
        catalogue(),
        Aim(),
        Site(),
    )
    last = option_of(small.options[-1], small, TODAY)
    assert not last.feasible and last.seconds is last.usd is last.seconds_interval is None and "float64" in last.reason


def test_other_devices_are_few_and_can_do_it(ranking: Ranking) -> None:
    found = elsewhere(ranking, TODAY)
    assert len(found) == MOST_ELSEWHERE and all(option.feasible for option in found)
    assert [option.device for option in found] == [option.device.name for option in ranking.options[:MOST_ELSEWHERE]]


def test_an_offer_has_its_age() -> None:
    offer = offer_of(Price(2.0, 8, "p5", "aws", "us-east-1", "2026-07-20"), TODAY)
    assert (offer.age_days, offer.devices_per_instance, offer.region) == (129, 8, "us-east-1")
    bare = offer_of(Price(2.0), TODAY)
    assert bare.age_days is bare.date is bare.provider is None
