from pathlib import Path

import pytest

from flows.agent.store import Store, open_store
from flows.agent.tools import Tools
from flows.samples import Sample, write_sample
from tests.flows.agent.agents import Place, make_tools


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "state")


@pytest.fixture
def tools(root: Path, tmp_path: Path) -> Tools:
    return make_tools(root, tmp_path / "state")


@pytest.fixture
def place(root: Path, tmp_path: Path, warm_cache: Path) -> Place:
    """Two small matrices in a root, and a machine that was measured."""
    write_sample(root / "A.zarr", Sample((300, 200), 1, chunk=100))
    write_sample(root / "B.zarr", Sample((200, 250), 2, chunk=100))
    return Place(root, tmp_path / "state", warm_cache)
