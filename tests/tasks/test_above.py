"""The share of a product's elements above a threshold, from the blocks that tell its bytes, against all of them."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.above import Threshold, share_above
from tasks.excerpt import take_excerpt
from tests.tasks.test_compressed import KINDS, World, planned


def seen(folder, kind, form="zarr", **fields):
    job, problem, plan, _ = planned(World(folder, form).job(*KINDS[kind], codec="none", **fields))
    a, b = KINDS[kind]
    return take_excerpt(job, problem, plan), a.astype(np.float64) @ b


@pytest.mark.parametrize("kind", ["normal", "positive"])
def test_intervals_hold_as_often_as_they_say(tmp_path, kind):
    job, problem, plan, _ = planned(World(tmp_path).job(*KINDS[kind], codec="none"))
    a, b = KINDS[kind]
    whole, held = a.astype(np.float64) @ b, []
    for seed in range(8):
        excerpt = take_excerpt(job, problem, replace(plan, seed=seed))
        for quantile, magnitude in ((0.5, False), (0.99, False), (0.9, True)):
            values = np.abs(whole) if magnitude else whole
            threshold = float(np.quantile(values, quantile))
            found, true = share_above(excerpt, Threshold(threshold, magnitude)), float((values > threshold).mean())
            assert 0 <= found.low <= found.expected <= found.high <= 1
            held.append(found.low <= true <= found.high)
    assert np.mean(held) > 0.6


def test_what_no_block_shows_is_not_nothing(tmp_path):
    excerpt, whole = seen(tmp_path, "normal")
    none, all_of_them = (share_above(excerpt, Threshold(side * 2 * float(np.abs(whole).max()))) for side in (1, -1))
    assert none.expected == none.low == 0 < none.high < 0.01
    assert all_of_them.expected == all_of_them.high == 1 > all_of_them.low > 0.99


def test_zeros_that_are_known_are_below_or_above(tmp_path):
    excerpt, whole = seen(tmp_path, "blocks", "csr")
    for threshold, most in ((0.0, 0.2), (-1e-9, 1.0)):
        found = share_above(excerpt, Threshold(threshold))
        assert found.low <= float((whole > threshold).mean()) <= found.high
        assert most - 0.2 <= found.low <= found.high <= most


def test_of_nothing_but_zeros_everything_is_known(tmp_path):
    a, b = KINDS["normal"]
    job, problem, plan, _ = planned(World(tmp_path, "csr").job(0 * a, b, codec="none"))
    excerpt = take_excerpt(job, problem, plan)
    assert share_above(excerpt, Threshold(0.0)).high == 0
    assert share_above(excerpt, Threshold(-1.0)).low == 1


def test_nan_is_not_above():
    assert Threshold(0.0).met(np.array([[np.nan, 1.0, -1.0]])) == 1
    assert Threshold(0.0, magnitude=True).met(np.array([[np.nan, 1.0, -1.0]])) == 2
