"""A look at a product: a block, the largest elements of some rows, or statistics. Never the matrix: every answer has a limit.

Elements that are answered, elements that are held and bytes that are decoded are limited before anything is read, so that neither a product
of any size nor a chunk of any size makes a look expensive.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.agent.faults import AgentError
from flows.agent.values import Entry, Number, Preview, RowEntries, Statistics
from storage import Matrix, find_seal, open_result
from tasks.units import format_bytes

MOST_ANSWERED = 4096
"""Elements of an answer."""
MOST_HELD = 1 << 22
"""Elements in memory at once."""
MOST_DECODED = 1 << 30
"""Bytes decoded for an answer."""
BLOCKS = 8
"""Blocks along each side that statistics of a large product are made of, and so many of them decoded as the limit allows."""

PROOF = ("asked", "promised", "measured", "confidence", "guarantee", "arithmetic", "exact", "norm")
"""Of the certificate: what is shown."""

Elements = NDArray[np.generic]


@dataclass(frozen=True)
class Window:
    """What to look at."""

    kind: str
    """block, top or statistics."""
    row: int = 0
    col: int = 0
    rows: int = 8
    cols: int = 8
    """Of top: how many elements of each row."""


def preview(handle: str, out: str, window: Window, root: str = "") -> Preview:
    """Look at a result; at that with this root hash alone, where one is given.

    Raises AgentError where the answer would be too large or the result is another one, BadInput and CorruptData where it cannot be read.
    """
    with open_result(out) as result:
        if result.remote is None and find_seal(result.folder) is not None:
            raise AgentError("sealed", f"{out} is sealed", "have its owner read it: what is sealed is not shown here")
        if root and result.root != root:
            raise AgentError("replaced", f"{out} is no longer the product of {handle}", "look at that of the run that replaced it")
        certificate, matrix = result.certificate, result.matrix
        error = certificate.get("certificate")
        shown = Preview(
            handle=handle,
            out=out,
            shape=matrix.shape,
            dtype=matrix.dtype.name,
            error={key: error[key] for key in PROOF if key in error} if isinstance(error, dict) else {},
        )
        return shown.model_copy(update={window.kind: LOOKS[window.kind](matrix, window)})


def block(matrix: Matrix, window: Window) -> list[list[Number]]:
    """The elements of a block, cut at the edges of the matrix."""
    rows, cols = _span(window.row, window.rows, matrix.shape[0], "row"), _span(window.col, window.cols, matrix.shape[1], "col")
    _require(_size(rows) * _size(cols), MOST_ANSWERED, "elements", "ask for fewer rows or cols")
    _require_decoded(matrix, [(rows, cols)])
    return [[_number(value) for value in row] for row in _read(matrix, rows, cols)]


def top(matrix: Matrix, window: Window) -> list[RowEntries]:
    """The largest elements of each of some rows; of equal ones the first."""
    rows, count = _span(window.row, window.rows, matrix.shape[0], "row"), min(window.cols, matrix.shape[1])
    _require(_size(rows) * count, MOST_ANSWERED, "elements", "ask for fewer rows or cols")
    step = max(1, MOST_HELD // _size(rows))
    spans = [(rows, slice(start, min(start + step, matrix.shape[1]))) for start in range(0, matrix.shape[1], step)]
    _require_decoded(matrix, spans)
    best = [(np.empty(0, matrix.dtype), np.empty(0, np.int64))] * _size(rows)
    for _, cols in spans:
        found = _read(matrix, rows, cols)
        places = np.arange(cols.start, cols.stop)
        best = [_largest(np.append(old, new), np.append(where, places), count) for (old, where), new in zip(best, found, strict=True)]
    return [
        RowEntries(row=rows.start + index, entries=[Entry(col=int(col), value=_number(value)) for value, col in zip(*row, strict=True)])
        for index, row in enumerate(best)
    ]


def statistics(matrix: Matrix, window: Window) -> Statistics:
    """Of the whole matrix, or of blocks of it that are evenly spread."""
    del window
    whole = matrix.decoded_bytes(slice(None), slice(None)) <= MOST_DECODED
    whole = whole and sum(matrix.decoded_bytes(rows, cols) for rows, cols in _all_blocks(matrix)) <= MOST_DECODED
    counted, finite, least, largest, total, squares = 0, 0, np.inf, -np.inf, 0.0, 0.0
    for rows, cols in _all_blocks(matrix) if whole else _some_blocks(matrix):
        values = _read(matrix, rows, cols).astype(np.float64).ravel()
        counted += len(values)
        values = values[np.isfinite(values)]
        if len(values):
            finite += len(values)
            least, largest = min(least, float(values.min())), max(largest, float(values.max()))
            total, squares = total + float(values.sum()), squares + float(values @ values)
    mean, square = (total / finite, squares / finite) if finite else (np.nan, np.nan)
    return Statistics(
        elements=counted,
        whole=whole,
        nonfinite=counted - finite,
        least=_number(least),
        largest=_number(largest),
        mean=_number(mean),
        deviation=_number(float(np.sqrt(max(0.0, square - mean * mean)))) if finite else None,
        root_mean_square=_number(float(np.sqrt(square))),
    )


LOOKS = {"block": block, "top": top, "statistics": statistics}
"""By the kind of window."""


def _all_blocks(matrix: Matrix) -> Iterator[tuple[slice, slice]]:
    """Bands of whole chunks, so that nothing is decoded twice where memory allows."""
    height = min(matrix.shape[0], matrix.chunks[0] if matrix.chunks[0] > 1 else 1024)
    width = max(1, min(matrix.shape[1], MOST_HELD // height))
    for row in range(0, matrix.shape[0], height):
        for col in range(0, matrix.shape[1], width):
            yield slice(row, min(row + height, matrix.shape[0])), slice(col, min(col + width, matrix.shape[1]))


def _some_blocks(matrix: Matrix) -> list[tuple[slice, slice]]:
    """Corners of chunks at even distances, as many as may be decoded."""
    spots = [(i, j) for i in range(BLOCKS) for j in range(BLOCKS)]
    found: list[tuple[slice, slice]] = []
    decoded = 0
    for i, j in sorted(spots, key=lambda spot: (spot[0] * 5 + spot[1] * 3) % BLOCKS):
        rows, cols = (_spot(place, matrix.shape[axis], matrix.chunks[axis]) for axis, place in enumerate((i, j)))
        decoded += matrix.decoded_bytes(rows, cols)
        if decoded > MOST_DECODED:
            break
        if (rows, cols) not in found:
            found.append((rows, cols))
    if not found:
        raise AgentError("too_much", f"a chunk of the product is {format_bytes(matrix.chunk_bytes)}", "ask for no statistics of it")
    return found


def _spot(place: int, length: int, chunk: int) -> slice:
    start = place * length // BLOCKS // chunk * chunk
    return slice(start, min(start + min(chunk, 1024), length))


def _largest(values: Elements, places: NDArray[np.int64], count: int) -> tuple[Elements, NDArray[np.int64]]:
    keep = ~np.isnan(values)
    values, places = values[keep], places[keep]
    if len(values) > count:
        keep = values >= np.partition(values, len(values) - count)[len(values) - count]
        values, places = values[keep], places[keep]
    order = np.lexsort((places, _descending(values)))[:count]
    return values[order], places[order]


def _descending(values: Elements) -> NDArray[np.int64]:
    """Ranks that grow where values fall: integers of the type's least value cannot be negated."""
    return -np.unique(values, return_inverse=True)[1].astype(np.int64)


