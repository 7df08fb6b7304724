"""`--guarantee measured` on a real cluster: cheap arithmetic where the probes prove it, better where they do not."""

from dataclasses import replace

import numpy as np
import pytest
import zarr

from storage import open_result
from storage.assess import assess
from tasks.ascent import Ascent
from tasks.checkup import Ask, check_up
from tasks.clusters import ClusterSpec, open_cluster
from tasks.errors import NotCertified
from tasks.job import make_job
from tasks.plan import Rung, TileShape
from tasks.prepare import prepare
from tasks.publish import publish
from tasks.repair import _with_tiles
from tasks.resume import plan_or_resume
from tasks.run import multiply
from tasks.stored import origin_of
from tasks.survey import survey
from tasks.verify import verify
from tests.tasks.test_run import machine, store
from tests.tasks.test_verify import measurement

ASKED = 4e-3
K = 256


@pytest.fixture(scope="module")
def cluster():
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        yield opened


def slow_floats():
    """A machine on which bfloat16 pays."""
    made = machine()
    [layout] = made.layouts
    gemm = {"bfloat16": {"torch": 4e11}, "float32": {"torch": 1e9}, "float64": {"torch": 5e8}}
    return replace(made, layouts=(replace(layout, rates=replace(layout.rates, gemm=gemm)),))


def random_numbers():
    rng = np.random.default_rng(0)
    return rng.standard_normal((400, K)).astype("float32"), rng.standard_normal((K, 300)).astype("float32")


def one_way(values):
    """Every bfloat16 rounding error has the same sign, and is nearly as large as it may be."""
    values[:] = np.float32(1 + 2.0**-8 - 2.0**-12)


def planned(folder, a, b, **fields):
    store(folder / "A", a)
    store(folder / "B", b)
    asked = {"max_error": ASKED, "guarantee": "measured"} | fields
    job = make_job(a=str(folder / "A"), b=str(folder / "B"), out=str(folder / "C"), memory="2GiB", chunk=(64, 64), **asked)
    problem = survey(job)
    plan = plan_or_resume(job, problem, slow_floats())
    changes = {"tile": TileShape(64, 64, 64), "grid": (7, 5, 4), "slots": (4, 1), "residency": "A", "workers": 2}
    return job, problem, slow_floats(), replace(plan, **changes)


def computed(folder, cluster, a, b, **fields):
    run = prepare(*planned(folder, a, b, **fields), cluster)
    outcome = multiply(run, cluster, lambda _: None)
    certificate = verify(run, outcome)
    publish(run, outcome, certificate)
    error = np.linalg.norm(zarr.open_array(folder / "C")[:] - a.astype(float) @ b.astype(float))
    return outcome, certificate, error / np.linalg.norm(a) / np.linalg.norm(b)


def test_random_data_keep_the_cheap_arithmetic_and_the_probes_prove_it(tmp_path, cluster):
    outcome, certificate, error = computed(tmp_path, cluster, *random_numbers())
    assert certificate.arithmetics == {"bfloat16": 35}
    assert outcome.missed == outcome.retried == 0
    assert error <= certificate.measured <= ASKED < certificate.promised
    assert certificate.guarantee == "measured"
    assert all(tile.error is not None and tile.error <= ASKED for tile in outcome.measurements)


def test_tiles_that_miss_are_computed_again_one_rung_up(tmp_path, cluster):
    a, b = random_numbers()
    one_way(a[70:180])
    one_way(b[:, 64:128])
    outcome, certificate, error = computed(tmp_path, cluster, a, b)
    again = [(tile.row, tile.col) for tile in outcome.measurements if tile.rung == 1]
    assert again == [(1, 1), (2, 1)]
    assert (outcome.missed, outcome.retried) == (2, 4), "once by another worker, once in float32"
    assert sorted((tile.row, tile.col) for tile in outcome.repeated) == [(1, 1), (1, 1), (2, 1), (2, 1)]
    assert certificate.arithmetics == {"bfloat16": 33, "float32": 2}
    assert error <= certificate.measured <= ASKED


def test_first_tiles_that_miss_move_the_whole_run_up(tmp_path, cluster):
    a, b = random_numbers()
    one_way(a)
    one_way(b)
    outcome, certificate, error = computed(tmp_path, cluster, a, b)
    assert certificate.arithmetics == {"float32": 35}
    assert outcome.missed == 2
    assert error <= certificate.measured < certificate.promised / 2, "float32 certifies; its tiles are measured all the same"
    assert error <= certificate.measured <= ASKED
    assert certificate.promised <= ASKED
    assert check_up(tmp_path / "C", Ask(against_inputs=True)).sound
    zarr.open_array(tmp_path / "A", mode="a")[90, 90] += 4
    spoilt = check_up(tmp_path / "C", Ask(against_inputs=True))
    assert {row for row, _ in spoilt.against.tiles} == {1}, "bfloat16, in which no tile was computed, would allow that"
    assert not spoilt.sound


def test_what_is_surely_worse_than_asked_is_found_where_no_tile_is(tmp_path, cluster):
    a, b = random_numbers()
    computed(tmp_path, cluster, a, b)
    zarr.open_array(tmp_path / "A", mode="a")[:] = a * np.float32(1.2)
    spoilt = check_up(tmp_path / "C", Ask(against_inputs=True))
    assert spoilt.against.tiles == ()
    assert spoilt.against.at_least > ASKED
    assert "is what was written, but against A and B its error is at least 0.0" in spoilt.line and "0.004 was accepted" in spoilt.line


