import doctest
from math import inf, nan

import pytest

from tasks.catalogue import span as module
from tasks.catalogue.span import GROUNDS, Span, add, scale, slowest
from tasks.errors import BadInput


def test_the_example_of_the_documentation_holds():
    assert doctest.testmod(module).failed == 0


def test_a_sum_rests_on_its_weakest_part():
    for ground in GROUNDS:
        assert add(Span.sure(1.0), Span(2.0, 1.0, 3.0, ground)).how == ground
    assert add() == Span(0, 0, 0, "stated")


def test_scaling_keeps_the_shape():
    assert scale(Span(2.0, 1.0, 4.0, "prior"), 3) == Span(6.0, 3.0, 12.0, "prior")


def test_the_slowest_of_several_bounds_both_ends():
    assert slowest(Span(2.0, 1.0, 9.0, "prior"), Span(3.0, 2.5, 4.0, "measured")) == Span(3.0, 2.5, 9.0, "measured")


@pytest.mark.parametrize("numbers", [(1.0, 2.0, 3.0), (2.0, 1.0, 1.5), (-1.0, -2.0, 3.0), (inf, 1.0, inf), (nan, 0.0, 1.0)])
def test_what_is_no_interval_is_refused(numbers):
    with pytest.raises(BadInput, match="no interval"):
        Span(*numbers)
    with pytest.raises(BadInput, match="guess is nothing"):
        Span(1.0, 1.0, 1.0, "guess")