def _read(matrix: Matrix, rows: slice, cols: slice) -> Elements:
    out = np.empty((_size(rows), _size(cols)), matrix.dtype)
    matrix.read_into(out, rows, cols)
    return out


def _span(start: int, count: int, length: int, name: str) -> slice:
    if not 0 <= start < length:
        raise AgentError("bad_arguments", f"{name} is {start}, the product has {length} of them", f"give {name} from 0 to {length - 1}")
    return slice(start, min(start + count, length))


def _size(span: slice) -> int:
    return span.stop - span.start


def _require(asked: int, most: int, what: str, fix: str) -> None:
    if asked > most:
        raise AgentError("too_much", f"the answer would have {asked} {what}, at most {most} are shown", fix)


def _require_decoded(matrix: Matrix, spans: list[tuple[slice, slice]]) -> None:
    nbytes = sum(matrix.decoded_bytes(rows, cols) for rows, cols in spans)
    if nbytes > MOST_DECODED:
        cause = f"{format_bytes(nbytes)} would be decoded, at most {format_bytes(MOST_DECODED)} are"
        raise AgentError("too_much", cause, "ask for fewer rows, or read the Zarr array at out")


def _number(value: object) -> Number:
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, int):
        return number
    return float(number) if isinstance(number, float) and np.isfinite(number) else None
