"""Workers that compute wrong tiles, within the a priori bound and beyond, on a real cluster: the product is right, and they are named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import Journal, read_journal
from tasks.cluster import Cluster
from tasks.clusters import ClusterSpec, open_cluster
from tasks.drive import WINDOW
from tasks.errors import GemmflowError, NotCertified
from tasks.plan import TileShape
from tasks.prepare import Run, end, prepare
from tasks.publish import publish
from tasks.report import Clock, make_report
from tasks.run import multiply
from tasks.verify import verify
from tests.tasks.test_run import planned, store

FAINT = 0.01
"""Some thousand times the rounding of an element, and a tenth of what the a priori bound lets pass."""
TILES = 35


EACH = range(1, 1000)
FIRST = range(1, 2)


def spoil(amount: float, times: range, where: tuple[slice, slice] = (slice(1), slice(1)), growth: float = 1.0) -> None:
    """Make this worker's float32 kernel wrong in these of the tiles that it begins, by values that may grow (runs on workers)."""
    from tasks import kernels

    honest, begun = getattr(kernels, "honest_kernel", kernels.KERNELS["float32", "cpu", "torch"]), [0]
    kernels.honest_kernel = honest

    def wrong(accumulator, a, b, beta):
        honest.add(accumulator, a, b, beta)
        begun[0] += beta == 0
        if beta == 0 and begun[0] in times:
            accumulator[where] += amount * growth ** begun[0]

    kernels.KERNELS["float32", "cpu", "torch"] = kernels.Adds(wrong)


def heal() -> None:
    """Back to an honest kernel (runs on workers)."""
    from tasks import kernels

    kernels.KERNELS["float32", "cpu", "torch"] = getattr(kernels, "honest_kernel", kernels.KERNELS["float32", "cpu", "torch"])


@pytest.fixture(scope="module")
def shared():
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        yield opened


@pytest.fixture
def cluster(shared):
    yield shared
    shared.run_on_workers(heal)


@pytest.fixture(scope="module")
def lone():
    with open_cluster(ClusterSpec("local", 1, 1)) as opened:
        yield opened


@pytest.fixture
def alone(lone):
    yield lone
    lone.run_on_workers(heal)


