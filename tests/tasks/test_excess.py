import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tasks.cost import estimate
from tasks.excess import WORTH_EXPLAINING, WORTH_NAMING, excess_of, excess_warning
from tasks.fit import Fit
from tasks.reads import slab_costs
from tasks.search import Search
from tasks.ties import settle
from tests.tasks.machines import MIB, hardware, job, problem
from tests.tasks.test_candidate import candidate
from tests.tasks.test_gram_plan import gram
from tests.tasks.test_search import precision_of

extent = st.integers(1, 60)


def fit_of(made, tile, workers=1, **fields):
    """A candidate, its bytes counted exactly."""
    way = candidate(made.shape, tile, workers=workers, **fields)
    return settle(made, [Fit(way, 100 * MIB, 0, estimate(made, way, 0))])


@st.composite
def fits(draw):
    m, k, n = draw(extent), draw(extent), draw(extent)
    chunks = draw(st.tuples(*[st.one_of(st.none(), st.tuples(extent, extent))] * 2))
    made = problem((m, k, n), chunks=chunks, transposed=draw(st.tuples(st.booleans(), st.booleans())))
    tile = tuple(draw(st.integers(1, most)) for most in (m, n, k))
    kept, parts = draw(st.tuples(st.booleans(), st.booleans())), draw(st.integers(1, -(-k // tile[2])))
    whole = {"kept": kept} if parts == 1 else {"parts": parts}
    return made, fit_of(made, tile, draw(st.integers(1, 5)), **whole)


@settings(max_examples=200)
@given(fits())
def test_the_causes_add_up_to_what_is_moved(drawn):
    made, fit = drawn
    excess = excess_of(made, fit)
    assert excess.moved == pytest.approx(fit.cost.bytes_moved, rel=1e-6)
    assert [reading.once for reading in excess.readings] == [made.a.nbytes, made.b.nbytes]
    assert min(excess.again, excess.padding, excess.cut, excess.partial) >= -1e-6 * excess.moved
    for reading, operand, cost in zip(excess.readings, (made.a, made.b), slab_costs(made, fit.way), strict=True):
        stored = reading.once + reading.padding
        assert stored == operand.decoded_bytes(slice(None), slice(None))
        blocks = [(row, col) for row in range(len(cost.rows)) for col in range(len(cost.cols))]
        assert stored + reading.cut == sum(cost.bytes_of(row, col) for row, col in blocks)


@settings(max_examples=200)
@given(fits(), st.floats(0.1, 3))
def test_much_more_than_the_least_is_explained_by_causes_that_tell_most_of_it(drawn, times):
    made, fit = drawn
    least = int(fit.cost.bytes_moved / times)
    assume(least > 0)
    line = excess_warning(made, fit, least)
    assert bool(line) == (fit.cost.bytes_moved >= WORTH_EXPLAINING * least)
    if line:
        assert "\n" not in line
        assert f"{fit.cost.bytes_moved / least:.2f} times the least possible: " in line
        once = made.a.nbytes + made.b.nbytes + fit.cost.bytes_written
        excess = excess_of(made, fit)
        named = len(re.findall(r"\(\+", line))
        causes = [excess.again, excess.padding, excess.cut, excess.partial]
        assert named == sum(size >= WORTH_NAMING * least for size in causes)
        assert sum(size for size in causes if size >= WORTH_NAMING * least) >= fit.cost.bytes_moved - once - 4 * WORTH_NAMING * least


@pytest.mark.parametrize(
    ("chunks", "tile", "fields", "words"),
    [
        (
            ((500, 500), (500, 500)),
            (1000, 500, 500),
            {},
            "A is read 3.2 times and B is read 1.9 times by 1 worker of 100 MiB each in 2 x 4 tiles of 1000 x 500 in slabs of 500 (+",
        ),
        (((1500, 1500), (1500, 500)), (2000, 2000, 2000), {}, "edge chunks of 1500 x 1500 (A) and 1500 x 500 (B) are padded (+"),
        (((2000, 2000), (2000, 2000)), (2000, 2000, 500), {}, "tiles and slabs cut chunks of 2000 x 2000, which are then decoded more"),
        ((None, None), (2000, 2000, 500), {"parts": 2}, "the sums of 2 parts of k are written and read (+"),
    ],
    ids=["passes", "padding", "cut", "parts"],
)
def test_every_cause_is_named_with_its_numbers(chunks, tile, fields, words):
    made = problem((2000, 2000, 2000), chunks=chunks)
    fit = fit_of(made, tile, **fields)
    line = excess_warning(made, fit, 3 * 2000 * 2000 * 4)
    assert words in line
    assert " MiB are moved, " in line


@pytest.mark.parametrize("symmetry", ["full", "triangle"])
def test_both_sides_of_a_symmetric_product_are_one_matrix(symmetry):
    made = gram(20_000, 3000, symmetry, (1000, 1000))
    found = Search(job(), made, hardware(), 400 * MIB).fastest(precision_of("float32"))
    assert found is not None
    excess = excess_of(made, found)
    assert [reading.name for reading in excess.readings] == ["A"]
    assert excess.moved == pytest.approx(found.cost.bytes_moved)
    assert excess.readings[0].passes >= 1
