"""Tiles on a CUDA device that is emulated: right values, from late copies, and nothing that only a processor can do.

What only a device can show, its rounding and its speed, is in test_gpu.py.
"""

import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import CorruptData, Matrix
from storage.write import WriteResult
from tasks import epilogue, loader, rates
from tasks import tile as work
from tasks.devices import DEVICES
from tasks.kernel_rates import flops_rate, trusted_kernels
from tasks.ladder import ARITHMETICS
from tasks.narrow import steps
from tasks.tile import compute_tile
from tasks.workspace import Workspace, workspace_for
from tests.tasks.emulated import OnDevice, emulated_device
from tests.tasks.inline import SPARSE, Way, compute, recipe_for, replace, result
from tests.tasks.test_gram_tile import symmetric
from tests.tasks.test_parts import summed

ON_CUDA = [name for name, row in ARITHMETICS.items() if "cuda" in row.devices]
A, B = np.random.default_rng(0).standard_normal((100, 150)), np.random.default_rng(1).standard_normal((150, 70))
OPERANDS = A.astype("float32"), B.astype("float32")
DEEP = Way(tile=(40, 40, 40), chunk=(20, 20), device="cuda")


def error_of(recipe) -> float:
    """Of what was stored, relative to the norms."""
    exact = A.astype(recipe.a.dtype).astype(float) @ B.astype(recipe.b.dtype).astype(float)
    return float(np.linalg.norm(result(recipe) - exact) / (np.linalg.norm(A) * np.linalg.norm(B)))


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", ON_CUDA)
@pytest.mark.parametrize("turned", [(False, False), (True, True)])
def test_every_arithmetic_keeps_its_bound(tmp_path, arithmetic, turned):
    way = replace(DEEP, arithmetic=arithmetic, transpose=turned, kept=(True, False), residency="A")
    recipe = recipe_for(tmp_path / "run", OPERANDS, way)
    with emulated_device():
        assert all(tile.accepted for tile in compute(recipe))
    assert error_of(recipe) <= recipe.bound


@st.composite
def ways(draw):
    """Ways that differ in what is kept, read, turned and skipped."""
    form = draw(st.sampled_from(["zarr3", "npy", *SPARSE]))
    tile = draw(st.tuples(*[st.integers(1, 5)] * 3))
    flags = st.tuples(st.booleans(), st.booleans())
    return Way(
        tile=(tile[0] * 4, tile[1] * 4, tile[2] * 2),
        kept=draw(flags),
        residency=draw(st.sampled_from("ABC")),
        chunk=(4, 4),
        transpose=draw(flags) if form not in ("csr", "csc") else (False, False),
        form=form,
        alpha=draw(st.sampled_from([1.0, -2.5])),
        dtype_out=draw(st.sampled_from(["float32", "float16"])),
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=ways(), shape=st.tuples(*[st.integers(1, 23)] * 3), hands=st.integers(1, 3), seed=st.integers(0, 99))
def test_a_device_stores_what_a_processor_stores_from_as_many_bytes(tmp_path_factory, way, shape, hands, seed):
    (m, k, n), rng, folder = shape, np.random.default_rng(seed), tmp_path_factory.mktemp("run")
    operands = tuple((rng.standard_normal(size) * (rng.random(size) < 0.5)).astype("float32") for size in ((m, k), (k, n)))
    here, there = (recipe_for(folder / name, operands, replace(way, device=name)) for name in ("cpu", "cuda"))
    expected = compute(here)
    with emulated_device():
        found = compute(replace(there, threads=hands))
    torch.set_num_threads(1)
    assert np.array_equal(result(there), result(here))
    assert [tile.bytes_read for tile in found] == [tile.bytes_read for tile in expected]
    assert all(tile.accepted for tile in found)


HOLED = A.copy().astype("float32")
HOLED[7, 90] = np.nan
COUNTS = tuple(np.random.default_rng(2).integers(-9, 9, shape).astype("int8") for shape in ((70, 90), (90, 33)))

