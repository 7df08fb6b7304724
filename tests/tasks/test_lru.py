import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import lru
from tasks.lru import SlotTable


def test_the_example_of_the_documentation_holds():
    assert doctest.testmod(lru).failed == 0


@given(st.integers(1, 6), st.lists(st.integers(0, 9), max_size=60))
def test_it_keeps_what_was_used_last_and_never_two_keys_in_one_slot(capacity, keys):
    table, recent, where = SlotTable(capacity), [], {}
    for key in keys:
        slot, present = table.place(key)
        assert present == (key in recent)
        assert not present or where[key] == slot
        recent = [*(other for other in recent if other != key), key][-capacity:]
        where[key] = slot
        held = {where[other] for other in recent}
        assert len(held) == len(recent)
        assert held <= set(range(capacity))


def test_asking_changes_nothing():
    table = SlotTable(2)
    table.place("a"), table.place("b")
    assert ("a" in table, "c" in table) == (True, False)
    assert table.place("c") == (0, False)


def test_a_table_without_slots_is_refused():
    with pytest.raises(ValueError, match="at least one slot, not 0"):
        SlotTable(0)
