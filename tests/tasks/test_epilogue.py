"""Rounding in place before the check, and storing chunk by chunk."""

import numpy as np
import pytest
import torch

from tasks.epilogue import finish, store_tile
from tasks.nonfinite import Affected
from tasks.number_types import HALF_SUBNORMAL, UNIT_ROUNDOFF, rounding
from tasks.workspace import Lanes
from tests.tasks.inline import Way, recipe_for, result


def recipe(tmp_path, **fields):
    rng = np.random.default_rng(0)
    operands = rng.standard_normal((30, 10)).astype("float32"), rng.standard_normal((10, 20)).astype("float32")
    return recipe_for(tmp_path / "run", operands, Way(tile=(16, 16, 10), chunk=(8, 8), **fields))


@pytest.mark.parametrize("stored", ["float16", "float32"])
def test_values_are_rounded_to_the_stored_type_and_nothing_more(tmp_path, stored):
    made = recipe(tmp_path, dtype_out=stored, arithmetic="float64")
    accumulator = torch.randn(16, 16, dtype=torch.float64)
    accumulator[0, 0] = 1 + 2.0**-11 + 2.0**-40  # halfway between two of float16, once float32 has rounded it
    before = accumulator.numpy().copy()
    finish(made, made.walk[0], accumulator, torch.zeros(16, 8, dtype=torch.float64), Affected())
    np.testing.assert_array_equal(accumulator.numpy(), before.astype("float32").astype(stored).astype(np.float64))
    errors = np.abs(accumulator.numpy() - before)
    assert (errors <= rounding("float64", stored) * np.abs(before) + HALF_SUBNORMAL[stored]).all()
    assert stored == "float32" or errors[0, 0] > UNIT_ROUNDOFF["float16"]


@pytest.mark.parametrize("shard", [None, (16, 8), (16, 16)])
def test_an_edge_tile_is_stored_in_its_place(tmp_path, shard):
    made = recipe(tmp_path, shard=shard)
    for index in range(len(made.walk)):
        tile = made.walk[index]
        shape = tile.rows[1] - tile.rows[0], tile.cols[1] - tile.cols[0]
        store_tile(made, tile, torch.full(shape, float(index)), Lanes())
    wanted = np.empty((30, 20), "float32")
    for index in range(len(made.walk)):
        tile = made.walk[index]
        wanted[slice(*tile.rows), slice(*tile.cols)] = index
    np.testing.assert_array_equal(result(made), wanted)


@pytest.mark.parametrize(("shard", "keys"), [((16, 16), {"c/0/0"}), ((8, 16), {"c/0/0", "c/1/0"})])
def test_a_tile_writes_its_shards_whole_with_values_of_the_stored_type(tmp_path, shard, keys):
    made = recipe(tmp_path, shard=shard, arithmetic="float64", dtype_out="float16")
    values = torch.arange(256, dtype=torch.float64).reshape(16, 16)
    assert {record.key for record in store_tile(made, made.walk[0], values, Lanes())} == keys
    np.testing.assert_array_equal(result(made)[:16, :16], values.numpy())


def test_time_goes_to_encode_and_write(tmp_path):
    made, lanes = recipe(tmp_path), Lanes()
    records = store_tile(made, made.walk[0], torch.ones(16, 16), lanes)
    assert {record.key for record in records} == {"c/0/0", "c/0/1", "c/1/0", "c/1/1"}
    assert lanes.seconds["encode"] > 0
    assert lanes.seconds["write"] > 0
    assert lanes.seconds["read"] == 0
