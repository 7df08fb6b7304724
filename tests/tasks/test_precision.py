import doctest
import re
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import precision
from tasks.errors import Refused
from tasks.ladder import ARITHMETICS
from tasks.precision import asked_error, choose_precisions
from tests.tasks.machines import job, matrix, problem

TYPES = ("float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "uint64")


def chosen(made, shape=(8, 64, 8), dtypes=("float32", "float32"), device="cpu", add=None):
    rows = choose_precisions(made, problem(shape, dtypes, add=add), device)
    return {row.arithmetic.name: row for row in rows if row.reason == ""}


def test_the_examples_of_the_documentation_hold():
    assert doctest.testmod(precision).failed == 0


@given(
    st.tuples(st.sampled_from(TYPES), st.sampled_from(TYPES)),
    st.integers(1, 10**9),
    st.sampled_from(["auto", "float16", "float32", "float64"]),
    st.sampled_from([1.0, 2.5]),
    st.booleans(),
)
def test_without_a_max_error_something_always_certifies(dtypes, k, dtype_out, alpha, added):
    fields = {"add": "/data/c", "beta": 1.0} if added else {}
    made = job(dtype_out=dtype_out, alpha=alpha, **fields)
    rows = chosen(made, (8, k, 8), dtypes, add=matrix((8, 8)) if added else None)
    assert rows
    for row in rows.values():
        assert 0 <= row.bound <= row.asked < 1
        assert dtype_out in ("auto", row.dtype_out)
        assert not row.exact or (alpha == 1 and not added)


@given(
    st.sampled_from(["auto", *ARITHMETICS]),
    st.sampled_from(TYPES),
    st.integers(1, 10**8),
    st.floats(1e-30, 1e-2),
    st.sampled_from(["auto", "float16", "float32", "float64", "int64"]),
)
def test_what_a_refusal_names_is_enough(name, dtype, k, asked, dtype_out):
    fields = {"precision": name, "dtype_out": dtype_out}
    try:
        chosen(job(max_error=asked, **fields), (8, k, 8), (dtype, dtype))
    except Refused as refusal:
        assert "\n" not in str(refusal)
        named = re.search(r" with (\S+); ask for at least that", str(refusal))
        if named:
            assert chosen(job(max_error=float(named[1]), **fields), (8, k, 8), (dtype, dtype))


def test_auto_takes_the_cheapest_kind_that_certifies():
    assert set(chosen(job(max_error=0.5))) == {"bfloat16", "float32", "float64"}
    assert set(chosen(job(max_error=1e-5))) == {"float32", "float64"}
    assert set(chosen(job(max_error=1e-13))) == {"float64"}


def test_the_default_is_what_the_natural_arithmetic_certifies():
    small = problem((8, 64, 8))
    assert asked_error(job(), small, "cpu") == ARITHMETICS["float32"].bound(64, ("float32",) * 2, "float32")
    assert asked_error(job(precision="bfloat16"), small, "cpu") == ARITHMETICS["bfloat16"].bound(64, ("float32",) * 2, "float32")
    assert asked_error(job(max_error=0.25), small, "cpu") == 0.25


def test_where_k_is_too_deep_for_float32_the_default_is_that_of_float64():
    rows = chosen(job(), (8, 2**24, 8))
    assert set(rows) == {"float64"}
    with pytest.raises(Refused, match="precision float32 never certifies any digit for k = 16777216: use a wider precision"):
        chosen(job(precision="float32"), (8, 2**24, 8))


def test_the_stored_type_widens_where_rounding_would_exceed_the_error_asked():
    halves = ("float16", "float16")
    assert chosen(job(max_error=1e-2), dtypes=halves)["float32"].dtype_out == "float16"
    assert chosen(job(max_error=1e-4), dtypes=halves)["float32"].dtype_out == "float32"
    assert chosen(job(max_error=1e-10), dtypes=halves)["float64"].dtype_out == "float64"


def test_integers_are_stored_exactly_where_they_are_exact():
    rows = chosen(job(), dtypes=("int8", "int8"))
    assert {name: (row.dtype_out, row.bound, row.exact) for name, row in rows.items()} == {
        "float32": ("int64", 0.0, True),
        "float64": ("int64", 0.0, True),
    }
    wide = chosen(job(), dtypes=("int64", "int64"))
    assert {name: (row.dtype_out, row.exact) for name, row in wide.items()} == {"float64": ("float64", False)}


def test_exact_integers_scaled_by_alpha_get_a_default_that_can_be_met():
    rows = chosen(job(alpha=0.5), dtypes=("int8", "int8"))
    assert not rows["float64"].exact
    assert rows["float64"].dtype_out == "float64"


def test_exact_integers_may_be_stored_as_floats():
    assert 0 < chosen(job(dtype_out="float32"), dtypes=("int8", "int8"))["float64"].bound < 1e-7


@pytest.mark.parametrize(
    ("fields", "dtypes", "message"),
    [
        ({"dtype_out": "int64"}, ("float32", "float32"), "needs an exact product, which float32 by float32 with k = 64 is not"),
        ({"dtype_out": "int64", "alpha": 2.0}, ("int8", "int8"), "int8 by int8 with k = 64, scaled or added to, is not"),
        ({"max_error": 1e-20}, ("float32", "float32"), "no arithmetic certifies a max-error of 1e-20 for k = 64: the best is float64"),
        ({"precision": "bfloat16", "max_error": 1e-4}, ("float32", "float32"), "precision bfloat16 never .* the best is bfloat16"),
        ({"dtype_out": "float16", "max_error": 1e-6}, ("float32", "float32"), "stored as float16 with"),
    ],
)
def test_refusals_say_what_would_do(fields, dtypes, message):
    with pytest.raises(Refused, match=message) as caught:
        chosen(job(**fields), dtypes=dtypes)
    assert caught.value.exit_code == 3


def test_every_row_says_why_it_is_out():
    rows = choose_precisions(job(max_error=1e-5, precision="float32"), problem((8, 64, 8)), "cpu")
    reasons = {row.arithmetic.name: row.reason for row in rows}
    assert reasons["float32"] == ""
    assert reasons["float64"] == "float32 was asked for"
    assert reasons["bfloat16"] == "float32 was asked for"
    (first, *_) = choose_precisions(job(max_error=1e-5), problem((8, 64, 8)), "cpu")
    assert re.fullmatch(r"certifies 0\.01\d*, more than 1e-05", first.reason)


def test_a_row_that_a_device_lacks_is_out(monkeypatch):
    only_cpu = replace(ARITHMETICS["bfloat16"], slab_output={"cpu": "bfloat16"})
    monkeypatch.setitem(ARITHMETICS, "bfloat16", only_cpu)
    (row, *_) = choose_precisions(job(), problem((8, 64, 8)), "cuda")
    assert (row.bound, row.reason) == (inf, "not available on cuda")
    with pytest.raises(Refused, match="precision bfloat16 is not available on cuda: use auto"):
        choose_precisions(job(precision="bfloat16"), problem((8, 64, 8)), "cuda")
