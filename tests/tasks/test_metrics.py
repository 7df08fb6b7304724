"""Metrics of a real run, scraped; and that nothing of them is there without being asked for."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack

import pytest
from distributed import LocalCluster

from flows import multiply
from flows.deploy import PREFECT_FILE
from flows.samples import Sample, write_sample
from flows.session import Session, open_session
from tasks import metrics
from tasks.clusters import ClusterSpec, open_cluster
from tasks.errors import BadInput
from tasks.metrics import counted, port_of, watched
from tests.flows.prefect_api import free_port
from tests.tasks.builders import report

GRAFANA = json.loads(PREFECT_FILE.with_name("grafana.json").read_text())
MADE = report()


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def names(text: str) -> set[str]:
    """Of metrics that have a value."""
    return set(re.findall(r"^([a-z_][a-z0-9_]*)[ {]", text, re.MULTILINE))


def value(text: str, sample: str) -> float:
    (found,) = re.findall(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return float(found)


@pytest.mark.parametrize("text", ["on", "0", "70000", "-1"])
def test_what_is_no_port_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMFLOW_METRICS", text)
    with pytest.raises(BadInput, match=f"GEMMFLOW_METRICS={text} is no port"):
        port_of()


def test_processes_have_ports_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMFLOW_METRICS", "9400")
    assert [port_of(place) for place in range(3)] == [9400, 9401, 9402]


def test_off_means_that_nothing_is_loaded_counted_or_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMMFLOW_METRICS", raising=False)
    observe = print
    assert watched(MADE.run, observe) is observe
    assert counted(MADE.tiles[0]) is MADE.tiles[0]
    with ExitStack() as closing:
        metrics.serve(closing)
        assert closing.pop_all()._exit_callbacks == type(closing._exit_callbacks)()
    program = "import sys, tasks.remote, tasks.run, tasks.metrics; print(tasks.metrics.port_of(), 'prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "None False\n"


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str], str]:
    """The pages of a run's own process and of its workers, and the run's id."""
    folder, port = tmp_path_factory.mktemp("metrics"), free_port()
    a, b, out = (folder / f"{name}.zarr" for name in "ABC")
    write_sample(a, Sample((4, 5), 1))
    write_sample(b, Sample((5, 6), 2))
    with pytest.MonkeyPatch.context() as patch, open_session(Session()):
        patch.setenv("GEMMFLOW_METRICS", str(port))
        done = multiply(a=str(a), b=str(b), out=str(out), direct=True)
        return scrape(port), [scrape(port + 1 + place) for place in range(done.run.plan.workers)], done.run.run_id


@pytest.mark.slow
def test_a_run_and_its_workers_serve_what_they_did(scraped: tuple[str, list[str], str]) -> None:
    driver, workers, run_id = scraped
    assert value(driver, f'gemmflow_run_info{{run_id="{run_id}"}}') == 1
    assert value(driver, "gemmflow_run_tiles") == value(driver, "gemmflow_run_tiles_done") > 0
    assert value(driver, "gemmflow_run_share") == 1
    tiled = [page for page in workers if "gemmflow_tile_seconds_count" in page]
    assert sum(value(page, "gemmflow_tile_seconds_count") for page in tiled) == value(driver, "gemmflow_run_tiles")
    assert sum(value(page, "gemmflow_written_bytes_total") for page in tiled) == 4 * 6 * 4
    assert all(value(page, 'gemmflow_lane_seconds_total{lane="multiply"}') > 0 for page in tiled)


@pytest.mark.slow
def test_every_query_of_the_dashboard_names_metrics_that_are_served(scraped: tuple[str, list[str], str]) -> None:
    queries = [target["expr"] for panel in GRAFANA["panels"] for target in panel.get("targets", ())]
    asked = {name for query in queries for name in re.findall(r"\b(?:gemmflow|dask|process)_[a-z_]+", query)}
    assert len(asked) > 10
    assert asked <= names(scraped[0]) | set().union(*map(names, scraped[1]))


@pytest.mark.slow
def test_every_metric_of_ours_is_in_the_document_and_the_other_way_round(scraped: tuple[str, list[str], str]) -> None:
    served = {name for name in names(scraped[0]) | set().union(*map(names, scraped[1])) if name.startswith("gemmflow_")}
    document = (PREFECT_FILE.parents[1] / "docs" / "monitoring.md").read_text()
    assert {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in served if not name.endswith("_created")} == set(
        re.findall(r"`(gemmflow_\w+)`", document)
    )


@pytest.mark.slow
def test_metrics_that_are_not_wanted_are_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMMFLOW_METRICS", raising=False)
    with open_cluster(ClusterSpec("local")) as cluster:
        port = cluster.client.scheduler_info()["services"]["dashboard"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            scrape(port)
        assert refused.value.code == 404
        refused.value.close()


@pytest.mark.slow
def test_with_a_scheduler_of_somebody_else_the_run_serves_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMFLOW_METRICS", str(port := free_port()))
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0") as started:
        with open_cluster(ClusterSpec(started.scheduler_address)):
            watched(MADE.run, lambda _: None)
            assert value(scrape(port), f'gemmflow_run_info{{run_id="{MADE.run.run_id}"}}') == 1
        with pytest.raises(OSError, match="refused"):
            scrape(port)
