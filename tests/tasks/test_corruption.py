"""Corruption far below the a priori bound, injected into tiles: from 20 times the rounding of a row on it stands out, below it does not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks import kernels
from tasks.alarm import Alarm, Yard, alarms
from tasks.outcome import Measurement
from tasks.probes import checking_noise
from tests.tasks.faulty import KERNEL, Fault, kernel, usual_error
from tests.tasks.inline import Way, compute, recipe_for

EDGE, DEPTH = 96, 200
WAY = Way(tile=(EDGE, EDGE, DEPTH), chunk=(EDGE, EDGE), in_chunks=(EDGE, EDGE))
EVERYWHERE = ("element", "row", "block", "all rows", "slab of A", "slab of B")

Computed = Callable[..., tuple[Measurement, tuple[Alarm, ...]]]


@pytest.fixture
def computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Computed:
    """One tile of float32, and what makes it stand out from itself and from a sound one of other data."""

    def run(fault: Fault | None, seed: int = 0, **way: object) -> tuple[Measurement, tuple[Alarm, ...]]:
        reference = once(None, seed + 1000, way).typical
        found = once(fault, seed, way)
        yard = Yard(10, (checking_noise(DEPTH, EDGE, "float32"),), {(0, 1): reference})
        return found, alarms(found, yard)

    def once(fault: Fault | None, seed: int, way: dict[str, object]) -> Measurement:
        rng = np.random.default_rng(seed)
        pair = rng.standard_normal((EDGE, DEPTH)).astype("float32"), rng.standard_normal((DEPTH, EDGE)).astype("float32")
        with monkeypatch.context() as patch:
            if fault:
                patch.setitem(kernels.KERNELS, KERNEL, kernel(fault))
            folder = tmp_path / f"{seed}-{len(list(tmp_path.iterdir()))}"
            (tile,) = compute(replace(recipe_for(folder, pair, replace(WAY, **way)), seed=seed))
        return tile

    return run


@pytest.mark.parametrize("where", EVERYWHERE)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_from_twenty_times_the_rounding_on_it_stands_out(computed, where, seed):
    tile, found = computed(Fault(where, 21.0, usual_error), seed)
    assert tile.accepted, "the a priori bound says nothing"
    assert found


@pytest.mark.parametrize("where", EVERYWHERE)
def test_what_is_like_the_rounding_does_not(computed, where):
    _, found = computed(Fault(where, 1.0, usual_error))
    assert found == ()


def test_a_wrong_element_shows_by_its_signs(computed):
    _, found = computed(Fault("element", 21.0, usual_error))
    assert "element" in [alarm.kind for alarm in found]


def test_what_spoils_all_rows_alike_shows_only_beside_another_tile(computed):
    _, found = computed(Fault("all rows", 21.0, usual_error))
    assert {alarm.kind for alarm in found} <= {"row of the run", "element of the run"} and found


def test_far_above_the_bound_it_is_refused(computed):
    tile, _ = computed(Fault("row", 1e7, usual_error))
    assert not tile.accepted and tile.chunks == ()


@pytest.mark.parametrize("share", [1e-3])
def test_rounding_for_storage_hides_nothing(computed, share):
    """What storage may round is thousands of times what the fault adds."""
    tile, found = computed(Fault("element", 21.0, usual_error), share=share)
    assert tile.accepted and found
    assert computed(None, share=share)[1] == ()


def test_the_estimate_of_the_error_is_by_the_gaussian_probes_alone(computed):
    """A wrong element beside which all else is nothing: their mean, and not what the signs add to it."""
    tile, _ = computed(Fault("element", 1e4, usual_error))
    rows = tile.outlier * tile.typical
    assert tile.square_residual == pytest.approx((rows**2) * (tile.square_a / EDGE) * tile.square_b, rel=0.5)
