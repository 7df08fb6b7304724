"""The report says what was asked, predicted and measured, and its JSON keeps its keys."""

import doctest
import json
import os
import re
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from tasks import wording
from tasks.forecast import Data
from tasks.measured import sum_up
from tasks.report import Clock, Report, make_report, plan_json, plan_markdown, plan_text
from tasks.rounding import EXACT, Rounded, Rounding
from tasks.schema import finite
from tasks.timeline import timeline
from tasks.wording import bound
from tests.tasks.builders import STARTED, Scene, certificate, measurements, plan, problem, report

GOLDEN = Path(__file__).parents[1] / "golden" / "report-schema-1.txt"
OPEN = ("versions", "plan.predicted.memory_items")
"""Objects whose keys are data."""


def key_tree(value: object, path: str = "") -> list[str]:
    if isinstance(value, dict) and path not in OPEN:
        return [line for key, item in value.items() for line in key_tree(item, f"{path}.{key}".lstrip("."))]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return key_tree(value[0], f"{path}[]")
    return [f"{path} {type(value).__name__}"]


def test_the_examples_of_the_words_hold():
    assert doctest.testmod(wording).failed == 0


def test_key_tree_is_the_golden_one():
    lines = key_tree(report().to_json())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text("\n".join(lines) + "\n")
    assert lines == GOLDEN.read_text().splitlines()


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        ("problem", "m k n dtype_a dtype_b dtype_out flops bytes_a bytes_b bytes_out"),
        ("plan", "arithmetic tile grid residency workers threads_per_worker lower_bound_bytes predicted"),
        (
            "measured",
            "seconds startup_seconds lanes bytes_read bytes_written peak_memory_bytes tiles tiles_resumed tiles_retried workers_retired",
        ),
        ("error", "asked promised measured confidence guarantee probes seed norm arithmetic arithmetics"),
        ("storage", "codec why ratio bytes_stored root"),
    ],
)
def test_json_has_the_keys_of_schema_1(section, keys):
    assert set(keys.split()) <= set(report().to_json()[section])


def test_json_is_plain_finite_and_stable():
    made = report()
    text = json.dumps(made.to_json(), allow_nan=False)
    assert text == json.dumps(report().to_json(), allow_nan=False)
    assert made.to_json()["plan"]["choices"][2]["seconds"] is None


def test_json_refuses_what_is_no_json():
    assert finite({"a": (1, inf, None)}) == {"a": [1, None, None]}
    with pytest.raises(TypeError, match="Path has no place"):
        finite(Path("x"))


def test_lanes_are_the_mean_seconds_of_one_worker():
    tiles = measurements(Scene(grid=(2, 3), workers=2))
    measured = sum_up(tiles, workers=2)
    assert measured.lanes["multiply"] == pytest.approx(sum(tile.lanes["multiply"] for tile in tiles) / 2)
    assert measured.bytes_read == sum(tile.bytes_read for tile in tiles)


def test_peak_memory_adds_each_workers_own_peak():
    tiles = measurements(Scene(grid=(2, 2), workers=2))
    grown = [replace(tile, peak_bytes=100 + 10 * tile.index) for tile in tiles]
    peaks = {tile.worker: tile.peak_bytes for tile in sorted(grown, key=lambda tile: tile.peak_bytes)}
    assert sum_up(grown, 2).peak_memory_bytes == sum(peaks.values())
    assert len(peaks) == 2


def test_a_worker_busy_half_the_time_has_utilisation_one_half():
    first, second = measurements(Scene(grid=(1, 2), workers=1))
    early = replace(first, started=STARTED, finished=STARTED + 1)
    late = replace(second, started=STARTED + 3, finished=STARTED + 4)
    (record,) = sum_up([late, early], 1).workers
    assert record.utilisation == pytest.approx(0.5)


def test_resumed_tiles_count_for_the_product_but_not_for_this_run():
    whole = report()
    early = tuple(replace(tile, started=STARTED - 90, finished=STARTED - 80) for tile in whole.outcome.measurements[:16])
    outcome = replace(whole.outcome, measurements=early + whole.outcome.measurements[16:], resumed=16)
    resumed = make_report(replace(whole.run, resumed=early), outcome, whole.certificate, whole.stored, whole.clock)
    assert len(resumed.tiles) == 48
    assert resumed.flops_done == pytest.approx(0.75 * whole.run.problem.flops)
    assert resumed.to_json()["measured"]["tiles_resumed"] == 16
    assert resumed.measured.bytes_read == 3 * whole.measured.bytes_read // 4


def again(times: int) -> Report:
    """A run whose first tiles were computed twice, the first time by a worker that did nothing else."""
    whole = report()
    twice = tuple(replace(tile, worker="tcp://127.0.0.1:9", started=tile.started - 60) for tile in whole.outcome.measurements[:times])
    outcome = replace(whole.outcome, repeated=twice, retried=times)
    return make_report(whole.run, outcome, whole.certificate, whole.stored, whole.clock)


