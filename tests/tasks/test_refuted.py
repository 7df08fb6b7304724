"""Errors of more than the bound in many rows, each below its own threshold: the run's own probes refuse what they surely contradict."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch

from tasks import kernels, prepare
from tasks.errors import NotCertified
from tasks.job import make_job
from tasks.outcome import Outcome
from tasks.plan import TileShape
from tasks.planner import make_plan
from tasks.refuted import refuted
from tasks.report import make_report
from tasks.survey import survey
from tasks.tile import compute_tile
from tasks.verify import certify, verify
from tasks.workspace import release
from tests.tasks.builders import report
from tests.tasks.test_outcome import measurement
from tests.tasks.test_run import machine
from tests.tasks.test_verify import run_of

KERNEL = ("float32", "cpu", "torch")

SHARE = 2.67
"""Root mean square residual over the error, which the probes of no sound run reach but for a probability of 1e-9."""


def outcome_of(run, size, **changes):
    """A run of one tile whose root mean square residual is so many bounds."""
    return Outcome((measurement(square_residual=(size * run.plan.arithmetic_bound) ** 2, **changes),), 1.0, 0)


@pytest.mark.parametrize("beside", [{}, {"max_error": 1e-4}, {"max_error": 1e-4, "alpha": -2.5}, {"max_error": 1e-4, "round": "auto"}])
def test_what_surely_misses_its_own_bound_is_refused(beside):
    run = run_of((8, 5, 8), (8, 8), **beside)
    size = abs(run.job.alpha)
    assert verify(run, outcome_of(run, 0.99 * SHARE * size)).kept
    with pytest.raises(
        NotCertified, match=r"its error is surely above \S+, and float32 certifies \S+ for every input; .*kept in /s"
    ) as caught:
        verify(run, outcome_of(run, 1.02 * SHARE * size))
    assert caught.value.exit_code == 4


def test_the_certificate_itself_would_have_been_kept():
    """So it is this question that refuses it: what is promised is within what was asked, and only measured is above."""
    run = run_of((8, 5, 8), (8, 8), max_error=1e-4)
    assert certify(run, outcome_of(run, 6.0).measurements).kept
    with pytest.raises(NotCertified, match="surely above"):
        verify(run, outcome_of(run, 6.0))


def test_tiles_that_were_chosen_by_their_residuals_are_not_asked():
    run = run_of((8, 5, 8), (8, 8), max_error=1e-4)
    tiles = outcome_of(run, 6.0).measurements
    certificate = certify(run, tiles)
    assert refuted(run, tiles, certificate) is not None
    assert refuted(run, (*tiles, replace(tiles[0], index=1, rung=1)), certificate) is None


def test_tiles_that_a_repair_computed_are_judged_by_their_own_norms():
    """One of four tiles: three bounds of its own are one and a half of the product's, which would not be too much."""
    run = run_of((16, 5, 16), (8, 8))
    square = (3.0 * run.plan.arithmetic_bound) ** 2
    tiles = tuple(measurement(index=index, row=index // 2, col=index % 2, square_residual=square * (index == 3)) for index in range(4))
    certificate = certify(run, tiles)
    assert refuted(run, tiles, certificate) is None
    assert refuted(run, tiles[3:], certificate) is not None
    assert refuted(run, tiles[:3], certificate) is None


@pytest.mark.parametrize("norms", [(0.0, 1.0), (0.0, 0.0)])
def test_zeros_contradict_nothing(norms):
    run = run_of((8, 5, 8), (8, 8))
    tiles = (measurement(square_a=norms[0], square_b=norms[1]),)
    assert refuted(run, tiles, certify(run, tiles)) is None


def test_norms_of_which_squares_are_lost_make_no_alarm():
    """Of 40 values of 2**-512 no square is a normal number: A may be larger than its norm, and a sound error with it."""
    run = run_of((8, 5, 8), (8, 8))
    lost = 2.0**-511 * sqrt(40)
    tiles = (measurement(square_a=2.0**-1022, square_b=1.0, square_residual=(0.9 * run.plan.arithmetic_bound * lost) ** 2),)
    assert refuted(run, tiles, certify(run, tiles)) is None


def test_the_worst_sound_run_is_never_refused():
    """An error of rank one, as large as its bound: of a hundred thousand draws of the probes none raises an alarm."""
    run = run_of((8, 5, 8), (8, 8), max_error=1e-4)
    drawn = np.random.default_rng(0).standard_normal((100_000, run.plan.probes))
    worst = float(np.sqrt(np.square(drawn).mean(axis=1)).max())
    assert 1.8 < worst < SHARE
    assert verify(run, outcome_of(run, worst)).kept


def test_what_is_large_beside_norms_that_count_nothing_is_no_contradiction(tmp_path):
    """C0 is below what is sure of a norm, beta makes it all of the product: the report said of such a run to check its hardware."""
    rng = np.random.default_rng(0)
    for name, shape, size in (("a", (8, 40), 1e-60), ("b", (40, 8), 1e-60), ("c", (8, 8), 1e-152)):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal(shape) * size)
    a, b, c = (str(tmp_path / f"{name}.npy") for name in "abc")
    job = make_job(a=a, b=b, add=c, beta=1e37, out=str(tmp_path / "C"), memory="1GiB", precision="float64")
    problem = survey(job)
    plan = replace(make_plan(job, problem, machine()), tile=TileShape(8, 8, 40), grid=(1, 1, 1), slots=(1, 1), kernel="torch")
    run = prepare._begin(job, problem, machine(), plan)
    try:
        outcome = Outcome((compute_tile(run.recipe, run.recipe.walk[0]),), 1.0, 0)
        certificate = verify(run, outcome)
        assert certificate.measured > 100 * certificate.promised
        known = report()
        assert not [line for line in make_report(run, outcome, certificate, known.stored, known.clock).warnings if "hardware" in line]
    finally:
        release()
        prepare.end(run)


def loose(size, bound):
    """A kernel whose rows are all wrong by so many bounds, in directions of their own."""
    honest = kernels.KERNELS[KERNEL].add

    def add(accumulator, a, b, beta):
        honest(accumulator, a, b, beta)
        drawn = torch.randn(accumulator.shape, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
        rows = size * bound * a.double().norm(dim=1) * b.double().norm()
        accumulator.add_((drawn * (rows / drawn.norm(dim=1))[:, None]).to(accumulator.dtype))

    return kernels.Adds(add)


SEED = 2
"""Of errors whose residuals are nowhere far above the usual."""


@pytest.mark.parametrize(("size", "sound"), [(0.9, True), (2.9, False)])
def test_a_kernel_that_errs_in_every_row_is_not_certified_though_each_row_passes(tmp_path, monkeypatch, size, sound):
    rng = np.random.default_rng(1)
    np.save(tmp_path / "a.npy", rng.standard_normal((16, 64)).astype("float32"))
    np.save(tmp_path / "b.npy", rng.standard_normal((64, 300)).astype("float32"))
    job = make_job(a=str(tmp_path / "a.npy"), b=str(tmp_path / "b.npy"), out=str(tmp_path / "C"), memory="1GiB", precision="float32")
    problem = survey(job)
    plan = replace(make_plan(job, problem, machine()), tile=TileShape(16, 300, 64), grid=(1, 1, 1), slots=(1, 1), kernel="torch")
    run = prepare._begin(job, problem, machine(), plan)
    monkeypatch.setitem(kernels.KERNELS, KERNEL, loose(size, plan.arithmetic_bound))
    try:
        tiles = tuple(compute_tile(run.recipe, run.recipe.walk[index]) for index in range(len(run.recipe.walk)))
        assert [tile.accepted for tile in tiles] == [True], tiles[0].worst
        if sound:
            assert verify(run, Outcome(tiles, 1.0, 0)).kept
            return
        assert certify(run, tiles).kept
        with pytest.raises(NotCertified, match="the product is wrong: its error is surely above"):
            verify(run, Outcome(tiles, 1.0, 0))
        assert not (tmp_path / "C").exists()
    finally:
        release()
        prepare.end(run)
