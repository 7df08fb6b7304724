"""One tile function against a float64 oracle: every shape, type, orientation, format and residency."""

import tempfile
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import CorruptData, Matrix
from tasks import probing
from tasks import tile as tile_module
from tasks.errors import NonFinite
from tasks.geometry import SlabCosts
from tasks.nonfinite import Affected, overflow_error
from tasks.survey import Operand
from tasks.tile import compute_tile
from tasks.walk import planned_bytes
from tasks.workspace import release
from tests.tasks.inline import Way, compute, recipe_for, result

NATURAL = {"float16": "float32", "float32": "float32", "float64": "float64", "int8": "float64", "uint16": "float64", "int32": "float64"}


def values(rng: np.random.Generator, shape, dtype: str) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(max(info.min, -1000), min(info.max, 1000), shape, endpoint=True).astype(dtype)


def oracle(a, b) -> np.ndarray:
    return a.astype(np.float64) @ b.astype(np.float64)


def norm(matrix) -> float:
    return float(np.linalg.norm(matrix.astype(np.float64)))


edge = st.integers(1, 40)
step = st.integers(1, 24)


@st.composite
def ways(draw) -> Way:
    chunk = draw(st.tuples(st.integers(1, 16), st.integers(1, 16)))
    multiples = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    return Way(
        tile=(chunk[0] * multiples[0], chunk[1] * multiples[1], draw(step)),
        kept=draw(st.tuples(st.booleans(), st.booleans())),
        residency=draw(st.sampled_from("ABC")),
        chunk=chunk,
        transpose=draw(st.tuples(st.booleans(), st.booleans())),
        in_chunks=draw(st.tuples(step, step)),
        form=draw(st.sampled_from(["zarr2", "zarr3", "npy"])),
    )