def test_what_was_computed_twice_was_read_twice_and_is_nobody_elses_work():
    whole, twice = report(), again(2)
    repeated = twice.outcome.repeated
    assert twice.tiles == whole.tiles and twice.flops_done == whole.flops_done
    assert twice.measured.bytes_read == whole.measured.bytes_read + sum(tile.bytes_read for tile in repeated)
    lanes = sum(tile.lanes["multiply"] for tile in repeated) / whole.run.plan.workers
    assert twice.measured.lanes["multiply"] == pytest.approx(whole.measured.lanes["multiply"] + lanes)
    assert twice.measured.peak_memory_bytes == whole.measured.peak_memory_bytes + max(tile.peak_bytes for tile in repeated)
    assert {record.address: record.tiles for record in twice.measured.workers}["tcp://127.0.0.1:9"] == 2
    assert "and 2 repetitions in" in timeline(twice).note


def test_memory_above_the_budget_is_told_where_a_worker_computed_in_vain_alone():
    whole = report()
    budget = whole.measured.peak_memory_bytes + 1
    assert not [text for text in report(memory_limit=budget).warnings if "underestimated the memory" in text]
    run = replace(whole.run, plan=replace(whole.run.plan, memory_limit=budget))
    twice = make_report(run, again(1).outcome, whole.certificate, whole.stored, whole.clock)
    assert [text for text in twice.warnings if "underestimated the memory" in text]


@pytest.mark.parametrize(
    ("missed", "words"), [(1, "1 tile missed max-error and was computed"), (2, "2 tiles missed max-error and were computed")]
)
def test_a_warning_counts_what_missed(missed, words):
    whole = report()
    told = make_report(whole.run, replace(whole.outcome, missed=missed, retried=missed), whole.certificate, whole.stored, whole.clock)
    assert any(text.startswith(words) for text in told.warnings)


def test_a_repetition_that_an_interrupted_run_left_is_not_of_this_run():
    whole = report()
    early = (replace(whole.outcome.measurements[0], started=STARTED - 90),)
    outcome = replace(whole.outcome, repeated=early)
    resumed = make_report(replace(whole.run, resumed=early), outcome, whole.certificate, whole.stored, whole.clock)
    assert resumed.computed == resumed.tiles == whole.tiles


def test_text_sets_asked_predicted_and_measured_side_by_side():
    lines = report().to_text().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120
    assert lines[0] == "16384x16384x16384 float32: certified"
    head = next(line for line in lines if "asked" in line)
    memory = next(line for line in lines if line.startswith("memory"))
    for column in ("asked", "predicted", "measured"):
        end = head.index(column) + len(column)
        assert memory[end - 1] != " "
        assert not memory[end : end + 2].strip()
    assert "\x1b" not in report().to_text()


def test_text_of_an_exact_product_says_so():
    text = report(proof=certificate(exact=True, measured=1e-12, promised=0.0)).to_text()
    assert "every element exact" in text
    assert "1.0e-12" not in text


@pytest.mark.parametrize(
    ("promised", "measured", "verdict"),
    [(9e-4, 1e-8, "certified"), (2e-3, 1e-8, "measured"), (2e-3, 5e-3, "missed"), (inf, 1e-8, "measured")],
)
def test_verdict_claims_no_more_than_the_certificate_proves(promised, measured, verdict):
    assert report(proof=certificate(promised=promised, measured=measured)).verdict == verdict


@pytest.mark.parametrize("accepted", [1.83171e-4, 1e-3, 1.25e-6])
def test_a_promise_that_is_kept_never_prints_above_what_was_asked(accepted):
    text = report(proof=certificate(asked=accepted, promised=accepted * (1 - 1e-6))).to_text()
    shown = next(line for line in text.splitlines() if line.startswith("error")).split()
    [promised] = re.findall(r"certified at most (\S+),", text)
    assert float(promised) <= float(shown[1])


def test_what_only_the_run_could_show_becomes_a_warning():
    tight = report(memory_limit=100 * 2**20, warnings=("from the plan",))
    assert tight.warnings[0] == "from the plan"
    assert "the workers' peaks add up to 624 MiB of 100 MiB" in tight.warnings[1]
    retried = make_report(tight.run, replace(tight.outcome, retried=1), tight.certificate, tight.stored, tight.clock)
    assert any(text.startswith("1 tile computed again") for text in retried.warnings)
    early = make_report(tight.run, replace(tight.outcome, died_early=(-9, -9, 1)), tight.certificate, tight.stored, tight.clock)
    words = "3 workers died before the first tile (killed by SIGKILL, ended with exit code 1), and came back: no tile was lost"
    assert words in early.warnings
    assert report().warnings == ()