def operands(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((400, 256)).astype("float32"), rng.standard_normal((256, 300)).astype("float32")


def prepared(folder: Path, cluster: Cluster, pair: tuple[np.ndarray, np.ndarray], **fields: object) -> Run:
    for name, values in zip("AB", pair, strict=True):
        if not (folder / name).exists():
            store(folder / name, values)
    job, problem, hardware, plan = planned(folder, **fields)
    return prepare(job, problem, hardware, replace(plan, workers=len(cluster.workers)), cluster)


def finished(run: Run, outcome) -> np.ndarray:
    publish(run, outcome, verify(run, outcome))
    return zarr.open_array(run.job.out, mode="r")[:]


def sound(folder: Path, cluster: Cluster, pair: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The product bit for bit, as it should be."""
    folder.mkdir()
    run = prepared(folder, cluster, pair)
    outcome = multiply(run, cluster, lambda _: None)
    assert (outcome.retried, outcome.retired) == (0, ())
    return finished(run, outcome)


def on_first(cluster: Cluster, *fault: object) -> str:
    first = cluster.workers[0]
    cluster.client.submit(spoil, *fault, workers=[first], pure=False).result()
    return first


@pytest.mark.parametrize("amount", [FAINT, pytest.param(10.0, marks=pytest.mark.slow)])
def test_a_worker_that_is_always_wrong_is_retired_and_the_product_is_right(tmp_path, cluster, amount):
    wanted = sound(tmp_path / "sound", cluster, operands())
    bad = on_first(cluster, amount, EACH)
    run = prepared(tmp_path, cluster, operands())
    seen = []
    outcome = multiply(run, cluster, seen.append)
    (retired,) = outcome.retired
    assert (retired.worker, retired.host) == (bad, "127.0.0.1")
    assert len(retired.tiles) >= 2
    assert {tile.worker for tile in outcome.measurements} == set(cluster.workers) - {bad}
    wrong = len(retired.tiles)
    assert len(outcome.repeated) == outcome.retried and {tile.worker for tile in outcome.repeated} == {bad}
    assert wrong <= outcome.retried <= wrong + WINDOW, "it begins some before it is found out; each is computed again once"
    assert [progress.tiles_done for progress in seen] == list(range(1, TILES + 1))
    assert finished(run, outcome).tobytes() == wanted.tobytes()


def test_a_report_names_the_worker(tmp_path, cluster):
    bad = on_first(cluster, FAINT, EACH)
    run = prepared(tmp_path, cluster, operands())
    outcome = multiply(run, cluster, lambda _: None)
    proof = verify(run, outcome)
    report = make_report(run, outcome, proof, publish(run, outcome, proof), Clock(0.1, 1.0))
    assert any(bad in text and "check this hardware" in text for text in report.warnings)
    (named,) = report.to_json()["measured"]["workers_retired"]
    assert (named["worker"], named["host"]) == (bad, "127.0.0.1")
    assert bad in report.to_text().replace("\n", "")
    assert {record.address for record in report.measured.workers} == set(cluster.workers), "its work counts, though it is all in vain"
    assert report.measured.bytes_read == sum(tile.bytes_read for tile in (*outcome.measurements, *outcome.repeated))


@pytest.mark.parametrize(
    "where",
    [(slice(1), slice(1)), (slice(3, 4), slice(None)), (slice(8, 24), slice(8, 24)), (slice(None), slice(None))],
    ids=["element", "row", "block", "all"],
)
def test_one_wrong_tile_is_mended_and_nobody_is_retired(tmp_path, cluster, where):
    wanted = sound(tmp_path / "sound", cluster, operands())
    bad = on_first(cluster, FAINT, FIRST, where)
    run = prepared(tmp_path, cluster, operands())
    outcome = multiply(run, cluster, lambda _: None)
    assert (outcome.retried, outcome.retired) == (1, ())
    assert [tile.worker for tile in outcome.repeated] == [bad]
    kinds = [record["kind"] for record in read_journal(Path(run.staging.journal))]
    assert (kinds.count("tile"), kinds.count("retract")) == (TILES + 1, 1)
    assert finished(run, outcome).tobytes() == wanted.tobytes()
    assert bad in {tile.worker for tile in outcome.measurements}


def test_a_lone_worker_mends_what_it_computes_right_the_second_time(tmp_path, alone):
    wanted = sound(tmp_path / "sound", alone, operands())
    alone.run_on_workers(spoil, FAINT, FIRST)
    run = prepared(tmp_path, alone, operands())
    outcome = multiply(run, alone, lambda _: None)
    assert (outcome.retried, outcome.retired) == (1, ())
    assert finished(run, outcome).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("amount", [float("nan"), float("inf")])
def test_an_accumulator_that_flips_to_nan_or_infinity_is_mended(tmp_path, alone, amount):
    wanted = sound(tmp_path / "sound", alone, operands())
    alone.run_on_workers(spoil, amount, FIRST)
    run = prepared(tmp_path, alone, operands())
    outcome = multiply(run, alone, lambda _: None)
    assert (outcome.retried, outcome.retired) == (1, ())
    assert finished(run, outcome).tobytes() == wanted.tobytes()


def test_a_lone_worker_that_is_wrong_twice_ends_the_run_and_is_named(tmp_path, alone):
    alone.run_on_workers(spoil, FAINT, range(3, 5))
    run = prepared(tmp_path, alone, operands())
    named = rf"{alone.workers[0]} on host 127.0.0.1 computed \d tiles wrong .* no other worker is left: check this hardware.*kept in"
    with pytest.raises(NotCertified, match=named) as caught:
        multiply(run, alone, lambda _: None)
    assert caught.value.exit_code == 4
    assert Path(run.staging.folder).is_dir() and not (tmp_path / "C").exists()


def test_a_lone_worker_that_never_gives_the_same_ends_the_run(tmp_path, alone):
    alone.run_on_workers(spoil, FAINT, EACH, growth=1.02)  # below the bound also after all of them
    run = prepared(tmp_path, alone, operands())
    with pytest.raises(NotCertified, match=r"was computed 4 times, never the same, by tls://.*: check this hardware"):
        multiply(run, alone, lambda _: None)


@pytest.mark.parametrize(("where", "found"), [((slice(1), slice(1)), True), ((slice(None), slice(None)), False)], ids=["element", "all"])
def test_a_single_tile_has_only_its_own_rows_to_stand_out_from(tmp_path, alone, where, found):
    for name, values in zip("AB", operands(), strict=True):
        store(tmp_path / name, values)
    alone.run_on_workers(spoil, FAINT, FIRST, where)
    job, problem, hardware, plan = planned(tmp_path)
    plan = replace(plan, tile=TileShape(400, 300, 256), grid=(1, 1, 1), slots=(1, 1), workers=1)
    outcome = multiply(prepare(job, problem, hardware, plan, alone), alone, lambda _: None)
    assert outcome.retried == found


def test_a_kill_after_the_retraction_leaves_the_tile_to_be_computed(tmp_path, cluster, monkeypatch):
    wanted = sound(tmp_path / "sound", cluster, operands())
    on_first(cluster, FAINT, range(5, 6))
    run, honest, taken = prepared(tmp_path, cluster, operands()), Journal.append, []

    def append(journal, record):
        if taken:
            raise GemmflowError("killed")
        honest(journal, record)
        taken.extend([record["index"]] if record["kind"] == "retract" else [])

    with monkeypatch.context() as patch, pytest.raises(GemmflowError, match="killed"):
        patch.setattr(Journal, "append", append)
        multiply(run, cluster, lambda _: None)
    end(run)
    resumed = prepared(tmp_path, cluster, operands())
    assert resumed.resumed and taken[0] not in {tile.index for tile in resumed.resumed}
    outcome = multiply(resumed, cluster, lambda _: None)
    assert outcome.retried == 0
    assert finished(resumed, outcome).tobytes() == wanted.tobytes()


def test_a_kill_before_anybody_looked_back_leaves_the_tile_to_be_found(tmp_path, cluster, monkeypatch):
    """All tiles are recorded, one of them wrong: who goes on computes nothing new, but looks at all."""
    wanted = sound(tmp_path / "sound", cluster, operands())
    on_first(cluster, FAINT, FIRST)
    run = prepared(tmp_path, cluster, operands())
    with monkeypatch.context() as patch:
        patch.setattr("tasks.drive.Drive._look", lambda *_: None)
        assert multiply(run, cluster, lambda _: None).retried == 0
    end(run)
    resumed = prepared(tmp_path, cluster, operands())
    assert len(resumed.resumed) == TILES
    outcome = multiply(resumed, cluster, lambda _: None)
    assert outcome.retried == 1
    assert finished(resumed, outcome).tobytes() == wanted.tobytes()


def mixed(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Sound data whose rows, or whose tiles, are not of one kind."""
    a, b = operands(3)
    rng = np.random.default_rng(4)
    made = {
        "integer rows": lambda: (np.where(np.arange(400)[:, None] % 2, np.rint(4 * a), a), np.rint(2 * b)),
        "a few random rows": lambda: (np.where(np.arange(400)[:, None] % 50, np.rint(4 * a), a), np.rint(2 * b)),
        "integer tiles": lambda: (np.where(np.arange(400)[:, None] < 256, np.rint(4 * a), a), np.rint(2 * b)),
        "constant sign": lambda: (np.where(np.arange(400)[:, None] % 7, a, np.abs(a)), np.abs(b)),
        "scales": lambda: (a * 10.0 ** rng.uniform(-15, 15, (400, 1)), b * 10.0 ** rng.uniform(-3, 3, (256, 1))),
        "sparse rows": lambda: (np.where(rng.random((400, 256)) < np.where(np.arange(400) % 3, 1.0, 0.01)[:, None], a, 0), b),
        "zeros": lambda: (np.where(np.arange(400)[:, None] % 64, 0, a), b),
    }
    left, right = made[kind]()
    return left.astype("float32"), right.astype("float32")


@pytest.mark.parametrize("kind", ["integer rows", "a few random rows", "integer tiles", "constant sign", "scales", "sparse rows", "zeros"])
def test_sound_data_of_many_kinds_cost_a_few_tiles_computed_twice(tmp_path, cluster, kind):
    run = prepared(tmp_path, cluster, mixed(kind))
    outcome = multiply(run, cluster, lambda _: None)
    assert outcome.retired == ()
    assert outcome.retried <= 6
    assert len([tile for tile in outcome.measurements if tile.confirmed]) == outcome.retried
    assert verify(run, outcome).kept
