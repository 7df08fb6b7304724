"""Codecs tried on real tiles: what the choice reaches on each kind of data, and one decision for all tiles of a run."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import kinds
from storage import CODECS, OutputSpec, automatic_codecs, create_staging, open_matrix, settle
from tasks import trials
from tasks.compression import PIECE_BYTES, PIECES, CodecChoice, sample_bytes, settled
from tests.tasks.inline import Way, compute, recipe_for

F32 = np.dtype("float32")


def choice(goal="auto", portable=True, write=1e9):
    return CodecChoice(goal, tuple(codec.name for codec in automatic_codecs(F32, portable)), write, 3e9)


LEAST_RATIO = {
    ("normal", True): 1.10,
    ("relu", True): 1.8,
    ("bf16", True): 2.5,
    ("integer", True): 2.1,
    ("smooth", True): 1.6,
    ("normal", False): 1.19,
    ("relu", False): 2.2,
    ("bf16", False): 2.6,
    ("integer", False): 2.6,
    ("smooth", False): 4.0,
}
"""What `smallest` must reach, by kind and whether the result must be portable."""


@pytest.mark.parametrize(("kind", "portable"), LEAST_RATIO)
def test_smallest_reaches_its_ratio_on_the_whole_tile(kind, portable, monkeypatch):
    monkeypatch.setattr("tasks.compression.SLOWEST_ENCODE", 0.0)  # speeds are this machine's, ratios everybody's
    values = kinds.values(kind)
    decision = trials.try_codecs(
        trials.take_pieces(torch.from_numpy(values), OutputSpec(values.shape, "float32", (1024, 1024), "auto")),
        choice("smallest", portable),
    )
    codec = CODECS[decision.codec]
    assert codec.portable or not portable
    assert values.nbytes / len(codec.encode(values)) >= LEAST_RATIO[kind, portable]


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_sample_tells_the_ratio_of_the_whole(kind):
    values = kinds.values(kind, 2048)
    pieces = trials.take_pieces(torch.from_numpy(values), OutputSpec(values.shape, "float32", (2048, 2048), "auto"))
    decision = trials.try_codecs(pieces, choice("smallest", portable=False))
    weighed = {row.name: row.ratio for row in decision.weighed}
    for name in (decision.codec, "blosc-zstd"):
        assert weighed[name] == pytest.approx(values.nbytes / len(CODECS[name].encode(values)), rel=0.08)


def test_fast_storage_keeps_random_values_as_they_are():
    values = kinds.values("normal")
    decision = trials.try_codecs([values], choice(write=1e12))
    assert decision.codec == "none"
    assert trials.try_codecs([values], choice(write=1e6)).codec == "blosc-zstd"


def test_what_is_no_contender_is_tried_on_one_piece_only(monkeypatch):
    tried: list[tuple[str, int]] = []
    trial = trials._trial
    monkeypatch.setattr(trials, "_trial", lambda codec, pieces: tried.append((codec.name, len(pieces))) or trial(codec, pieces))
    pieces = np.split(kinds.values("bf16"), 4)
    decision = trials.try_codecs(pieces, choice("smallest"))
    assert [count for _, count in tried[:7]] == [1] * 7
    assert ("none", 4) not in tried
    assert (decision.codec, 4) in tried


@given(st.tuples(*[st.integers(1, 3000)] * 2), st.tuples(*[st.integers(1, 4000)] * 2), st.sampled_from(["float32", "float64", "float16"]))
def test_every_piece_lies_within_one_chunk_of_the_tile(tile, chunks, dtype):
    spec = OutputSpec((9000, 9000), dtype, chunks, "auto")
    for number in range(PIECES):
        spans = trials._place(tile, spec, number)
        for (begin, end), edge, extent in zip(spans, chunks, tile, strict=True):
            assert 0 <= begin < end <= extent
            assert begin // edge == (end - 1) // edge
        assert (spans[0][1] - spans[0][0]) * (spans[1][1] - spans[1][0]) * spec.stored.itemsize <= PIECE_BYTES


def test_pieces_are_spread_over_the_tile_and_its_chunks():
    values = np.arange(4096 * 2048, dtype=np.float32).reshape(4096, 2048)
    pieces = trials.take_pieces(torch.from_numpy(values), OutputSpec(values.shape, "float32", (1024, 1024), "auto"))
    assert len(pieces) == PIECES
    assert sum(piece.nbytes for piece in pieces) == PIECES * PIECE_BYTES
    assert len({int(piece[0, 0]) // (1024 * 2048) for piece in pieces}) >= 3, "rows of chunks"
    assert all(piece.flags.c_contiguous for piece in pieces)


@pytest.mark.parametrize("shape", [(1024, 1024), (300, 40), (1, 1)])
def test_trials_hold_no_more_than_is_budgeted(shape):
    values = torch.from_numpy(np.random.default_rng(0).standard_normal((2048, 2048)).astype("f4"))
    spec = OutputSpec((2048, 2048), "float32", shape, "auto")
    trials.try_codecs(trials.take_pieces(values, spec), choice())  # libraries and buffers of the thread are there
    tracemalloc.start()
    try:
        trials.try_codecs(trials.take_pieces(values, spec), choice())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= sample_bytes(spec)


def test_tiles_of_a_run_use_what_the_first_one_settled(tmp_path):
    a, b = np.ones((48, 30), np.float32), np.ones((30, 48), np.float32)
    recipe = recipe_for(tmp_path, (a, b), Way(tile=(16, 16, 16), chunk=(16, 16), codec="smallest"))
    measurements = compute(replace(recipe, choose=choice("smallest")))
    decision = settled(recipe.staging)
    assert decision is not None and decision.codec != "none"
    for chunk in (chunk for tile in measurements for chunk in tile.chunks):
        block = np.empty((16, 16), np.float32)
        CODECS[decision.codec].decode(Path(recipe.staging.array, chunk.key).read_bytes(), block)
        assert (block == 30).all()
    assert all(tile.lanes["encode"] > 0 for tile in measurements)


def test_a_worker_follows_what_another_settled(tmp_path):
    staging = create_staging(tmp_path / "C", OutputSpec((64, 64), "float32", (64, 64), "auto"), "process", "r")
    settle(Path(staging.folder, "codec"), lambda: {"codec": "huffman", "why": "", "weighed": []})
    assert trials.settled_staging(staging, choice(), torch.zeros(64, 64)).spec.codec == "huffman"
    Path(staging.folder, "codec").unlink()
    assert trials.settled_staging(staging, choice(), torch.zeros(64, 64)).spec.codec == "huffman", "the process remembers"
    other = create_staging(tmp_path / "D", staging.spec, "process", "r")
    assert trials.settled_staging(other, choice(), torch.zeros(64, 64)).spec.codec != "huffman", "another run decides anew"


def test_the_file_of_a_decision_is_small_and_plain(tmp_path):
    staging = create_staging(tmp_path / "C", OutputSpec((64, 64), "float32", (64, 64), "smallest"), "process", "r")
    trials.settled_staging(staging, choice("smallest", portable=False), torch.randn(64, 64))
    raw = Path(staging.folder, "codec").read_bytes()
    assert len(raw) < 4096
    assert set(json.loads(raw)) == {"codec", "why", "weighed"}
    assert open_matrix(staging.array).shape == (64, 64)
