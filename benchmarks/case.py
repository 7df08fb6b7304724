"""What is compared: a case is a list of entries, each a contender with a setting, that run in turn.

A comparison gives many contenders one setting; a curve gives a few contenders many settings along an axis.
"""

from dataclasses import dataclass, field
from typing import Literal

Axis = Literal["n", "k", "budget", "workers"]

GIB = 1 << 30
CODEC = "blosc-zstd"
CHUNK = (2048, 2048)
"""Rows and columns of a stored chunk of A, B and C, or less where a matrix is smaller."""


@dataclass(frozen=True)
class Setting:
    """One product, and what a contender may use for it."""

    shape: tuple[int, int, int]
    """m, k, n: A is m x k, B is k x n, both float32."""
    codec: str = CODEC
    """Of the product; A and B are always stored with CODEC."""
    memory: int = 2 * GIB
    """Bytes, for the contenders that can be told."""
    max_error: float | None = None
    """Normwise; None: what float32 certifies. Only gemmflow can be told."""
    cores: int | None = None
    """Cores, and so many workers; None: all cores, and as many workers as the contender likes."""
    chunk: tuple[int, int] = CHUNK

    @property
    def chunks(self) -> tuple[int, int]:
        """Rows and columns of a chunk of C."""
        return min(self.chunk[0], self.shape[0]), min(self.chunk[1], self.shape[2])


@dataclass(frozen=True)
class Entry:
    """One line of a table or one point of a curve."""

    series: str
    """Its name for people; points of one curve share it."""
    contender: str
    """A row of `benchmarks.contenders.CONTENDERS`."""
    setting: Setting
    at: float = 0.0
    """Where it lies on the axis of a curve: n, k, bytes, or workers."""


@dataclass(frozen=True)
class Case:
    """Entries that run in turn, once a round."""

    name: str
    title: str
    entries: tuple[Entry, ...] = field(repr=False)
    rounds: int = 3
    """That count; one more before them warms caches."""
    axis: Axis | None = None
    """None: a comparison."""

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Those of its products, each once."""
        return tuple(dict.fromkeys(entry.setting.shape for entry in self.entries))
