"""Bytes of what is stored of a product."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from tasks.choice.kept import Form, Kept
from tasks.errors import BadInput

PUBLISHED = [  # rows, columns, type, kept, GB; from the issues that users filed
    (400_000, 400_000, "float16", Kept(), 320.0),  # dask #6900
    (42_000, 42_000, "float64", Kept(), 14.11),  # dask #3776
    (91_282, 91_282, "float32", Kept(), 33.33),  # HCP workbench
    (1_000_000, 1_000_000, "float64", Kept(), 8000.0),  # hail #13798
    (150_000, 30_000, "float64", Kept(), 36.0),  # lightfm #354
    (1_575_538, 1_575_538, "float32", Kept(), 9929.0),  # dask #10202
    (11_060_223, 11_060_223, "float32", Kept(), 489_300.0),  # faiss #3049
    (11_060_223, 11_060_223, "float32", Kept("top", 2047), 181.1),
]


@pytest.mark.parametrize(("rows", "columns", "dtype", "kept", "gigabytes"), PUBLISHED)
def test_what_users_ran_into(rows: int, columns: int, dtype: str, kept: Kept, gigabytes: float) -> None:
    assert kept.stored_bytes(rows, columns, dtype) / 1e9 == pytest.approx(gigabytes, rel=5e-4)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["float16", "float32", "float64"]))
def test_bytes_are_those_of_arrays(rows: int, columns: int, dtype: str) -> None:
    whole = np.ones((rows, columns), dtype)
    assert Kept().stored_bytes(rows, columns, dtype) == whole.nbytes
    assert Kept("triangle").stored_bytes(rows, rows, dtype) == np.tril(np.ones((rows, rows)))[np.tril_indices(rows)].astype(dtype).nbytes


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_a_share_is_kept_as_compressed_rows(rows: int, columns: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.3
    sparse = scipy.sparse.csr_array(mask.astype(np.float32))
    share = sparse.nnz / mask.size
    if share:
        counted = sparse.data.nbytes + 4 * sparse.nnz + 8 * (rows + 1)
        assert Kept("above", share).stored_bytes(rows, columns, "float32") == counted


def test_indices_grow_with_the_columns_and_a_row_has_no_more_than_its_columns() -> None:
    assert Kept("top", 10).stored_bytes(3, 5, "float32") == 3 * 5 * (4 + 4)
    assert Kept("top", 10).stored_bytes(3, 2**31 + 1, "float32") == 3 * 10 * (4 + 8)


def test_compression_divides() -> None:
    assert Kept(ratio=4).stored_bytes(100, 100, "float64") == 20_000


@pytest.mark.parametrize(
    ("form", "amount", "said"),
    [("top", 0, "name a whole number"), ("top", 2.5, "name a whole number"), ("above", 0, "name a share"), ("above", 1.5, "name a share")],
)
def test_what_cannot_be_kept_is_refused(form: Form, amount: float, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Kept(form, amount)


def test_only_squares_have_triangles() -> None:
    with pytest.raises(BadInput, match="no triangle to keep"):
        Kept("triangle").stored_bytes(3, 4, "float32")
