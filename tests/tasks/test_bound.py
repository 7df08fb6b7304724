import doctest
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks import bound
from tasks.bound import Team, lower_bound_bytes, share_edges, square_bound_bytes, surface

extent = st.integers(1, 10**6)


def test_the_example_of_the_documentation_holds():
    assert doctest.testmod(bound).failed == 0


@given(st.tuples(extent, extent, extent), st.floats(1e-6, 1))
def test_the_least_box_has_its_volume_and_fits(limits, share):
    volume = share * limits[0] * limits[1] * limits[2]
    edges = share_edges(volume, limits)
    assert edges[0] * edges[1] * edges[2] == pytest.approx(volume, rel=1e-9)
    assert all(edge <= limit * (1 + 1e-9) for edge, limit in zip(edges, sorted(limits), strict=True))


@given(st.tuples(*[st.integers(1, 12)] * 3), st.integers(1, 400))
def test_no_box_of_whole_elements_has_less_surface(limits, volume):
    boxes = product(*(range(1, limit + 1) for limit in limits))
    surfaces = [x * y + y * z + x * z for x, y, z in boxes if x * y * z >= volume]
    if surfaces:
        assert min(surfaces) >= surface(volume, limits) * (1 - 1e-12)


@given(st.tuples(extent, extent, extent), st.floats(0, 1), st.floats(0, 1))
def test_the_surface_is_concave_so_that_uneven_shares_need_less(limits, first, second):
    whole = limits[0] * limits[1] * limits[2]
    assume(whole * (first + second) / 2 >= 1)
    middle = surface(whole * (first + second) / 2, limits)
    assert middle * (1 + 1e-9) + 1 >= (surface(whole * first, limits) + surface(whole * second, limits)) / 2


@given(st.tuples(extent, extent, extent), st.tuples(*[st.sampled_from([2, 4, 8])] * 3), st.integers(1, 64), st.integers(1, 2**40))
def test_it_is_at_least_compulsory_and_grows_with_less_memory_and_evener_shares(shape, sizes, workers, memory):
    m, k, n = shape
    even = lower_bound_bytes(shape, sizes, Team(workers, memory, 1 / workers))
    assert even >= m * k * sizes[0] + k * n * sizes[1] + m * n * sizes[2]
    assert lower_bound_bytes(shape, sizes, Team(workers, max(1, memory // 2), 1 / workers)) >= even
    assert lower_bound_bytes(shape, sizes, Team(workers, memory, min(1.0, 1.5 / workers))) <= even


def test_the_classical_values():
    edge, elements = 100_000, 10**6
    streamed = lower_bound_bytes((edge,) * 3, (4, 4, 4), Team(1, 4 * elements, 1.0))
    assert streamed == pytest.approx(4 * (2 * edge**3 / 1000 - 2 * elements), rel=1e-9)
    cubes = lower_bound_bytes((edge,) * 3, (4, 4, 4), Team(8, 2**60, 1 / 8))
    assert cubes == pytest.approx(4 * 8 * 3 * (edge / 2) ** 2, rel=1e-9)
    alone = lower_bound_bytes((edge,) * 3, (4, 4, 4), Team(8, 2**60, 1.0))
    assert alone == 4 * 3 * edge**2


places = st.sets(st.integers(0, 9), min_size=1)


@given(places, places, places)
def test_of_a_square_no_multiplications_touch_fewer_elements(rows, depths, cols):
    """X has both sides of them: what `square_bound_bytes` is made of."""
    touched = set(product(rows, depths)) | set(product(depths, cols))
    volume = len(rows) * len(depths) * len(cols)
    assert len(touched) + len(rows) * len(cols) >= 3 * (volume / 2) ** (2 / 3) * (1 - 1e-12)


@given(st.integers(10, 10**6), st.tuples(*[st.sampled_from([2, 4, 8])] * 2), st.integers(1, 64), st.integers(1, 2**40))
def test_a_square_needs_less_than_a_product_of_two_and_reads_its_matrix_once(edge, sizes, workers, memory):
    team = Team(workers, memory, 1 / workers)
    least = square_bound_bytes(edge, sizes, team)
    assert least >= edge * edge * sum(sizes)
    assert least <= lower_bound_bytes((edge,) * 3, (sizes[0], *sizes), team)
