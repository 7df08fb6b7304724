"""Devices of a question and of its what-ifs: by any of their names, each once, and this machine among them."""

import pytest

from flows.analyze_choice import pose as posed
from flows.analyze_choice import variations
from flows.analyze_matrix import axes
from flows.analyze_question import Wanted
from tasks.catalogue import Device
from tasks.catalogue.span import Span
from tasks.choice.estimate import Estimate
from tasks.choice.matrix_job import MatrixJob
from tasks.choice.rank import Ranking
from tasks.errors import BadInput

JOB = MatrixJob((30_000, 4096, 30_000))
HERE = Device("this machine", "", "this machine", {"float32": 1e11}, 4 * 10**9)
PLAN = Estimate(HERE, 1, seconds=Span.sure(7.0))


def names(ranking: Ranking | None) -> list[str]:
    return [] if ranking is None else sorted(option.device.name for option in ranking.options)


@pytest.mark.parametrize("ready", [(), (PLAN,)])
@pytest.mark.parametrize("called", ["here", "this machine"])
def test_a_what_if_of_devices_knows_all_of_them(called: str, ready: tuple[Estimate, ...]) -> None:
    question = posed(JOB, Wanted(devices=["h100"]), HERE, ready)
    (found,) = variations(question, [f"device=h100,l40s,{called},abacus"], axes(automatic=True))
    assert [names(point.ranking) for point in found.points] == [["H100-SXM5-80GB"], ["L40S-48GB"], ["this machine"], []]
    assert "abacus is not in the catalogue" in found.points[3].why_not
    alone = posed(JOB, Wanted(devices=[called]), HERE, ready).ranking()
    assert found.points[2].ranking == alone
    assert not ready or alone.chosen == PLAN


def test_a_what_if_names_this_machine_only_where_it_was_measured() -> None:
    (found,) = variations(posed(JOB, Wanted(), None), ["device=here"], axes(automatic=True))
    assert "nothing was measured on this machine" in found.points[0].why_not
    with pytest.raises(BadInput, match="nothing was measured on this machine"):
        posed(JOB, Wanted(devices=["this machine"]), None)


def test_what_nobody_planned_is_an_estimate_of_this_machine() -> None:
    question = posed(JOB, Wanted(devices=["here", "h100"]), HERE, (PLAN,))
    (found,) = variations(question, ["n=1000"], axes(automatic=True))
    assert names(found.points[0].ranking) == ["H100-SXM5-80GB", "this machine"]
    assert found.points[0].ranking is not None
    assert PLAN not in found.points[0].ranking.options


def test_a_device_is_one_option_however_often_it_is_named() -> None:
    ranking = posed(JOB, Wanted(devices=["h100", "H100-SXM5-80GB", "l4", "h100"]), None).ranking()
    assert names(ranking) == ["H100-SXM5-80GB", "L4"]
