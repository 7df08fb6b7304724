import pickle

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.survey import Operand, survey
from tests.tasks.machines import job, matrix


@pytest.fixture
def folder(tmp_path):
    for name, shape in (("a", (4, 5)), ("b", (5, 6)), ("bt", (6, 5)), ("at", (5, 4)), ("c0", (4, 6)), ("odd", (7, 8))):
        np.save(tmp_path / f"{name}.npy", np.arange(shape[0] * shape[1], dtype="float32").reshape(shape))
    zarr.create_array(tmp_path / "z.zarr", shape=(5, 6), chunks=(2, 4), dtype="int16")
    return tmp_path


def surveyed(folder, a="a.npy", b="b.npy", **fields):
    paths = {"a": str(folder / a), "b": str(folder / b), "out": str(folder / "out.zarr")}
    if "add" in fields:
        fields["add"] = str(folder / fields["add"])
    return survey(job(**paths | fields))


def test_the_smallest_case(folder):
    made = surveyed(folder)
    assert (made.shape, made.flops, made.title) == ((4, 5, 6), 240, "4x5x6 float32")
    assert made.dtypes == ("float32", "float32")
    assert made.a.nbytes == 80


def test_mixed_types_are_in_the_title(folder):
    made = surveyed(folder, b="z.zarr")
    assert made.title == "4x5x6 float32 by int16"
    assert made.b.chunks == (2, 4)


def test_transposed_operands_are_seen_as_they_are_used(folder):
    made = surveyed(folder, "at.npy", "bt.npy", transpose_a=True, transpose_b=True)
    assert made.shape == (4, 5, 6)
    assert made.a.block_shape(2, 3) == (3, 2)
    out = np.empty((3, 2), "float32")
    assert made.a.read_into(out, slice(1, 3), slice(0, 3)) == 24
    assert (out == np.load(folder / "at.npy")[0:3, 1:3]).all()


def test_a_survey_travels_and_is_small(folder):
    made = surveyed(folder, b="z.zarr")
    assert pickle.loads(pickle.dumps(made)) == made
    assert len(pickle.dumps(made)) < 4096


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"b": "odd.npy"}, r"inner dimensions differ: op\(A\) is 4 x 5 and op\(B\) is 7 x 8; .* op\(B\)$"),
        ({"b": "bt.npy"}, r"op\(B\) is 6 x 5; .* \(transpose-b would fit\)"),
        ({"a": "at.npy"}, r"op\(A\) is 5 x 4 .* \(transpose-a would fit\)"),
        ({"transpose_b": True}, r"op\(B\) is 6 x 5; .* \(without transpose-b it would fit\)"),
        ({"transpose_a": True}, r"op\(A\) is 5 x 4 .* \(without transpose-a it would fit\)"),
        ({"add": "b.npy", "beta": 1.0}, "C0 is 5 x 6 but the product is 4 x 6"),
        ({"a": "nothing.npy"}, "nothing.npy"),
        ({"out": "a.npy"}, "a.npy"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_with_what_would(folder, fields, message):
    if "out" in fields:
        fields = fields | {"out": str(folder / fields["out"])}
    with pytest.raises(BadInput, match=message) as caught:
        surveyed(folder, **fields)
    assert "\n" not in str(caught.value)
    assert not (folder / "out.zarr").exists()


@given(st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_an_operand_speaks_of_rows_and_columns_of_op_x(rows, cols, transposed):
    operand = Operand(matrix((rows, cols), "float64", (rows, 1)), transposed)
    assert operand.shape == ((cols, rows) if transposed else (rows, cols))
    assert operand.chunks == ((1, rows) if transposed else (rows, 1))
    assert operand.nbytes == rows * cols * 8
    assert operand.dtype == "float64"
