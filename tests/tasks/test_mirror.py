"""Which files a tile of a symmetric product fills: together each file of the array exactly once."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from storage import OutputSpec
from tasks.geometry import blocks
from tasks.mirror import places, written_elements
from tasks.plan import TileShape
from tasks.triangle import TriangleWalk
from tasks.walk import Walk


@given(st.integers(1, 30), st.sampled_from([(2, 2), (2, 4), (6, 3), (5, 5)]), st.integers(1, 3), st.booleans(), st.booleans())
def test_the_tiles_fill_every_file_once_with_the_right_elements(size, chunk, times, lower, symmetric):
    side = min(max(chunk) * times, size)
    chunk = min(chunk[0], size), min(chunk[1], size)
    side = size if side % chunk[0] or side % chunk[1] else side
    count = blocks(size, side)
    walk = (TriangleWalk if symmetric else Walk)((size, 1, size), TileShape(side, side, 1), (count, count, 1), "C")
    spec = OutputSpec((size, size), "float32", chunk, "none", lower=lower and symmetric)
    half = torch.rand(size, size)
    product = half + half.T if symmetric else half
    stored, keys, elements = np.full((size, size), np.nan, "float32"), [], 0
    for tile in (walk[index] for index in range(len(walk))):
        accumulator = product[slice(*tile.rows), slice(*tile.cols)]
        for place in places(walk, spec, tile):
            part, (row, col) = place.part(accumulator), place.origin
            assert part.numel() == place.elements and row % chunk[0] == col % chunk[1] == 0
            stored[row : row + part.shape[0], col : col + part.shape[1]] = part.numpy()
            keys.append(f"c/{row // chunk[0]}/{col // chunk[1]}")
        elements += written_elements(walk, spec, tile)
    assert sorted(keys) == sorted(spec.keys) and elements == spec.elements
    seen = ~np.isnan(stored)
    assert (stored[seen] == product.numpy()[seen]).all() and seen.sum() == spec.elements
