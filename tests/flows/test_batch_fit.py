"""Matrices that do not fit are found before anything runs, also those of products that are yet to be made."""

import re
from pathlib import Path

import pytest

from flows.batch_file import BadBatch, read_batch
from flows.samples import Sample, write_sample


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A is 4 x 5, B is 5 x 6."""
    write_sample(tmp_path / "A", Sample((4, 5), 1))
    write_sample(tmp_path / "B", Sample((5, 6), 2))
    return tmp_path


def problems(folder: Path, text: str) -> list[str]:
    (folder / "jobs.yaml").write_text(text)
    try:
        read_batch(folder / "jobs.yaml")
    except BadBatch as error:
        return [line.removeprefix(f"{folder}/jobs.yaml: ") for line in error.problems]
    return []


AXA = (
    "inner dimensions differ: op(A) is 4 x 5 and op(B) is 4 x 5; the columns of op(A) must equal the rows of op(B) (transpose-b would fit)"
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("- {a: A, b: B, out: C}\n- {a: A, b: A, transpose_b: true, out: D}", []),
        ("- {a: A, b: A, out: C}", [f"job 1: {AXA}"]),
        ("- {a: A, b: A, out: C, alpha: much}", ["job 1: alpha: input should be a valid number, .* not 'much'", f"job 1: {AXA}"]),
        ("- {a: A, b: B, out: C, add: A, beta: 1}", ["job 1: C0 is 4 x 5 but the product is 4 x 6: give a C0 of the product's shape"]),
        ("- {a: A, b: A, out: C, add: B, beta: 1}", [f"job 1: {AXA}", "job 1: C0 is 5 x 6 but the product is 4 x 5: .*"]),
        ("- {a: A, b: B, out: C, store: triangle}", ["job 1: store triangle needs a symmetric product, .*"]),
        ("- {a: A, b: B, out: C, seal: unheard-of}", ["job 1: .*unheard-of.*"]),
        ("- {a: none, b: A, out: C}", ["job 1: a: .*/none does not exist: check the path"]),
    ],
)
def test_what_headers_say_is_listed_with_the_rest(folder: Path, text: str, found: list[str]) -> None:
    lines = problems(folder, text)
    assert len(lines) == len(found)
    for line, expected in zip(lines, found, strict=True):
        assert line == expected or re.fullmatch(expected, line), lines


def test_the_product_of_an_earlier_job_has_the_shape_that_follows(folder: Path) -> None:
    make = "- {a: A, b: B, out: C}\n"
    assert problems(folder, make + "- {a: C, b: C, transpose_a: true, out: D}\n- {a: D, b: B, transpose_b: true, out: E}") == []
    [line] = problems(folder, make + "- {a: C, b: B, out: D}\n- {a: D, b: A, out: E}")
    assert line.startswith("job 2: inner dimensions differ: op(A) is 4 x 6 and op(B) is 5 x 6")
    [line] = problems(folder, make + "- {a: C, b: A, transpose_a: true, out: D}\n- {a: D, b: B, out: E}\n- {a: E, b: A, out: F}")
    assert line.startswith("job 4: inner dimensions differ: op(A) is 6 x 6 and op(B) is 4 x 5")


def test_a_triangle_that_an_earlier_job_makes_is_no_input(folder: Path) -> None:
    [line] = problems(folder, "- {a: A, b: A, transpose_b: true, store: triangle, out: C}\n- {a: C, b: A, out: D}")
    assert line == f"job 2: A {folder}/C is a triangle of a symmetric product, the rest of it is not stored: make it with --store full"


def test_of_what_nobody_knows_nothing_is_said(folder: Path) -> None:
    """A part of a product, one that two jobs claim, and what follows from these."""
    assert problems(folder, "- {a: A, b: B, out: C}\n- {a: C/c, b: A, out: D}\n- {a: D, b: A, out: E}") == []
    [line] = problems(folder, "- {a: A, b: B, out: C}\n- {a: A, b: A, transpose_b: true, out: C}\n- {a: C, b: A, out: E}")
    assert line.startswith("job 2: out: ")


def test_many_jobs_open_each_header_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import batch_fit

    opened, honest = [], batch_fit.open_matrix
    monkeypatch.setattr(batch_fit, "open_matrix", lambda place: opened.append(place) or honest(place))
    assert problems(folder, "\n".join(f"- {{a: A, b: B, out: C{number}}}" for number in range(30))) == []
    assert sorted(opened) == [f"{folder}/A", f"{folder}/B"]