SCENES = {
    "a symmetric product": lambda folder, way: symmetric(folder, OPERANDS[0], way),
    "one triangle": lambda folder, way: symmetric(folder, OPERANDS[0], way, "triangle"),
    "parts of k": lambda folder, way: replace(recipe_for(folder, OPERANDS, way), parts=2),
    "pieces of tiles": lambda folder, way: list(steps(recipe_for(folder, OPERANDS, way)))[-1],
    "NaN that is allowed": lambda folder, way: recipe_for(folder, (HOLED, OPERANDS[1]), replace(way, allow_nonfinite=True)),
    "something added": lambda folder, way: recipe_for(folder, OPERANDS, replace(way, alpha=0.5, beta=-2.0), np.ones((100, 70), "float32")),
    "rounded for storage": lambda folder, way: recipe_for(folder, OPERANDS, replace(way, share=1e-4)),
    "integers": lambda folder, way: recipe_for(folder, COUNTS, replace(way, arithmetic="int8", dtype_out="int32", exact=True)),
}


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_every_way_through_a_tile_is_that_of_a_processor(tmp_path, scene):
    here, there = (scene(tmp_path / name, replace(DEEP, tile=(40, 40, 40), device=name)) for name in ("cpu", "cuda"))
    expected = summed(here) if here.parts > 1 else compute(here)
    with emulated_device():
        found = summed(there) if there.parts > 1 else compute(there)
    assert np.array_equal(result(there), result(here), equal_nan=True)
    assert [tile.bytes_read for tile in found] == [tile.bytes_read for tile in expected]
    assert all(tile.accepted for tile in found)


def test_kernels_are_tested_and_measured_where_they_compute(monkeypatch):
    monkeypatch.setattr("tasks.rates.COPIED_BYTES", 1 << 16)
    with emulated_device():
        assert {name for name, _, _ in trusted_kernels("cuda")} == set(ON_CUDA)
        assert all(flops_rate((name, "cuda", "torch"), (32, 32, 32)) > 0 for name in ON_CUDA)
        assert rates.probe_rate("cuda") > 0
        assert rates.copy_rate("cuda") > 0


def test_copies_are_late_and_waited_for(tmp_path, monkeypatch):
    """Without the wait the same tiles are refused: what they multiply is not there yet."""
    with emulated_device():
        assert all(tile.accepted for tile in compute(recipe_for(tmp_path / "waits", OPERANDS, DEEP)))
        monkeypatch.setattr(loader.CudaLoader, "wait", lambda self: None)
        assert not any(tile.accepted for tile in compute(recipe_for(tmp_path / "hurries", OPERANDS, DEEP)))


def test_pinned_memory_is_not_filled_again_before_its_copy_ended():
    with emulated_device():
        loads, blocks = loader.CudaLoader(64), [DEVICES["cuda"].empty(4, torch.float32) for _ in range(2)]
        for value, block in enumerate(blocks):
            assert loads.fill(block, lambda out, value=value: out.fill(value) or 16) == 16
        loads.wait()
        assert [block.tolist() for block in blocks] == [[0.0] * 4, [1.0] * 4]
        loads.close()


def test_a_device_gets_back_what_a_run_used(tmp_path):
    with emulated_device() as driver:
        compute(recipe_for(tmp_path / "run", OPERANDS, DEEP))
        assert driver.given_back == [0]


def test_where_memory_ran_out_nothing_is_to_spare(tmp_path):
    recipe = recipe_for(tmp_path / "run", OPERANDS, DEEP)
    with emulated_device():
        for step, spare in zip(list(steps(recipe))[:2], (True, False), strict=True):
            space = Workspace(step)
            assert space.reads_ahead is spare
            space.close()


def test_memory_that_cannot_be_pinned_is_memory_that_is_not_there(tmp_path):
    """A tile that runs out of memory is computed in pieces, with slabs of half the rows; what was pinned of the whole one is let go."""
    recipe = recipe_for(tmp_path / "run", OPERANDS, replace(DEEP, tile=(100, 70, 50), chunk=(10, 70)))
    with emulated_device() as driver:
        driver.refuses = lambda nbytes: nbytes > 15_000
        (tile,) = compute(recipe)
    assert tile.accepted and tile.narrowed > 0
    assert error_of(recipe) <= recipe.bound


def test_what_is_pinned_goes_where_the_other_buffers_cannot_be_had(tmp_path):
    recipe = recipe_for(tmp_path / "run", OPERANDS, replace(DEEP, tile=(100, 70, 50), chunk=(10, 70)))
    with emulated_device() as driver:
        asked = list[int]()
        driver.refuses = lambda nbytes: asked.append(nbytes) or len(asked) == 2
        (tile,) = compute(recipe)
        assert driver.pinned == {}
    assert len(asked) == 4
    assert tile.accepted and tile.narrowed > 0


def test_memory_goes_when_what_ran_out_of_it_is_computed(tmp_path, monkeypatch):
    """Half a product may be under way when the other half does not fit: the device is waited for before others get its memory."""
    recipe = recipe_for(tmp_path / "run", OPERANDS, replace(DEEP, tile=(100, 70, 50), chunk=(10, 70)))
    multiply, turns = work.add_product, list[None]()

    def once_too_much(*args):
        multiply(*args)
        turns.append(None)
        if len(turns) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(work, "add_product", once_too_much)
    with emulated_device():
        (tile,) = compute(recipe)
    assert tile.accepted and tile.narrowed > 0
    assert error_of(recipe) <= recipe.bound


