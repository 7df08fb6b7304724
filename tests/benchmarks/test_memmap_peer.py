"""Tiles of mapped files: the product is right however small they are, and they fit."""

import doctest
from dataclasses import replace

import numpy as np
import psutil
import pytest

from benchmarks import memmap_peer
from benchmarks.inputs import make_inputs, make_maps
from benchmarks.memmap_peer import even, numpy_memmap, tile_edge
from tests.benchmarks.samples import SMALL


@pytest.mark.parametrize(("depth", "room"), [(1, 4 * 3), (256, 1 << 20), (8192, 1 << 30), (16384, 3 << 28)])
def test_the_edge_is_the_largest_that_fits(depth, room):
    edge = tile_edge(depth, room)
    assert 4 * (edge**2 + 2 * depth * edge) <= room < 4 * ((edge + 1) ** 2 + 2 * depth * (edge + 1))


def test_no_room_is_an_error():
    with pytest.raises(ValueError, match="too few"):
        tile_edge(100, 10)


@pytest.mark.parametrize("length", [1, 7, 100, 16384])
@pytest.mark.parametrize("edge", [1, 3, 64, 20000])
def test_even_tiles_are_as_few_as_the_largest_would_be(length, edge):
    assert even(length, edge) <= edge
    assert -(-length // even(length, edge)) == -(-length // edge)


def test_the_product_of_many_tiles_is_right(tmp_path, monkeypatch):
    make_inputs(tmp_path, SMALL.shape, SMALL.chunk)
    make_maps(tmp_path)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda self: type("Info", (), {"rss": 0}))
    taken = numpy_memmap(tmp_path, replace(SMALL, memory=4 * (20**2 + 2 * 64 * 20)))
    assert taken.how == "tiles of 16 × 20"
    a, b, c = (np.load(tmp_path / f"{name}.npy") for name in "ABC")
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-4)


def test_examples():
    assert doctest.testmod(memmap_peer).failed == 0