@pytest.mark.parametrize(
    ("places", "listed"),
    [
        (("row 3",), "row 3"),
        (("row 3, columns 10, 11", "row 203"), "row 3, columns 10, 11; row 203"),
        (tuple(f"row {row}" for row in range(10)), "row 0; row 1; row 2; row 3; row 4; row 5; row 6; row 7; and others in 2 tiles"),
    ],
)
def test_what_stands_outside_the_certificate_is_one_warning_that_says_so(places, listed):
    assert report(proof=certificate(nonfinite=places)).warnings == (
        f"NaN or infinity reaches these, which stand outside the certificate: {listed}",
    )
    assert report(proof=certificate(nonfinite=places)).to_json()["error"]["nonfinite"] == list(places)


def test_a_run_of_no_measurable_time_divides_by_nothing():
    made = report()
    instant = make_report(made.run, replace(made.outcome, seconds=0.0), made.certificate, made.stored, Clock(0.0, 0.0))
    assert "0.000 s" in instant.to_text()


def test_markdown_is_one_table_with_a_rule_and_every_row_of_equal_width():
    rows = [line for line in report().to_markdown().splitlines() if line.startswith("|")]
    assert rows[1] == "| :-- | --: | --: | --: | --: |"
    assert {row.count("|") for row in rows} == {6}


def test_plan_text_shows_the_choices_and_what_has_no_plan():
    scene = Scene()
    text = plan_text(replace(plan(scene), warnings=("disk is slow",)), problem(scene))
    assert "float64     does not fit the memory" in text
    assert text.count("none") == 1
    assert "warning  disk is slow" in text
    assert "between 59.8 s and 1 min 28 s" in text
    assert "| float32 | chosen |" in plan_markdown(plan(scene), problem(scene))


def test_rounding_is_shown_where_it_was_asked_for():
    scene = Scene()
    assert "round" not in report().to_text() + report().to_markdown() + plan_text(plan(scene), problem(scene))
    done = report(proof=certificate(rounding=Rounded("auto", 2e-4, 1.11e-4, 2.0**-6)))
    assert "rounded  to steps of at most 2^-6: 1.11e-04 of the error, 2.00e-04 allowed" in done.to_text()
    assert "**Rounded**: to steps of at most 2^-6" in done.to_markdown()
    assert done.to_json()["error"]["rounding"]["measured"] == 1.11e-4
    foreseen = plan_text(replace(plan(scene), rounding=Rounding("auto", 2e-4)), problem(scene))
    assert "rounding  values, to powers of two chosen for each row: adds at most 2.00e-04" in foreseen


def test_that_an_exact_product_is_not_rounded_is_said():
    assert EXACT in report(proof=certificate(exact=True, rounding=Rounded("auto", why=EXACT))).to_text()
    scene = Scene()
    assert EXACT in plan_text(replace(plan(scene), rounding=Rounding("auto", why=EXACT)), problem(scene))
    assert "no row allows it" in report(proof=certificate(rounding=Rounded("auto", 1e-4))).to_text()


def test_plan_json_is_the_plan_of_the_report():
    scene = Scene()
    made, whole = plan_json(plan(scene), problem(scene)), report(scene).to_json()
    assert made["plan"] == whole["plan"]
    assert made["problem"] == whole["problem"]
    json.dumps(made, allow_nan=False)


def test_bytes_that_were_read_to_plan_are_named_beside_those_of_the_tiles():
    sampled = report(data=Data(0.01, 0.02, 4.0, 3 * 2**20))
    plain = report()
    assert sampled.to_json()["measured"]["bytes_sampled"] == sampled.to_json()["plan"]["data"]["sampled_bytes"] == 3 * 2**20
    assert sampled.to_json()["measured"]["bytes_read"] == plain.to_json()["measured"]["bytes_read"]
    assert plain.to_json()["measured"]["bytes_sampled"] == 0
    for text in (sampled.to_text(), sampled.to_markdown()):
        assert "3.00 MiB to plan with: at most 2 % of the inputs" in text
    assert "to plan with" not in plain.to_text()


def test_the_proof_is_in_the_text():
    text = report(proof=certificate(guarantee="measured", arithmetics={"bfloat16": 60, "float32": 4})).to_text()
    flat = " ".join(text.split())
    assert "proof measured by 24 random probes, seed 20260801, 99.9 % confidence" in flat
    assert "relative to (|alpha| ||op(A)||_F" in flat
    assert "60 tiles in bfloat16, 4 tiles in float32" in flat


def test_the_proof_names_the_bound_that_is_certified():
    flat = " ".join(report(proof=certificate(promised=3.2e-7)).to_text().split())
    assert "proof certified at most 3.20e-07, measured by 24 random probes" in flat


def test_what_computed_the_tiles_is_named_beside_the_plan():
    done, planned = report(proof=certificate(arithmetics={"float64": 64})), report()
    for text in (done.to_text(), done.to_markdown()):
        assert "; computed were 64 tiles in float64" in " ".join(text.split())
    assert "computed were" not in planned.to_text()


def test_the_error_that_is_predicted_is_the_plans():
    done = report(proof=certificate(promised=4.44e-4))
    [row] = [line for line in done.to_text().splitlines() if line.startswith("error ")]
    assert bound(done.run.plan.predicted.error_bound) in row
    assert "4.44e-04" not in row