def test_columns_of_nan_are_found_with_a_slab_read_ahead(tmp_path):
    holed = OPERANDS[1].copy()
    holed[90, 5] = np.nan
    way = replace(DEEP, allow_nonfinite=True)
    here, there = (recipe_for(tmp_path / name, (OPERANDS[0], holed), replace(way, device=name)) for name in ("cpu", "cuda"))
    compute(here)
    with emulated_device():
        assert all(tile.accepted for tile in compute(there))
    assert np.array_equal(result(there), result(here), equal_nan=True)


def test_a_read_ahead_that_fails_leaves_nothing_wrong(tmp_path, monkeypatch):
    recipe = recipe_for(tmp_path / "run", OPERANDS, replace(DEEP, tile=(100, 70, 50), chunk=(100, 70)))
    read, turns = Matrix.read_into, list[None]()

    def once_lost(*args):
        turns.append(None)
        if len(turns) == 4:  # of B, the second
            raise CorruptData("gone")
        return read(*args)

    with emulated_device():
        monkeypatch.setattr(Matrix, "read_into", once_lost)
        with pytest.raises(CorruptData):
            compute_tile(recipe, recipe.walk[0])
        assert compute_tile(recipe, recipe.walk[0]).accepted
    assert error_of(recipe) <= recipe.bound


def test_what_was_read_ahead_is_taken_once_and_only_from_where_it_is(tmp_path):
    recipe = recipe_for(tmp_path / "run", OPERANDS, replace(DEEP, tile=(100, 70, 50), chunk=(100, 70)))
    with emulated_device():
        shelf = workspace_for(recipe).shelf_b

        def taken(index: int) -> bool:
            slab, _ = shelf.take((index, 0), recipe.b, (50 * index, 50 * index + 50), (0, 70))
            return np.array_equal(slab.values.cpu(), OPERANDS[1][50 * index : 50 * index + 50])

        def ahead(index: int) -> int:
            return shelf.read_ahead((index, 0), recipe.b, (50 * index, 50 * index + 50), (0, 70))

        assert taken(0) and ahead(1) and ahead(2) and taken(1)
        assert ahead(2) and taken(2) and taken(0) and taken(2)


def test_chunks_are_decoded_by_hands_alone(tmp_path, monkeypatch):
    """Scratch stays with its thread: it is planned for as many as there are hands."""
    threads, read = set[str](), Matrix.read_into
    recipe = recipe_for(tmp_path / "run", OPERANDS, replace(DEEP, beta=1.0, in_chunks=(100, 150)), np.ones((100, 70), "float32"))
    monkeypatch.setattr(Matrix, "read_into", lambda *args: threads.add(threading.current_thread().name) or read(*args))
    with emulated_device():
        compute(replace(recipe, threads=2))
    torch.set_num_threads(1)
    assert {name.rpartition("_")[0] for name in threads} == {"hand"}


def test_what_one_hand_writes_is_written_for_as_long_as_it_takes(tmp_path, monkeypatch):
    recipe = recipe_for(tmp_path / "run", OPERANDS, replace(DEEP, tile=(100, 70, 50), chunk=(100, 70)))

    class Slow:
        def write(self, *args):
            time.sleep(0.2)
            return WriteResult((), 0.0, 0.2)

    monkeypatch.setattr(epilogue, "hold_of", lambda staging: Slow())
    with emulated_device():
        (tile,) = compute(replace(recipe, threads=4))
    torch.set_num_threads(1)
    assert tile.lanes["write"] == pytest.approx(0.2)


def test_the_next_slab_is_read_before_the_last_product_is_waited_for(tmp_path, monkeypatch):
    steps = list[str]()
    recipe = recipe_for(tmp_path / "run", OPERANDS, replace(DEEP, tile=(100, 70, 50)))
    with emulated_device():
        row = DEVICES["cuda"]
        monkeypatch.setitem(DEVICES, "cuda", replace(row, synchronize=lambda: steps.append("wait") or row.synchronize()))
        fill = loader.CudaLoader.fill
        monkeypatch.setattr(loader.CudaLoader, "fill", lambda *args: steps.append("read") or fill(*args))
        compute(recipe)
    reads, waits = ["read", "read"], ["wait", "wait"]
    assert steps == [*reads, *reads, *waits, *reads, *waits, *waits, "wait"]  # the last one before its memory goes


def test_the_emulation_refuses_what_a_device_refuses():
    with emulated_device():
        there, here = DEVICES["cuda"].empty(4, torch.float32).zero_(), torch.ones(4)
        with pytest.raises(RuntimeError, match="tensors of two devices"):
            there + here
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()
        assert isinstance(there[1:].clone(), OnDevice)
        assert there.cpu().add(here).tolist() == [1.0] * 4
        assert there.copy_(here).tolist() == [1.0] * 4
