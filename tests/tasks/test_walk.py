import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.geometry import SlabCosts, blocks
from tasks.lru import SlotTable
from tasks.plan import TileShape
from tasks.walk import Queues, Walk, planned_bytes, planned_chunks, runs
from tests.tasks.machines import problem

edge = st.integers(1, 40)


@st.composite
def walks(draw) -> Walk:
    m, k, n = draw(edge), draw(edge), draw(edge)
    tile = TileShape(*(draw(st.integers(1, extent)) for extent in (m, n, k)))
    grid = blocks(m, tile.rows), blocks(n, tile.cols), blocks(k, tile.depth)
    return Walk((m, k, n), tile, grid, draw(st.sampled_from("ABC")))


@given(walks())
def test_the_tiles_cover_every_element_of_the_product_exactly_once(walk):
    covered = np.zeros((walk.shape[0], walk.shape[2]), int)
    for index in range(len(walk)):
        tile = walk[index]
        assert tile.index == index
        covered[slice(*tile.rows), slice(*tile.cols)] += 1
    assert (covered == 1).all()


@given(walks(), st.integers(0, 2000))
def test_elements_before_a_place_are_those_of_the_tiles_before_it(walk, place):
    place = min(place, len(walk))
    tiles = (walk[index] for index in range(place))
    assert walk.elements_before(place) == sum((tile.rows[1] - tile.rows[0]) * (tile.cols[1] - tile.cols[0]) for tile in tiles)


@given(walks())
def test_neighbours_in_time_share_a_panel_and_turn_round(walk):
    for index in range(1, len(walk)):
        before, tile = walk[index - 1], walk[index]
        assert abs(tile.row - before.row) + abs(tile.col - before.col) == 1
        assert walk.slabs(tile)[0] == walk.slabs(before)[-1]


@given(walks())
def test_the_outer_panel_is_visited_in_one_stretch(walk):
    outer = [walk[index].col if walk.residency == "B" else walk[index].row for index in range(len(walk))]
    assert outer == sorted(outer)


@given(walks())
def test_slabs_cover_k_exactly_once_in_either_direction(walk):
    for tile in (walk[0], walk[len(walk) - 1]):
        spans = sorted(walk.slab(index) for index in walk.slabs(tile))
        assert [depth for span in spans for depth in range(*span)] == list(range(walk.shape[1]))


def test_places_of_an_array_are_the_places_of_its_items():
    walk = Walk((9, 3, 8), TileShape(2, 3, 1), (5, 3, 3), "B")
    rows, cols = walk.places(np.arange(len(walk)))
    assert list(zip(rows.tolist(), cols.tolist(), strict=True)) == [walk.place(index) for index in range(len(walk))]


@given(st.integers(0, 300), st.integers(1, 40))
def test_runs_cover_every_tile_exactly_once_and_evenly(tiles, workers):
    shares = runs(tiles, workers)
    assert [index for run in shares for index in run] == list(range(tiles))
    assert len(shares) == workers
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def played(walk, slots, workers, costs):
    """Every slab of every tile of every run through real slot tables."""
    total = 0
    for run in runs(len(walk), workers):
        shelf_a, shelf_b = SlotTable(slots[0]), SlotTable(slots[1])
        for tile in (walk[index] for index in run):
            for slab in walk.slabs(tile):
                total += 0 if shelf_a.place((tile.row, slab))[1] else costs[0].bytes_of(tile.row, slab)
                total += 0 if shelf_b.place((slab, tile.col))[1] else costs[1].bytes_of(slab, tile.col)
    return total


@settings(deadline=None, max_examples=300)
@given(
    walk=walks(),
    share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    workers=st.integers(1, 9),
    chunks=st.tuples(*[st.one_of(st.none(), st.tuples(edge, edge))] * 2),
)
def test_planned_bytes_are_those_of_the_walk_played_slab_by_slab(walk, share, workers, chunks):
    slots = tuple(1 + round(part * (walk.grid[2] - 1)) for part in share)
    made = problem(walk.shape, chunks=chunks)
    costs = SlabCosts(made.a, walk.tile.rows, walk.tile.depth), SlabCosts(made.b, walk.tile.depth, walk.tile.cols)
    assert planned_bytes(walk, slots, workers, costs) == played(walk, slots, workers, costs)


def test_the_bytes_of_a_million_tiles_do_not_overflow():
    extent = 10**7
    walk = Walk((extent, 10**6, extent), TileShape(10**4, 10**4, 10**3), (1000, 1000, 1000), "C")
    made = problem(walk.shape, chunks=((extent, 10**6), (10**6, extent)))
    costs = SlabCosts(made.a, 10**4, 10**3), SlabCosts(made.b, 10**3, 10**4)
    slabs = 10**6 * 1000
    assert planned_chunks(walk, (1, 1), 1, costs) == (slabs - 999 * 1000, slabs - 999)
    assert planned_bytes(walk, (1, 1), 1, costs) == (2 * slabs - 999 * 1000 - 999) * extent * 10**6 * 4


@settings(max_examples=200)
@given(st.integers(0, 60), st.integers(0, 5), st.data())
def test_every_tile_is_given_out_exactly_once_whoever_comes_and_goes(tiles, workers, data):
    queues = Queues(list(range(tiles)), [f"w{number}" for number in range(workers)])
    given_out = []
    names = [f"w{number}" for number in range(workers + 3)]
    while len(given_out) < tiles:
        alive = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=8))
        given_out += [queues.next_for(worker) for worker in alive[: tiles - len(given_out)]]
        assert len(queues) == tiles - len(given_out)
    assert sorted(given_out) == list(range(tiles))
    assert all(queues.next_for(worker) is None for worker in names)


def test_a_worker_keeps_to_its_run_then_takes_from_the_far_end_of_the_longest():
    queues = Queues(list(range(8)), ["a", "b"])
    assert [queues.next_for("a") for _ in range(4)] == [0, 1, 2, 3]
    assert queues.next_for("a") == 7
    assert queues.next_for("b") == 4
    assert queues.next_for("stranger") == 6
    assert queues.next_for("b") == 5
    assert queues.next_for("b") is None


def test_a_busy_worker_takes_nothing_from_others():
    queues = Queues([0, 1], ["a", "b"])
    assert queues.next_for("a") == 0
    assert queues.next_for("a", idle=False) is None
    assert queues.next_for("b", idle=False) == 1


@pytest.mark.parametrize("residency", ["A", "C"])
def test_the_documented_snake(residency):
    walk = Walk((3, 1, 3), TileShape(1, 1, 1), (3, 3, 1), residency)
    places = [walk.place(index) for index in range(9)]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 2), (1, 1), (1, 0), (2, 0), (2, 1), (2, 2)]
