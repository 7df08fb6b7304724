import doctest
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.catalogue import columns, linear
from tasks.catalogue import shape as module
from tasks.catalogue.linear import solve
from tasks.catalogue.shape import NAMES, ORDINARY, Engine, numbers, overhead
from tasks.gemm import Gemm

A100 = Engine(312e12, 108, 2039e9)
EDGES = st.integers(1, 40000)


def test_the_examples_of_the_documentation_hold():
    for one in (module, linear, columns):
        found = doctest.testmod(one)
        assert found.failed == 0 and found.attempted > 0


@given(m=EDGES, n=EDGES, k=EDGES)
def test_multiprocessors_never_do_less_than_the_product(m, n, k):
    assert overhead(A100, Gemm("", m, n, k)) >= 1 - 1e-12
    assert len(numbers(A100, Gemm("", m, n, k))) == len(NAMES) == len(ORDINARY)


def test_a_wave_of_tiles_and_one_more_takes_up_to_two():
    """112 tiles on 108 multiprocessors: A100 reached 45 % of its peak there, 87 % where the waves are full."""
    full, one_more = Gemm("", 1024, 10240, 5120), Gemm("", 1024, 3584, 2048)
    assert overhead(replace(A100, bandwidth=None), full) == pytest.approx(1.0125)
    assert 1.4 < overhead(A100, one_more) < 2.0


def test_a_deep_product_of_few_tiles_is_split():
    deep = Gemm("", 1024, 1024, 65536)
    assert overhead(A100, deep) < overhead(replace(A100, bandwidth=None), deep)


def test_what_is_not_known_is_taken_as_ordinary():
    x = numbers(Engine(1e15), Gemm("", 1025, 1025, 4096))
    assert x[0] == 1.0 and x[1] == 0.0


def test_shallow_and_small_products_cost_more_of_their_kind():
    deep, shallow = (numbers(A100, Gemm("", 4096, 4096, k)) for k in (8192, 256))
    assert shallow[2] > deep[2] and shallow[3] > deep[3] and shallow[4] < deep[4]


@given(
    st.lists(st.lists(st.floats(-3, 3), min_size=3, max_size=3), min_size=3, max_size=6), st.lists(st.floats(-9, 9), min_size=3, max_size=3)
)
def test_equations_are_solved(rows, wanted):
    matrix = [[sum(row[i] * row[j] for row in rows) + (i == j) for j in range(3)] for i in range(3)]
    right = [sum(matrix[i][j] * wanted[j] for j in range(3)) for i in range(3)]
    assert solve(matrix, right) == pytest.approx(wanted, abs=1e-6)
