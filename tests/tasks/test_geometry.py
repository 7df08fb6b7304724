import doctest

from hypothesis import given
from hypothesis import strategies as st

from tasks import geometry
from tasks.geometry import SlabCosts, block, blocks, touched, touches
from tasks.survey import Operand
from tests.tasks.machines import matrix

extents, steps = st.integers(1, 200), st.integers(1, 70)


def test_the_examples_of_the_documentation_hold():
    assert doctest.testmod(geometry).failed == 0


@given(extents, steps)
def test_blocks_cover_every_index_exactly_once(extent, step):
    covered = [index for number in range(blocks(extent, step)) for index in range(*block(number, extent, step))]
    assert covered == list(range(extent))


@given(extents, steps, steps)
def test_touched_counts_the_chunks_that_a_block_meets(extent, step, chunk):
    naive = [len({index // chunk for index in range(*block(number, extent, step))}) for number in range(blocks(extent, step))]
    assert touched(extent, step, chunk).tolist() == naive
    assert touches(extent, step, chunk) == sum(naive)


def test_touched_is_exact_beyond_what_a_double_holds():
    extent = 2**60 + 1
    assert touched(extent, 2**59, 2**59).tolist() == [1, 1, 1]


@given(
    shape=st.tuples(extents, extents),
    step=st.tuples(steps, steps),
    chunks=st.one_of(st.none(), st.tuples(steps, steps)),
    transposed=st.booleans(),
)
def test_slab_costs_are_what_reading_decodes(shape, step, chunks, transposed):
    operand = Operand(matrix(shape[::-1] if transposed else shape, "float64", chunks), transposed)
    costs = SlabCosts(operand, *step)
    total = 0
    for row in range(blocks(shape[0], step[0])):
        for col in range(blocks(shape[1], step[1])):
            spans = slice(*block(row, shape[0], step[0])), slice(*block(col, shape[1], step[1]))
            decoded = operand.matrix.decoded_bytes(*(spans[::-1] if transposed else spans))
            assert costs.bytes_of(row, col) == decoded
            total += decoded
    assert costs.one_pass() == total
    assert costs.files_in_one_pass() == (0 if chunks is None else total // (chunks[0] * chunks[1] * 8))
