from dataclasses import replace

import pytest

from tasks.cost import Cost
from tasks.fit import BYTES_WORTH_HALVING, LIFETIME, WORTH_HALVING, Bar, Fit
from tasks.options import SHORT_STEP
from tests.tasks.test_candidate import candidate


def fit(seconds, nbytes=0, tile=(10, 10, 10), parts=1):
    way = replace(candidate((10, 10, 10), tile), parts=parts)
    return Fit(way, 1, 0, Cost({"multiply": seconds}, seconds, nbytes, 0))


def test_the_steps_of_a_worker_share_its_time():
    assert fit(100.0).step == 100.0
    assert fit(100.0, parts=4).step == fit(100.0).step / 4
    assert fit(100.0, tile=(5, 10, 10)).step == fit(100.0).step / 2


def test_the_price_counts_half_a_step_for_every_lifetime():
    assert fit(100.0).price == pytest.approx(100 + 100 / LIFETIME * fit(100.0).step / 2)
    assert fit(100.0, parts=5).price < fit(100.0).price


def test_steps_shorter_than_they_must_be_are_no_better():
    assert fit(SHORT_STEP / 9, parts=2).wait == fit(SHORT_STEP / 9, parts=5).wait == SHORT_STEP
    assert fit(100.0).wait == fit(100.0).step


def test_smaller_output_chunks_must_be_faster_or_move_fewer_bytes_in_no_more_time():
    best = fit(100.0, 1000)
    once, twice = Bar.above(best, 1), Bar.above(best, 2)
    fast, slow, cheap = best.price * (1 - WORTH_HALVING) * 0.999, best.price * 0.999, int(1000 * (1 - BYTES_WORTH_HALVING)) - 1
    assert once.admits(fast, fit(1, 2000).cost.bytes_moved)
    assert once.admits(slow, fit(1, cheap).cost.bytes_moved)
    assert not once.admits(slow, fit(1, 1000).cost.bytes_moved)
    assert not once.admits(best.price, fit(1, cheap).cost.bytes_moved)
    assert not twice.admits(fast, fit(1, 2000).cost.bytes_moved)
    assert not twice.admits(slow, fit(1, cheap).cost.bytes_moved)
    assert Bar().admits(1e300, fit(1, 10**18).cost.bytes_moved)
    assert (once.limit, twice.limit) == (best.price, twice.faster)
