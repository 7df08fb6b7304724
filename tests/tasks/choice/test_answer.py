"""What people and machines are told."""

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from flows.analyze_page import render_page
from tasks.catalogue import Device, Price, catalogue
from tasks.choice.answer import Answer
from tasks.choice.errand import errand
from tasks.choice.kept import Kept
from tasks.choice.matrix_answer import matrix_answer
from tasks.choice.matrix_job import MatrixJob
from tasks.choice.model_answer import model_answer
from tasks.choice.plots import charts
from tasks.choice.rank import Aim, rank
from tasks.choice.site import Site
from tasks.choice.whatif import vary
from tasks.cluster_file import read
from tests.tasks.choice.devices import GB, gpu, other, processor
from tests.tasks.choice.test_model_job import job as model_job
from tests.tasks.models.configs import DEEPSEEK

TODAY = date(2026, 11, 26)
WIDE = MatrixJob((1_575_538, 292, 1_575_538), max_error=1e-2)
DEVICES = [gpu(), processor(), other()]


def answered(job: MatrixJob = WIDE, aim: Aim = Aim("time"), today: date = TODAY) -> Answer:  # noqa: B008 - frozen
    axes = {"n": lambda value: rank(MatrixJob((10, 10, int(value))), DEVICES, aim, Site())}
    found = vary({"n": ("10", "1000", "100000")}, axes)
    return replace(matrix_answer(job, rank(job, DEVICES, aim, Site()), Site(), today), variations=found)