def spoil() -> None:
    """Make this worker's bfloat16 products a little too large (runs on a worker)."""
    from tasks import kernels

    honest = kernels.KERNELS["bfloat16", "cpu", "torch"]
    kernels.honest_kernel = honest
    kernels.KERNELS["bfloat16", "cpu", "torch"] = kernels.Multiplies(lambda a, b, out: honest.product(a, b, out).mul_(1.05))


def heal() -> None:
    """Back to an honest kernel (runs on workers)."""
    from tasks import kernels

    kernels.KERNELS["bfloat16", "cpu", "torch"] = getattr(kernels, "honest_kernel", kernels.KERNELS["bfloat16", "cpu", "torch"])


def test_a_worker_whose_tiles_miss_where_those_of_others_do_not_is_wrong_and_not_the_arithmetic(tmp_path, cluster):
    bad = cluster.workers[0]
    cluster.client.submit(spoil, workers=[bad], pure=False).result()
    try:
        outcome, certificate, error = computed(tmp_path, cluster, *random_numbers(), precision="bfloat16")
    finally:
        cluster.run_on_workers(heal)
    assert [one.worker for one in outcome.retired] == [bad]
    assert outcome.missed == 0 and certificate.arithmetics == {"bfloat16": 35}
    assert error <= certificate.measured <= ASKED


def test_a_panel_that_is_too_small_for_a_norm_counts_with_what_its_arithmetic_certifies(tmp_path, cluster):
    a, b = (values.astype("float64") for values in random_numbers())
    a[:128] *= 1e-160
    _, certificate, error = computed(tmp_path, cluster, a, b)
    assert set(certificate.arithmetics) == {"bfloat16", "float32"}
    assert error <= certificate.measured <= ASKED


def test_a_tile_that_is_mended_in_another_arithmetic_counts_as_that(tmp_path, cluster):
    """All tiles were float32 since the first ones missed; a repair starts with the planned bfloat16."""
    a, b = random_numbers()
    one_way(a)
    one_way(b)
    computed(tmp_path, cluster, a, b)
    with open_result(tmp_path / "C") as result:
        before = origin_of(assess(result), str(tmp_path / "C"))
    tile = replace(measurement(index=12), rung=0, square_residual=1.0)
    after = _with_tiles(before, [tile])
    assert after.arithmetics == before.certificate.arithmetics | {"bfloat16": before.certificate.arithmetics.get("bfloat16", 0) + 1}
    assert after.guarantee == "measured" and after.promised >= before.plan.arithmetic_bound


def test_a_tile_that_misses_at_the_top_ends_the_run(tmp_path, cluster):
    a, b = random_numbers()
    one_way(a)
    one_way(b)
    run = prepare(*planned(tmp_path, a, b, precision="bfloat16"), cluster)
    assert run.plan.fallbacks == ()
    with pytest.raises(NotCertified, match=r"misses max-error 0.004: 0.0\d+ is measured in bfloat16, all that --precision bfloat16 allows"):
        multiply(run, cluster, lambda _: None)


def test_certified_jobs_have_no_pilots_and_no_fallbacks(tmp_path, cluster):
    run = prepare(*planned(tmp_path, *random_numbers(), guarantee="certified"), cluster)
    assert run.plan.guarantee == "certified"
    assert run.plan.fallbacks == ()
    assert Ascent(run.plan, run.recipe, ()).pilots == frozenset()


def test_a_resumed_run_takes_the_same_arithmetics(tmp_path, cluster):
    """Whatever of the pilots was recorded before the kill, and whatever has to be computed again."""
    run = prepare(*planned(tmp_path, *random_numbers()), cluster)
    plan = replace(run.plan, workers=3, fallbacks=(Rung("float32", "torch", 1e-5), Rung("float64", "torch", 1e-14)))
    pilots = sorted(Ascent(plan, run.recipe, ()).pilots)
    assert pilots == [0, 12, 24]
    verdicts = {0: 1, 12: 0, 24: 2}
    for known in ([], [0], [12], [0, 24], [0, 12, 24]):
        ascent = Ascent(plan, run.recipe, [replace(measurement(index=index), rung=verdicts[index]) for index in known])
        for index in pilots:
            for rung in range(ascent.recipe(index).rung, verdicts[index]):
                ascent.missed(replace(measurement(index=index), rung=rung, missed=True, error=1.0))
        ascent.settle()
        assert ascent.base == 1
        assert [ascent.recipe(index).rung for index in (1, 13, 0, 24)] == [1, 1, 1, 2]
        assert ascent.recipe(24).arithmetic_name == "float64"
        assert ascent.recipe(24).proof is None
        assert (
            ascent.climbed(replace(measurement(index=index), rung=rung) for index, rung in ((0, 1), (12, 0), (24, 2), (5, 1), (6, 2))) == 3
        )
        ascent.repeat(measurement(index=12))
        assert ascent.recipe(12).rung == 0, "what is in doubt is computed again as it was, or its values say nothing"
