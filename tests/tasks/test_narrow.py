"""Memory that runs out: the tile is computed in less of it, with the same bits, and those that follow begin so."""

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks import devices, narrow, parts, syrk, workspace
from tasks.errors import OutOfMemory
from tasks.narrow import narrowed, pieces, steps
from tasks.outcome import Part
from tasks.pieces import ran_out
from tasks.workspace import release
from tests.tasks.inline import Way, compute, recipe_for, result
from tests.tasks.test_gram_tile import matrix, symmetric
from tests.tasks.test_parts import summed

WAY = Way(tile=(64, 48, 16), chunk=(16, 16), in_chunks=(16, 16), kept=(True, False), residency="A")


def operands(m: int = 152, k: int = 70, n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.standard_normal((m, k)).astype("float32"), rng.standard_normal((k, n)).astype("float32")


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch):
    """Buffers of at most so many elements; what is asked beyond raises."""

    def limit(elements: int, error: BaseException) -> None:
        honest = devices.DEVICES["cpu"]

        def empty(count: int, dtype: torch.dtype) -> torch.Tensor:
            if count > elements:
                raise error
            return honest.empty(count, dtype)

        monkeypatch.setitem(workspace.DEVICES, "cpu", replace(honest, empty=empty))

    return limit


def test_pieces_are_whole_groups_of_the_rows_that_a_library_handles_together(tmp_path: Path) -> None:
    way = replace(WAY, tile=(144, 96, 1024), chunk=(16, 16))
    recipe = replace(recipe_for(tmp_path, operands(288, 1024, 96), way), kernel="scipy")
    assert [step.rows for step in steps(recipe)] == [144, 96, 48]
    wide = replace(recipe, arithmetic_name="float32-wide")
    assert [step.rows for step in steps(wide)] == [144], "strips of 1024 rows stay whole"
    few = replace(recipe_for(tmp_path / "few", operands(288, 1024, 97), way), kernel="scipy")
    assert [step.rows for step in steps(few)] == [144], "one column of the last tile is not much to multiply"


CUT = {
    "one row is left": (97, (1, 16)),
    "two rows are left": (98, (16, 16)),
    "files of odd height": (2 * 27 + 3, (9, 16)),
    "enough is left": (110, (16, 16)),
    "strips, and a row": (2049, (64, 512)),
    "a row after odd files": (2 * 1025 + 1, (205, 205)),
}
"""Rows of A and files: libraries take other ways for a few rows (measured: one to eleven)."""


@pytest.mark.parametrize("store", ["", "full"], ids=["plain", "symmetric"])
@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("arithmetic", ["float32", *(pytest.param(name, marks=pytest.mark.slow) for name in ("float32-wide", "bfloat16"))])
@pytest.mark.parametrize(("rows", "chunk"), CUT.values(), ids=CUT)
def test_no_piece_has_so_few_rows_that_the_library_sums_them_up_in_another_way(
    tmp_path: Path, rows: int, chunk, arithmetic: str, threads: int, store: str
) -> None:
    way = Way(tile=(rows, rows if store else 40, 64), chunk=chunk, in_chunks=(64, 64), arithmetic=arithmetic, codec="none")
    a, b = operands(rows, 130, 40)

    def made(name: str):
        return replace(symmetric(tmp_path / name, a, way) if store else recipe_for(tmp_path / name, (a, b), way), threads=threads)

    whole, split = made("whole"), made("split")
    compute(whole)
    least = list(steps(split))[-1]
    found = compute(least)
    torch.set_num_threads(1)
    cut = [piece.rows[1] - piece.rows[0] for piece in pieces(least, least.walk[0])]
    assert sum(cut) == rows and max(cut) <= least.rows and min(cut) >= min(rows, 8 * threads)
    assert all(tile.accepted for tile in found) and result(split).tobytes() == result(whole).tobytes()


def test_the_steps_keep_whole_files_and_end_with_one(tmp_path: Path) -> None:
    recipe = recipe_for(tmp_path, operands(), WAY)
    assert [(step.narrowed, step.slots, step.rows) for step in steps(recipe)] == [
        (0, (5, 1), 64),
        (1, (1, 1), 64),
        (2, (1, 1), 32),
        (3, (1, 1), 16),
    ]
    assert [step.rows for step in steps(narrowed(recipe, 2))] == [32, 16]
    for step in steps(recipe):
        for index in range(len(recipe.walk)):
            rows = [row for piece in pieces(step, recipe.walk[index]) for row in range(*piece.rows)]
            assert rows == list(range(*recipe.walk[index].rows))
            assert all((piece.rows[0] - recipe.walk[index].rows[0]) % 16 == 0 for piece in pieces(step, recipe.walk[index]))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(("elements", "step"), [(64 * 48, 0), (63 * 48, 2), (16 * 48, 3)])
