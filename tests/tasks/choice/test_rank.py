"""Which device is chosen, against every option tried one by one."""

from dataclasses import replace
from itertools import pairwise, product
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.catalogue import Device
from tasks.choice.demand import Team
from tasks.choice.estimate import Estimate, estimate
from tasks.choice.kept import Kept
from tasks.choice.matrix_job import MatrixJob
from tasks.choice.rank import Aim, Goal, pareto, rank
from tasks.choice.reasons import headline, reason
from tasks.choice.site import Site
from tasks.errors import BadInput
from tasks.units import format_seconds, format_usd
from tests.tasks.choice.devices import GB, cheap_gpu, gpu, other, processor

SITE = Site(2e9, 2e9, assumed=False)
ROUNDED = 0.0101
"""Largest relative difference of numbers with the same three digits."""

DEVICES = [gpu(), cheap_gpu(), processor(), other()]

edges = st.integers(1, 3_000_000)


def every_option(job: MatrixJob, most: int) -> list[Estimate]:
    counts = [1 << place for place in range(most.bit_length()) if 1 << place <= most]
    return [estimate(job, Team(device, count), SITE) for device, count in product(DEVICES, counts)]


def seconds(option: Estimate) -> float:
    assert option.seconds is not None
    return option.seconds.expected


def usd(option: Estimate) -> float:
    assert option.usd is not None
    return option.usd.expected


@given(edges, edges, edges, st.sampled_from(["time", "cost"]), st.sampled_from([1, 8, 64]))
def test_the_choice_is_the_best_of_all(m: int, k: int, n: int, by: Goal, most: int) -> None:
    job = MatrixJob((m, k, n), max_error=2e-2)
    feasible = [option for option in every_option(job, most) if option.feasible]
    found = rank(job, DEVICES, Aim(by, most_devices=most), SITE).chosen
    assert found is not None
    of = seconds if by == "time" else usd
    assert of(found) == pytest.approx(min(map(of, feasible)), rel=ROUNDED)


@pytest.mark.parametrize("by", ["time", "cost"])
def test_a_time_that_nothing_bounds_is_chosen_last(by: Goal) -> None:
    known = estimate(MatrixJob((10**4, 10**4, 10**4)), Team(gpu(), 1), SITE)
    assert known.seconds is not None
    faster = known.seconds.expected / 2
    unbounded = replace(known, seconds=replace(known.seconds, expected=faster, low=faster, high=inf))
    assert rank(MatrixJob((10**4, 10**4, 10**4)), [], Aim(by), SITE, (unbounded, known)).options == (known, unbounded)
    assert rank(MatrixJob((10**4, 10**4, 10**4)), [], Aim(by), SITE, (unbounded,)).chosen == unbounded


@given(edges, edges, edges, st.floats(0.01, 1e5))
def test_a_deadline_is_kept_by_the_cheapest_that_can(m: int, k: int, n: int, deadline: float) -> None:
    job = MatrixJob((m, k, n), max_error=2e-2)
    in_time = [option for option in every_option(job, 64) if option.feasible and seconds(option) <= deadline]
    ranking = rank(job, DEVICES, Aim("cost", deadline=deadline), SITE)
    if not in_time:
        assert ranking.chosen is None
        assert headline(ranking).startswith("nothing meets the deadline")
    else:
        assert ranking.chosen is not None
        assert usd(ranking.chosen) == pytest.approx(min(map(usd, in_time)), rel=ROUNDED)
        assert seconds(ranking.chosen) <= deadline


@given(edges, edges, st.floats(1e-4, 1e3))
def test_a_budget_is_kept_by_the_fastest_that_can(m: int, n: int, budget: float) -> None:
    job = MatrixJob((m, 4096, n), max_error=2e-2)
    affordable = [option for option in every_option(job, 64) if option.feasible and usd(option) <= budget]
    chosen = rank(job, DEVICES, Aim("time", budget=budget), SITE).chosen
    assert (chosen is None) == (not affordable)
    if chosen is not None:
        assert seconds(chosen) == pytest.approx(min(map(seconds, affordable)), rel=ROUNDED)


@given(edges, edges, edges)
def test_the_front_is_what_nothing_beats(m: int, k: int, n: int) -> None:
    options = [option for option in every_option(MatrixJob((m, k, n), max_error=2e-2), 64) if option.feasible]
    front, most = pareto(options), 1 + ROUNDED
    for option in options:
        beaten = any(seconds(one) <= most * seconds(option) and usd(one) <= most * usd(option) for one in front)
        assert beaten
    pairs = [(seconds(option), usd(option)) for option in front]
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(pairs))


def test_who_has_no_price_is_ranked_by_time_and_last_by_cost() -> None:
    devices = [cheap_gpu(), gpu(price=None)]
    job = MatrixJob((300_000, 100_000, 300_000), max_error=2e-2, kept=Kept("top", 10))
    assert rank(job, devices, Aim("time", most_devices=1), SITE).options[0].device.name == "big"
    by_cost = rank(job, devices, Aim("cost"), SITE)
    assert [option.device.name for option in by_cost.options] == ["small", "big"]
    assert {option.device.name for option in by_cost.front} == {"small"}


