"""Which records stand out, and from what."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import ChunkRecord
from tasks.alarm import ALIKE, KINDS, LEEWAY, Yard, alarms, alike, cleared, raised, same_values, usual, yard_of
from tasks.tails import row_limit, single_limit
from tests.tasks.builders import Scene, plan
from tests.tasks.test_outcome import measurement

ROWS, PROBES, TYPICAL = 512, 10, 1e-8
YARD = Yard(PROBES, (1e-14, 1e-17), {(0, 1): TYPICAL})
T, T1 = row_limit(ROWS, PROBES), single_limit(ROWS, PROBES)


def tile(**changes):
    return measurement(**({"rows": ROWS, "typical": TYPICAL, "outlier": 2.5, "outlier_single": 4.0} | changes))


def kinds(found) -> list[str]:
    return [alarm.kind for alarm in found]


def test_a_sound_tile_raises_no_alarm():
    assert alarms(tile(), YARD) == ()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"outlier": 1.01 * T}, ["row", "row of the run"]),
        ({"outlier_single": 1.01 * T1}, ["element", "element of the run"]),
        ({"typical": 7 * TYPICAL, "outlier": 2.6}, ["row of the run", "element of the run"]),
        ({"typical": TYPICAL / 9, "outlier": 8.0}, ["row"]),
        ({"outlier": 0.99 * T, "outlier_single": 0.99 * T1}, []),
    ],
)
def test_what_stands_out_is_named(changes, named):
    assert kinds(alarms(tile(**changes), YARD)) == named


def test_a_single_tile_has_only_its_own_rows():
    alone = replace(YARD, references=usual([tile()]))
    assert alone.references == {}
    assert alarms(tile(typical=1e3 * TYPICAL), alone) == ()
    assert kinds(alarms(tile(outlier=2 * T), alone)) == ["row"]


def test_tiles_are_held_against_those_of_their_own_arithmetic():
    """One rung up errors are a thousandth: neither do the others stand out, nor does what is wrong hide among them."""
    better = {"typical": TYPICAL / 1000, "rung": 1}
    yard = replace(YARD, references=usual([tile(), tile(), *(tile(**better) for _ in range(5))]))
    assert yard.references == {(0, 1): TYPICAL, (1, 1): TYPICAL / 1000}
    assert alarms(tile(), yard) == () and alarms(tile(**better), yard) == ()
    assert kinds(alarms(tile(**better | {"typical": TYPICAL / 100}), yard)) == ["row of the run", "element of the run"]
    assert alarms(tile(**better | {"typical": 1.0}), replace(yard, references={(0, 1): TYPICAL})) == ()


def test_records_without_comparisons_raise_none_and_count_for_nothing():
    old = measurement()
    assert alarms(old, YARD) == ()
    assert usual([old, old, tile()]) == {}
    assert usual([old, tile(), tile(typical=3e-8)]) == {(0, 1): TYPICAL}, "of two the lower: corruption only adds"


def test_noise_stands_out_nowhere():
    quiet = Yard(PROBES, (1e-14,), {(0, 1): 0.0})
    assert alarms(tile(typical=0.0, outlier=1.0, outlier_single=3.0), quiet) == ()
    assert kinds(alarms(tile(typical=1e-12, outlier=1.0, outlier_single=3.0), quiet)) == ["row of the run", "element of the run"]


@given(st.floats(1.01, 1e12), st.sampled_from(sorted(KINDS)))
def test_what_was_found_sound_raises_no_alarm_again_and_much_worse_does(excess, kind):
    field = {"row": "outlier", "element": "outlier_single"}[kind.split()[0]]
    limit = {"outlier": T, "outlier_single": T1}[field]
    found = alarms(tile(**{field: excess * limit}), YARD)
    higher = raised(YARD, found)
    assert alarms(tile(**{field: 0.99 * LEEWAY * excess * limit}), higher) == ()
    assert kinds(alarms(tile(**{field: 1.01 * LEEWAY * excess * limit}), higher)) == kinds(found)
    assert raised(higher, found) == higher, "levels never fall"


def test_a_second_computation_is_held_to_the_limits_of_the_first():
    found = alarms(tile(outlier=3 * T), YARD)
    assert cleared(tile(), found, YARD)
    assert not cleared(tile(outlier=2.9 * T), found, raised(YARD, found))
    assert cleared(tile(), (), YARD), "a tile that was refused had no others to stand out from"


def test_findings_are_alike_within_a_factor():
    assert alike(tile(outlier=50.0), tile(outlier=0.9 * ALIKE * 50.0), YARD)
    assert not alike(tile(outlier=50.0), tile(outlier=1.1 * ALIKE * 50.0), YARD)
    assert not alike(tile(), tile(typical=5 * TYPICAL), YARD)
    assert not alike(tile(worst=2.0), tile(), YARD)


def test_values_are_compared_by_their_hashes():
    chunk = ChunkRecord("c/0/0", 10, 1, "ab" * 32, "cd" * 16)
    stored = tile(chunks=(chunk,))
    assert same_values(stored, tile(chunks=(replace(chunk, encoded="00" * 32),))), "sealed twice, the bytes differ"
    assert not same_values(stored, tile(chunks=(replace(chunk, values="ee" * 16),)))
    assert not same_values(tile(), tile()), "who stored nothing proves nothing"


@pytest.mark.parametrize(("arithmetic", "noise"), [("float32", (1e-15, 1e-13)), ("float64", (1e-19, 1e-17))])
def test_the_noise_is_that_of_the_arithmetic(arithmetic, noise):
    made = yard_of(replace(plan(Scene()), arithmetic=arithmetic))
    assert noise[0] < made.noises[0] < noise[1]
    assert made.references == {}


def test_tiles_on_the_diagonal_of_a_symmetric_product_are_held_against_each_other():
    on = {"copies": 1, "typical": 8 * TYPICAL}
    yard = replace(YARD, references=usual([*(tile(copies=2) for _ in range(6)), *(tile(**on) for _ in range(3))]))
    assert yard.references == {(0, 2): TYPICAL, (0, 1): 8 * TYPICAL}
    assert alarms(tile(**on), yard) == ()
    assert alarms(tile(**on | {"copies": 2}), yard) != ()
