"""What a scheduler remembers of gemmflow's runs does not grow with their number."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from tasks.clusters import ClusterSpec, open_cluster
from tasks.prepare import end, prepare
from tasks.pulse import TOPICS, topic_of
from tasks.run import multiply
from tasks.short_logs import SHORT_LOGS
from tests.tasks.foreign import wait_until
from tests.tasks.test_run import planned, store

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster():
    with open_cluster(ClusterSpec("local", 1, 1)) as opened:
        yield opened


def spans(dask_scheduler) -> list[str]:
    return list(dask_scheduler.extensions["spans"].spans)


def topics(dask_scheduler) -> set[str]:
    return set(dask_scheduler._broker._topics)


def tasks_held(dask_scheduler) -> int:
    return len(dask_scheduler.tasks)


def one_run(folder: Path, cluster) -> None:
    job, problem, hardware, plan = planned(folder, overwrite=True)
    run = prepare(job, problem, hardware, plan, cluster)
    try:
        multiply(run, cluster, lambda progress: None)
    finally:
        end(run)


def test_tasks_of_all_runs_are_in_one_span_and_nothing_of_them_stays(tmp_path: Path, cluster) -> None:
    store(tmp_path / "A", np.ones((400, 250), "float32"))
    store(tmp_path / "B", np.ones((250, 300), "float32"))
    for _ in range(3):
        one_run(tmp_path, cluster)
        assert cluster.client.run_on_scheduler(spans) == ["gemmflow"]
    wait_until(lambda: cluster.client.run_on_scheduler(tasks_held) == 0)
    ours = {topic for topic in cluster.client.run_on_scheduler(topics) if topic.startswith("gemmflow-")}
    assert ours <= {f"gemmflow-{number}" for number in range(TOPICS)} and 1 <= len(ours) <= 3


def test_tasks_of_others_get_spans_of_their_own_each_time(cluster) -> None:
    """What it would be without a word: so this test can fail."""
    before = len(cluster.client.run_on_scheduler(spans))
    for number in range(3):
        future = cluster.client.submit(abs, number, pure=False)
        assert future.result() == number
        future.release()
        wait_until(lambda: cluster.client.run_on_scheduler(tasks_held) == 0)
    assert len(cluster.client.run_on_scheduler(spans)) == before + 3


def test_runs_share_a_few_topics() -> None:
    assert {topic_of(f"run {number}.1") for number in range(1000)} == {f"gemmflow-{number}" for number in range(TOPICS)}


def test_the_file_for_shared_schedulers_says_what_our_own_get() -> None:
    written = yaml.safe_load((ROOT / "deployments/dask.yaml").read_text())
    assert dict(_flat(written)) == SHORT_LOGS


def _flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
