from pathlib import Path

import pytest

from flows.agent.planner import Price, others
from flows.analyze import Analysis
from tests.tasks.plan_files import Saved, save


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Saved:
    monkeypatch.setenv("GEMMFLOW_CACHE", str(tmp_path / "cache"))
    return save(tmp_path)


@pytest.fixture
def analysis(saved: Saved) -> Analysis:
    return Analysis(saved.problem, saved.hardware, saved.plan, saved.job)


def test_a_plan_has_the_cheapest_of_other_devices_beside_it(saved: Saved, analysis: Analysis) -> None:
    found = others(saved.job, analysis, Price(None))
    costs = [option.usd for option in found if option.usd is not None]
    assert len(found) == len(costs) == 5 and costs == sorted(costs)
    assert all(option.price and option.price.provider and option.seconds_interval and option.arithmetic for option in found)


def test_the_operators_prices_count(saved: Saved, analysis: Analysis, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("- {name: B200-SXM-180GB, usd_per_hour: 0.0001, provider: a neighbour}\n")
    first = others(saved.job, analysis, Price(None, str(own)))[0]
    assert (
        first.device == "B200-SXM-180GB"
        and first.price is not None
        and first.price.provider == "a neighbour"
        and first.price.age_days is None
    )
