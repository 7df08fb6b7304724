"""Errors carry one line and an exit code, and survive the way between processes."""

import pickle

import pytest

from storage import BadInput, CorruptData, DiskFull, GemmflowError, Refused


@pytest.mark.parametrize(("kind", "code"), [(GemmflowError, 1), (CorruptData, 1), (DiskFull, 1), (BadInput, 2), (Refused, 3)])
def test_errors_travel_with_their_message_and_exit_code(kind: type[GemmflowError], code: int) -> None:
    back = pickle.loads(pickle.dumps(kind("A.zarr chunk c/0/3 is gone")))
    assert (type(back), str(back), back.exit_code) == (kind, "A.zarr chunk c/0/3 is gone", code)
