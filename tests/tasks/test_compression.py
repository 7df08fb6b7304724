"""The choice itself: pure, so that every rule is a property."""

import doctest
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import CODECS
from tasks import wording
from tasks.compression import (
    EXPECTED_READS,
    SLOWEST_ENCODE,
    TIE,
    CodecChoice,
    CodecDecision,
    Trial,
    candidates,
    choice_for,
    choose,
    contenders,
    seconds_per_gib,
)
from tests.tasks.machines import hardware, job

GIB = 2**30
rates = st.floats(1e6, 1e11)
trials_of_all = st.tuples(*(st.builds(Trial, st.just(name), st.floats(0.9, 50), rates, rates) for name in CODECS))
choices = st.builds(CodecChoice, st.sampled_from(["auto", "smallest"]), st.just(tuple(CODECS)), rates, rates)


@given(trials_of_all, choices)
def test_the_choice_is_the_first_that_costs_no_more_than_a_tie_above_the_least(trials, choice):
    decision = choose(trials, choice)
    if choice.goal == "auto":
        costs = {trial.name: seconds_per_gib(trial, choice) for trial in trials}
        good = [name for name, cost in costs.items() if cost <= min(costs.values()) * (1 + TIE)]
    else:
        allowed = [trial for trial in trials if trial.encode >= SLOWEST_ENCODE or trial.name == "none"]
        good = [trial.name for trial in allowed if 1 / trial.ratio <= min(1 / other.ratio for other in allowed)]
    assert decision.codec == good[0]
    assert [row.name for row in decision.weighed] == list(CODECS)
    assert [row.name for row in decision.weighed if row.verdict == "chosen"] == [decision.codec]
    assert decision.codec in contenders(trials, choice, 1 + TIE)
    assert CodecDecision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


@given(trials_of_all, choices, st.floats(0.01, 100))
def test_a_faster_machine_of_the_same_proportions_chooses_the_same(trials, choice, factor):
    scaled = [replace(trial, encode=trial.encode * factor, decode=trial.decode * factor) for trial in trials]
    faster = replace(choice, goal="auto", write=choice.write * factor, read=choice.read * factor)
    costs = sorted(seconds_per_gib(trial, replace(choice, goal="auto")) for trial in trials)
    if all(abs(cost / costs[0] - 1 - TIE) > 1e-6 for cost in costs):
        assert choose(scaled, faster).codec == choose(trials, replace(choice, goal="auto")).codec


def test_the_cost_is_the_sum_of_its_four_parts():
    choice = CodecChoice("auto", (), write=1e8, read=4e8)
    cost = seconds_per_gib(Trial("zstd", 2.0, 5e8, 1e9), choice)
    assert cost == pytest.approx(GIB / 5e8 + GIB / 2 / 1e8 + EXPECTED_READS * (GIB / 2 / 4e8 + GIB / 1e9))


NONE, FAST, DENSE = Trial("none", 1.0, 9e9, 5e9), Trial("blosc-lz4", 1.15, 1.4e9, 2.9e9), Trial("pcodec", 2.3, 1.2e8, 1.5e9)


@pytest.mark.parametrize(("write", "chosen"), [(5e9, "none"), (1.2e8, "blosc-lz4"), (2e7, "pcodec")])
def test_slower_storage_pays_for_more_compression(write, chosen):
    decision = choose([NONE, FAST, DENSE], CodecChoice("auto", (), write=write, read=3e9))
    assert decision.codec == chosen
    assert decision.why.startswith(f"least expected time on the first tile: {chosen} ")
    assert decision.why.count(",") == 2


def test_smallest_passes_over_what_encodes_too_slowly():
    slow = Trial("huffman", 9.0, SLOWEST_ENCODE / 2, 1e9)
    decision = choose([NONE, FAST, slow, DENSE], CodecChoice("smallest", (), 1e9, 1e9))
    assert decision.codec == "pcodec"
    assert decision.why == "fewest bytes on the first tile: pcodec 2.30 : 1, huffman 9.00, blosc-lz4 1.15"
    assert [row.verdict for row in decision.weighed] == ["2.30 times the bytes", "2.00 times the bytes", "encodes below 40 MB/s", "chosen"]


def test_a_tie_goes_to_the_first_row_and_says_so():
    twin = replace(FAST, name="blosc-lz4-shuffle", encode=FAST.encode * 1.01)
    decision = choose([FAST, twin], CodecChoice("auto", (), 1e9, 1e9))
    assert decision.codec == "blosc-lz4"
    assert decision.weighed[1].verdict == "as good, later in the table"


def test_only_a_goal_lets_the_data_choose():
    layout = hardware((2, 1)).layouts[0]
    assert choice_for(job(codec="zstd"), "float32", layout) is None
    assert candidates(job(codec="gzip"), "float32") == ()
    assert "pcodec" not in candidates(job(), "float32")
    assert "pcodec" in candidates(job(codec="smallest", portable="no"), "float32")


def test_storage_is_as_fast_as_the_durability_allows():
    layout = hardware((2, 1)).layouts[0]
    rates = replace(layout.rates, write=1.0, write_unsynced=2.0, encode=dict.fromkeys(["none", "zstd"], 1e9))
    layout = replace(layout, rates=rates)
    synced, unsynced = (choice_for(job(durability=level), "float32", layout) for level in ("power", "process"))
    assert synced is not None and unsynced is not None
    assert (synced.write, unsynced.write) == (1.0, 2.0)
    assert synced.names == ("none", "zstd"), "only what the workers measured"


def test_the_examples_of_the_documentation_hold():
    assert doctest.testmod(wording).failed == 0


def test_nothing_in_a_decision_is_infinite():
    decision = choose([Trial("none", 1.0, 1e-9, 1e-9), replace(DENSE, encode=1.0)], CodecChoice("smallest", (), 1.0, 1.0))
    assert all(np.isfinite([row.seconds_per_gib, row.ratio]).all() for row in decision.weighed)
