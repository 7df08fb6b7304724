"""Fresh probes against the inputs: a sound product passes, a wrong one is found where it is wrong."""

from dataclasses import replace

import numpy as np
import pytest

from storage import open_matrix, set_attributes, write_block
from tasks import against
from tasks.against import check_against
from tasks.outcome import Certificate
from tests.tasks.builders import certificate
from tests.tasks.inline import Way, compute, recipe_for, result


def operands(m=20, k=33, n=27, dtype="float32"):
    rng = np.random.default_rng(3)
    return rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)


def proof(a, b, added=None) -> Certificate:
    norms = {"norm_a": float(np.linalg.norm(a)), "norm_b": float(np.linalg.norm(b))}
    return certificate(**norms, norm_c0=0.0 if added is None else float(np.linalg.norm(added)))


def checked(recipe, a, b, added=None):
    set_attributes(recipe.staging, {})
    return check_against([replace(recipe, seed=99)], open_matrix(recipe.staging.array), proof(a, b, added))


@pytest.mark.parametrize("transpose", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("group", [1, 2**28])
def test_a_sound_product_passes_with_a_small_error(tmp_path, transpose, group, monkeypatch):
    monkeypatch.setattr(against, "GROUP_BYTES", group)
    monkeypatch.setattr(against, "BLOCK_BYTES", 600)
    a, b = operands()
    recipe = recipe_for(tmp_path, (a, b), Way(transpose=transpose))
    compute(recipe)
    found = checked(recipe, a, b)
    assert found.tiles == () and found.worst <= 1.0 and found.measured < 1e-6
    assert found.seed == 99


def test_a_sum_with_c0_and_factors_passes(tmp_path):
    a, b = operands()
    added = np.random.default_rng(5).standard_normal((20, 27)).astype("float32")
    recipe = recipe_for(tmp_path, (a, b), Way(alpha=2.0, beta=-0.5), added)
    compute(recipe)
    assert checked(recipe, a, b, added).tiles == ()
    wrong = replace(recipe, beta=0.5)
    assert len(checked(wrong, a, b, added).tiles) == len(recipe.walk)


def test_integers_are_exact(tmp_path):
    rng = np.random.default_rng(0)
    a, b = rng.integers(-9, 9, (20, 33)).astype("int8"), rng.integers(-9, 9, (33, 27)).astype("int8")
    recipe = recipe_for(tmp_path, (a, b), Way(arithmetic="float64", dtype_out="int64", exact=True))
    compute(recipe)
    assert checked(recipe, a, b).tiles == ()
    block = np.asarray(a.astype("int64") @ b)[8:16, 16:24]
    block[3, 3] += 1
    write_block(recipe.staging, 8, 16, block)
    assert checked(recipe, a, b).tiles == ((1, 2),)


@pytest.mark.parametrize("size", [5e-3, 1.0, np.nan, np.inf])
def test_a_wrong_element_is_found_in_its_tile(tmp_path, size):
    a, b = operands()
    recipe = recipe_for(tmp_path, (a, b), Way())
    compute(recipe)
    block = np.asarray(a @ b, dtype="float32")[16:20, 8:16]
    block[1, 2] += size
    write_block(recipe.staging, 16, 8, block)
    found = checked(recipe, a, b)
    assert found.tiles == ((2, 1),) and found.worst > 1


def test_changed_inputs_are_found(tmp_path):
    a, b = operands()
    recipe = recipe_for(tmp_path, (a, b), Way())
    compute(recipe)
    other = recipe_for(tmp_path / "other", (a, b[::-1].copy()), Way())
    assert len(checked(replace(recipe, b=other.b), a, b).tiles) == len(recipe.walk)


def test_rows_and_columns_that_nan_reaches_stand_outside(tmp_path):
    a, b = operands()
    a[3, 4], b[5, 6] = np.nan, np.inf
    recipe = recipe_for(tmp_path, (a, b), Way(allow_nonfinite=True))
    compute(recipe)
    clean = np.nan_to_num(a, nan=0, posinf=0), np.nan_to_num(b, nan=0, posinf=0)
    assert checked(recipe, *clean).tiles == ()
    block = np.asarray(clean[0] @ clean[1], dtype="float32")[16:20, 8:16]
    block[0, 0] += 1
    write_block(recipe.staging, 16, 8, block)
    assert checked(recipe, *clean).tiles == ((2, 1),)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_beside_what_nan_reaches_is_damage(tmp_path, value):
    a, b = operands()
    a[3, 4], b[5, 6] = np.nan, np.inf
    recipe = recipe_for(tmp_path, (a, b), Way(allow_nonfinite=True))
    compute(recipe)
    clean = np.nan_to_num(a, nan=0, posinf=0), np.nan_to_num(b, nan=0, posinf=0)
    block = np.asarray(clean[0] @ clean[1], dtype="float32")[16:20, 8:16]
    block[0, 0] = value
    write_block(recipe.staging, 16, 8, block)
    found = checked(recipe, *clean)
    assert found.tiles == ((2, 1),) and not found.kept


def test_what_it_proves_and_how_it_can_be_repeated_is_named(tmp_path):
    a, b = operands()
    recipe = recipe_for(tmp_path, (a, b), Way())
    compute(recipe)
    found = checked(recipe, a, b)
    assert (found.probes, found.confidence, found.seed, found.asked, found.guarantee) == (10, 0.999, 99, 1e-3, "certified")
    assert found.kept
    assert checked(recipe, a, b) == found
    assert not replace(found, tiles=((0, 0),)).kept


@pytest.mark.parametrize("guarantee", ["certified", "measured"])
def test_a_whole_product_is_refused_only_where_its_error_is_surely_too_large(tmp_path, guarantee):
    a, b = operands()
    recipe = recipe_for(tmp_path, (a, b), Way())
    compute(recipe)
    found = replace(checked(recipe, a, b), guarantee=guarantee)
    assert 0 < found.at_least < np.linalg.norm(result(recipe) - a.astype(float) @ b) / np.linalg.norm(a) / np.linalg.norm(b)
    assert replace(found, measured=2e-3).kept, "an upper bound is above what was asked by chance, too"
    assert not replace(found, at_least=2e-3).kept


def test_a_tile_is_judged_by_the_loosest_arithmetic_that_computed_any(tmp_path):
    a, b = operands()
    recipe = recipe_for(tmp_path, (a, b), Way())
    compute(recipe)
    block = np.asarray(a @ b, dtype="float32")[16:20, 8:16]
    block[1, 2] += 5e-3
    write_block(recipe.staging, 16, 8, block)
    set_attributes(recipe.staging, {})
    strict = replace(recipe, seed=99)
    loose = replace(strict, arithmetic_name="bfloat16", bound=1.2e-2)
    product = open_matrix(recipe.staging.array)
    assert check_against([strict], product, proof(a, b)).tiles == ((2, 1),)
    for recipes in ([loose], [loose, strict], [strict, loose]):
        assert check_against(recipes, product, proof(a, b)).tiles == ()


def test_one_changed_value_that_no_tile_shows_is_more_than_was_asked(tmp_path):
    a, b = operands()
    recipe = recipe_for(tmp_path, (a, b), Way())
    compute(recipe)
    wide = replace(recipe, arithmetic_name="bfloat16", bound=1.0)
    other = recipe_for(tmp_path / "other", (a * np.float32(1.05), b), Way())
    found = checked(replace(wide, a=other.a), a, b)
    assert found.tiles == () and found.guarantee == "certified"
    assert found.asked < found.at_least < 0.05
    assert not found.kept
