"""Workers that have less memory than planned, on a cluster: the run ends with the same bits, and says so."""

import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from tasks import workspace
from tasks.clusters import ClusterSpec, open_cluster
from tasks.plan import TileShape
from tasks.prepare import end
from tasks.prepare import prepare as begin
from tasks.publish import publish
from tasks.report import Clock, make_report
from tasks.run import multiply
from tasks.verify import verify
from tests.tasks.test_narrow import operands
from tests.tasks.test_run import planned, store


def shrink(nbytes: int) -> None:
    """Leave a worker so much address space beyond what it has."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + nbytes, resource.RLIM_INFINITY))


def stint(elements: int) -> None:
    """Give a worker no buffer of more elements, whatever address space it has."""
    honest = workspace.DEVICES["cpu"]

    def empty(count: int, dtype: torch.dtype) -> torch.Tensor:
        if count > elements:
            raise MemoryError
        return honest.empty(count, dtype)

    workspace.DEVICES["cpu"] = replace(honest, empty=empty)


def product(folder: Path, cluster, fields: dict[str, bool] | None = None, **changes: object):
    job, problem, hardware, plan = planned(folder, overwrite=True, **(fields or {}))
    run = begin(job, problem, hardware, replace(plan, **changes), cluster)
    try:
        outcome = multiply(run, cluster, lambda progress: None)
        certificate = verify(run, outcome)
        stored = publish(run, outcome, certificate)
    finally:
        end(run)
    return make_report(run, outcome, certificate, stored, Clock(0.1, 1.0)), zarr.open_array(folder / "C")[:]


@pytest.mark.slow
def test_workers_with_less_memory_than_planned_finish_and_the_plan_is_corrected(tmp_path: Path) -> None:
    """A limit of the operating system, not a pretended one."""
    a, b = operands(4096, 256, 8192)
    store(tmp_path / "A", a, (256, 256))
    store(tmp_path / "B", b, (256, 256))
    changes = {"tile": TileShape(4096, 4096, 64), "grid": (1, 2, 4), "slots": (4, 1), "residency": "A", "chunk": (256, 256), "workers": 1}
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        expected, values = product(tmp_path, cluster, **changes)
        assert expected.outcome.split == 0
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        cluster.run_on_workers(shrink, 56 << 20)
        report, bits = product(tmp_path, cluster, **changes)
    assert bits.tobytes() == values.tobytes()
    assert report.outcome.split == report.to_json()["measured"]["tiles_split"] == 2
    assert any("2 tiles ran out of memory" in warning for warning in report.warnings)


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "shortage", "size"), [("torch", shrink, 56 << 20), ("scipy", stint, 3072 * 4096 - 1)])
def test_a_symmetric_product_by_workers_with_less_memory_than_planned_has_the_same_bits(tmp_path: Path, kernel, shortage, size) -> None:
    """By torch under a limit of the operating system, by scipy in the smallest pieces."""
    store(tmp_path / "A", operands(8192, 256, 1)[0], (256, 256))
    (tmp_path / "B").symlink_to(tmp_path / "A")
    changes = {"tile": TileShape(4096, 4096, 64), "grid": (2, 2, 4), "slots": (4, 1), "residency": "A", "chunk": (256, 256), "workers": 1}
    changes |= {"kernel": kernel}
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        expected, values = product(tmp_path, cluster, {"transpose_b": True}, **changes)
        assert expected.outcome.split == 0 and len(expected.outcome.measurements) == 3
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        cluster.run_on_workers(shortage, size)
        report, bits = product(tmp_path, cluster, {"transpose_b": True}, **changes)
    assert bits.tobytes() == values.tobytes()
    assert report.outcome.split == report.to_json()["measured"]["tiles_split"] == 3
    assert report.certificate.measured == pytest.approx(expected.certificate.measured, rel=1e-6)


@pytest.mark.slow
def test_parts_of_k_by_workers_with_less_memory_than_planned_have_the_same_bits(tmp_path: Path) -> None:
    a, b = operands(4096, 256, 8192)
    store(tmp_path / "A", a, (256, 256))
    store(tmp_path / "B", b, (256, 256))
    changes = {"tile": TileShape(4096, 4096, 64), "grid": (1, 2, 4), "slots": (1, 1), "residency": "A", "chunk": (256, 256), "workers": 1}
    changes |= {"parts": 2}
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        expected, values = product(tmp_path, cluster, **changes)
        assert expected.outcome.split == 0
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        cluster.run_on_workers(shrink, 56 << 20)
        report, bits = product(tmp_path, cluster, **changes)
    assert bits.tobytes() == values.tobytes()
    assert report.outcome.split == 2
    assert report.certificate.measured == pytest.approx(expected.certificate.measured, rel=1e-6)


@pytest.mark.slow
def test_the_driver_sends_what_follows_with_the_step_that_was_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks import dispatch

    sent, honest = [], dispatch.Air.send
    monkeypatch.setattr(
        dispatch.Air, "send", lambda air, errand, workers: sent.append(errand.recipe.narrowed) or honest(air, errand, workers)
    )
    a, b = operands(256, 64, 1024)
    store(tmp_path / "A", a)
    store(tmp_path / "B", b)
    changes = {"tile": TileShape(256, 128, 64), "grid": (1, 8, 1), "slots": (1, 1), "residency": "C", "chunk": (64, 64), "workers": 1}
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        cluster.run_on_workers(fail_once_when_whole)
        report, values = product(tmp_path, cluster, **changes)
    assert np.allclose(values, a @ b, atol=1e-3)
    assert sent[:2] == [0, 0] and sent[3:] == [2] * 5
    assert report.outcome.split == 7


def fail_once_when_whole() -> None:
    """The first tile finds no memory as a whole, the others would."""
    from tasks import tile

    honest, left = tile._compute, [1]

    def compute(recipe, piece, attempt):
        if left[0]:
            left[0] -= 1
            raise MemoryError
        return honest(recipe, piece, attempt)

    tile._compute = compute
