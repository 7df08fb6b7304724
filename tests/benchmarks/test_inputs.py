"""All contenders get the same values."""

import numpy as np
import zarr

from benchmarks.inputs import make_inputs, make_maps


def test_mapped_files_hold_what_the_zarr_arrays_hold(tmp_path):
    make_inputs(tmp_path, (70, 30, 50), (32, 16))
    make_maps(tmp_path)
    for name, shape, chunks in (("A", (70, 30), (32, 16)), ("B", (30, 50), (30, 16))):
        stored, mapped = zarr.open_array(tmp_path / name), np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        assert stored.shape == mapped.shape == shape
        assert stored.chunks == chunks
        assert mapped.dtype == np.float32
        np.testing.assert_array_equal(stored[:], mapped)
    assert abs(np.load(tmp_path / "A.npy").std() - 1) < 0.1


def test_inputs_are_the_same_every_time(tmp_path):
    for name in ("one", "two"):
        make_inputs(tmp_path / name, (20, 10, 20), (8, 8))
    np.testing.assert_array_equal(*(zarr.open_array(tmp_path / name / "B")[:] for name in ("one", "two")))