def test_a_tile_that_runs_out_of_memory_is_split_and_has_the_same_bits(tmp_path: Path, little, error, elements: int, step: int) -> None:
    whole = recipe_for(tmp_path / "whole", operands(), WAY)
    measured = compute(whole)
    little(elements, error)
    split = recipe_for(tmp_path / "split", operands(), WAY)
    found = compute(split)
    assert result(split).tobytes() == result(whole).tobytes()
    assert {tile.narrowed for tile in found} == {step}
    for before, after in zip(measured, found, strict=True):
        assert [chunk.key for chunk in after.chunks] and {c.values for c in after.chunks} == {c.values for c in before.chunks}
        assert after.accepted and after.bytes_written == before.bytes_written and after.rows == before.rows
        assert np.allclose(
            [after.square_a, after.square_b, after.square_residual], [before.square_a, before.square_b, before.square_residual], rtol=1e-6
        )


FACTORS = {
    "one for each row": (-60, 0),
    "one for all": (-60, -58),
    "one for some pieces": (-60, -10),
}
"""Exponents of the first and the last row: what lines are multiplied with depends on the largest of them in the slab."""


@pytest.mark.parametrize("kind", ["plain", "symmetric", "parts"])
@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16", pytest.param("float32-wide", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("first", "last"), FACTORS.values(), ids=FACTORS)
def test_pieces_are_scaled_as_the_whole_tile_is(tmp_path: Path, kind: str, arithmetic: str, first: int, last: int) -> None:
    """Where factors come between, the library does not add to the accumulator itself, and rounds elsewhere."""
    a = np.random.default_rng(2).standard_normal((128, 1500)) * np.exp2(np.linspace(first, last, 128))[:, None]
    way = Way(tile=(64, 64, 500), chunk=(16, 16), in_chunks=(16, 500), arithmetic=arithmetic, dtype_out="float64")

    def made(folder: Path):
        plain = recipe_for(folder, (a, operands(1, 1500, 64)[1]), way) if kind == "plain" else symmetric(folder, a, way)
        return replace(plain, parts=2 if kind == "parts" else 1)

    run = summed if kind == "parts" else compute
    whole = made(tmp_path / "whole")
    run(whole)
    release()
    split = narrowed(made(tmp_path / "split"), 2)
    found = run(split)
    release()
    assert all(tile.narrowed == 2 and tile.accepted for tile in found)
    assert result(split).tobytes() == result(whole).tobytes()


def test_an_error_of_another_kind_is_raised_at_once(tmp_path: Path, little) -> None:
    assert not ran_out(OSError(errno.EIO, "?")) and not ran_out(RuntimeError("?"))
    little(1, RuntimeError("a kernel is broken"))
    with pytest.raises(RuntimeError, match="a kernel is broken"):
        compute(recipe_for(tmp_path, operands(), WAY))


def test_what_does_not_fit_at_all_is_one_line_with_numbers(tmp_path: Path, little) -> None:
    little(100, MemoryError("cannot allocate"))
    with pytest.raises(
        OutOfMemory, match=r"tile 0 ran out of memory, even 16 x 48 elements at a time from slabs 16 deep \(MemoryError"
    ) as raised:
        compute(recipe_for(tmp_path, operands(), WAY))
    assert "\n" not in str(raised.value) and "less --memory" in str(raised.value)


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 bytes")
"""As a device says it: only its type and its words are looked at, so it is told here, too, where there is none."""

GRAMS = {
    "full": ("full", {}),
    "triangle": ("triangle", {}),
    "turned": ("full", {"transpose": (True, False)}),
    "files that are not square": ("full", {"chunk": (16, 8)}),
    "wide files": ("full", {"chunk": (8, 16)}),
    "scaled": ("full", {"alpha": -0.5}),
    "rounded": ("full", {"share": 1e-3}),
    "bfloat16": ("full", {"arithmetic": "bfloat16"}),
    "int8": ("full", {"arithmetic": "int8"}),
    "a strip apart": ("triangle", {"arithmetic": "float32-wide"}),
}


@pytest.mark.parametrize(
    "strip", [16, pytest.param(24, marks=pytest.mark.slow), pytest.param(512, marks=pytest.mark.slow)], ids="strips of {}".format
)
@pytest.mark.parametrize(("store", "changes"), GRAMS.values(), ids=GRAMS)
def test_tiles_of_a_symmetric_product_are_split_and_have_the_same_bits(tmp_path: Path, little, monkeypatch, store, changes, strip) -> None:
    monkeypatch.setattr(syrk, "STRIP", strip)
    monkeypatch.setattr(narrow, "PRODUCT_ROWS", 16)
    monkeypatch.setattr("tasks.memory.STRIP_BYTES", 7 * 64 * 4)
    x = matrix(152, 70) * np.logspace(-2, 2, 152, dtype="float32")[:, None]
    way = Way(**({"tile": (64, 64, 16), "chunk": (16, 16), "in_chunks": (16, 16)} | changes))
    whole = symmetric(tmp_path / "whole", x, way, store)
    measured = compute(whole)
    little(33 * 64, OUT_OF_MEMORY)
    split = symmetric(tmp_path / "split", x, way, store)
    found = compute(split)
    assert result(split).tobytes() == result(whole).tobytes()
    assert {tile.narrowed for tile in found} == {2} and all(tile.accepted for tile in found)
    for before, after in zip(measured, found, strict=True):
        assert sorted((c.key, c.values) for c in after.chunks) == sorted((c.key, c.values) for c in before.chunks)
        assert (after.bytes_written, after.copies, after.rows, after.step_exponent) == (
            before.bytes_written,
            before.copies,
            before.rows,
            before.step_exponent,
        )
        names = ("square_a", "square_b", "square_residual", "rounding_error", "worst")
        assert np.allclose([getattr(after, name) for name in names], [getattr(before, name) for name in names], rtol=1e-6), after.index


