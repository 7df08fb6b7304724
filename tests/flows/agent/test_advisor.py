from pathlib import Path
from typing import Any

import pytest

from flows.agent.advisor import Question, advise, shortened
from flows.agent.answering import answer
from tasks.errors import BadInput

SHAPE = {"shape": [4096, 4096, 4096]}


def test_devices_are_bounded_and_the_rest_is_counted() -> None:
    advice = advise(Question(subject=SHAPE))
    assert len(advice.options) == 10 and advice.options_left_out >= 15 and advice.chosen == advice.options[0]
    named = advise(Question(subject=SHAPE, wanted={"devices": ["T4", "L4"]}))
    assert {option.device for option in named.options} == {"T4", "L4"} and named.options_left_out == 0


def test_a_budget_that_nothing_meets_has_no_choice() -> None:
    advice = advise(Question(subject={"shape": [10**6, 10**6, 10**6]}, wanted={"budget": 0.001}))
    assert advice.chosen is None and "nothing meets" in advice.headline and advice.options[0].feasible


def test_where_no_price_is_known_the_operator_may_give_some() -> None:
    advice = advise(Question(subject=SHAPE, wanted={"budget": 100, "devices": ["RTX 4090"]}))
    assert advice.headline.endswith("no price is known of any that can do it; give prices with the operator's --catalogue")


def test_a_product_that_is_too_large_is_named_as_the_problem() -> None:
    advice = advise(Question(subject={"shape": [2 * 10**6, 64, 2 * 10**6]}))
    (problem,) = (line for line in advice.warnings if line.startswith("the product is the problem"))
    assert "keep top:100" in problem and "--" not in problem
    less = advise(Question(subject={"shape": [2 * 10**6, 64, 2 * 10**6], "keep": "top:100"}))
    assert less.needs["bytes_out"] < advice.needs["bytes_out"] / 1000


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ({"subject": {"shape": [1, 2]}}, "shape"),
        ({"subject": SHAPE | {"speed": 1}}, "speed"),
        ({"subject": SHAPE, "options": {"codec": "zstd"}}, "codec says nothing about a shape"),
        ({"subject": SHAPE | {"model": "x"}}, "config and m, k, n are two questions"),
        ({"subject": SHAPE, "wanted": {"vary": ["colour=red"]}}, "vary colour=red: 'colour' cannot be varied here"),
        ({"subject": SHAPE, "wanted": {"devices": ["tricorder"]}}, "tricorder is not in the catalogue"),
    ],
)
def test_questions_that_make_no_sense(question: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        advise(Question(**question))


def test_other_values_have_choices_of_their_own() -> None:
    advice = advise(Question(subject=SHAPE, wanted={"vary": ["n=1e4,1e5,x", "budget=1e-9,1"]}))
    small, large, none, poor, rich = advice.what_if
    assert (small.axis, small.value, rich.axis) == ("n", "1e4", "budget")
    assert small.seconds is not None and large.seconds is not None and small.seconds < large.seconds and small.why_not is None
    assert none.device is None and none.why_not is not None and "x" in none.why_not
    assert poor.device is None and poor.why_not is not None and "nothing meets" in poor.why_not
    assert rich.device == (advice.chosen.device if advice.chosen else "")


def test_a_machine_that_was_not_measured_is_none_of_the_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMFLOW_CACHE", str(tmp_path))
    with pytest.raises(BadInput, match="call analyze on stored matrices"):
        advise(Question(subject=SHAPE, wanted={"devices": ["here"]}))


def test_of_many_products_the_largest_are_kept() -> None:
    products = [{"name": str(number), "flops": number} for number in range(40)]
    needs = shortened({"products": products, "flops": 1})
    kept: Any = needs["products"]
    assert [product["flops"] for product in kept] == list(range(39, 23, -1)) and needs["products_left_out"] == 24
    assert shortened({"products": products[:3]}) == {"products": products[:3]}


def test_an_answer_is_advice_or_a_fault() -> None:
    found: Any = answer({"subject": SHAPE})
    assert list(found) == ["advice"] and found["advice"]["options"]
    assert answer({"subject": SHAPE | {"dtype": "float63"}})["fault"]
    fault: Any = answer({"job": {"a": "/nowhere/A", "b": "/nowhere/B", "out": "/nowhere/C"}, "usd_per_hour": None, "catalogue": None})
    assert fault["fault"]["code"] == "bad_input"
