"""Buffers: sizes, reuse, and that a new run frees those of the old."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from storage import CorruptData, Matrix
from tasks.workspace import Lanes, release, workspace_for
from tests.tasks.inline import Way, recipe_for


def recipe(folder, **fields):
    rng = np.random.default_rng(0)
    operands = rng.standard_normal((20, 12)).astype("float32"), rng.standard_normal((12, 20)).astype("float32")
    return recipe_for(folder, operands, Way(tile=(8, 8, 4), **fields))


def test_a_slab_is_read_once_while_it_is_in_memory(tmp_path):
    made = recipe(tmp_path / "one", kept=(True, False))
    space = workspace_for(made)
    first, count = space.shelf_a.take((0, 0), made.a, (0, 8), (0, 4))
    again, nothing = space.shelf_a.take((0, 0), made.a, (0, 8), (0, 4))
    assert count > 0
    assert nothing == 0
    assert again is first
    release()


def test_a_streamed_slab_gives_way(tmp_path):
    made = recipe(tmp_path / "one")
    space = workspace_for(made)
    space.shelf_b.take((0, 0), made.b, (0, 4), (0, 8))
    space.shelf_b.take((1, 0), made.b, (4, 8), (0, 8))
    _, count = space.shelf_b.take((0, 0), made.b, (0, 4), (0, 8))
    assert count > 0
    release()


def test_a_slab_that_could_not_be_read_is_not_here(tmp_path, monkeypatch):
    """The next tile would have taken the slab before it for this one, and so would its check."""
    made = recipe(tmp_path / "one")
    space, read = workspace_for(made), Matrix.read_into
    space.shelf_b.take((0, 0), made.b, (0, 4), (0, 8))
    with monkeypatch.context() as patch:
        patch.setattr(Matrix, "read_into", lambda *args: (_ for _ in ()).throw(CorruptData("gone")))
        with pytest.raises(CorruptData):
            space.shelf_b.take((1, 0), made.b, (4, 8), (0, 8))
    slab, count = space.shelf_b.take((1, 0), made.b, (4, 8), (0, 8))
    wanted = np.empty((4, 8), "float32")
    assert count == read(made.b.matrix, wanted, slice(4, 8), slice(0, 8))
    assert np.array_equal(slab.values.numpy(), wanted)
    release()


def test_what_comes_next_is_fetched_unless_it_is_here(tmp_path, monkeypatch):
    made, fetched = recipe(tmp_path / "one", kept=(True, False)), []
    monkeypatch.setattr(Matrix, "fetch_ahead", lambda matrix, rows, cols: fetched.append((rows, cols)))
    space = workspace_for(made)
    space.shelf_a.take((0, 0), made.a, (0, 8), (0, 4))
    for index in (0, 1):
        space.shelf_a.expect((0, index), made.a, (0, 8), (4 * index, 4 * index + 4))
    assert fetched == [(slice(0, 8), slice(4, 8))]
    release()


def test_the_next_run_gets_its_own_buffers(tmp_path):
    made = recipe(tmp_path / "one")
    space = workspace_for(made)
    assert workspace_for(made) is space
    assert workspace_for(replace(made, run_id="another")) is not space
    release()


def test_conversion_keeps_values_and_orientation(tmp_path):
    made = recipe(tmp_path / "one", arithmetic="float64", dtype_out="float64")
    space = workspace_for(made)
    values = torch.arange(32, dtype=torch.float32).view(8, 4)
    assert torch.equal(space.prepared(values, values)[0].slices[0], values.double())
    turned = torch.arange(32, dtype=torch.float32).view(4, 8).T
    copy = space.prepared(turned, values)[0].slices[0]
    assert torch.equal(copy, turned.double())
    assert copy.stride() == turned.stride()
    release()


def test_no_conversion_where_types_agree(tmp_path):
    space = workspace_for(recipe(tmp_path / "one"))
    values = torch.ones(8, 4)
    assert space.prepared(values, values)[0].slices[0] is values
    release()


def test_laps_add_up():
    lanes = Lanes()
    lanes.lap("read")
    lanes.book({"encode": 0.25, "write": 0.5}, rest="encode")
    assert lanes.seconds["write"] == 0.5
    assert lanes.seconds["read"] >= 0
    assert set(lanes.seconds) == {"read", "multiply", "verify", "encode", "write"}