def keys(value: object, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {f"{path}{key}" for key in value} | {found for key, item in value.items() for found in keys(item, f"{path}{key}.")}
    return {found for item in value for found in keys(item, f"{path[:-1]}[].")} if isinstance(value, list) else set()


def test_the_keys_of_the_json_stay() -> None:
    found = keys(answered().to_json())
    assert {"schema", "kind", "title", "needs", "choice", "what_if", "run", "warnings"} <= found
    option = {
        *("device", "count", "feasible", "arithmetic", "precision", "seconds", "seconds_interval", "known_from", "usd", "usd_interval"),
        *("devices_billed", "price", "bottleneck", "lanes", "reason", "notes"),
    }
    assert {f"choice.{where}.{key}" for where in ("chosen", "options[]", "front[]") for key in option} <= found
    assert {"needs.flops", "needs.bytes_out", "what_if[].points[].chosen", "run.steps", "run.cluster_file"} <= found


@pytest.mark.parametrize("asked", [answered(), answered(aim=Aim("cost", deadline=1))])
def test_every_number_of_the_json_is_finite(asked: Answer) -> None:
    json.dumps(asked.to_json(), allow_nan=False)


def test_a_product_that_is_the_problem_is_named_with_what_to_do() -> None:
    (problem,) = [warning for warning in answered().warnings if "the product is the problem" in warning]
    assert "9.03 TiB" in problem
    assert "--keep top:100" in problem
    small = answered(MatrixJob(WIDE.shape, max_error=1e-2, kept=Kept("top", 100)))
    assert not any("problem" in warning for warning in small.warnings)


def test_a_product_that_no_device_writes_in_time_is_named_too() -> None:
    found = answered(MatrixJob((100_000, 64, 100_000)), Aim(deadline=1))
    assert found.ranking.chosen is None
    assert any(problem.startswith("the product is the problem: 37.3 GiB") for problem in found.pressing)


def test_an_error_that_nothing_keeps_names_what_can_be_kept() -> None:
    job = MatrixJob((1000, 300, 1000), output="float64", max_error=1e-30)
    (said,) = answered(job).pressing
    assert "the best is float64 stored as float64 with 3.34e-14; ask for at least that" in said
    assert not answered(replace(job, max_error=3.34e-14)).pressing


def test_nothing_larger_is_proposed() -> None:
    tiny = MatrixJob((1, 1, 1), max_error=1e-2)
    few = MatrixJob((1000, 1, 10), max_error=1e-2)
    assert not any("problem" in warning for job in (tiny, few) for warning in answered(job).warnings if "top" in warning)


def test_a_product_that_is_the_problem_is_named_where_one_line_is_enough() -> None:
    first, *more = answered().line().splitlines()
    assert first.startswith("elsewhere  ")
    assert "once the data are there" in first
    assert [line for line in more if "the product is the problem: 9.03 TiB" in line]


def test_the_command_stores_what_was_shown() -> None:
    job = MatrixJob((1000, 1000, 1000), ("int8", "int8"), "int64")
    ranking = rank(job, [gpu()], Aim(), Site())
    assert ranking.chosen is not None
    assert "--dtype-out int64" in errand(ranking.chosen, job).steps[-1]
    half = MatrixJob((1000, 1000, 1000), ("bfloat16", "bfloat16"), max_error=1e-2)
    assert "reads no matrices of bfloat16" in errand(rank(half, [gpu()], Aim(), Site()).options[0], half).steps[0]


def test_old_prices_are_named_and_fresh_ones_are_not() -> None:
    assert any("129 days" in warning for warning in answered().warnings)
    assert not any("days" in warning for warning in answered(today=date(2026, 8, 1)).warnings)


def test_a_price_of_ones_own_without_a_date_is_named_and_that_of_this_machine_is_not() -> None:
    job, own = MatrixJob((1000, 1000, 1000)), replace(gpu(), price=Price(2.49))
    found = matrix_answer(job, rank(job, [own], Aim(), Site()), Site(), TODAY)
    assert "of the choice, the price has no date: check it" in found.warnings
    assert "nobody said of when the price of big is" in found.warnings
    here = replace(own, name="this machine", kind="this machine")
    assert not any(
        "date" in said or "of when" in said for said in matrix_answer(job, rank(job, [here], Aim(), Site()), Site(), TODAY).warnings
    )


def test_a_device_without_a_price_has_its_time_alone() -> None:
    job = MatrixJob((1000, 1000, 1000), max_error=1e-2)
    found = matrix_answer(job, rank(job, [gpu(price=None)], Aim("time"), Site()), Site(), TODAY)
    assert any("no price is known for big" in warning for warning in found.warnings)
    assert found.to_json()["choice"]["chosen"]["usd"] is None  # pyright: ignore
    assert "no price" in found.to_text()


def test_the_text_has_the_choice_the_front_and_the_values() -> None:
    text = answered().to_text()
    for part in ("fastest of 3 devices", "nothing is both faster and cheaper than", "with other values of n", "to run it"):
        assert part in text
    assert not re.search(r"\bnan\b|\binf\b", text)


def test_a_model_is_shown_with_its_bytes_and_products() -> None:
    job = model_job()
    found = model_answer(job, rank(job, list(catalogue()), Aim(), Site()), TODAY)
    text = found.to_text()
    assert "8,030,261,248" in text
    assert "16,060,522,496" in text
    assert "gate and up" in text
    assert found.to_json()["needs"]["flops"]["causal"] == job.flops  # pyright: ignore
    assert found.errand is None
    assert any("times are those of the products" in warning for warning in found.warnings)


def endless() -> Answer:
    """Devices that must talk, over links that nobody knows."""
    job = model_job(DEEPSEEK, "train", batch=64)
    return model_answer(job, rank(job, [other()], Aim("time", count=2048), Site()), TODAY)


def test_an_interval_without_an_end_is_said_everywhere() -> None:
    asked = endless()
    assert "no limit" in asked.to_text()
    assert "no limit" in render_page(asked)
    assert asked.to_json()["choice"]["chosen"]["seconds_interval"][1] is None  # pyright: ignore


@pytest.mark.parametrize("asked", [answered(), answered(aim=Aim("cost", deadline=1)), endless()])
def test_the_page_needs_nothing_else(asked: Answer) -> None:
    page = render_page(asked)
    assert "<svg" in page or asked.ranking.chosen is None
    assert not re.search(r'(src|href)="http', page)
    assert page.count("<section") >= 3


def test_the_page_names_values_without_a_choice() -> None:
    ask = {"n": lambda value: rank(MatrixJob((10, 10, int(value))), DEVICES, Aim(), Site())}
    found = replace(answered(), variations=vary({"n": ("0", "10")}, ask))
    page = render_page(found)
    assert "<h2>No choice with</h2>" in page
    assert "edges are 1 to" in page.split("<details", maxsplit=1)[0]
    assert "No choice with" not in render_page(answered())


@pytest.mark.parametrize("devices", [[gpu()], DEVICES])
def test_both_axes_of_the_market_have_marks_and_none_twice(devices: list[Device]) -> None:
    job = MatrixJob((100_000, 10_000, 100_000), max_error=1e-2)
    ranking = rank(job, devices, Aim("cost", count=1), Site())
    market = charts(ranking, ())[0].svg
    marks = re.findall(r"<text[^>]*>([^<]+)</text>", market)
    amounts = [mark for mark in marks if mark.endswith("$")]
    assert amounts and len(set(amounts)) == len(amounts)
    assert [mark for mark in marks if re.fullmatch(r"[0-9.]+ (s|min|h|d|years)", mark)]


def test_many_hosts_need_a_cluster_file_that_can_be_read(tmp_path: Path) -> None:
    job = MatrixJob((10_000_000, 4096, 1_000_000), max_error=1e-2, kept=Kept("top", 10))
    ranking = rank(job, [gpu(per_instance=4)], Aim("time", count=8), Site())
    assert ranking.chosen is not None
    found = errand(ranking.chosen, job)
    assert found.steps[0] == "gemmflow stores all of a product: the command below writes 36.4 TiB, not the top 10 of each row alone"
    assert found.steps[1] == "rent 2 instances of aws x1.large in r1"
    assert found.steps[-1].endswith("--cluster cluster.yaml")
    (tmp_path / "cluster.yaml").write_text(found.cluster_file)
    file = read(str(tmp_path / "cluster.yaml"))
    assert file.wait.workers == 8
    assert file.cluster_class == "distributed.SSHCluster"


def test_what_gemmflow_does_not_run_on_is_said() -> None:
    job = MatrixJob((1000, 1000, 1000), max_error=5e-2)
    ranking = rank(job, [other()], Aim(), Site())
    assert ranking.chosen is not None
    assert "CPUs and CUDA devices" in errand(ranking.chosen, job).steps[0]


def test_an_unknown_memory_and_link_are_said() -> None:
    job = MatrixJob((100_000, 1000, 100_000), max_error=1e-2)
    unknown = gpu(memory=None)
    ranking = rank(job, [unknown], Aim("time"), Site(2.0 * GB, 2.0 * GB, assumed=False))
    found = matrix_answer(job, ranking, Site(2.0 * GB, 2.0 * GB, assumed=False), TODAY)
    assert any("memory of big is unknown" in note for note in found.assumptions)
