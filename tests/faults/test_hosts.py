"""Workers on several hosts, one of which is cut off or dies in the middle: the others finish, with the same bits."""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import psutil
import pytest

from tasks import cluster as cluster_module
from tasks import roster, watch
from tasks.cluster import Cluster
from tasks.cluster_file import FOLDERS
from tasks.clusters import ClusterSpec, open_cluster
from tasks.described import described
from tasks.dispatch import Air, Flight
from tasks.errors import GemmflowError
from tasks.outcome import Measurement
from tests.faults.hosts import CAN, Host, Network, network
from tests.tasks.test_crowded_run import at, filled, product

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CAN, reason="needs the right to make network namespaces")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return filled(tmp_path)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Network]:
    with network(tmp_path / "scratch") as found:
        yield found


@pytest.fixture
def expected(folder: Path) -> bytes:
    """Of one host that nothing happens to."""
    with open_cluster(ClusterSpec("local", 2, 1)) as cluster:
        return product(folder, cluster)[1]


def joined(hosts: Network) -> Cluster:
    return open_cluster(ClusterSpec(hosts.address))


def test_hosts_that_nothing_happens_to(folder: Path, hosts: Network, expected: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine.yaml").write_text(f"address: {hosts.address}\nwait: {{workers: 2, seconds: 30}}\n")
    monkeypatch.setenv(FOLDERS, str(folder))
    with described("mine", lambda text: None) as address, open_cluster(ClusterSpec(address)) as cluster:
        outcome, bits = product(folder, cluster)
    assert bits == expected
    assert {tile.worker.partition("//")[2].partition(":")[0] for tile in outcome.measurements} == {host.address for host in hosts.workers}


@pytest.mark.parametrize("strike", [Host.cut_off, lambda host: host.process.kill()], ids=["cut off", "killed"])
def test_a_host_is_lost_in_the_middle(
    folder: Path, hosts: Network, expected: bytes, strike: Callable[[Host], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "HUNG_SECONDS", 4.0)
    with joined(hosts) as cluster:
        started = monotonic()
        outcome, bits = product(folder, cluster, at(5, lambda: strike(hosts.workers[1])))
        assert bits == expected
        assert monotonic() - started < 60
    last = max(outcome.measurements, key=lambda tile: tile.finished)
    assert hosts.workers[0].address in last.worker


def stop(host: Host) -> None:
    """Its connections stay open, and nothing is answered any more."""
    psutil.Process(host.process.pid).suspend()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("strike", [lambda host: host.process.kill(), Host.cut_off, stop], ids=["killed", "cut off", "stopped"])
def test_the_scheduler_is_lost_and_the_run_goes_on_elsewhere(
    folder: Path, hosts: Network, expected: bytes, strike: Callable[[Host], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (cluster_module, watch):
        monkeypatch.setattr(module, "SILENT_SECONDS", 8.0)
    started = monotonic()
    with pytest.raises(GemmflowError, match="the same command goes on from there"), joined(hosts) as cluster:
        product(folder, cluster, at(5, lambda: strike(hosts.scheduler)))
    assert monotonic() - started < 120
    with open_cluster(ClusterSpec("local", 2, 1)) as cluster:
        outcome, bits = product(folder, cluster)
    assert bits == expected and outcome.resumed >= 5


@pytest.mark.timeout(300)
def test_a_scheduler_that_stops_before_it_hands_a_record_over_is_not_waited_for(
    folder: Path, hosts: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, handed = Air.record, list[Flight]()

    def stopped(air: Air, flight: Flight) -> Measurement:
        handed.append(flight)
        if len(handed) == 5:
            stop(hosts.scheduler)
        return record(air, flight)

    monkeypatch.setattr(Air, "record", stopped)
    for module in (cluster_module, watch):
        monkeypatch.setattr(module, "SILENT_SECONDS", 8.0)
    started = monotonic()
    with pytest.raises(GemmflowError, match="the same command goes on from there"), joined(hosts) as cluster:
        product(folder, cluster)
    assert len(handed) == 5 and monotonic() - started < 120
