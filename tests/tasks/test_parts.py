"""Tiles that are summed up in parts of k, by one process: against whole tiles, from files, and when parts are planned."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import CODECS, CorruptData, hold_of
from tasks import tile as work
from tasks.check import Sums
from tasks.errors import NonFinite
from tasks.outcome import Part
from tasks.partial import add, keep
from tasks.parts import compute_part, finish_tile, part_name
from tasks.plan import TileShape
from tasks.planner import make_plan
from tasks.walk import Walk, runs
from tasks.workspace import release
from tests.tasks.inline import Way, recipe_for, result
from tests.tasks.machines import GIB, hardware, job, problem


@pytest.fixture(autouse=True)
def own_buffers():
    release()
    yield
    release()


def operands(m: int, k: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, k)).astype("float32"), rng.standard_normal((k, n)).astype("float32")


def summed(recipe, attempt: int = 0):
    """Every tile of a recipe, part by part."""
    tiles = [recipe.walk[index] for index in range(len(recipe.walk))]
    return [finish_tile(recipe, tile, attempt, *(compute_part(recipe, tile, part) for part in range(recipe.parts))) for tile in tiles]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 60))
def test_the_parts_of_a_tile_are_its_slabs_in_their_order(k, depth, parts):
    slabs = -(-k // depth)
    walk = Walk((4, k, 4), TileShape(2, 2, depth), (2, 2, slabs), "C")
    parts = min(parts, slabs)
    for tile in (walk[0], walk[1]):
        found = [walk.part(tile, part, parts) for part in range(parts)]
        assert [slab for part in found for slab in part] == walk.slabs(tile)
        assert min(map(len, found)) >= 1
        assert max(map(len, found)) - min(map(len, found)) <= 1
    assert len(runs(slabs, parts)) == parts


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 20),
    st.integers(8, 40),
    st.integers(1, 20),
    st.integers(2, 5),
    st.sampled_from(["float32", "float32-wide", "float64"]),
    st.tuples(st.booleans(), st.booleans()),
)
def test_a_product_in_parts_is_within_its_bound_and_accepted(m, k, n, parts, arithmetic, transpose):
    a, b = operands(m, k, n)
    with tempfile.TemporaryDirectory() as folder:
        way = Way(tile=(8, 8, 3), arithmetic=arithmetic, transpose=transpose, dtype_out="float64" if arithmetic == "float64" else "float32")
        recipe = replace(recipe_for(Path(folder), (a, b), way), parts=min(parts, -(-k // 3)))
        measured = summed(recipe)
        assert all(tile.accepted for tile in measured)
        error = np.linalg.norm(result(recipe) - a.astype(float) @ b.astype(float))
        assert error <= recipe.bound * np.linalg.norm(a.astype(float)) * np.linalg.norm(b.astype(float))
        assert sum(tile.square_a for tile in measured if tile.col == 0) == pytest.approx(float(np.linalg.norm(a.astype(float)) ** 2))
        assert sum(tile.square_b for tile in measured if tile.row == 0) == pytest.approx(float(np.linalg.norm(b.astype(float)) ** 2))
        release()


def test_integers_are_exact_in_parts(tmp_path):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-100, 100, shape).astype("int16") for shape in ((9, 50), (50, 7)))
    way = Way(tile=(9, 7, 4), arithmetic="float64", dtype_out="int64", exact=True, form="npy")
    recipe = replace(recipe_for(tmp_path, (a, b), way), parts=5)
    assert summed(recipe)[0].accepted
    np.testing.assert_array_equal(result(recipe), a.astype(int) @ b.astype(int))


def test_who_did_what_is_told_and_only_what_was_read_now_is_counted(tmp_path):
    a, b = operands(8, 40, 8)
    recipe = replace(recipe_for(tmp_path, (a, b), Way(tile=(8, 8, 5), form="npy")), parts=4)
    [measured] = summed(recipe)
    assert len(measured.shares) == 4
    assert measured.bytes_read == a.nbytes + b.nbytes
    assert all(share.lanes["multiply"] > 0 and share.finished >= share.started for share in measured.shares)
    [again] = summed(recipe)
    assert (again.bytes_read, again.shares) == (0, ())
    assert again.chunks == measured.chunks


@pytest.mark.parametrize("damage", [lambda _: b"", lambda stored: stored[:-1], lambda stored: stored[:-9] + b"x" + stored[-8:]])
@pytest.mark.parametrize("file", ["", ".0"])
def test_a_kept_part_that_is_torn_or_changed_is_computed_again(tmp_path, damage, file):
    a, b = operands(8, 40, 8)
    recipe = replace(recipe_for(tmp_path, (a, b), Way(tile=(8, 8, 5), form="npy")), parts=4)
    [measured] = summed(recipe)
    kept = Path(recipe.staging.folder, "sums", part_name(recipe, recipe.walk[0], 2) + file)
    kept.write_bytes(damage(kept.read_bytes()))
    [again] = summed(recipe)
    assert again.bytes_read == measured.bytes_read // 4
    assert again.chunks == measured.chunks


def test_a_second_attempt_trusts_no_kept_part(tmp_path, monkeypatch):
    a, b = operands(8, 40, 8)
    recipe = replace(recipe_for(tmp_path, (a, b), Way(tile=(8, 8, 5), form="npy")), parts=4)
    tile, honest = recipe.walk[0], work.add_product

    def wrong(method, accumulator, left, right, beta):
        honest(method, accumulator, left, right, beta)
        accumulator[3, 3] += 100

    monkeypatch.setattr(work, "add_product", wrong)
    compute_part(recipe, tile, 2)
    monkeypatch.setattr(work, "add_product", honest)
    others = [compute_part(recipe, tile, part) for part in range(4)]
    assert [part.bytes_read > 0 for part in others] == [True, True, False, True]
    assert finish_tile(recipe, tile, 0, *others).verdict == "refused"
    assert finish_tile(recipe, tile, 1, *(compute_part(recipe, tile, part, 1) for part in range(4))).accepted


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_ends_the_part_that_reads_it(tmp_path, value):
    a, b = operands(8, 40, 8)
    a[2, 33] = value
    recipe = replace(recipe_for(tmp_path, (a, b), Way(tile=(8, 8, 5), form="npy")), parts=4)
    compute_part(recipe, recipe.walk[0], 0)
    with pytest.raises(NonFinite, match=r"A holds (nan|inf) at \[2, 33\]"):
        compute_part(recipe, recipe.walk[0], 3)


def test_sums_survive_their_files_bit_for_bit_in_any_strips(tmp_path, monkeypatch):
    recipe = recipe_for(tmp_path, operands(8, 40, 8), Way(tile=(8, 8, 5), form="npy"))
    rng = np.random.default_rng(0)
    monkeypatch.setattr("tasks.memory.STRIP_BYTES", 3 * 8 * 4)
    parts = []
    for part in range(4):
        accumulator = torch.from_numpy(rng.standard_normal((8, 8)).astype("float32"))
        made = Sums(
            accumulator, torch.from_numpy(rng.standard_normal((8, 11))), torch.from_numpy(rng.random(8)), 0.1 * part, changed=part == 2
        )
        keep(hold_of(recipe.staging), str(part), made)
        parts.append(made)
    assert len(list(Path(recipe.staging.folder, "sums").iterdir())) == 4 * (3 + 1)
    whole = Sums.zero(torch.full((8, 8), torch.nan), 10)
    add(hold_of(recipe.staging), [str(part) for part in range(4)], whole)
    for name in ("accumulator", "residual", "squares_a", "square_b"):
        first, *others = (getattr(part, name) for part in parts)
        for other in others:
            first = first + other
        assert np.array_equal(np.asarray(getattr(whole, name)), np.asarray(first)), name
    assert whole.changed


@pytest.mark.parametrize("codec", [name for name, row in CODECS.items() if row.installed])
def test_the_product_has_the_same_bits_whatever_its_sums_travel_in(tmp_path, codec):
    recipe = replace(recipe_for(tmp_path, operands(8, 40, 8), Way(tile=(8, 8, 5), form="npy")), parts=4)
    [plain] = summed(recipe)
    shutil.rmtree(Path(recipe.staging.folder, "sums"))
    [measured] = summed(replace(recipe, sums_codec=codec))
    assert (measured.chunks, measured.square_residual) == (plain.chunks, plain.square_residual)
    kept = Path(recipe.staging.folder, "sums", f"{part_name(recipe, recipe.walk[0], 2)}.0").read_bytes()
    assert codec.encode() in kept[:64]


def test_a_kept_part_that_does_not_say_its_codec_is_computed_again(tmp_path):
    """As those of earlier states: the bare numbers."""
    recipe = replace(recipe_for(tmp_path, operands(8, 40, 8), Way(tile=(8, 8, 5), form="npy")), parts=4)
    [measured] = summed(recipe)
    hold_of(recipe.staging).keep_sum(f"{part_name(recipe, recipe.walk[0], 2)}.0", np.ones((8, 8), "float32").tobytes())
    [again] = summed(replace(recipe, sums_codec="zstd"))
    assert again.bytes_read == measured.bytes_read // 4
    assert again.chunks == measured.chunks


def test_sums_that_are_lost_as_soon_as_they_are_written_end_the_run(tmp_path, monkeypatch):
    recipe = replace(recipe_for(tmp_path, operands(8, 40, 8), Way(tile=(8, 8, 5), form="npy")), parts=2)
    monkeypatch.setattr("storage.site_local.keep_sum", lambda *_: None)
    with pytest.raises(CorruptData, match="check the file system"):
        finish_tile(recipe, recipe.walk[0], 0, Part(), Part())


def test_what_a_part_returns_is_known_without_torch():
    """Dask loads the type of every result in the driver."""
    assert Part.__module__ == "tasks.outcome"  # whose imports tests/tasks/test_light_workers.py looks at


# -- planning ---------------------------------------------------------------------------------------------------------


def test_a_tall_gram_matrix_reads_once_with_every_worker():
    made = problem((256, 2_000_000, 256), chunks=((256, 100_000), (100_000, 256)))
    plan = make_plan(job(memory=4 * GIB), made, hardware((2, 1)))
    assert (plan.tiles, plan.workers) == (1, 2)
    assert plan.parts >= 2
    assert plan.predicted.bytes_read == made.a.nbytes + made.b.nbytes
    assert plan.bytes_ratio < 1.01


def test_a_square_product_and_one_with_nan_are_not_cut():
    square = make_plan(job(memory=4 * GIB), problem((8192, 8192, 8192)), hardware((2, 1)))
    nan = make_plan(job(memory=4 * GIB, allow_nonfinite=True), problem((256, 2_000_000, 256)), hardware((2, 1)))
    assert (square.parts, nan.parts) == (1, 1)


def test_a_long_sum_is_cut_finely_enough_to_show_progress_and_lose_little():
    plan = make_plan(job(memory=4 * GIB), problem((256, 2**31, 256), chunks=((256, 2**17), (2**17, 256))), hardware((2, 1)))
    assert plan.predicted.seconds * plan.workers / plan.parts < 120
