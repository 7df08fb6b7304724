"""Integers: what the plan says of exactness is said before the run, and holds at the extremes of the types."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.devices import torch_dtype
from tasks.errors import Refused
from tasks.integers import INTEGERS, integers_line
from tasks.job import make_job
from tasks.kernels import libraries
from tasks.ladder import ARITHMETICS
from tasks.operands import prepare
from tasks.planner import make_plan
from tasks.precision import choose_precisions
from tasks.product import add_product
from tasks.report import plan_json, plan_text
from tasks.selftest import method_for
from tests.tasks.inline import Way, compute, recipe_for
from tests.tasks.machines import hardware, job, problem

OUTPUTS = ["auto", "float16", "float32", "float64", "int64"]


def product(name, a, b):
    """As a worker does it, in slabs, by the first kernel."""
    row, key = ARITHMETICS[name], (name, "cpu", libraries(name, "cpu")[0])
    total = torch.zeros(a.shape[0], b.shape[1], dtype=torch_dtype(row.accumulate))
    for start in range(0, a.shape[1], 700):
        parts = torch.from_numpy(a[:, start : start + 700].copy()), torch.from_numpy(b[start : start + 700].copy())
        space = [tuple(torch.empty(x.numel(), dtype=torch_dtype(row.stored_as)) for _ in range(row.slices)) for x in parts]
        sides = [prepare(row, part, side, space[side]) for side, part in enumerate(parts)]
        add_product(method_for(key, b.shape[1]), total, *sides, float(start > 0))
    return total.numpy()


@settings(deadline=None, max_examples=150)
@given(
    st.tuples(st.sampled_from(INTEGERS), st.sampled_from(INTEGERS)),
    st.integers(1, 2000),
    st.sampled_from(OUTPUTS),
    st.sampled_from([None, 1e-1, 1e-6]),
    st.integers(0, 2**31),
)
def test_where_it_says_exact_it_is_at_the_extremes(types, k, stored, asked, seed):
    rng = np.random.default_rng(seed)
    ends = [(np.iinfo(name).min, np.iinfo(name).max, min(np.iinfo(name).max, 3)) for name in types]
    a = np.stack([np.full(k, end, types[0]) for end in ends[0]] + [rng.choice(np.array(ends[0], types[0]), k)])
    b = np.stack([np.full(k, end, types[1]) for end in ends[1]] + [rng.choice(np.array(ends[1], types[1]), k)], axis=1)
    made = problem((4, k, 4), types)
    fields = {} if asked is None else {"max_error": asked}
    try:
        rows = choose_precisions(job(dtype_out=stored, **fields), made, "cpu")
    except Refused as error:
        assert "exact product" in str(error) or "certifies" in str(error)
        return
    exact = [row for row in rows if row.exact and row.reason == ""]
    for row in exact:
        found = product(row.arithmetic.name, a, b).astype(row.dtype_out)
        assert (found.astype(object) == a.astype(object) @ b.astype(object)).all()
        assert row.bound == 0
    if stored == "auto" and asked is None and exact:
        assert all(row.exact for row in rows if row.reason == "")


def line_of(types, k=64, **fields):
    made = problem((64, k, 64), types)
    plan = make_plan(make_job(a="/a", b="/b", out="/c", memory="2GiB", **fields), made, hardware())
    line = integers_line(plan, made)
    assert plan_json(plan, made)["plan"]["integers"] == line
    assert line.split(":")[0] in plan_text(plan, made) or not line
    assert line.startswith("exact: ") == (plan.exact and line != "")
    return line


@pytest.mark.parametrize(
    ("types", "k", "fields", "says"),
    [
        (("int8", "int8"), 64, {}, "exact: int8 by int8 with k = 64 gives no sum above 1.05e.06, which float32 and int64 hold exactly"),
        (("int16", "int16"), 2**23, {}, "exact: int16 by int16 with k = 8388608 gives no sum above 9.01e.15, which float64 and int64"),
        (("int16", "int16"), 2**23 + 1, {}, "not exact: .* above 2.53, where float64 rounds; a k of at most 8388608 or narrower types"),
        (("int32", "int32"), 64, {}, "not exact: .* where float64 rounds; narrower types would be exact"),
        (("int32", "int16"), 64, {}, "exact: int32 by int16"),
        (("uint8", "int8"), 64, {}, "exact: uint8 by int8"),
        (("int8", "int8"), 64, {"dtype_out": "float32"}, "exact: int8 by int8"),
        (("int8", "int8"), 4096, {"dtype_out": "float32"}, "not exact: .* sums that float32 rounds; --dtype-out int64 would be exact"),
        (("int8", "int8"), 64, {"precision": "bfloat16"}, "not exact: bfloat16 rounds int8 by int8 .* --precision float64 without"),
        (("int8", "int8"), 64, {"alpha": 0.5}, "not exact: alpha and C0 are rounded"),
        (("int8", "float32"), 64, {}, ""),
    ],
)
def test_it_says_whether_and_why_and_what_would_be_exact(types, k, fields, says):
    line = line_of(types, k, **fields)
    assert re.match(says, line) if says else line == ""


def test_what_is_rounded_for_storage_is_not_called_exact(tmp_path):
    """Sums of thousands in float16 were certified as exact."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-128, 128, (20, 33), "int8"), rng.integers(-128, 128, (33, 27), "int8")
    made = problem((20, 33, 27), ("int8", "int8"))
    rows = choose_precisions(job(dtype_out="float16"), made, "cpu")
    assert not any(row.exact for row in rows)
    assert {row.bound for row in rows if row.reason == ""} == {2.0**-11}
    recipe = replace(recipe_for(tmp_path, (a // 8, b // 8), Way(arithmetic="float64", dtype_out="float16")), bound=2.0**-11)
    assert max(tile.worst for tile in compute(recipe)) <= 1
