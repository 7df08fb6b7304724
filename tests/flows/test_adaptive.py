"""A cluster that scales by itself: workers come while a run has work, get tiles, and go when it is over. On one that does not, the same
watch sees neither."""

from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import pytest
from distributed import Client

from flows.multiply import multiply
from tasks.described import described

ADAPTIVE = """
cluster_class: distributed.LocalCluster
cluster_kwargs: {n_workers: 0, threads_per_worker: 1, memory_limit: 0, dashboard_address: ":0"}
adapt_kwargs: {minimum: 1, maximum: 2, interval: 500ms, wait_count: 8, target_duration: 100ms}
wait: {workers: 1, seconds: 60}
"""
FIXED = """
cluster_class: distributed.LocalCluster
cluster_kwargs: {n_workers: COUNT, threads_per_worker: 1, memory_limit: 0, dashboard_address: ":0"}
wait: {workers: COUNT, seconds: 60}
"""
IDLE_SECONDS = 12.0
"""Three times what the adaptive one waits before it lets a worker go."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore::ResourceWarning")]


@dataclass(frozen=True)
class Seen:
    """Workers of a cluster, around one run."""

    first: int
    """Before it."""
    joined: int
    """Came while it ran, by its report."""
    used: int
    """Computed tiles."""
    last: int
    """Some time after it."""

    @property
    def grew(self) -> bool:
        return self.joined >= 1 and self.used > self.first

    @property
    def shrank(self) -> bool:
        return self.last < self.used


def watched(content: str, folder: Path, inputs: tuple[Path, Path], seconds: float, precision: str = "float32") -> Seen:
    """One run on the cluster that a file describes; afterwards it has so long to let a worker go."""
    (folder / "cluster.yaml").write_text(content)
    a, b = map(str, inputs)
    with described(str(folder / "cluster.yaml"), print) as address, Client(address, set_as_default=False) as client:

        def there() -> int:
            return len(client.scheduler_info(n_workers=-1)["workers"])

        first = there()
        how = {"memory": "2GiB", "chunk": (1024, 1024), "precision": precision}
        report = multiply(direct=True, a=a, b=b, out=str(folder / "C"), cluster=address, **how)
        used, deadline = len({tile.worker for tile in report.outcome.measurements}), monotonic() + seconds
        while there() >= used and monotonic() < deadline:
            sleep(0.1)
        return Seen(first, report.outcome.joined, used, there())


def test_workers_come_when_a_run_begins_get_tiles_and_go_when_idle(
    tmp_path: Path, warm_cache: Path, large_inputs: tuple[Path, Path]
) -> None:
    seen = watched(ADAPTIVE, tmp_path, large_inputs, 60, "float64")  # so long that a worker has come before the last tile is sent
    assert seen.grew and seen.shrank, seen
    assert (seen.first, seen.last) == (1, 1)


@pytest.mark.parametrize("count", [1, 2])
def test_where_nothing_scales_nothing_is_seen(count: int, tmp_path: Path, warm_cache: Path, large_inputs: tuple[Path, Path]) -> None:
    seen = watched(FIXED.replace("COUNT", str(count)), tmp_path, large_inputs, IDLE_SECONDS)
    assert not seen.grew and not seen.shrank, seen
    assert seen == Seen(count, 0, count, count)
