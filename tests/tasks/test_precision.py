import doctest
import re
from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.matrix import ACCEPTED
from tasks import number_types
from tasks.errors import Refused
from tasks.forecast import Data
from tasks.ladder import ARITHMETICS
from tasks.precision import asked_error, choose_precisions, fallbacks_of
from tasks.units import round_up
from tests.tasks.machines import job, matrix, problem

TYPES = tuple(dtype.name for dtype in ACCEPTED)
"""Floats come first, three of them."""


def chosen(made, shape=(8, 64, 8), dtypes=("float32", "float32"), device="cpu", add=None):
    rows = choose_precisions(made, problem(shape, dtypes, add=add), device)
    return {row.arithmetic.name: row for row in rows if row.reason == ""}


def test_the_examples_of_the_documentation_hold():
    assert doctest.testmod(number_types).failed == 0


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
    ieee = {"float32", "float32-wide", "float64"}
    assert set(chosen(job(max_error=0.5))) == {"int8", "bfloat16", *ieee}
    assert set(chosen(job(max_error=0.02))) == {"bfloat16", *ieee}
    assert set(chosen(job(max_error=1e-5))) == ieee
    assert set(chosen(job(max_error=1e-13))) == {"float64"}


def test_the_default_is_what_the_natural_arithmetic_certifies():
    small = problem((8, 64, 8))
    assert asked_error(job(), small, "cpu") == float(round_up(ARITHMETICS["float32"].bound(64, ("float32",) * 2, "float32")))
    assert asked_error(job(precision="bfloat16"), small, "cpu") == 0.0118, "three digits, rounded up"
    assert asked_error(job(max_error=0.25), small, "cpu") == 0.25


def test_where_k_is_too_deep_for_float32_the_default_is_that_of_the_next_wider_row():
    rows = chosen(job(), (8, 2**24, 8))
    assert set(rows) == {"float32-wide", "float64"}
    assert rows["float64"].asked == float(round_up(rows["float32-wide"].bound)) < 1e-4
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
        "int8": ("int64", 0.0, True),
        "float32": ("int64", 0.0, True),
        "float32-wide": ("int64", 0.0, True),
        "float64": ("int64", 0.0, True),
    }
    wide = chosen(job(), dtypes=("int64", "int64"))
    assert {name: (row.dtype_out, row.exact) for name, row in wide.items()} == {"float64": ("float64", False)}


def test_exact_integers_scaled_by_alpha_get_a_default_that_can_be_met():
    rows = chosen(job(alpha=0.5), dtypes=("int8", "int8"))
    assert not rows["float64"].exact
    assert rows["float64"].dtype_out == "float64"


def test_exact_integers_may_be_stored_as_floats():
    """Exactly where the type holds the largest sum: 2**24 is that of k = 1024."""
    held, rounded = (chosen(job(dtype_out="float32"), (8, k, 8), ("int8", "int8"))["float64"] for k in (1024, 1025))
    assert (held.exact, held.bound) == (True, 0.0)
    assert (rounded.exact, rounded.bound) == (False, 2.0**-24)


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


@pytest.mark.parametrize(
    ("dtypes", "k", "narrow"),
    [
        (("uint64", "uint64"), 1, False),
        (("int64", "int64"), 2, False),
        (("int64", "int64"), 1, True),
        (("uint64", "int32"), 1000, True),
        (("uint64", "float32"), 64, True),
    ],
)
def test_a_row_whose_range_the_types_alone_may_leave_is_not_chosen_for_integers(dtypes, k, narrow):
    """2**64 squared is 2**128, which float32 does not hold."""
    rows = {row.arithmetic.name: row for row in choose_precisions(job(max_error=1e-3), problem((8, k, 8), dtypes), "cpu")}
    assert (rows["float32-wide"].reason == rows["float32"].reason == "") == narrow and rows["float64"].reason == ""
    if not narrow:
        assert rows["float32-wide"].reason == f"{' by '.join(dtypes)} may leave its range"
        assert list(chosen(job(max_error=1e-3, precision="float32"), (8, k, 8), dtypes)) == ["float32"], "who insists gets it"


def test_no_tile_that_misses_goes_to_a_row_whose_range_it_may_leave():
    made = job(max_error=1e-3, guarantee="measured")
    rows = choose_precisions(made, problem((8, 4096, 8), ("uint64", "uint64")), "cuda")
    assert all(not other.may_overflow(4096, ("uint64", "uint64")) for row in rows for other in fallbacks_of(row, rows))


