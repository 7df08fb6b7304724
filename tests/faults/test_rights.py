"""File rights are those of the umask, everywhere and at every moment: what a run leaves when it is killed, its journal, the result."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.fixture(params=[0o077, 0o027])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_staging_and_result_have_the_rights_of_the_umask(processes: World, umask: int) -> None:
    assert processes.killed() > 0
    staging = Path(f"{processes.out}.gemmflow")
    assert rights(staging) == expected(umask)
    assert processes.run().code == 0
    assert rights(processes.out) == expected(umask)
    assert not staging.exists()


def expected(umask: int) -> dict[str, set[int]]:
    return {"folders": {0o777 & ~umask}, "files": {0o666 & ~umask}}


def rights(root: Path) -> dict[str, set[int]]:
    """Modes of everything under a folder, and of itself."""
    found: dict[str, set[int]] = {"folders": set(), "files": set()}
    for path in (root, *root.rglob("*")):
        found["folders" if path.is_dir() else "files"].add(stat.S_IMODE(path.stat().st_mode))
    return found