def test_of_those_that_cost_the_same_to_three_digits_the_fastest_is_chosen() -> None:
    job = MatrixJob((1_000_000, 100_000, 1_000_000), max_error=2e-2, kept=Kept("top", 10))
    fast = Site(1e11, 1e11, assumed=False)
    ranking = rank(job, [other()], Aim("cost", most_devices=16), fast)
    one, sixteen = (estimate(job, Team(other(), count), fast) for count in (1, 16))
    assert usd(sixteen) == pytest.approx(usd(one), rel=1e-4)
    assert ranking.chosen == sixteen
    assert ranking.front == (sixteen,)


def test_there_is_one_of_this_machine() -> None:
    here = replace(processor(), name="this machine", kind="this machine")
    job = MatrixJob((3000, 3000, 3000), max_error=2e-2)
    ready = estimate(job, Team(here, 1), SITE)
    for ranking in (rank(job, [here], Aim(count=4), SITE), rank(job, [], Aim(count=4), SITE, (ready,))):
        (option,) = ranking.options
        assert not option.feasible
        assert "there is one of this machine, not 4" in option.why_not
        assert "none of 1 device can do it, 4 of each" in headline(ranking)
    assert rank(job, [], Aim(count=1), SITE, (ready,)).chosen == ready


def test_what_does_not_fit_in_this_machine_is_not_divided_among_several_of_it() -> None:
    here = replace(processor(), name="this machine", kind="this machine", memory_bytes=100_000)
    (option,) = rank(MatrixJob((3000, 3000, 3000)), [here], Aim(), SITE).options
    assert option.count == 1
    assert not option.feasible
    assert "do not fit in" in option.why_not


def test_the_headline_counts_those_that_keep_the_limits() -> None:
    job = MatrixJob((100_000, 65_536, 100_000), max_error=2e-2, kept=Kept("top", 10))
    free = rank(job, DEVICES, Aim(most_devices=1), SITE)
    assert "cheapest of 4 devices that can do it" in headline(free)
    limit = sorted(seconds(option) for option in free.options)[1] * 1.01
    found = rank(job, DEVICES, Aim(deadline=limit, most_devices=1), SITE)
    kept = [option for option in found.options if option.feasible and seconds(option) <= limit]
    assert 0 < len(kept) < 4
    assert f"cheapest of {len(kept)} device" in headline(found)
    assert "that can do it within the deadline of" in headline(found)


def test_no_devices_are_proposed_where_storage_is_waited_for() -> None:
    much = rank(MatrixJob((100_000, 64, 100_000)), DEVICES, Aim(deadline=1), SITE)
    assert headline(much).endswith("waits for writing the result, as more devices would")
    hard = rank(MatrixJob((100_000, 100_000, 100_000), kept=Kept("top", 1)), [gpu()], Aim(deadline=1), Site(1e12, 1e12, assumed=False))
    assert headline(hard).endswith("; allow more time or devices (at most 8 of each now)")


BOUND = MatrixJob((300_000, 300_000, 300_000), max_error=2e-2, kept=Kept("top", 10))
"""By arithmetic, on storage that holds nobody up."""

HERE = replace(gpu(), name="this machine", kind="this machine")
NO_PRICE = "no price is known of any that can do it; give "


FAST = Site(1e12, 1e12, assumed=False)


def said(aim: Aim, *devices: Device) -> str:
    return headline(rank(BOUND, devices, aim, FAST))


def test_a_deadline_is_missed_by_the_fastest_however_dear_it_is() -> None:
    slow = replace(cheap_gpu(), prices=())
    line = said(Aim("cost", deadline=1), gpu(), slow)
    assert line.startswith("nothing meets the deadline of 1.0 s: the fastest, 8 x big, takes ") and "$" not in line
    assert said(Aim("time", deadline=1), gpu(), slow) == line
    assert "the fastest, 8 x big, takes " in said(Aim("cost", deadline=1), gpu(price=None), slow)


def test_of_this_machine_no_more_are_proposed() -> None:
    assert said(Aim(deadline=1), HERE).endswith(" s; allow more time")
    assert said(Aim(deadline=1), HERE, cheap_gpu()).endswith("; allow more time or devices (at most 8 of each now)")
    much = MatrixJob((100_000, 64, 100_000))
    assert headline(rank(much, [HERE], Aim(deadline=1), SITE)).endswith(", and waits for writing the result; allow more time")


@pytest.mark.parametrize("by", ["time", "cost"])
def test_a_budget_is_missed_by_the_cheapest_and_time_is_beside_the_point(by: Goal) -> None:
    least = estimate(BOUND, Team(other(), 1), FAST)
    line = said(Aim(by, budget=1e-6, count=1), gpu(price=20.0), other())
    assert line == f"nothing meets the budget of 1e-06 $: the cheapest, 1 x tensor, costs {format_usd(usd(least))}"
    known = said(Aim(by, budget=1e-6, count=1), gpu(price=None), other())
    assert known == line.replace("the cheapest,", "the cheapest of known price,")


