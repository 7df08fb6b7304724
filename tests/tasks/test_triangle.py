"""The walk over one triangle against the naive enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.geometry import SlabCosts, block, blocks
from tasks.lru import SlotTable
from tasks.plan import TileShape
from tasks.triangle import STRIP, TriangleWalk, strip_elements, walk_for
from tasks.walk import Walk, planned_bytes, split
from tests.tasks.machines import problem

edge = st.integers(1, 40)


def naive(count: int) -> list[tuple[int, int]]:
    """Rows from the top, the even ones to the right, the odd ones to the left."""
    return [(row, col) for row in range(count) for col in (range(row, -1, -1) if row % 2 else range(row + 1))]


@st.composite
def triangles(draw, most: int = 40) -> TriangleWalk:
    m, k = draw(st.integers(1, most)), draw(edge)
    tile = TileShape(side := draw(st.integers(1, m)), side, draw(st.integers(1, k)))
    return TriangleWalk((m, k, m), tile, (blocks(m, side), blocks(m, side), blocks(k, tile.depth)), draw(st.sampled_from("AC")))


def size(walk: TriangleWalk, place: tuple[int, int]) -> int:
    (top, bottom), (left, right) = (block(index, walk.shape[0], walk.tile.rows) for index in place)
    return (bottom - top) * (right - left)


@given(triangles())
def test_length_places_and_items_are_those_of_the_naive_enumeration(walk):
    expected = naive(walk.grid[0])
    assert len(walk) == len(expected)
    assert [walk.place(index) for index in range(len(walk))] == expected
    rows, cols = walk.places(np.arange(len(walk)))
    assert list(zip(rows.tolist(), cols.tolist(), strict=True)) == expected
    for index, (row, col) in enumerate(expected):
        tile = walk[index]
        assert (tile.index, tile.row, tile.col) == (index, row, col)
        assert tile.rows == block(row, walk.shape[0], walk.tile.rows) and tile.cols == block(col, walk.shape[0], walk.tile.rows)


@given(triangles())
def test_with_their_mirror_images_the_tiles_cover_every_element_exactly_once(walk):
    covered = np.zeros((walk.shape[0], walk.shape[2]), int)
    for tile in (walk[index] for index in range(len(walk))):
        covered[slice(*tile.rows), slice(*tile.cols)] += 1
        if walk.copies(tile.row, tile.col) == 2:
            covered[slice(*tile.cols), slice(*tile.rows)] += 1
        assert walk.is_diagonal(tile.row, tile.col) == (walk.copies(tile.row, tile.col) == 1)
    assert (covered == 1).all()


@given(triangles(), st.integers(0, 900))
def test_elements_and_work_before_a_place_are_those_of_the_tiles_before_it(walk, place):
    place = min(place, len(walk))
    sizes = [(size(walk, at), 1 if at[0] == at[1] else 2) for at in naive(walk.grid[0])[:place]]
    assert walk.elements_before(place) == sum(elements for elements, _ in sizes)
    assert walk.work_before(place) == sum(elements * weight for elements, weight in sizes)


@given(triangles())
def test_lines_and_products_are_sums_over_the_tiles(walk):
    tiles = [walk[index] for index in range(len(walk))]
    heights, widths = ([stop - start for start, stop in spans] for spans in ([t.rows for t in tiles], [t.cols for t in tiles]))
    assert walk.lines == (sum(heights), sum(widths))
    assert walk.products == sum(
        strip_elements(rows) if tile.row == tile.col else rows * cols for tile, rows, cols in zip(tiles, heights, widths, strict=True)
    )


@given(st.integers(1, 5 * STRIP))
def test_a_diagonal_tile_is_multiplied_strip_by_strip(rows):
    strips = [(start, min(start + STRIP, rows)) for start in range(0, rows, STRIP)]
    assert strip_elements(rows) == sum((stop - start) * stop for start, stop in strips)


@given(triangles(), st.integers(1, 12))
def test_runs_cover_every_tile_exactly_once_and_are_those_of_the_weights(walk, workers):
    runs = walk.runs(workers)
    assert [index for run in runs for index in run] == list(range(len(walk)))
    weights = walk.weights(range(len(walk)), workers)
    if weights is None:
        assert max(map(len, runs)) - min(map(len, runs)) <= 1
    else:
        assert runs == split(weights, workers)
        shares = [int(weights[run.start : run.stop].sum()) for run in runs]
        assert max(shares) - min(shares) <= 4
        assert min(map(len, runs)) > 0


@given(triangles())
def test_neighbours_share_a_panel_or_meet_at_the_diagonal(walk):
    for index in range(1, len(walk)):
        before, tile = walk[index - 1], walk[index]
        assert walk.slabs(tile)[0] == walk.slabs(before)[-1]
        same_row, same_col = tile.row == before.row, tile.col == before.col
        assert same_row or same_col or (before.row == before.col and tile.row == tile.col)


def played(walk, slots, workers, costs):
    """Every slab of every tile of every run through real slot tables; tiles on the diagonal take no slab of B."""
    total = 0
    for run in walk.runs(workers):
        shelf_a, shelf_b = SlotTable(slots[0]), SlotTable(slots[1])
        for tile in (walk[index] for index in run):
            for slab in walk.slabs(tile):
                total += 0 if shelf_a.place((tile.row, slab))[1] else costs[0].bytes_of(tile.row, slab)
                if tile.row != tile.col:
                    total += 0 if shelf_b.place((slab, tile.col))[1] else costs[1].bytes_of(slab, tile.col)
    return total


@settings(deadline=None, max_examples=200)
@given(
    walk=triangles(),
    share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    workers=st.integers(1, 9),
    chunk=st.one_of(st.none(), st.tuples(edge, edge)),
)
def test_planned_bytes_are_those_of_the_walk_played_slab_by_slab(walk, share, workers, chunk):
    slots = tuple(1 + round(part * (walk.grid[2] - 1)) for part in share)
    made = problem(walk.shape, chunks=(chunk, chunk), transposed=(False, True))
    costs = SlabCosts(made.a, walk.tile.rows, walk.tile.depth), SlabCosts(made.b, walk.tile.depth, walk.tile.cols)
    assert planned_bytes(walk, slots, workers, costs) == played(walk, slots, workers, costs)


@pytest.mark.parametrize("index", [0, 1, 499_499, 499_500, 999_000, 999_998, 999_999, 1_000_404, 1_000_405])
def test_places_are_exact_at_a_million_tiles(index):
    count = 1414
    walk = TriangleWalk((count, 1, count), TileShape(1, 1, 1), (count, count, 1), "A")
    row, col = walk.place(index)
    offset = row - col if row % 2 else col
    assert 0 <= col <= row and row * (row + 1) // 2 + offset == index
    assert walk.elements_before(index) == index


def test_the_documented_snake():
    walk = TriangleWalk((4, 1, 4), TileShape(1, 1, 1), (4, 4, 1), "A")
    places = [walk.place(index) for index in range(10)]
    assert places == [(0, 0), (1, 1), (1, 0), (2, 0), (2, 1), (2, 2), (3, 3), (3, 2), (3, 1), (3, 0)]


def test_a_triangle_has_square_tiles():
    with pytest.raises(ValueError, match="square tiles: 4 x 4 in 2 x 1"):
        TriangleWalk((4, 1, 4), TileShape(2, 1, 1), (2, 4, 1), "A")
    sizes = (4, 1, 4), TileShape(2, 2, 1), (2, 2, 1)
    assert type(walk_for(sizes, "C", "none")) is Walk
    assert type(walk_for(sizes, "C", "triangle")) is TriangleWalk
