from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.demo import TIMES_MEMORY, demo_shape
from flows.samples import Sample, write_sample
from storage import open_matrix


@given(st.integers(2**27, 2**40))
def test_the_matrices_are_four_times_the_memory_and_not_much_more(memory: int) -> None:
    m, k, n = demo_shape(memory)
    size = 4 * (m * k + k * n + m * n)
    assert size >= TIMES_MEMORY * memory
    smaller = (m - 2048, k - 1024, n - 2048)
    assert 4 * (smaller[0] * smaller[1] + smaller[1] * smaller[2] + smaller[0] * smaller[2]) < TIMES_MEMORY * memory


def test_a_sample_has_structure_noise_and_a_seed(tmp_path: Path) -> None:
    sample = Sample((300, 200), seed=3, chunk=128)
    write_sample(tmp_path / "x.zarr", sample)
    matrix = open_matrix(tmp_path / "x.zarr")
    found = np.empty((300, 200), np.float32)
    matrix.read_into(found, slice(0, 300), slice(0, 200))
    values = np.linalg.svd(found, compute_uv=False)
    assert values[31] > 3 * values[32] > 0
    assert found.std() == pytest.approx(1, rel=0.2)
    write_sample(tmp_path / "x.zarr", sample)
    again = np.empty_like(found)
    open_matrix(tmp_path / "x.zarr").read_into(again, slice(0, 300), slice(0, 200))
    assert np.array_equal(found, again)
    assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]