def test_a_piece_of_a_diagonal_tile_with_a_wrong_element_is_refused(tmp_path: Path, little, monkeypatch) -> None:
    """So what is above the diagonal is looked at as well."""
    little(33 * 64, MemoryError())
    recipe = symmetric(tmp_path, matrix(64, 33), Way(tile=(64, 64, 16), chunk=(16, 16)))
    honest = parts.add

    def spoiled(hold, names, sums, wanted):
        honest(hold, names, sums, wanted)
        if wanted.first == 0:
            sums.accumulator[5, 60] += 1

    monkeypatch.setattr(parts, "add", spoiled)
    (refused,) = compute(recipe)
    assert refused.verdict == "refused" and not refused.chunks
    monkeypatch.setattr(parts, "add", honest)
    (done,) = compute(recipe)
    assert done.accepted and done.narrowed == 2


def test_nan_that_is_allowed_reaches_the_same_elements_of_a_diagonal_tile_in_pieces(tmp_path: Path, little) -> None:
    x = matrix(64, 33)
    x[41, 4] = np.nan
    way = Way(tile=(64, 64, 16), chunk=(16, 16), allow_nonfinite=True)
    whole = symmetric(tmp_path / "whole", x, way)
    compute(whole)
    little(33 * 64, MemoryError())
    split = symmetric(tmp_path / "split", x, way)
    (found,) = compute(split)
    assert found.accepted and found.narrowed == 2 and "row 41" in found.nonfinite and "column 41" in found.nonfinite
    assert np.array_equal(result(split), result(whole), equal_nan=True) and np.isnan(result(split)).sum() == 127


@pytest.mark.parametrize(("kind", "elements"), [("plain", 63 * 48), ("plain", 16 * 48), ("symmetric", 47 * 48), ("symmetric", 16 * 48)])
def test_tiles_in_parts_of_k_are_split_and_have_the_same_bits(tmp_path: Path, little, kind: str, elements: int) -> None:
    def made(folder: Path):
        if kind == "plain":
            return replace(recipe_for(folder, operands(), WAY), parts=3)
        return replace(symmetric(folder, operands()[0], replace(WAY, tile=(48, 48, 16))), parts=3)

    whole = made(tmp_path / "whole")
    measured = summed(whole)
    release()
    little(elements, OUT_OF_MEMORY)
    split = made(tmp_path / "split")
    found = summed(split)
    release()
    assert result(split).tobytes() == result(whole).tobytes()
    assert min(tile.narrowed for tile in found) >= 2 and {tile.narrowed for tile in measured} == {0}
    for before, after in zip(measured, found, strict=True):
        assert sorted((c.key, c.values) for c in after.chunks) == sorted((c.key, c.values) for c in before.chunks)
        assert after.accepted and len(after.shares) == 3 and after.bytes_written == before.bytes_written
        names = ("square_a", "square_b", "square_residual")
        assert np.allclose([getattr(after, name) for name in names], [getattr(before, name) for name in names], rtol=1e-6)


@pytest.mark.parametrize("short", ["part", "finish"])
def test_parts_that_are_kept_whole_and_in_pieces_go_together(tmp_path: Path, short: str, monkeypatch) -> None:
    """Some were there, of an earlier run or a worker with more memory."""
    whole = replace(symmetric(tmp_path / "whole", operands()[0], replace(WAY, tile=(48, 48, 16))), parts=2)
    summed(whole)
    mixed = replace(symmetric(tmp_path / "mixed", operands()[0], replace(WAY, tile=(48, 48, 16))), parts=2)
    less = narrowed(mixed, 2)
    for index in range(len(mixed.walk)):
        tile = mixed.walk[index]
        parts.compute_part(mixed, tile, 0)
        parts.compute_part(less, tile, 1)
        done = parts.finish_tile(less if short == "finish" else mixed, tile, 0, Part(), Part())
        assert done.accepted and done.narrowed == (2 if short == "finish" else 0)
    release()
    assert result(mixed).tobytes() == result(whole).tobytes()


def test_a_symmetric_product_is_cut_where_its_mirror_image_has_whole_files(tmp_path: Path) -> None:
    way = Way(tile=(96, 96, 16), chunk=(4, 6), in_chunks=(16, 16))
    recipe = symmetric(tmp_path / "full", matrix(96, 20), way)
    assert [step.rows for step in steps(recipe)][-1] == 24, "the least of both, and of rows that are summed up alike"
    assert [step.rows for step in steps(symmetric(tmp_path / "lower", matrix(96, 20), way, "triangle"))][-1] == 8
    assert [step.rows for step in steps(replace(recipe, kernel="scipy"))] == [96], "strips of 512 in groups of 48 rows"
