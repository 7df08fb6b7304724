from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tasks.sharing import with_cores
from tests.tasks import builders


def machine(cores: int) -> builders.Hardware:
    made = builders.hardware(cores)
    return replace(made, layouts=(made.layouts[0], replace(made.layouts[0], workers=1, threads=cores)))


@given(st.integers(1, 64), st.integers(1, 64))
def test_no_layout_takes_more_cores_than_there_are(cores: int, share: int) -> None:
    part = with_cores(machine(cores), share)
    assert part.layouts
    assert all(layout.workers * layout.threads <= min(share, cores) for layout in part.layouts)


def test_the_rates_are_those_of_the_whole_machine() -> None:
    whole = machine(4)
    part = with_cores(whole, 2)
    assert [(layout.workers, layout.threads) for layout in part.layouts] == [(2, 1)]
    assert part.layouts[0].rates is whole.layouts[0].rates
    assert with_cores(whole, 4) is whole


def test_one_worker_stays_where_none_fits() -> None:
    only = replace(machine(4), layouts=(machine(4).layouts[1],))
    assert [(layout.workers, layout.threads) for layout in with_cores(only, 2).layouts] == [(1, 4)]