@pytest.mark.parametrize(
    ("devices", "how"),
    [
        ((gpu(price=None),), "prices with --catalogue"),
        ((replace(HERE, price=None),), "this machine's with --price-here"),
        ((gpu(price=None), replace(HERE, price=None)), "prices with --catalogue and this machine's with --price-here"),
    ],
)
def test_without_a_price_no_budget_is_known_to_be_kept(devices: tuple[Device, ...], how: str) -> None:
    assert said(Aim(budget=100), *devices) == f"nothing is known to meet the budget of 100.00 $: {NO_PRICE}{how}"
    both = said(Aim(budget=100, deadline=1e9), *devices)
    assert both.startswith("nothing is known to meet the deadline of ") and both.endswith(f" and the budget of 100.00 $: {NO_PRICE}{how}")
    late = said(Aim(budget=100, deadline=1), *devices)
    assert late.startswith("nothing meets the deadline of 1.0 s and the budget of 100.00 $: the fastest, ")
    assert late.endswith(f" s, and {NO_PRICE}{how}")


@pytest.mark.parametrize(
    ("deadline", "budget", "more"),
    [(0.5, 0.5, "time and money"), (0.5, 1.01, "time"), (2, 0.5, "money"), (1.01, 1.01, "time or money")],
)
def test_of_two_limits_both_ends_are_named_and_what_to_allow(deadline: float, budget: float, more: str) -> None:
    """Limits in parts of what the fastest takes and of what the cheapest costs."""
    fastest, cheapest = (estimate(BOUND, Team(device, 1), FAST) for device in (gpu(price=20.0), other()))
    assert 2 * seconds(fastest) < seconds(cheapest) and 1.5 * usd(cheapest) < usd(fastest)
    line = said(Aim(deadline=deadline * seconds(fastest), budget=budget * usd(cheapest), count=1), gpu(price=20.0), other())
    ends = [
        f"{option.device.name}, takes {format_seconds(seconds(option))} for {format_usd(usd(option))}" for option in (fastest, cheapest)
    ]
    assert line.endswith(f" $: the fastest, 1 x {ends[0]}; the cheapest, 1 x {ends[1]}; allow more {more}")


def test_one_device_that_is_both_is_named_once() -> None:
    line = said(Aim(deadline=1, budget=1e-6, count=1), gpu())
    assert line.count("1 x big") == 1 and line.endswith("; allow more time and money")


def test_whole_instances_are_paid() -> None:
    job = MatrixJob((30_000, 4096, 30_000), max_error=2e-2)
    alone, eighth = (estimate(job, Team(gpu(per_instance=size), 1), SITE) for size in (1, 8))
    assert alone.bill is not None
    assert eighth.bill is not None
    assert (alone.bill.devices, eighth.bill.devices) == (1, 8)
    assert usd(eighth) == pytest.approx(8 * usd(alone))


def test_reasons_name_what_is_missing_and_what_is_waited_for() -> None:
    job = MatrixJob((1_000_000, 4096, 1_000_000), precision="tf32", kept=Kept("top", 100))
    ranking = rank(job, DEVICES, Aim("time", deadline=1e9), SITE)
    words = {option.device.name: reason(option, ranking) for option in ranking.options}
    assert words["big"].startswith("waits for")
    assert words["small"] == "small has no tf32, or its rate is unknown"
    assert words["cores"] == "no arithmetic keeps the error that was asked"


def test_the_bottleneck_is_the_output_where_all_of_a_large_product_is_kept() -> None:
    job = MatrixJob((1_575_538, 292, 1_575_538), max_error=2e-2)
    option = estimate(job, Team(gpu(), 1), SITE)
    assert option.bottleneck == "output"
    assert seconds(option) == pytest.approx(1_575_538**2 * 4 / 2e9)
    kept = MatrixJob(job.shape, max_error=2e-2, kept=Kept("top", 100))
    assert seconds(estimate(kept, Team(gpu(), 1), SITE)) < seconds(option) / 10


def test_a_small_memory_crosses_the_link_more_often() -> None:
    job = MatrixJob((300_000, 300_000, 300_000), max_error=2e-2, kept=Kept("top", 10))
    lanes = [
        {lane.name: lane.span.expected for lane in estimate(job, Team(gpu(memory=memory), 1), SITE).lanes} for memory in (80 * GB, 20 * GB)
    ]
    assert lanes[1]["link"] == pytest.approx(2 * lanes[0]["link"], rel=0.25)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"by": "beauty"}, "by time or cost"),
        ({"deadline": 0}, "seconds above 0"),
        ({"deadline": float("nan")}, "seconds above 0"),
        ({"budget": -1}, "name 0 or more"),
        ({"most_devices": 0}, "name 1 or more"),
    ],
)
def test_aims_that_make_no_sense_are_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Aim(**fields)  # pyright: ignore[reportArgumentType]


def test_an_aim_without_limits_has_none() -> None:
    assert (Aim().deadline, Aim().budget) == (inf, inf)
