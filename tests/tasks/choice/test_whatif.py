"""Axes and values from words, and one answer for each."""

import pytest

from tasks.choice.matrix_job import MatrixJob
from tasks.choice.rank import Aim, Ranking, rank
from tasks.choice.site import Site
from tasks.choice.whatif import parse, vary
from tasks.errors import BadInput
from tests.tasks.choice.devices import gpu


def ask(value: str) -> Ranking:
    return rank(MatrixJob((int(value), 100, 100)), [gpu()], Aim(), Site())


AXES = {"n": ask, "k": ask}


def test_values_are_asked_one_by_one_in_their_order() -> None:
    (variation,) = vary(parse(["n=1000, 10 ,500"], AXES), AXES)
    assert [point.value for point in variation.points] == ["1000", "10", "500"]
    shapes = [point.ranking and point.ranking.chosen and point.ranking.chosen.device.name for point in variation.points]
    assert shapes == ["big", "big", "big"]


def test_a_value_that_makes_no_sense_spoils_no_other() -> None:
    (variation,) = vary(parse(["n=10,0"], AXES), AXES)
    assert variation.points[0].ranking is not None
    assert variation.points[1].ranking is None
    assert "edges are 1 to" in variation.points[1].why_not


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["x=1"], "name one of n, k"),
        (["n"], "no values"),
        (["n=,"], "no values"),
        (["n=1", "n=2"], "given twice"),
        (["n=" + ",".join(map(str, range(51)))], "51 values, at most 50"),
    ],
)
def test_axes_that_make_no_sense_are_refused(texts: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse(texts, AXES)
