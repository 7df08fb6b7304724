from pathlib import Path

import numpy as np
import pytest

from flows.agent import preview as module
from flows.agent.faults import AgentError
from flows.agent.preview import LOOKS, Window, preview
from flows.samples import Sample, write_sample
from storage import Matrix, open_matrix, open_result
from tasks.errors import BadInput


def stored(folder: Path, values: np.ndarray, name: str = "C") -> Matrix:
    np.save(folder / f"{name}.npy", values)
    return open_matrix(folder / f"{name}.npy")


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((70, 90)).astype(np.float32)


def test_a_block_is_what_is_stored(tmp_path: Path, values: np.ndarray) -> None:
    block = LOOKS["block"](stored(tmp_path, values), Window("block", 60, 85, 16, 3))
    assert block == values[60:70, 85:88].tolist()


def test_the_largest_of_each_row(tmp_path: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_HELD", 64)  # many slabs
    values[5, 7] = values[5, 80] = 99
    values[6, :] = np.nan
    values[7, 3] = np.inf
    found = LOOKS["top"](stored(tmp_path, values), Window("top", 4, 0, 4, 6))
    assert [row.row for row in found] == [4, 5, 6, 7]
    assert [entry.col for entry in found[0].entries] == np.argsort(-values[4])[:6].tolist()
    assert [(entry.col, entry.value) for entry in found[1].entries][:2] == [(7, 99), (80, 99)]
    assert found[2].entries == []
    assert (found[3].entries[0].col, found[3].entries[0].value) == (3, None)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float16", "float64"])
def test_the_largest_of_every_type(tmp_path: Path, dtype: str) -> None:
    info = np.iinfo(dtype) if dtype in ("int64", "uint8") else np.finfo(dtype)
    values = np.array([[info.min, 0, info.max, 3]], dtype)
    (row,) = LOOKS["top"](stored(tmp_path, values), Window("top", 0, 0, 1, 4))
    assert [entry.col for entry in row.entries] == [2, 3, 1, 0] or dtype == "uint8"
    assert row.entries[0].value == values[0, 2].item()


def test_statistics_are_those_of_numpy(tmp_path: Path, values: np.ndarray) -> None:
    values[0, 0], values[1, 1] = np.nan, np.inf
    found = LOOKS["statistics"](stored(tmp_path, values), Window("statistics"))
    sound = values[np.isfinite(values)].astype(np.float64)
    assert (found.elements, found.whole, found.nonfinite) == (6300, True, 2)
    assert (found.least, found.largest) == (sound.min(), sound.max())
    assert found.mean == pytest.approx(sound.mean()) and found.deviation == pytest.approx(sound.std())
    assert found.root_mean_square == pytest.approx(np.sqrt((sound**2).mean()))


def test_statistics_of_nothing_finite_are_null(tmp_path: Path) -> None:
    found = LOOKS["statistics"](stored(tmp_path, np.full((3, 3), np.nan)), Window("statistics"))
    assert (found.nonfinite, found.least, found.mean, found.deviation) == (9, None, None, None)


def test_statistics_of_a_large_matrix_are_of_blocks_all_over_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sample(tmp_path / "C.zarr", Sample((1600, 1600), 1, chunk=100))
    monkeypatch.setattr(module, "MOST_DECODED", 40_000 * 20)
    matrix = open_matrix(tmp_path / "C.zarr")
    found = LOOKS["statistics"](matrix, Window("statistics"))
    assert not found.whole and 10 * 100 * 100 <= found.elements <= 20 * 100 * 100
    blocks = module._some_blocks(matrix)
    assert len({rows.start for rows, _ in blocks}) == len({cols.start for _, cols in blocks}) == module.BLOCKS
    assert LOOKS["statistics"](matrix, Window("statistics")) == found


@pytest.mark.parametrize(
    ("window", "code"),
    [
        (Window("block", 0, 0, 65, 64), "too_much"),
        (Window("top", 0, 0, 4096, 4096), "too_much"),
        (Window("block", 200, 0), "bad_arguments"),
        (Window("block", 0, 200), "bad_arguments"),
        (Window("top", 200, 0), "bad_arguments"),
    ],
)
def test_what_is_too_much_or_nowhere_is_refused(tmp_path: Path, window: Window, code: str) -> None:
    write_sample(tmp_path / "C.zarr", Sample((200, 200), 1, chunk=100))
    with pytest.raises(AgentError) as refused:
        preview("run", str(tmp_path / "C.zarr"), window)
    assert refused.value.fault.code == code


@pytest.mark.parametrize("kind", LOOKS)
def test_what_would_decode_too_much_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One element of a huge chunk costs as much as the chunk."""
    write_sample(tmp_path / "C.zarr", Sample((200, 200), 1, chunk=200))
    monkeypatch.setattr(module, "MOST_DECODED", 1000)
    with pytest.raises(AgentError) as refused:
        preview("run", str(tmp_path / "C.zarr"), Window(kind, 0, 0, 1, 1))
    assert refused.value.fault.code == "too_much"


def test_a_sealed_product_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_seal", lambda folder: "a seal")
    write_sample(tmp_path / "C.zarr", Sample((20, 20), 1))
    with pytest.raises(AgentError, match="is sealed"):
        preview("run", str(tmp_path / "C.zarr"), Window("block"))


def test_a_product_that_was_replaced_is_not_taken_for_the_runs(tmp_path: Path) -> None:
    out = str(tmp_path / "C.zarr")
    write_sample(tmp_path / "C.zarr", Sample((20, 20), 1))
    with open_result(out) as result:
        root = result.root
    assert root and preview("run", out, Window("block"), root).block
    write_sample(tmp_path / "C.zarr", Sample((20, 20), 2))
    with pytest.raises(AgentError, match="no longer the product of run"):
        preview("run", out, Window("block"), root)


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        preview("run", str(tmp_path / "C.zarr"), Window("block"))
