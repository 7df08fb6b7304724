"""A product as a question to a catalogue: of every pair of types that is multiplied it says what a plan of such matrices says."""

from dataclasses import replace
from itertools import product
from math import nextafter

import pytest

from storage.matrix import ACCEPTED
from tasks.choice.matrix_job import TYPES, MatrixJob
from tasks.errors import BadInput, Refused
from tasks.precision import choose_precisions
from tests.tasks.choice.devices import processor
from tests.tasks.machines import job, matrix, problem

NAMES = tuple(dtype.name for dtype in ACCEPTED)
BESIDE = ({}, {"alpha": 2.5}, {"add": "/data/c", "beta": 1.0})


@pytest.mark.parametrize("asked", [None, 0.5, 1e-6])
@pytest.mark.parametrize("dtypes", list(product(NAMES, NAMES)), ids="-by-".join)
def test_it_is_as_exact_as_a_plan(dtypes: tuple[str, str], asked: float | None) -> None:
    for k, beside in product((1, 300, 10**6), BESIDE):
        made = job(**beside, **({} if asked is None else {"max_error": asked}))
        added = {"added": "float32"} if "add" in beside else {}
        try:
            rows = choose_precisions(made, problem((8, k, 8), dtypes, add=matrix((8, 8)) if added else None), "cpu")
        except Refused:
            continue
        for row in (row for row in rows if not row.reason.startswith("not available")):
            question = MatrixJob((8, k, 8), dtypes, row.dtype_out, row.asked or None, **added, scaled=made.alpha != 1.0)
            assert (row.arithmetic.name in names(question)) == (row.reason == ""), (k, row)
            if row.reason == "" and row.bound:
                named = replace(question, precision=row.arithmetic.name)
                assert names(replace(named, max_error=row.bound)) == {named.precision}
                assert names(replace(named, max_error=nextafter(row.bound, 0))) == set()


def names(question: MatrixJob) -> set[str]:
    """What certifies the error on a processor."""
    return {way.name for way in question.ways(processor())}


@pytest.mark.parametrize("name", TYPES)
def test_bytes_are_those_of_the_type(name: str) -> None:
    width = 2 if name == "bfloat16" else next(dtype.itemsize for dtype in ACCEPTED if dtype.name == name)
    assert MatrixJob((3, 5, 7), (name, name), "float64").input_bytes == (3 * 5 + 5 * 7) * width


def test_a_type_that_nothing_multiplies_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadInput, match=r"type complex64 is unknown: name one of float64, .*uint64, .*uint16, .*bfloat16"):
        MatrixJob((3, 5, 7), ("complex64", "float32"))
