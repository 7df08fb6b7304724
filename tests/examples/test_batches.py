"""The scheduled batches of examples/, run on their generated data and compared with NumPy."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.cli import run
from storage import open_matrix

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DAY = "2026-01-31"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def ran(name: str, folder: Path) -> list[str]:
    """States of the jobs of an example, run in a copy of it."""
    if not folder.exists():
        shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("data", "*.zarr", "__pycache__"))
        subprocess.run([sys.executable, str(folder / "generate.py"), DAY], check=True)
    line = ["batch", str(folder / "JOBS.yaml"), "--scheduled", f"{DAY}T03:00", "--direct", "--quiet", "--json", str(folder / "r.json")]
    assert run(line) == 0
    return [result["state"] for result in json.loads((folder / "r.json").read_text())["results"]]


def stored(place: Path) -> np.ndarray:
    matrix = open_matrix(place)
    found = np.empty(matrix.shape, matrix.dtype)
    matrix.read_into(found, slice(0, matrix.shape[0]), slice(0, matrix.shape[1]))
    return found


def data(folder: Path, name: str) -> np.ndarray:
    return np.load(folder / "data" / f"{name}.npy").astype(float)


def test_nightly_scores(tmp_path: Path) -> None:
    folder = tmp_path / "example"
    assert ran("nightly-scores", folder) == ["done", "done"]
    users, items = data(folder, f"users-{DAY}"), data(folder, "items")
    assert np.allclose(stored(folder / f"scores-{DAY}.zarr"), users @ items.T, atol=1e-3)
    assert np.allclose(stored(folder / "items-by-items.zarr"), items @ items.T, atol=1e-3)
    assert ran("nightly-scores", folder) == ["complete", "complete"]


def test_support_answers(tmp_path: Path) -> None:
    folder = tmp_path / "example"
    assert ran("support-answers", folder) == ["done", "done"]
    exact = data(folder, f"questions-{DAY}") @ data(folder, "answers").T
    found = stored(folder / f"similarity-{DAY}.zarr")
    assert np.allclose(found, exact, atol=1e-5) and (found.argmax(axis=1) == exact.argmax(axis=1)).all()


def test_sentiment_and_prices(tmp_path: Path) -> None:
    folder = tmp_path / "example"
    assert ran("sentiment-prices", folder) == ["done", "done"]
    sentiment = data(folder, f"sentiment-{DAY}")
    for name, prices in (("same-day", f"prices-{DAY}"), ("next-day", f"prices-next-{DAY}")):
        assert np.allclose(stored(folder / f"{name}-{DAY}.zarr"), sentiment.T @ data(folder, prices), atol=1e-12)
    assert np.abs(stored(folder / f"next-day-{DAY}.zarr")).argmax() == 0
