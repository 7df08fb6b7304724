"""From a slab as it is stored to what a kernel multiplies: scaled by powers of two, cut into slices, or rounded to int8.

    values = factor x (slice 0 + slice 1 + ... + what is left)      one factor for all, or one for each row of A, column of B

Values pass through a small buffer in their own precision, a few stored rows at a time; NaN and infinity stay what they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from tasks.arithmetic import Arithmetic
from tasks.memory import block_elements
from tasks.scaling import RANGES, common_shift

LARGEST_INT8 = 127

MOST_SHIFTED = 1000
"""Powers of two beyond this have no inverse in float64; lines that would need them are too small for a norm as well."""

Scale = int | torch.Tensor | None
"""The power of two that all values are multiplied with; what each line is, float64; or nothing."""

Ends = tuple[int, ...]
"""Smallest and largest exponent of lines, which decide whether they need factors; empty where all are zeros."""


@dataclass(frozen=True)
class Prepared:
    """One operand of a product, ready to be multiplied."""

    slices: tuple[torch.Tensor, ...]
    """In the arithmetic's type, the largest part first, stored in the same order as the slab."""
    exponent: int = 0
    """The slab is 2**exponent times the slices, where `factors` is None."""
    factors: torch.Tensor | None = None
    """float64, what each row of A, or column of B, was divided by."""


def prepare(row: Arithmetic, values: torch.Tensor, side: int, buffers: tuple[torch.Tensor, ...], ends: Ends | None = None) -> Prepared:
    """A slab of op(A) (`side` 0, its rows are lines) or op(B) (`side` 1, its columns are), in the flat `buffers`, one a slice.

    `ends` are those of more lines than these, where these are to be scaled as they would be among those.
    """
    source = str(values.dtype).removeprefix("torch.")
    if not row.converts(source):
        return Prepared((values,))
    if row.compute == "int8":
        return _quantize(values, side, buffers)
    stored = _stored(values)
    slices = tuple(buffer[: values.numel()].view(stored.shape) for buffer in buffers)
    scale = _scale(row, values, side, ends) if row.scales(source) else None
    if len(slices) == 1 and scale is None:
        slices[0].copy_(stored)
    else:
        _cut(stored, _along(scale, values, side), slices)
    turned = tuple(_turned(part, values) for part in slices)
    return Prepared(turned, 0, 1 / scale) if isinstance(scale, torch.Tensor) else Prepared(turned, -(scale or 0))


def ends_of(values: torch.Tensor, side: int) -> Ends:
    """Those of a slab's lines."""
    return _ends(*_exponents(values, side))


def _scale(row: Arithmetic, values: torch.Tensor, side: int, ends: Ends | None) -> Scale:
    exponents, known = _exponents(values, side)
    shift = common_shift(_ends(exponents, known) if ends is None else ends, row.compute)
    if shift is not None:
        return max(shift, -MOST_SHIFTED) or None
    shifts = torch.where(known, RANGES[row.compute].goal - exponents, 0).clamp(-MOST_SHIFTED, MOST_SHIFTED)
    return ((shifts.long() + 1023) << 52).view(torch.float64)


def _exponents(values: torch.Tensor, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each line's largest magnitude, and which lines have one."""
    largest = largest_of_lines(values, side)
    return torch.frexp(largest)[1], torch.isfinite(largest) & (largest > 0)


def _ends(exponents: torch.Tensor, known: torch.Tensor) -> Ends:
    return tuple(int(end) for end in exponents[known].aminmax()) if known.any() else ()


def largest_of_lines(values: torch.Tensor, side: int) -> torch.Tensor:
    """Largest magnitude of each row (side 0) or column (side 1), float64; NaN where a line holds one."""
    if values.is_floating_point():
        return torch.maximum(values.amax(1 - side), -values.amin(1 - side)).double()  # a norm in torch takes 20 times as long
    largest = torch.zeros(values.shape[side], dtype=torch.float64, device=values.device)
    step = max(1, block_elements(values.device.type, torch.get_num_threads()) // values.shape[1])
    for start in range(0, values.shape[0], step):
        rows = slice(start, start + step)
        found, place = values[rows].double().abs_().amax(1 - side), largest[rows] if side == 0 else largest
        torch.maximum(place, found, out=place)
    return largest


def _quantize(values: torch.Tensor, side: int, buffers: tuple[torch.Tensor, ...]) -> Prepared:
    """Steps of a 127th of each line's largest magnitude; a line with NaN or infinity has no steps and becomes NaN by its factor."""
    largest = largest_of_lines(values, side)
    factors = largest / LARGEST_INT8
    scale = torch.where(torch.isfinite(factors) & (factors > 0), 1 / factors, 0.0)
    stored = _stored(values)
    target = buffers[0][: values.numel()].view(stored.shape)
    for rows, piece in _pieces(stored, torch.float64, _along(scale, values, side)):
        target[rows].copy_(piece.nan_to_num_(0.0, 0.0, 0.0).round_())
    return Prepared((_turned(target, values),), 0, torch.where(torch.isfinite(largest), factors, torch.nan))


def _cut(stored: torch.Tensor, scale: Scale, slices: tuple[torch.Tensor, ...]) -> None:
    """Round to the slices' type, then what that left, and so on."""
    wide = torch.float64 if stored.dtype not in (torch.float16, torch.float32) else torch.float32
    for rows, piece in _pieces(stored, wide, scale):
        for part in slices:
            part[rows].copy_(piece)
            if part is not slices[-1]:
                piece.sub_(part[rows])


def _pieces(stored: torch.Tensor, wide: torch.dtype, scale: Scale) -> Iterator[tuple[slice, torch.Tensor]]:
    """Some stored rows at a time, scaled, in a buffer that is used again."""
    step = max(1, block_elements(stored.device.type, torch.get_num_threads()) // stored.shape[1])
    buffer = torch.empty(min(step, stored.shape[0]), stored.shape[1], dtype=wide, device=stored.device)
    for start in range(0, stored.shape[0], step):
        part = stored[start : start + step]
        piece = buffer[: part.shape[0]].copy_(part)
        if isinstance(scale, torch.Tensor):
            piece.mul_(scale[start : start + step] if scale.shape[0] > 1 else scale)
        elif scale is not None:
            piece.mul_(2.0 ** (scale // 2)).mul_(2.0 ** (scale - scale // 2))  # halves: the whole may be out of float32's range
        yield slice(start, start + step), piece


def _along(scale: Scale, values: torch.Tensor, side: int) -> Scale:
    """`scale`, if it has a number for each line, as it is multiplied with stored rows."""
    if not isinstance(scale, torch.Tensor):
        return scale
    return scale[:, None] if (side == 0) == _is_stored_by_rows(values) else scale[None, :]


def _is_stored_by_rows(values: torch.Tensor) -> bool:
    return values.stride(1) == 1


def _stored(values: torch.Tensor) -> torch.Tensor:
    return values if _is_stored_by_rows(values) else values.T


def _turned(part: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return part if _is_stored_by_rows(values) else part.T
