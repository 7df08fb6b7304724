"""Slabs that are known to be zero: skipped, and nothing else changes. The oracle is the same run on full matrices."""

import doctest
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks import sparsity
from tasks.errors import NonFinite
from tasks.geometry import blocks
from tasks.sparsity import edges_of, slabs_of
from tasks.tile import compute_tile
from tasks.workspace import release
from tests.tasks.inline import SPARSE, Way, compute, recipe_for, result

NAN, INF = np.nan, np.inf
edge = st.integers(1, 40)
step = st.integers(1, 20)
quick = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def with_holes(rng, shape, cell, share):
    """Random values in some cells, zeros in the others."""
    held = rng.random((blocks(shape[0], cell[0]), blocks(shape[1], cell[1]))) < share
    full = np.repeat(np.repeat(held, cell[0], axis=0), cell[1], axis=1)[: shape[0], : shape[1]]
    return np.where(full, rng.standard_normal(shape), 0).astype("float32")


@st.composite
def cases(draw):
    """Two matrices with holes, and a way to multiply them."""
    m, k, n = draw(edge), draw(edge), draw(edge)
    cell = draw(step), draw(step)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    a, b = (with_holes(rng, shape, cell, draw(st.sampled_from([0.0, 0.2, 0.6, 1.0]))) for shape in ((m, k), (k, n)))
    chunk = draw(st.integers(1, m)), draw(st.integers(1, n))
    tile = tuple(min(edge * draw(st.integers(1, 3)), extent) for edge, extent in zip(chunk, (m, n), strict=True))
    way = Way(
        tile=(*tile, draw(st.integers(1, k))),
        kept=draw(st.tuples(st.booleans(), st.booleans())),
        residency=draw(st.sampled_from("ABC")),
        chunk=chunk,
        transpose=draw(st.tuples(st.booleans(), st.booleans())),
        in_chunks=cell,
        form=draw(st.sampled_from(SPARSE)),
        codec="none",
    )
    return a, b, way


def test_the_cases_have_holes(tmp_path):
    for form in SPARSE:
        matrix = with_holes(np.random.default_rng(0), (40, 40), (5, 5), 0.4)
        recipe = recipe_for(tmp_path / form, (matrix, matrix), Way(form=form, in_chunks=(5, 5), tile=(8, 8, 5)))
        assert recipe.a.sparse and not (form.startswith("absent") and recipe.a.matrix.occupancy.full)


def squares(values):
    return float(np.square(values.astype(np.float64)).sum())


def test_the_examples_of_the_documentation_hold():
    assert doctest.testmod(sparsity).failed == 0


@quick
@given(cases())
def test_bits_are_those_of_full_matrices_and_only_needed_slabs_are_read(case):
    a, b, way = case
    with tempfile.TemporaryDirectory() as folder:
        sparse = recipe_for(Path(folder) / "sparse", (a, b), way)
        full = recipe_for(Path(folder) / "full", (a, b), replace(way, form="zarr3"))
        found, wanted = compute(sparse), compute(full)
        assert all(tile.accepted for tile in [*found, *wanted])
        assert (result(sparse) + 0.0).tobytes() == (result(full) + 0.0).tobytes(), "but for the sign of zeros"
        for tile, dense in zip(found, wanted, strict=True):
            assert tile.bytes_written == dense.bytes_written
            assert tile.square_a <= dense.square_a * (1 + 1e-12) and tile.square_b <= dense.square_b * (1 + 1e-12)
            assert tile.chunks, "a tile of zeros is stored like any other"
        total, most = (sum(tile.bytes_read for tile in tiles) for tiles in (found, wanted))
        assert way.form in ("csr", "csc") or total <= most, "a tile alone may read what a full one finds in memory"


@quick
@given(cases())
def test_norms_are_those_of_what_is_read_anywhere_and_each_slab_counts_once(case):
    a, b, way = case
    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe_for(Path(folder) / "run", (a, b), way)
        found = compute(recipe)
    if not (recipe.a.sparse or recipe.b.sparse):
        assert all(tile.owned is None for tile in found)
        return
    depth = recipe.tile.depth
    read = {"a": np.zeros(a.shape, bool), "b": np.zeros(b.shape, bool)}
    for tile in (recipe.walk[index] for index in range(len(recipe.walk))):
        for slab in np.flatnonzero(slabs_of(recipe, tile).needed):
            span = slice(slab * depth, (slab + 1) * depth)
            read["a"][slice(*tile.rows), span] = True
            read["b"][span, slice(*tile.cols)] = True
    assert sum(tile.owned[0] for tile in found) == pytest.approx(squares(a * read["a"]), rel=1e-12)
    assert sum(tile.owned[1] for tile in found) == pytest.approx(squares(b * read["b"]), rel=1e-12)


