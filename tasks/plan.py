"""The plan: everything that a run will do, decided before it starts, and what that should cost.

A plan is pure data. The same job on the same calibration gives the same plan; a run follows it to the letter, and the
report sets its predictions beside what was measured.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import ConfigDict

from tasks.forecast import Data
from tasks.rounding import NOT_ROUNDED, Rounding
from tasks.symmetry import Symmetry, operations, tile_count

Residency = Literal["C", "A", "B"]
"""What stays in memory while the rest streams: only the accumulator, or also the row panel of A, or the column panel of B."""

LANES = ("read", "multiply", "verify", "encode", "write")
"""What a worker's time goes to, in the order of the work."""


@dataclass(frozen=True)
class TileShape:
    """Rows and columns of a tile of C, and the depth of the k slabs that are multiplied into it."""

    rows: int
    cols: int
    depth: int

    def __post_init__(self) -> None:
        if min(self.rows, self.cols, self.depth) < 1:
            raise ValueError(f"a tile of {self.rows} x {self.cols} with depth {self.depth} is empty")


@dataclass(frozen=True)
class Rung:
    """An arithmetic that a tile may be computed in."""

    arithmetic: str
    kernel: str
    """Whose kernel multiplies."""
    bound: float
    """Certified normwise error."""


@dataclass(frozen=True)
class Choice:
    """One row of the table of arithmetics, chosen or not, and why."""

    __pydantic_config__ = ConfigDict(ser_json_inf_nan="strings")  # JSON has no infinity, and journals are JSON

    arithmetic: str
    bound: float
    """Certified normwise error."""
    seconds: float
    """Predicted time of the whole run; infinity where no plan exists."""
    verdict: str
    """chosen, or the reason against it."""
    flops: float = 0.0
    """Measured FLOP/s of one worker; 0 where it was not measured."""
    expected: float | None = None
    """Error that probes will probably certify; None where only bounds count."""


@dataclass(frozen=True)
class Prediction:
    """What the run should take."""

    seconds: float
    """Survey to published."""
    lanes: dict[str, float]
    """Seconds of one worker by lane."""
    bytes_read: int
    """Decoded bytes of A and B, whole chunks, as often as decoded."""
    bytes_written: int
    """Bytes of C before compression."""
    peak_memory_bytes: int
    """Resident bytes of all workers together."""
    memory_items: dict[str, int]
    """One worker's memory, item by item."""
    error_bound: float
    """Certified normwise error: the arithmetic's, and what rounding before storage may add."""
    seconds_interval: tuple[float, float] | None = None
    """Range that four runs of five fall into; None in a record older than such ranges."""
    correction: float = 1.0
    """Factor in `seconds` that earlier runs on this hardware suggest."""
    lane_corrections: dict[str, float] = field(default_factory=dict[str, float])
    """The same by lane."""
    bytes_of_sums: int = 0
    """Partial sums, written once and read once; 0 where there are none."""


@dataclass(frozen=True)
class Skipped:
    """What is left out because a part of A or B is known to be zero."""

    slabs: int
    """Slabs of all tiles that are neither read nor multiplied."""
    of: int
    """Slabs of all tiles."""
    bytes_read: int
    """Decoded bytes of A and B that the same walk would read of full matrices, beyond what it reads."""
    flops: int
    """Operations; one multiply-add counts 2."""


@dataclass(frozen=True)
class Inputs:
    """The files of A and B when the plan was made, on this host."""

    nbytes: int
    """Each file counted once."""
    share: float
    """Of these bytes in the page cache."""
    waiting: float
    """Seconds that the run should wait for the others."""
    saved: float
    """Seconds that it would wait longer if none were cached."""


@dataclass(frozen=True)
class Plan:
    """How C = op(A) op(B) will be computed."""

    shape: tuple[int, int, int]
    """m, k, n."""
    arithmetic: str
    kernel: str
    """Whose kernel multiplies (row of `tasks.kernels`): with another one the bits may differ."""
    dtype_out: str
    exact: bool
    """Integer inputs whose every partial sum is exact, and is stored as it is."""
    tile: TileShape
    grid: tuple[int, int, int]
    """Tiles along m and n, slabs along k."""
    residency: Residency
    slots: tuple[int, int]
    """Slabs of A and of B that a worker keeps."""
    device: str
    workers: int
    threads_per_worker: int
    chunk: tuple[int, int]
    codec: str
    memory_limit: int
    max_error: float
    """Asked, or the default of the inputs' type."""
    predicted: Prediction
    lower_bound_bytes: int
    """No schedule with this memory moves fewer bytes."""
    choices: tuple[Choice, ...]
    probes: int
    """Gaussian probe columns of the verifier; one of random signs comes with them."""
    seed: int
    warnings: tuple[str, ...] = ()
    shard: tuple[int, int] | None = None
    """Rows and columns of a file that holds many chunks of C; None where every chunk is a file."""
    rounding: Rounding = NOT_ROUNDED
    """Lossy storage within max_error."""
    guarantee: str = "certified"
    """certified: `arithmetic_bound` is within max_error; measured: every tile is proved to be by its probes."""
    fallbacks: tuple[Rung, ...] = ()
    """Better arithmetics, in the order in which a tile that misses max_error tries them."""
    data: Data | None = None
    """What of the values decided, under a measured guarantee; None where none were looked at."""
    parts: int = 1
    """Parts of k, runs of slabs, that workers sum up apart; the parts of a tile are then added in their order."""
    sums_codec: str = "none"
    """Row of CODECS in which the sums of parts travel; none where the disk is faster than they compress, and where there are none."""
    skipped: Skipped | None = None
    """What need not be done; None where nothing is known to be zero."""
    symmetry: Symmetry = "none"
    """Whether one triangle of a symmetric product is computed, and whether the other one is stored."""
    inputs: Inputs | None = field(default=None, compare=False)
    """What of them was cached, which makes no other plan; None where they are not on this host."""
    rates: str = field(default="", compare=False)
    """Fingerprint of the calibration that it was made from; empty in a record older than that."""

    def does_as(self, other: "Plan") -> bool:
        """Whether both compute the same in the same way, whatever they predict."""
        return self == replace(other, predicted=self.predicted, choices=self.choices)

    @property
    def tiles(self) -> int:
        """Tiles of C that are computed."""
        return tile_count(self.grid, self.symmetry)

    @property
    def arithmetic_bound(self) -> float:
        """What the arithmetic alone certifies, rounding to the stored type included."""
        return next(choice.bound for choice in self.choices if choice.arithmetic == self.arithmetic)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The arithmetics of this run, the planned one first."""
        return Rung(self.arithmetic, self.kernel, self.arithmetic_bound), *self.fallbacks

    @property
    def sampled_bytes(self) -> int:
        """Decoded bytes of A and B that were looked at before the plan was made."""
        return self.data.sampled_bytes if self.data else 0

    @property
    def flops(self) -> int:
        """Floating-point operations that the product needs: of one triangle where it is symmetric, without what is known to be zero."""
        return operations(self.shape, self.symmetry) - (self.skipped.flops if self.skipped else 0)

    @property
    def bytes_ratio(self) -> float:
        """Planned bytes over the lower bound, partial sums among them."""
        predicted = self.predicted
        return (predicted.bytes_read + predicted.bytes_written + 2 * predicted.bytes_of_sums) / self.lower_bound_bytes
