from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from flows.agent.devices import devices
from flows.agent.faults import AgentError
from tasks.catalogue import catalogue


@pytest.fixture
def nothing_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMFLOW_CACHE", str(tmp_path))


@pytest.mark.usefixtures("nothing_measured")
def test_a_machine_that_was_not_measured_says_so() -> None:
    here, *others = devices()
    assert not here.measured and here.flops == {} and here.cores and "not measured" in here.note
    assert here.where == "this machine" and {other.where for other in others} == {"catalogue"}


@pytest.mark.usefixtures("nothing_measured")
def test_the_catalogue_follows_in_its_order() -> None:
    assert [device.name for device in devices()[1:]] == [device.name for device in catalogue()]


def test_a_device_has_its_peaks_and_a_price_with_its_age() -> None:
    (found,) = devices("H100 SXM")
    assert found.kind == "dc-gpu" and found.memory_bytes == 80_000_000_000 and not found.measured
    assert found.flops["bfloat16"] == pytest.approx(989e12, rel=0.01) and found.memory_bandwidth == pytest.approx(3.35e12)
    offer = found.price
    assert offer is not None and offer.provider and offer.region and offer.date
    assert offer.age_days == (datetime.now(UTC).date() - date.fromisoformat(offer.date)).days
    assert (offer.age_days > 90) == ("days old: check it" in found.note)


def test_numbers_that_sources_disagree_about_are_told() -> None:
    told = [device for device in devices() if device.conflicts]
    assert told and all(":" in line for device in told for line in device.conflicts)


@pytest.mark.parametrize(("name", "least"), [("a100", 2), ("NVIDIA A100", 2), ("T4", 1), ("h100-sxm", 1)])
def test_a_part_of_a_name_is_enough(name: str, least: int) -> None:
    found = [device.name for device in devices(name) if device.where == "catalogue"]
    assert least <= len(found) < 10


@pytest.mark.usefixtures("nothing_measured")
def test_this_machine_has_a_name_too() -> None:
    (here,) = devices("here")
    assert here.where == "this machine"


@pytest.mark.parametrize("name", ["H1000", "nvidia", "-", "../etc"])
def test_a_name_of_nothing_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(AgentError, match="not in the catalogue; the nearest are") as refused:
        devices(name)
    assert refused.value.fault.code == "unknown_device" and "list_devices" in refused.value.fault.fix


@pytest.mark.slow
def test_a_machine_that_was_measured_gives_its_rates(warm_cache: Path) -> None:
    here = devices()[0]
    assert here.measured and here.flops["float64"] > 1e8 and here.price is None and (here.memory_bandwidth or 0) > 1e8
