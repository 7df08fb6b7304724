"""What a soak does to a job: every fault is one that checks can find, every kind of job runs; how memory is judged."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random
from unittest import mock

import pytest

from benchmarks.soak.faults import FAULTS
from benchmarks.soak.growth import AGED, LEAST, growth, slope
from benchmarks.soak.jobs import ALWAYS, INPUTS, KINDS, line, prepare
from benchmarks.soak.site import SETTINGS
from benchmarks.soak.trial import drawn
from flows import multiply, upkeep
from flows.samples import Sample, write_sample
from tasks.checkup import Ask
from tasks.hardware import host_fingerprint, remember
from tests.tasks import machines


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("product")
    for name in "AB":
        write_sample(folder / name, Sample((96, 96), 1, chunk=32))
    with mock.patch.dict(os.environ, GEMMFLOW_CACHE=str(folder)):
        remember(replace(machines.hardware(), fingerprint=host_fingerprint("cpu")))
        multiply(a=str(folder / "A"), b=str(folder / "B"), out=str(folder / "C"), chunk=(32, 32), direct=True)
    return folder / "C"


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.after])
def test_what_is_done_to_a_product_is_found(name: str, product: Path, tmp_path: Path) -> None:
    out, after = tmp_path / "C", FAULTS[name].after
    shutil.copytree(product, out)
    assert after is not None and upkeep.verify(out, Ask(full=True)).sound
    after(out, Random(1))
    assert not upkeep.verify(out, Ask(full=True)).sound


def test_inputs_are_there_for_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.soak.jobs.INPUTS", {name: ((20, 30), dtype) for name, (_, dtype) in INPUTS.items()})
    (key,) = prepare(tmp_path).values()
    assert len(key) == 64
    for kind in KINDS.values():
        assert all((tmp_path / name / "zarr.json").is_file() for name in kind.inputs)
        command = line(kind, tmp_path, tmp_path / "C", Random(1))
        assert command[0] == kind.command and any(set(row) <= set(command) for row in ALWAYS)


def test_everything_is_drawn_sooner_or_later() -> None:
    random = Random(1)
    draws = [drawn(random, 6.0) for _ in range(500)]
    assert {draw.kind for draw in draws} == set(KINDS) and {draw.fault for draw in draws} == set(FAULTS)
    assert {draw.shared for draw in draws} == {True, False} and all(0.5 <= draw.moment <= 6.0 for draw in draws)


def test_the_shared_cluster_has_the_settings_that_are_told_to_users() -> None:
    assert SETTINGS.is_file() and "deployments/dask.yaml" in (SETTINGS.parents[1] / "docs/clusters.md").read_text()


def judged(series: list[int]):
    return growth([{"scheduler 1": value} for value in series])["scheduler 1"]


def test_memory_is_judged_by_processes_that_lived_long() -> None:
    long = AGED + 3 * LEAST
    samples = [{"scheduler 1": 100, "worker 2": 50} | ({"worker 3": 9} if number < long - 1 else {}) for number in range(long)]
    assert set(growth(samples)) == {"scheduler 1", "worker 2"}


def test_what_grows_is_told_from_what_swings_and_what_only_begins() -> None:
    flat = judged([*range(0, 1000, 1000 // AGED), *([1000, 1020, 990] * 20)])
    assert flat.flat and flat.slope_bytes == 0 and 0.99 < flat.ratio < 1.01
    grows = judged([1000 + 2 * trial for trial in range(AGED + 60)])
    assert not grows.flat and grows.slope_bytes == 2
    assert grows.ratio == round((1020 + 2 * 49.5) / (1020 + 2 * 9.5), 3) and grows.trials == AGED + 60


def test_one_large_job_is_no_growth_and_hides_none() -> None:
    spike = [1000] * (AGED + 59) + [9000]
    assert judged(spike).flat and judged(spike).slope_bytes == 0
    early = [1000 + 2 * trial for trial in range(AGED + 60)]
    early[AGED] = 9000
    assert not judged(early).flat and slope(early[AGED:]) == 2