@quick
@given(cases(), st.tuples(st.booleans(), st.booleans()))
def test_a_slab_is_skipped_only_where_its_product_is_zero(case, bad):
    """Also where NaN is to reach the product: then nothing that holds one may be skipped."""
    a, b, way = case
    for matrix, spoilt in zip((a, b), bad, strict=True):
        if spoilt and matrix.any():
            matrix[tuple(np.argwhere(matrix)[0])] = NAN
    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe_for(Path(folder) / "run", (a, b), replace(way, allow_nonfinite=True))
        depth = recipe.tile.depth
        for tile in (recipe.walk[index] for index in range(len(recipe.walk))):
            found = slabs_of(recipe, tile)
            for slab in [] if found is None else np.flatnonzero(~found.needed):
                span = slice(slab * depth, (slab + 1) * depth)
                with np.errstate(invalid="ignore"):
                    assert not (a[slice(*tile.rows), span] @ b[span, slice(*tile.cols)]).any()


def test_every_tile_that_meets_nothing_is_zero_and_stored(tmp_path):
    a, b = np.zeros((16, 20), "float32"), np.ones((20, 16), "float32")
    recipe = recipe_for(tmp_path / "run", (a, b), Way(form="absent3"))
    found = compute(recipe)
    assert all(tile.accepted and tile.chunks and tile.bytes_read == 0 and tile.square_a == tile.square_b == 0 for tile in found)
    assert not result(recipe).any()


def test_a_tile_of_zeros_leaves_nothing_of_the_tile_before_it(tmp_path):
    a, b = np.ones((16, 8), "float32"), np.ones((8, 16), "float32")
    a[8:] = 0
    recipe = recipe_for(
        tmp_path / "run", (a, b), Way(form="absent3", in_chunks=(8, 8), alpha=2.0, beta=0.5), added=np.full((16, 16), 3.0, "float32")
    )
    compute(recipe)
    np.testing.assert_array_equal(result(recipe), 2 * (a @ b) + 1.5)


def test_c0_may_lack_chunks_and_be_sparse(tmp_path):
    rng = np.random.default_rng(1)
    a, b, c0 = (with_holes(rng, shape, (5, 7), 0.5) for shape in ((20, 30), (30, 25), (20, 25)))
    for form in SPARSE:
        recipe = recipe_for(tmp_path / form, (a, b), Way(form=form, beta=-2.0), added=c0)
        assert all(tile.accepted for tile in compute(recipe))
        np.testing.assert_allclose(result(recipe), a @ b - 2 * c0, atol=1e-4)


@pytest.fixture
def opposite():
    """B holds NaN only where A has no chunk."""
    a, b = np.ones((8, 8), "float32"), np.ones((8, 8), "float32")
    a[:, 4:], b[6, 2] = 0, NAN
    return a, b


WAY = Way(form="absent3", in_chunks=(4, 4), tile=(8, 8, 4))


def test_what_meets_only_absent_chunks_is_not_looked_at(tmp_path, opposite):
    recipe = recipe_for(tmp_path / "run", opposite, WAY)
    assert all(tile.accepted for tile in compute(recipe))
    np.testing.assert_array_equal(result(recipe), np.full((8, 8), 4.0))


def test_in_a_slab_that_is_read_it_is_refused(tmp_path, opposite):
    with pytest.raises(NonFinite, match=r"B holds nan at \[6, 2\]"):
        compute(recipe_for(tmp_path / "run", opposite, replace(WAY, tile=(8, 8, 8))))


@pytest.mark.parametrize("turned", [False, True])
def test_nan_meets_absent_chunks_where_it_is_allowed(tmp_path, opposite, turned):
    a, b = (opposite[1].T, opposite[0].T) if turned else opposite
    recipe = recipe_for(tmp_path / "run", (a, b), replace(WAY, allow_nonfinite=True))
    assert [tile.nonfinite for tile in compute(recipe)] == ["row 2" if turned else "column 2"]
    expected = np.full((8, 8), 4.0)
    expected[(2, slice(None)) if turned else (slice(None), 2)] = NAN
    np.testing.assert_array_equal(result(recipe), expected)


def test_integers_cannot_hold_nan_so_what_meets_them_is_skipped(tmp_path):
    rng = np.random.default_rng(2)
    a, b = (with_holes(rng, (24, 24), (4, 4), 0.3).astype("int8") for _ in "ab")
    recipe = recipe_for(tmp_path / "run", (a, b), replace(WAY, allow_nonfinite=True, dtype_out="int64", exact=True))
    assert not all(slabs_of(recipe, recipe.walk[index]).needed.all() for index in range(len(recipe.walk)))
    compute(recipe)
    np.testing.assert_array_equal(result(recipe), a.astype(np.int64) @ b.astype(np.int64))


def test_the_bits_do_not_depend_on_residency_or_on_who_computed_what(tmp_path):
    rng = np.random.default_rng(3)
    operands = tuple(with_holes(rng, (40, 40), (5, 5), 0.4) for _ in "ab")
    way = Way(form="absent3", in_chunks=(5, 5), tile=(8, 8, 5))
    first = recipe_for(tmp_path / "one", operands, way)
    second = recipe_for(tmp_path / "two", operands, replace(way, kept=(True, True)))
    compute(first)
    release()
    for index in reversed(range(len(second.walk))):
        compute_tile(second, second.walk[index])
    release()
    assert result(first).tobytes() == result(second).tobytes()


def test_edges_of_blocks():
    assert edges_of(10, 4).tolist() == [0, 4, 8, 10]
