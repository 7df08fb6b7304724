import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import LocalCluster

from flows.links import dashboard_of, links
from tasks.clusters import ClusterSpec, open_cluster
from tests.tasks.builders import report

RUN = report().run


def test_a_product_on_a_disk_is_linked_as_a_file_and_one_in_a_bucket_as_it_is() -> None:
    shown = links(RUN, None)
    assert f"[{Path(RUN.job.out).as_uri()}](file://{RUN.job.out})" in shown
    assert RUN.run_id in shown and "Dask" not in shown
    remote = replace(RUN, job=RUN.job.model_copy(update={"out": "s3://bucket/C.zarr"}))
    assert "[s3://bucket/C.zarr](s3://bucket/C.zarr)" in links(remote, None)


def test_workers_of_our_own_have_no_dashboard() -> None:
    assert dashboard_of(SimpleNamespace(own=True)) == ""


def test_a_dashboard_that_does_not_answer_is_no_link() -> None:
    gone = SimpleNamespace(own=False, client=SimpleNamespace(dashboard_link="http://127.0.0.1:9/status"))
    assert dashboard_of(gone) == ""


@pytest.mark.slow
def test_the_dashboard_of_a_scheduler_that_somebody_else_started_is_linked() -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0") as started:
        with open_cluster(ClusterSpec(started.scheduler_address)) as joined:
            shown = links(RUN, joined)
        assert re.search(rf"Dask dashboard.*\[http://127.0.0.1:{started.scheduler.services['dashboard'].port}/status\]", shown)
