import datetime
import doctest
from dataclasses import replace

import pytest

from tasks.catalogue import Price, catalogue, find
from tasks.catalogue import price as module
from tasks.errors import BadInput

READ = datetime.date(2026, 7, 20)


def test_the_example_of_the_documentation_holds():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(("days", "says"), [(0, False), (90, False), (91, True), (700, True)])
def test_a_price_older_than_90_days_says_so(days, says):
    price = Price(6.88, date="2026-07-20")
    today = READ + datetime.timedelta(days)
    assert price.age(today) == days
    assert bool(price.doubts(today)) == says
    if says:
        assert price.doubts(today) == f"the price is of 2026-07-20, {days} days old: check it"


def test_a_price_without_a_date_or_of_tomorrow_is_doubted():
    assert Price(1.0).age(READ) is None
    assert Price(1.0).doubts(READ) == "the price has no date: check it"
    assert "1 days ahead" in Price(1.0, date="2026-07-21").doubts(READ)


def test_a_device_says_what_is_wrong_with_its_price():
    h100 = find("h100", catalogue())
    assert h100.cost_notes(READ) == ()
    assert "129 days old" in h100.cost_notes(datetime.date(2026, 11, 26))[0]
    (note,) = replace(h100, price=None).cost_notes(READ)
    assert note == "no price of H100-SXM5-80GB is known: time without cost; give one in a file of your own"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((-1.0,), "-1 dollars"),
        ((float("nan"),), "nan dollars"),
        ((1e6,), "1e+06 dollars"),
        ((1.0, 0), "an instance of 0 devices"),
        ((1.0, 1, "", "", "", "20.7.2026"), "20.7.2026 is no date"),
    ],
)
def test_a_price_that_is_none_is_refused(arguments, said):
    with pytest.raises(BadInput, match=said.replace("+", r"\+")):
        Price(*arguments)
