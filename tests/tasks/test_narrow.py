"""Memory that runs out: the tile is computed in less of it, with the same bits, and those that follow begin so."""

import errno
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from tasks import devices, narrow, parts, syrk, workspace
from tasks.clusters import ClusterSpec, open_cluster
from tasks.devices import torch_dtype
from tasks.errors import OutOfMemory
from tasks.kernels import KERNELS
from tasks.ladder import ARITHMETICS
from tasks.memory import PRODUCT_ROWS
from tasks.narrow import narrowed, pieces, steps
from tasks.operands import prepare
from tasks.outcome import Part
from tasks.pieces import ran_out
from tasks.plan import TileShape
from tasks.prepare import end
from tasks.prepare import prepare as begin
from tasks.product import Method, add_product
from tasks.publish import publish
from tasks.report import Clock, make_report
from tasks.run import multiply
from tasks.syrk import add_symmetric_product, add_symmetric_rows, fill_upper
from tasks.verify import verify
from tasks.workspace import release
from tests.tasks.inline import Way, compute, recipe_for, result
from tests.tasks.test_gram_tile import matrix, symmetric
from tests.tasks.test_parts import summed
from tests.tasks.test_run import planned, store

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
@pytest.mark.parametrize("arithmetic", ["float32", "float32-wide", "bfloat16"])
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
@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16", "float32-wide"])
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


