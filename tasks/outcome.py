"""What comes back from the workers, and what is made of it: small frozen values, never arrays.

`Measurement` is one tile's record (under 1 KiB pickled), `Outcome` the whole run's, `Certificate` the proof.
"""

from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

from storage import ChunkRecord
from tasks.rounding import NEVER_ROUNDED, Rounded

Verdict = Literal["accepted", "missed", "refused"]


@dataclass(frozen=True)
class Share:
    """What a worker did for a tile that another one finished: a part of k."""

    worker: str
    """Its address."""
    started: float
    """Seconds since the epoch."""
    finished: float
    lanes: dict[str, float]
    """Seconds by lane."""
    peak_bytes: int
    """Its peak resident bytes so far."""


@dataclass(frozen=True)
class Part:
    """What a part of a tile cost; its sums lie in files. Known to the driver, which loads no torch."""

    bytes_read: int = 0
    """Decoded bytes of A and B, in this run."""
    shares: tuple[Share, ...] = ()
    """Who did it; empty where it was found done."""
    narrowed: int = 0
    """Steps by which it was computed in less memory than planned."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one tile cost and what its probes saw."""

    index: int
    """Place of the tile in the walk."""
    row: int
    """Tile row i."""
    col: int
    """Tile column j."""
    worker: str
    """Address of the worker that computed it."""
    started: float
    """Seconds since the epoch."""
    finished: float
    lanes: dict[str, float]
    """Seconds by lane."""
    bytes_read: int
    """Decoded bytes of A and B."""
    bytes_written: int
    """Bytes of C before compression."""
    peak_bytes: int
    """Peak resident bytes of the worker so far."""
    square_a: float
    """Squared Frobenius norm of what the tile read of the row panel of op(A): all of it that does not meet zeros alone."""
    square_b: float
    """Squared Frobenius norm of what it read of the column panel of op(B)."""
    square_c0: float
    """Squared Frobenius norm of this tile of C0."""
    square_residual: float
    """Mean over the probes of the squared residual: an unbiased estimate of the tile's squared error without `rounding_error`."""
    worst: float
    """Largest row residual over its threshold; above 1 the tile is wrong."""
    chunks: tuple[ChunkRecord, ...]
    """What was stored; empty where the tile was refused."""
    nonfinite: str = ""
    """Rows and columns that NaN or infinity reached, as text; empty where none."""
    rounding_error: float = 0.0
    """Frobenius norm of what rounding before storage changed."""
    step_exponent: int | None = None
    """The largest step was 2**this; None where nothing was rounded."""
    rung: int = 0
    """Which arithmetic of the plan computed it: 0 is the planned one."""
    error: float | None = None
    """Measured bound of its error relative to its own scale; None where its arithmetic certifies what was asked."""
    missed: bool = False
    """Whether `error` is more than was asked."""
    rows: int = 0
    """Rows that were compared with each other; 0 where the arithmetic is exact, or the record older than such comparisons."""
    typical: float = 0.0
    """Median over these rows of the error that the Gaussian probes see before rounding for storage, in the norm of the certificate."""
    outlier: float = 0.0
    """Largest such error of a row over `typical`."""
    outlier_single: float = 0.0
    """Largest sum of a row's error with random signs over `typical`: a wrong element shows whole."""
    confirmed: bool = False
    """Computed twice, because it stood out, and found the same."""
    shares: tuple[Share, ...] = ()
    """What was done for it before `worker` finished it; empty where it did all of it."""
    owned: tuple[float, float] | None = None
    """Squared norms of the slabs of A, and of B, that count in this tile and in no other; None where all tiles of a panel read the same."""
    copies: int = 1
    """How often its elements are in the product: 2 where a tile of a symmetric one stands for another, stored or not."""
    norms: tuple[float, float, float] | None = None
    """Frobenius norms of what `owned`, or else the squares, are of, and of C0: where squares are too small to say; None elsewhere."""
    narrowed: int = 0
    """Steps by which it was computed in less memory than planned, because that ran out (`tasks.narrow`)."""

    @property
    def counted(self) -> tuple[float, float, float]:
        """Frobenius norms of A, B and C0 as they count in the certificate: A and B once for each panel, or where they are owned."""
        a, b = self.owned or (self.square_a, self.square_b)
        return self.norms or (sqrt(a), sqrt(b), sqrt(self.square_c0))

    @property
    def verdict(self) -> Verdict:
        """refused: outside the arithmetic's bound, so something is wrong; missed: sound, but not as exact as asked."""
        return "refused" if not self.worst <= 1.0 else "missed" if self.missed else "accepted"

    @property
    def accepted(self) -> bool:
        """Whether the tile is stored."""
        return self.verdict == "accepted"

    @property
    def bytes_stored(self) -> int:
        """Encoded bytes on disk."""
        return sum(chunk.nbytes for chunk in self.chunks)


