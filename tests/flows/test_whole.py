"""Whole commands on real workers, without Prefect: the product against NumPy, batch, analyze, demo."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from flows import analyze, multiply
from flows.cli import run
from storage import open_matrix, read_certificate

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_cache")]


def stored(path: Path | str) -> np.ndarray:
    matrix = open_matrix(path)
    found = np.empty(matrix.shape, matrix.dtype)
    matrix.read_into(found, slice(0, matrix.shape[0]), slice(0, matrix.shape[1]))
    return found


def test_the_smallest_case(tmp_path: Path, small_inputs: tuple[Path, Path]) -> None:
    a, b = small_inputs
    report = multiply(a=str(a), b=str(b), out=str(tmp_path / "C.zarr"), direct=True)
    exact = stored(a).astype(float) @ stored(b).astype(float)
    error = np.linalg.norm(stored(tmp_path / "C.zarr") - exact) / np.linalg.norm(stored(a)) / np.linalg.norm(stored(b))
    assert exact.shape == (4, 6)
    assert error <= min(report.certificate.measured, report.certificate.promised) <= report.certificate.asked
    assert report.outcome.measurements[0].worst <= 1


def test_analyze_promises_what_multiply_keeps(tmp_path: Path, small_inputs: tuple[Path, Path]) -> None:
    a, b = small_inputs
    before = sorted(a.parent.rglob("*"))
    analysis = analyze(a=str(a), b=str(b), memory="1GiB")
    assert sorted(a.parent.rglob("*")) == before
    report = multiply(a=str(a), b=str(b), out=str(tmp_path / "C.zarr"), memory="1GiB", direct=True)
    assert report.run.plan == analysis.plan
    assert analysis.to_json()["plan"]["grid"] == list(analysis.plan.grid)


def test_batch_uses_one_cluster(
    tmp_path: Path, small_inputs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows import pool

    opened: list[object] = []
    real = pool.open_cluster
    monkeypatch.setattr(pool, "open_cluster", lambda spec, gate: opened.append(spec) or real(spec, gate))
    a, b = map(str, small_inputs)
    jobs = [
        {"a": a, "b": b, "out": "C1.zarr", "memory": "1GiB"},
        {"a": a, "b": b, "out": "C2.zarr"},
        {"a": a, "b": b, "out": "C3.zarr", "memory": "1GiB", "alpha": 2.0},
    ]
    (tmp_path / "C2.zarr").mkdir()
    file = tmp_path / "jobs.yaml"
    file.write_text(yaml.safe_dump(jobs))
    assert run(["batch", str(file), "--direct", "--json", "-", "--quiet"]) == 2
    summary = json.loads(capsys.readouterr().out)
    assert [result["exit_code"] for result in summary["results"]] == [0, 2, 0]
    assert len(opened) == 1
    assert np.allclose(stored(tmp_path / "C3.zarr"), 2 * stored(tmp_path / "C1.zarr"))


@pytest.mark.timeout(400)
def test_the_demo_at_its_smallest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["demo", "--folder", str(tmp_path / "demo"), "--memory", "384MiB", "--direct"]
    assert run(line) == 0
    captured = capsys.readouterr()
    assert "certified" in captured.out
    assert "Try next" in captured.err and str(tmp_path / "demo" / "report.html") in captured.err
    files = {"A.zarr", "B.zarr", "C.zarr", "report.html"}
    assert {path.name for path in (tmp_path / "demo").iterdir()} == files
    held = sum(matrix.shape[0] * matrix.shape[1] * 4 for matrix in (open_matrix(tmp_path / "demo" / f"{name}.zarr") for name in "ABC"))
    assert held >= 4 * 384 * 2**20
    assert read_certificate(tmp_path / "demo" / "C.zarr")["job"]["memory"] == 384 * 2**20