def fit(way: Way, extents: tuple[int, int, int]) -> Way:
    """The way with chunks and tiles cut to the product, tile edges whole chunks again."""
    chunk = tuple(min(edge, extent) for edge, extent in zip(way.chunk, extents[:2], strict=True))
    edges = (min(-(-size // edge) * edge, extent) for size, edge, extent in zip(way.tile[:2], chunk, extents[:2], strict=True))
    return replace(way, chunk=chunk, tile=(*edges, min(way.tile[2], extents[2])))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(m=edge, k=edge, n=edge, way=ways(), dtypes=st.tuples(*[st.sampled_from(sorted(NATURAL))] * 2), seed=st.integers(0, 99))
def test_any_shape_and_type_is_within_its_bound(m, k, n, way, dtypes, seed):
    rng = np.random.default_rng(seed)
    a, b = values(rng, (m, k), dtypes[0]), values(rng, (k, n), dtypes[1])
    arithmetic = "float64" if "float64" in (NATURAL[dtypes[0]], NATURAL[dtypes[1]]) else "float32"
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(way, (m, n, k))
        recipe = recipe_for(Path(folder) / "run", (a, b), replace(fitted, arithmetic=arithmetic, dtype_out=arithmetic))
        measurements = compute(recipe)
        exact = oracle(a, b)
        assert all(tile.accepted for tile in measurements)
        error = norm(result(recipe) - exact)
        assert error <= recipe.bound * norm(a) * norm(b)
        costs = (SlabCosts(recipe.a, recipe.tile.rows, recipe.tile.depth), SlabCosts(recipe.b, recipe.tile.depth, recipe.tile.cols))
        assert sum(tile.bytes_read for tile in measurements) == planned_bytes(recipe.walk, recipe.slots, 1, costs)
        panel_rows = {tile.row: tile.square_a for tile in measurements}
        assert sqrt(sum(panel_rows.values())) == pytest.approx(norm(a), rel=1e-12)
        assert sum(tile.bytes_written for tile in measurements) == m * n * np.dtype(recipe.staging.spec.dtype).itemsize


@pytest.mark.parametrize("arithmetic", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize("dtype_out", ["float16", "float32", "float64"])
def test_every_arithmetic_and_stored_type_keeps_its_bound(tmp_path, arithmetic, dtype_out):
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((37, 65)), rng.standard_normal((65, 29))
    recipe = recipe_for(tmp_path / "run", (a, b), Way(tile=(16, 16, 20), chunk=(8, 16), arithmetic=arithmetic, dtype_out=dtype_out))
    assert all(tile.accepted for tile in compute(recipe))
    assert norm(result(recipe) - a @ b) <= recipe.bound * norm(a) * norm(b)


def test_alpha_beta_and_an_added_matrix(tmp_path):
    rng = np.random.default_rng(4)
    a, b, c0 = (rng.standard_normal(shape).astype("float32") for shape in ((20, 30), (30, 25), (20, 25)))
    way = Way(tile=(8, 16, 11), chunk=(8, 8), alpha=-2.5, beta=0.5)
    recipe = recipe_for(tmp_path / "run", (a, b), way, added=c0)
    measurements = compute(recipe)
    assert all(tile.accepted for tile in measurements)
    wanted = -2.5 * oracle(a, b) + 0.5 * c0.astype(np.float64)
    assert norm(result(recipe) - wanted) <= recipe.bound * (2.5 * norm(a) * norm(b) + 0.5 * norm(c0))
    assert sum(tile.square_c0 for tile in measurements) == pytest.approx(norm(c0) ** 2, rel=1e-12)


def test_exact_integers_are_exact(tmp_path):
    rng = np.random.default_rng(5)
    a, b = rng.integers(-128, 128, (19, 800)).astype("int8"), rng.integers(-128, 128, (800, 23)).astype("int8")
    recipe = recipe_for(tmp_path / "run", (a, b), Way(tile=(8, 8, 100), dtype_out="int64", exact=True))
    assert all(tile.accepted for tile in compute(recipe))
    np.testing.assert_array_equal(result(recipe), a.astype(np.int64) @ b.astype(np.int64))


@pytest.mark.parametrize("change", [(False, False), (True, True)])
def test_the_bits_do_not_depend_on_residency_or_order(tmp_path, change):
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((33, 40)).astype("float32"), rng.standard_normal((40, 31)).astype("float32")
    way = Way(tile=(16, 16, 12), chunk=(8, 8))
    first = recipe_for(tmp_path / "one", (a, b), way)
    second = recipe_for(tmp_path / "two", (a, b), replace(way, kept=change))
    compute(first)
    release()
    for index in reversed(range(len(second.walk))):
        compute_tile(second, second.walk[index])
    assert result(first).tobytes() == result(second).tobytes()


@pytest.mark.parametrize(("operand", "where"), [("A", (3, 17)), ("B", (30, 2))])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("turned", [False, True])
def test_nonfinite_input_is_refused_with_its_stored_position(tmp_path, operand, where, bad, turned):
    rng = np.random.default_rng(7)
    pair = {"A": rng.standard_normal((12, 40)).astype("float32"), "B": rng.standard_normal((40, 12)).astype("float32")}
    pair[operand][where] = bad
    recipe = recipe_for(tmp_path / "run", (pair["A"], pair["B"]), Way(transpose=(turned, turned), in_chunks=(5, 7)))
    stored = where[::-1] if turned else where
    with pytest.raises(
        NonFinite, match=rf"{operand} holds -?(nan|inf) at \[{stored[0]}, {stored[1]}\] \(chunk {stored[0] // 5}, {stored[1] // 7}\)"
    ):
        compute(recipe)


def test_of_a_matrix_by_its_own_transpose_only_a_was_given(tmp_path):
    values = np.zeros((12, 12), "float32")
    values[3, 7] = np.inf
    recipe = recipe_for(tmp_path / "run", (values, values.T), Way(tile=(12, 12, 12), in_chunks=(5, 7)))
    turned = replace(recipe, b=Operand(recipe.a.matrix, transposed=True))
    with pytest.raises(NonFinite, match=r"A holds inf at \[3, 7\] \(chunk 0, 1\)"):
        compute(turned)


def test_allowed_nonfinite_rows_and_columns_stand_outside_the_certificate(tmp_path):
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((20, 30)).astype("float32"), rng.standard_normal((30, 20)).astype("float32")
    a[3, 29], b[1, 10], b[29, 11] = np.nan, np.inf, np.nan
    recipe = recipe_for(tmp_path / "run", (a, b), Way(allow_nonfinite=True, kept=(True, True)))
    measurements = compute(recipe)
    assert all(tile.accepted for tile in measurements)
    assert {tile.nonfinite for tile in measurements if tile.nonfinite} == {"row 3", "row 3, columns 10, 11", "columns 10, 11"}
    good_rows, good_cols = np.delete(np.arange(20), 3), np.delete(np.arange(20), (10, 11))
    c = result(recipe)
    kept = np.ix_(good_rows, good_cols)
    clean = (a[good_rows], b[:, good_cols])
    assert norm(c[kept] - oracle(*clean)) <= recipe.bound * norm(clean[0]) * norm(clean[1])
    assert not np.isfinite(c[3]).any()


def test_what_was_read_before_a_column_stood_out_counts(tmp_path):
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((8, 32)).astype("float32"), rng.standard_normal((32, 8)).astype("float32")
    b[17, 3] = np.nan
    recipe = recipe_for(tmp_path / "run", (a, b), Way(tile=(8, 8, 8), allow_nonfinite=True, form="npy"))
    release()
    (found,) = compute(recipe)
    assert found.bytes_read == a.nbytes + b.nbytes + 3 * (2 * 8 * 8 * 4), "three slabs of each were read before"


def test_what_is_read_again_of_b_is_held_against_what_was_found_of_it_at_first(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((32, 16)).astype("float32"), rng.standard_normal((16, 8)).astype("float32")
    recipe, passes, honest = recipe_for(tmp_path / "run", (a, b), Way(tile=(8, 8, 8), residency="B")), list[int](), probing.apply

    def counted(block, vectors, *wanted):
        passes.append(vectors.shape[1])
        return honest(block, vectors, *wanted)

    monkeypatch.setattr(probing, "apply", counted)
    release()
    first, second = recipe.walk[0], recipe.walk[1]
    assert first.col == second.col and first.row != second.row
    assert compute_tile(recipe, first).accepted and len(passes) == 2 + 2 + 1, "slabs of B, slabs of A, the tile"
    zarr.open_array(tmp_path / "run" / "B")[3, 3] += 1
    found = compute_tile(recipe, second)
    assert len(passes) == 5 + 2 + 1 and found.bytes_read > 2 * 8 * 8 * 4, "B was read again, and not probed"
    assert not found.accepted


def test_overflow_is_refused_with_its_position(tmp_path):
    a, b = np.full((4, 3), 1.0, "float32"), np.full((3, 5), 1.0, "float32")
    a[2], b[:, 4] = 3e30, 3e30
    recipe = recipe_for(tmp_path / "run", (a, b), Way())
    assert not all(tile.accepted for tile in compute(recipe)), "it may be a fault, so it is computed again"
    with pytest.raises(NonFinite, match=r"overflows at \[2, 4\]"):
        compute(recipe, attempt=1)


@pytest.mark.parametrize("nan", [False, True])
def test_overflow_beside_nan_that_is_allowed_is_refused_with_its_position(tmp_path, nan):
    a, b = np.ones((64, 64), "float32"), np.ones((64, 64), "float32")
    a[5, :32], a[5, 32:] = 2e38, -2e38
    a[3, 7] = np.nan if nan else 1
    recipe = recipe_for(tmp_path / "run", (a, b), Way(allow_nonfinite=True))
    assert not all(tile.accepted for tile in compute(recipe))
    with pytest.raises(NonFinite, match=r"overflows at \[5, 0\]"):
        compute(recipe, attempt=1)


def test_overflow_of_the_stored_type_is_refused(tmp_path):
    a = b = np.full((4, 4), 200.0, "float32")
    with pytest.raises(NonFinite, match=r"overflows at \[0, 0\]: float32 stored as float16"):
        compute(recipe_for(tmp_path / "run", (a, b), Way(dtype_out="float16")), attempt=1)


@pytest.mark.parametrize(
    ("arithmetic", "stored", "advice"),
    [
        ("float32", "float16", "use --dtype-out float32, if that overflows too --precision float64 --dtype-out float64, or scale"),
        ("float32", "float32", "use --precision float64 --dtype-out float64, or scale"),
        ("float32", "float64", "use --precision float64, or scale"),
        ("float32-wide", "float64", "use --precision float64, or scale"),
        ("float32-wide", "float32", "use --dtype-out float64, if that overflows too --precision float64 --dtype-out float64, or scale"),
        ("int8", "float32", "use --dtype-out float64, or scale"),
        ("float64", "float32", "use --dtype-out float64, or scale"),
        ("float64", "float64", "cannot hold it; scale"),
    ],
)
def test_what_overflowed_is_told_what_surely_holds_more(tmp_path, arithmetic, stored, advice):
    recipe = recipe_for(tmp_path, (np.ones((4, 4), "float32"), np.ones((4, 4), "float32")), Way(arithmetic=arithmetic, dtype_out=stored))
    assert advice in str(overflow_error(recipe, recipe.walk[0], torch.full((4, 4), torch.inf), Affected()))


@pytest.mark.parametrize("size", [1e-30, 1e-22, 1e20])
def test_tiny_and_huge_values_keep_the_bound_with_its_underflow_term(tmp_path, size):
    rng = np.random.default_rng(9)
    a, b = ((rng.standard_normal(shape) * factor).astype("float32") for shape, factor in (((9, 50), size), ((50, 9), min(size, 1e15))))
    recipe = recipe_for(tmp_path / "run", (a, b), Way())
    assert all(tile.accepted for tile in compute(recipe))
    lost = recipe.arithmetic.underflow((9, 50, 9), (norm(a), norm(b)), "float32")
    assert norm(result(recipe) - oracle(a, b)) <= recipe.bound * norm(a) * norm(b) + lost


def test_a_corrupt_input_chunk_is_named(tmp_path):
    rng = np.random.default_rng(10)
    a, b = rng.standard_normal((20, 20)).astype("float32"), rng.standard_normal((20, 20)).astype("float32")
    recipe = recipe_for(tmp_path / "run", (a, b), Way(in_chunks=(10, 10)))
    chunk = tmp_path / "run" / "A" / "c" / "1" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(CorruptData, match="c/1/0"):
        compute(recipe)


def flip(tensor, row: int, col: int, amount: float) -> None:
    tensor[row, col] += amount


@pytest.mark.parametrize("where", ["accumulator", "slab"])
def test_a_wrong_element_is_refused_and_nothing_is_written(tmp_path, monkeypatch, where):
    from tasks import kernels

    rng = np.random.default_rng(11)
    a, b = rng.standard_normal((16, 64)).astype("float32"), rng.standard_normal((64, 16)).astype("float32")
    recipe = recipe_for(tmp_path / "run", (a, b), Way(tile=(16, 16, 32)))
    honest = kernels.KERNELS["float32", "cpu", "torch"].add

    def broken(accumulator, left, right, beta):
        if where == "slab":
            left = left.clone()
            flip(left, 5, 7, 1.0)
        honest(accumulator, left, right, beta)
        if where == "accumulator":
            flip(accumulator, 3, 4, 0.5)

    monkeypatch.setitem(kernels.KERNELS, ("float32", "cpu", "torch"), kernels.Adds(broken))
    measurement = compute(recipe)[0]
    assert not measurement.accepted
    assert measurement.worst > 1
    assert measurement.chunks == ()
    assert not (Path(recipe.staging.array) / "c" / "0" / "0").exists()


def test_a_measurement_is_small(tmp_path):
    import pickle

    rng = np.random.default_rng(12)
    recipe = recipe_for(tmp_path / "run", tuple(rng.standard_normal((8, 8)).astype("float32") for _ in "AB"), Way())
    assert len(pickle.dumps(compute(recipe)[0])) < 1024


def test_the_next_slab_is_asked_for_before_this_one_is_multiplied(tmp_path, monkeypatch):
    rng, seen = np.random.default_rng(0), []
    operands = rng.standard_normal((20, 12)).astype("float32"), rng.standard_normal((12, 20)).astype("float32")
    made = recipe_for(tmp_path / "one", operands, Way(tile=(20, 20, 4)))
    real = tile_module.add_product
    monkeypatch.setattr(Matrix, "fetch_ahead", lambda matrix, rows, cols: seen.append((matrix.shape, rows, cols)))
    monkeypatch.setattr(tile_module, "add_product", lambda *arguments: (seen.append("multiply"), real(*arguments)))
    compute_tile(made, made.walk[0])
    release()
    asked = [[((20, 12), slice(0, 20), slice(k, k + 4)), ((12, 20), slice(k, k + 4), slice(0, 20))] for k in (4, 8)]
    assert seen == [*asked[0], "multiply", *asked[1], "multiply", "multiply"]