@dataclass(frozen=True)
class Progress:
    """Where a run is, for whoever shows it."""

    tiles_done: int
    tiles: int
    flops_done: float
    flops: float
    bytes_moved: int
    """Decoded bytes read and written so far."""
    seconds: float
    """Since the first tile was sent."""
    seconds_left: float
    """Estimate: starts from the plan's prediction and moves to what is measured."""


@dataclass(frozen=True)
class Retired:
    """A worker that computed tiles wrong, and got no more."""

    worker: str
    """Its address."""
    host: str
    """Name or address of its host; empty where unknown."""
    tiles: tuple[int, ...]
    """Places in the walk of the tiles that it computed wrong."""

    @property
    def line(self) -> str:
        """What to tell."""
        tiles = ", ".join(map(str, self.tiles))
        return f"worker {self.worker} on host {self.host or 'unknown'} computed {len(self.tiles)} tiles wrong ({tiles})"


@dataclass(frozen=True)
class Outcome:
    """All tiles of a run."""

    measurements: tuple[Measurement, ...]
    seconds: float
    """First tile sent to last tile recorded."""
    retried: int
    """Tiles computed again, after a failed check, an alarm or a lost worker."""
    resumed: int = 0
    """Tiles found done in the journal."""
    missed: int = 0
    """Computations that were sound but not as exact as asked, and repeated in a better arithmetic."""
    retired: tuple[Retired, ...] = ()
    """Workers that computed wrong tiles; none of these is in the product."""
    joined: int = 0
    """Workers that came while the run went on, and got tiles."""
    refused: tuple[str, ...] = ()
    """Why others that came got none."""
    died_early: tuple[int, ...] = ()
    """Exit statuses of worker processes that were started for this run, died before its first tile, and were started again."""
    repeated: tuple[Measurement, ...] = ()
    """Computations of tiles that were computed again: refused, taken back or missed. They took what they took, and are not the product."""

    @property
    def computed(self) -> tuple[Measurement, ...]:
        """All that was computed, for the product or in vain."""
        return self.measurements + self.repeated

    @property
    def split(self) -> int:
        """Tiles that were computed in less memory than planned."""
        return sum(tile.narrowed > 0 for tile in self.measurements)


@dataclass(frozen=True)
class Certificate:
    """The proof that goes into OUT's attributes and the report."""

    norm: str
    """What the errors are relative to."""
    asked: float
    promised: float
    """A priori bound for every input, its underflow term included; and what rounding before storage did, if anything."""
    measured: float
    """A posteriori bound: the true error is below it with the stated confidence."""
    confidence: float
    guarantee: str
    arithmetic: str
    probes: int
    """Gaussian columns, of which `measured` is made."""
    seed: int
    exact: bool
    norm_a: float
    """||op(A)||_F as measured."""
    norm_b: float
    norm_c0: float = 0.0
    nonfinite: tuple[str, ...] = field(default=())
    """Rows and columns that stand outside the certificate."""
    rounding: Rounded = NEVER_ROUNDED
    """Lossy storage."""
    arithmetics: dict[str, int] = field(default_factory=dict[str, int])
    """Tiles by the arithmetic that computed them."""

    @property
    def kept(self) -> bool:
        """Whether the product is as exact as asked."""
        return min(self.promised, self.measured) <= self.asked
