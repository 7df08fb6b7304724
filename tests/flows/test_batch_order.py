from hypothesis import given
from hypothesis import strategies as st

from flows.batch_order import Order


def drain(order: Order, failing: frozenset[int] = frozenset()) -> tuple[list[int], list[int]]:
    """Who ran, in order, and who was left out."""
    ran: list[int] = []
    lost: list[int] = []
    while (number := order.take()) is not None:
        ran.append(number)
        if number in failing:
            lost += order.failed(number)
        else:
            order.done(number)
    return ran, lost


def test_higher_goes_first_and_ties_in_the_order_of_the_file() -> None:
    assert drain(Order([0, 5, 0, 5, -1], [frozenset()] * 5))[0] == [1, 3, 0, 2, 4]


def test_whom_a_high_one_waits_for_counts_as_high() -> None:
    assert drain(Order([0, 5, 9], [frozenset(), frozenset(), frozenset({0})]))[0] == [0, 2, 1]


def test_who_waits_for_a_failure_is_left_out_and_so_is_who_waits_for_him() -> None:
    needs = [frozenset(), frozenset({0}), frozenset({1}), frozenset()]
    assert drain(Order([0] * 4, needs), frozenset({0})) == ([0, 3], [1, 2])


def test_nothing_is_free_while_all_wait_for_one_that_runs() -> None:
    order = Order([0, 0], [frozenset(), frozenset({0})])
    assert order.take() == 0 and order.take() is None and not order.over
    order.done(0)
    assert order.take() == 1 and order.over


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[int], list[frozenset[int]]]:
    size = draw(st.integers(1, 12))
    needs = [frozenset(draw(st.sets(st.integers(0, number - 1), max_size=3))) if number else frozenset() for number in range(size)]
    return draw(st.lists(st.integers(-2, 2), min_size=size, max_size=size)), needs


@given(batches(), st.sets(st.integers(0, 11), max_size=3))
def test_every_job_runs_once_after_what_it_needs_or_is_left_out_for_a_failure(
    batch: tuple[list[int], list[frozenset[int]]], failing: set[int]
) -> None:
    priorities, needs = batch
    ran, lost = drain(Order(priorities, needs), frozenset(failing))
    assert sorted([*ran, *lost]) == list(range(len(needs)))
    for place, number in enumerate(ran):
        assert needs[number] <= set(ran[:place]) - failing
    for number in lost:
        assert needs[number] & (failing | set(lost))


@given(batches())
def test_no_free_job_of_a_higher_priority_is_passed_over(batch: tuple[list[int], list[frozenset[int]]]) -> None:
    priorities, needs = batch
    ran, _ = drain(Order(priorities, needs))
    for place, number in enumerate(ran):
        for later in ran[place + 1 :]:
            free = needs[later] <= set(ran[:place])
            waits_for_it = any(later in needs[other] or number in needs[other] for other in ran)
            if free and not waits_for_it:
                assert (-priorities[number], number) < (-priorities[later], later)