def shrink(nbytes: int) -> None:
    """Leave a worker so much address space beyond what it has."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + nbytes, resource.RLIM_INFINITY))


def stint(elements: int) -> None:
    """Give a worker no buffer of more elements, whatever address space it has."""
    from tasks import workspace

    honest = workspace.DEVICES["cpu"]

    def empty(count: int, dtype: torch.dtype) -> torch.Tensor:
        if count > elements:
            raise MemoryError
        return honest.empty(count, dtype)

    workspace.DEVICES["cpu"] = replace(honest, empty=empty)


def product(folder: Path, cluster, fields: dict[str, bool] | None = None, **changes: object):
    job, problem, hardware, plan = planned(folder, overwrite=True, **(fields or {}))
    run = begin(job, problem, hardware, replace(plan, **changes), cluster)
    try:
        outcome = multiply(run, cluster, lambda progress: None)
        certificate = verify(run, outcome)
        stored = publish(run, outcome, certificate)
    finally:
        end(run)
    return make_report(run, outcome, certificate, stored, Clock(0.1, 1.0)), zarr.open_array(folder / "C")[:]


@pytest.mark.slow
def test_workers_with_less_memory_than_planned_finish_and_the_plan_is_corrected(tmp_path: Path) -> None:
    """A limit of the operating system, not a pretended one."""
    a, b = operands(4096, 256, 8192)
    store(tmp_path / "A", a, (256, 256))
    store(tmp_path / "B", b, (256, 256))
    changes = {"tile": TileShape(4096, 4096, 64), "grid": (1, 2, 4), "slots": (4, 1), "residency": "A", "chunk": (256, 256), "workers": 1}
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        expected, values = product(tmp_path, cluster, **changes)
        assert expected.outcome.split == 0
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        cluster.run_on_workers(shrink, 56 << 20)
        report, bits = product(tmp_path, cluster, **changes)
    assert bits.tobytes() == values.tobytes()
    assert report.outcome.split == report.to_json()["measured"]["tiles_split"] == 2
    assert any("2 tiles ran out of memory" in warning for warning in report.warnings)


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "shortage", "size"), [("torch", shrink, 56 << 20), ("scipy", stint, 3072 * 4096 - 1)])
def test_a_symmetric_product_by_workers_with_less_memory_than_planned_has_the_same_bits(tmp_path: Path, kernel, shortage, size) -> None:
    """By torch under a limit of the operating system, by scipy in the smallest pieces."""
    store(tmp_path / "A", operands(8192, 256, 1)[0], (256, 256))
    (tmp_path / "B").symlink_to(tmp_path / "A")
    changes = {"tile": TileShape(4096, 4096, 64), "grid": (2, 2, 4), "slots": (4, 1), "residency": "A", "chunk": (256, 256), "workers": 1}
    changes |= {"kernel": kernel}
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        expected, values = product(tmp_path, cluster, {"transpose_b": True}, **changes)
        assert expected.outcome.split == 0 and len(expected.outcome.measurements) == 3
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        cluster.run_on_workers(shortage, size)
        report, bits = product(tmp_path, cluster, {"transpose_b": True}, **changes)
    assert bits.tobytes() == values.tobytes()
    assert report.outcome.split == report.to_json()["measured"]["tiles_split"] == 3
    assert report.certificate.measured == pytest.approx(expected.certificate.measured, rel=1e-6)


@pytest.mark.slow
def test_parts_of_k_by_workers_with_less_memory_than_planned_have_the_same_bits(tmp_path: Path) -> None:
    a, b = operands(4096, 256, 8192)
    store(tmp_path / "A", a, (256, 256))
    store(tmp_path / "B", b, (256, 256))
    changes = {"tile": TileShape(4096, 4096, 64), "grid": (1, 2, 4), "slots": (1, 1), "residency": "A", "chunk": (256, 256), "workers": 1}
    changes |= {"parts": 2}
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        expected, values = product(tmp_path, cluster, **changes)
        assert expected.outcome.split == 0
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        cluster.run_on_workers(shrink, 56 << 20)
        report, bits = product(tmp_path, cluster, **changes)
    assert bits.tobytes() == values.tobytes()
    assert report.outcome.split == 2
    assert report.certificate.measured == pytest.approx(expected.certificate.measured, rel=1e-6)


@pytest.mark.slow
def test_the_driver_sends_what_follows_with_the_step_that_was_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks import dispatch

    sent, honest = [], dispatch.Air.send
    monkeypatch.setattr(
        dispatch.Air, "send", lambda air, errand, workers: sent.append(errand.recipe.narrowed) or honest(air, errand, workers)
    )
    a, b = operands(256, 64, 1024)
    store(tmp_path / "A", a)
    store(tmp_path / "B", b)
    changes = {"tile": TileShape(256, 128, 64), "grid": (1, 8, 1), "slots": (1, 1), "residency": "C", "chunk": (64, 64), "workers": 1}
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        cluster.run_on_workers(fail_once_when_whole)
        report, values = product(tmp_path, cluster, **changes)
    assert np.allclose(values, a @ b, atol=1e-3)
    assert sent[:2] == [0, 0] and sent[3:] == [2] * 5
    assert report.outcome.split == 7


def fail_once_when_whole() -> None:
    """The first tile finds no memory as a whole, the others would."""
    from tasks import tile

    honest, left = tile._compute, [1]

    def compute(recipe, piece, attempt):
        if left[0]:
            left[0] -= 1
            raise MemoryError
        return honest(recipe, piece, attempt)

    tile._compute = compute


def prepared(row, values: torch.Tensor, side: int):
    source = torch.float64 if row.name == "float64" else torch.float32
    count = row.slices if row.converts(str(source).removeprefix("torch.")) else 0
    buffers = tuple(torch.empty(values.numel(), dtype=torch_dtype(row.stored_as)) for _ in range(count))
    return prepare(row, values.to(source), side, buffers)


def method_of(name: tuple[str, str, str], cols: int) -> Method:
    row = ARITHMETICS[name[0]]
    return Method(row, KERNELS[name], torch.empty(PRODUCT_ROWS * cols, dtype=torch_dtype(row.block_output["cpu"])))


HEIGHTS = {("float32-wide", "scipy"): (1024,), ("float32", "torch"): (768, 512, 256)}
"""What is summed up in strips of 1024 rows is cut there."""


@pytest.mark.parametrize("name", [name for name in KERNELS if name[1] == "cpu"], ids="-".join)
def test_rows_in_pieces_have_the_bits_of_all_rows(name: tuple[str, str, str]) -> None:
    """Of every arithmetic and library: elements are summed up along k alone, whatever rows there are beside them."""
    row = ARITHMETICS[name[0]]
    a, b = map(torch.from_numpy, operands(1536, 384, 640))

    def product(rows: torch.Tensor) -> torch.Tensor:
        out = torch.empty(len(rows), b.shape[1], dtype=torch_dtype(row.accumulate))
        add_product(method_of(name, b.shape[1]), out, prepared(row, rows, 0), prepared(row, b, 1), 0.0)
        return out

    whole = product(a)
    for height in HEIGHTS.get((row.name, name[2]), (768, 384, 1152)):
        parts = torch.cat([product(a[start : start + height]) for start in range(0, len(a), height)])
        same = (parts == whole).double().mean().item()
        assert same == 1.0, f"{height} rows: {1 - same:.2%} of the elements differ"


@pytest.mark.parametrize("name", [name for name in KERNELS if name[1] == "cpu"], ids="-".join)
def test_rows_of_a_diagonal_tile_have_the_bits_of_the_whole_below_the_diagonal(name: tuple[str, str, str]) -> None:
    """Pieces of whole strips for every library; for torch's, which sums up all rows alike, of parts of strips, too."""
    row, edge = ARITHMETICS[name[0]], 3072
    a = torch.from_numpy(operands(edge, 96, 1)[0])

    def product(first: int, last: int) -> torch.Tensor:
        out = torch.zeros(last - first, edge, dtype=torch_dtype(row.accumulate))
        add_symmetric_rows(method_of(name, edge), out, (prepared(row, a[first:last], 0), prepared(row, a.T, 1)), first, 0.0)
        return out.tril(first)

    whole = torch.zeros(edge, edge, dtype=torch_dtype(row.accumulate))
    add_symmetric_product(method_of(name, edge), whole, prepared(row, a, 0), 0.0)
    fill_upper(whole)
    for height in (1536,) if name[2] == "scipy" else (1536, 768, 640):
        parts = torch.cat([product(start, min(start + height, edge)) for start in range(0, edge, height)])
        same = (parts == whole.tril()).double().mean().item()
        assert same == 1.0, f"{height} rows: {1 - same:.2%} of the elements differ"