@given(st.sampled_from(sorted(ARITHMETICS)), st.sampled_from(TYPES[3:]), st.sampled_from(TYPES[3:]), st.integers(1, 2000))
def test_what_may_not_overflow_holds_the_largest_sums(name, of_a, of_b, k):
    row = ARITHMETICS[name]
    if not row.may_overflow(k, (of_a, of_b)) and row.compute == "float32":
        sizes = (np.float32(max(-int(np.iinfo(kind).min), int(np.iinfo(kind).max))) for kind in (of_a, of_b))
        with np.errstate(over="raise"):
            assert np.isfinite(np.float32(k) * np.multiply(*sizes))


def test_every_row_says_why_it_is_out():
    rows = choose_precisions(job(max_error=1e-5, precision="float32"), problem((8, 64, 8)), "cpu")
    reasons = {row.arithmetic.name: row.reason for row in rows}
    assert reasons["float32"] == ""
    assert reasons["float64"] == "float32 was asked for"
    assert reasons["bfloat16"] == "float32 was asked for"
    reasons = {row.arithmetic.name: row.reason for row in choose_precisions(job(max_error=1e-5), problem((8, 64, 8)), "cpu")}
    assert re.fullmatch(r"certifies 0\.01\d*, more than 1e-05", reasons["bfloat16"])
    assert reasons["tf32"] == "not available on cpu"


def test_a_row_that_a_device_lacks_is_out():
    row = next(row for row in choose_precisions(job(), problem((8, 64, 8)), "cpu") if row.arithmetic.name == "tf32")
    assert (row.bound, row.reason) == (inf, "not available on cpu")
    there = "int8, bfloat16, float32, float32-wide, float64"
    with pytest.raises(Refused, match=f"precision tf32 is not available on cpu; there are {there}: use one of them, or auto"):
        choose_precisions(job(precision="tf32"), problem((8, 64, 8)), "cpu")


def test_a_row_that_some_workers_lack_is_out():
    rows = choose_precisions(job(max_error=0.5), problem((8, 64, 8)), "cpu", lacking=("bfloat16", "int8"))
    reasons = {row.arithmetic.name: row.reason for row in rows}
    assert reasons["bfloat16"] == "not available on every worker: it fails its self-test there"
    assert reasons["float32"] == ""
    there = "float32, float32-wide, float64"
    with pytest.raises(Refused, match=f"bfloat16 is not available on every worker: it fails its self-test there; there are {there}"):
        choose_precisions(job(precision="bfloat16"), problem((8, 64, 8)), "cpu", lacking=("bfloat16", "int8"))


def test_a_measured_guarantee_admits_what_probes_will_probably_prove():
    asked = {"max_error": 2e-3, "guarantee": "measured"}
    deep = problem((8, 2**16, 8))
    rows = {row.arithmetic.name: row for row in choose_precisions(job(**asked), deep, "cpu")}
    assert rows["bfloat16"].reason == "" and not rows["bfloat16"].certifies
    certified = choose_precisions(job(max_error=2e-3), deep, "cpu")
    assert next(row.reason for row in certified if row.arithmetic.name == "bfloat16").startswith("certifies 0.01")
    one_sign = replace(deep, data=Data(concentration=2.0**-8, size=1.0))
    rows = {row.arithmetic.name: row for row in choose_precisions(job(**asked), one_sign, "cpu")}
    assert re.fullmatch(r"certifies 0\.01\d*, will probably measure 0\.0\d+, both more than 0\.002", rows["bfloat16"].reason)


@pytest.mark.parametrize("k", [40, 2**16])
def test_a_refusal_under_a_measured_guarantee_names_what_is_expected_to_be_measured(k):
    asked = {"precision": "bfloat16", "guarantee": "measured"}
    with pytest.raises(Refused, match="bfloat16 never certifies, or will probably be measured to keep, a max-error of 1e-09") as refused:
        choose_precisions(job(max_error=1e-9, **asked), problem((8, k, 8)), "cpu")
    named = re.search(r" with (\S+) expected to be measured; ask for at least that", str(refused.value))
    assert named
    assert float(named[1]) < 0.01
    assert chosen(job(max_error=float(named[1]), **asked), (8, k, 8))


def test_tiles_that_miss_go_up_the_ladder_to_a_row_that_certifies():
    rows = choose_precisions(job(max_error=4e-3, guarantee="measured"), problem((8, 2**16, 8)), "cpu")
    by_name = {row.arithmetic.name: row for row in rows}
    names = [row.name for row in fallbacks_of(by_name["bfloat16"], rows)]
    assert names == ["float32"]
    deeper = choose_precisions(job(max_error=1e-3, guarantee="measured"), problem((8, 2**18, 8)), "cpu")
    by_name = {row.arithmetic.name: row for row in deeper}
    assert [row.name for row in fallbacks_of(by_name["bfloat16"], deeper)] == ["float32", "float32-wide"]
    assert fallbacks_of(by_name["float32-wide"], deeper) == ()
