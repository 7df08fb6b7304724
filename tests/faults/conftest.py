import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import flows.cli
import flows.pool
from tasks import resume
from tasks.cluster import Cluster
from tasks.clusters import ClusterSpec, open_cluster
from tests.faults.lab import Lab
from tests.faults.site import sitecustomize
from tests.faults.world import World
from tests.test_bad_input import Shared


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two workers for all quick tests."""
    with open_cluster(ClusterSpec("local", workers=2)) as opened:
        yield opened


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[World]:
    """A folder in which commands run as processes of their own."""
    world = World(tmp_path / "world")
    yield world
    world.close()


@pytest.fixture
def lab(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Lab:
    """The same folder; commands run in this process, on the shared workers, in 16 tiles."""
    world = World(tmp_path / "world")
    monkeypatch.setenv("GEMMFLOW_CACHE", str(world.cache))
    monkeypatch.setattr(tempfile, "tempdir", str(world.scratch))
    monkeypatch.setattr(flows.cli, "end_descendants", lambda: None)
    monkeypatch.setattr(flows.pool, "open_cluster", lambda spec, gate: Shared(cluster))
    monkeypatch.setitem(sitecustomize.TRICKS, "tile", (256, 256, 256))
    monkeypatch.setattr(resume, "make_plan", resume.make_plan)
    sitecustomize.small_tiles(resume)
    return Lab(world, monkeypatch, capfd)
