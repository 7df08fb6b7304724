"""Codecs tried on a finished tile, on the worker, before it is stored; the first worker's decision is everybody's.

    tile --> pieces of about 1 MiB, each from within one chunk --> every codec on one piece --> the contenders on all --> choose

A piece is rows of a chunk as the codec will see them, and as long as the blocks that codecs work on. Times are of this thread's
own processor seconds, so that a neighbour's work changes no decision.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import thread_time

import numpy as np
import torch
from numpy.typing import NDArray

from storage import CODECS, AnyStaging, Codec, OutputSpec, hold_of
from tasks.compression import PIECE_BYTES, PIECES, CodecChoice, CodecDecision, Trial, choose, contenders

WORTH_A_LOOK = {"auto": 1.25, "smallest": 1.06}
"""By goal: a codec that costs more than so many times the least on the first piece is not tried on the others. Sizes of pieces
differ less than their times."""

REPETITIONS = 3
"""Each time is the best of so many, as long as they are short."""

LONG_ENOUGH = 2e-3
"""Seconds that one timing tells enough about."""

Block = NDArray[np.generic]
Span = tuple[int, int]


def settled_staging(staging: "AnyStaging", choice: CodecChoice, accumulator: torch.Tensor) -> "AnyStaging":
    """The staging with the codec that all workers of the run use; the first of them chooses it on this finished tile.

    Raises DiskFull, GemmflowError where the staging folder is gone.
    """
    name = _SETTLED.get(str(staging.folder)) or _settle(staging, choice, accumulator)
    return replace(staging, spec=replace(staging.spec, codec=name))


def try_codecs(pieces: Sequence[Block], choice: CodecChoice) -> CodecDecision:
    """The decision on these pieces."""
    trials = {name: _trial(CODECS[name], pieces[:1]) for name in choice.names}
    if len(pieces) > 1:
        close = contenders(list(trials.values()), choice, WORTH_A_LOOK[choice.goal])
        trials |= {name: _trial(CODECS[name], pieces) for name in close}
    return choose(list(trials.values()), choice)


def take_pieces(accumulator: torch.Tensor, spec: OutputSpec) -> list[Block]:
    """Contiguous copies of rows from within chunks of the tile, spread over it, in the stored type."""
    places = sorted({_place(accumulator.shape, spec, number) for number in range(PIECES)})
    strips = (accumulator[rows, cols] for rows, cols in ((slice(*tall), slice(*wide)) for tall, wide in places))
    return [np.ascontiguousarray(strip.cpu().numpy().astype(spec.stored, copy=False)) for strip in strips]


_SETTLED: dict[str, str] = {}
"""What this process knows to be settled, by staging folder."""


def _settle(staging: "AnyStaging", choice: CodecChoice, accumulator: torch.Tensor) -> str:
    spec = staging.spec

    def decide() -> dict[str, object]:
        return try_codecs(take_pieces(accumulator, spec), choice).to_json()

    name = str(hold_of(staging).settle(decide)["codec"])
    _SETTLED.clear()  # a process works on one run at a time
    _SETTLED[str(staging.folder)] = name
    return name


def _place(tile: Sequence[int], spec: OutputSpec, number: int) -> tuple[Span, Span]:
    """Rows and columns of one piece: in another part of the tile, and of its chunk, than the others."""
    height, width = (min(edge, extent) for edge, extent in zip(spec.chunks, tile, strict=True))
    cols = min(width, max(1, PIECE_BYTES // spec.stored.itemsize))
    rows = min(height, max(1, PIECE_BYTES // (cols * spec.stored.itemsize)))
    grid = -(-tile[0] // height), -(-tile[1] // width)
    row, col = divmod((2 * number + 1) * grid[0] * grid[1] // (2 * PIECES), grid[1])
    bottom, right = min((row + 1) * height, tile[0]), min((col + 1) * width, tile[1])
    top, left = row * height, col * width
    first = top + number * max(0, bottom - top - rows) // max(1, PIECES - 1)
    return (first, min(first + rows, bottom)), (left, min(left + cols, right))


def _trial(codec: Codec, pieces: Sequence[Block]) -> Trial:
    """Size and time of one codec, to the file's bytes and back."""
    encoded_bytes, encode, decode = 0, 0.0, 0.0
    for piece in pieces:
        encode += _best_seconds(lambda piece=piece: codec.parts(piece))
        encoded, target = codec.encode(piece), np.empty_like(piece)
        decode += _best_seconds(lambda encoded=encoded, target=target: codec.decode(encoded, target))
        encoded_bytes += len(encoded)
    total = sum(piece.nbytes for piece in pieces)
    return Trial(codec.name, total / encoded_bytes, total / encode, total / decode)


def _best_seconds(once: Callable[[], object]) -> float:
    """The best of the repetitions; never 0."""
    best = float("inf")
    for _ in range(REPETITIONS):
        start = thread_time()
        once()
        seconds = thread_time() - start
        best = min(best, seconds)
        if seconds > LONG_ENOUGH:
            break
    return max(best, 1e-9)
