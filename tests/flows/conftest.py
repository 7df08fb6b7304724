import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.samples import Sample, write_sample
from storage.lease import require_free


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache with this machine's calibration and, after the first use, a Prefect database."""
    from tasks.calibrate import calibrate

    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("GEMMFLOW_CACHE")
    os.environ["GEMMFLOW_CACHE"] = str(folder)
    try:
        calibrate("local")
        yield folder
    finally:
        os.environ.pop("GEMMFLOW_CACHE")
        if before is not None:
            os.environ["GEMMFLOW_CACHE"] = before


@pytest.fixture(scope="session")
def large_inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two matrices whose product takes several seconds."""
    folder = tmp_path_factory.mktemp("large")
    for name, seed in (("A", 1), ("B", 2)):
        write_sample(folder / f"{name}.zarr", Sample((8192, 8192), seed, chunk=1024))
    return folder / "A.zarr", folder / "B.zarr"


@pytest.fixture(scope="session")
def small_inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The README's smallest case: 4 x 5 times 5 x 6."""
    folder = tmp_path_factory.mktemp("small")
    write_sample(folder / "A.zarr", Sample((4, 5), 1))
    write_sample(folder / "B.zarr", Sample((5, 6), 2))
    return folder / "A.zarr", folder / "B.zarr"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stands still for half a second is dead: for tests of what follows, not of how long that takes."""
    monkeypatch.setattr(require_free, "__defaults__", (0.5,))
