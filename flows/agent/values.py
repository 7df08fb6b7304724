"""What the tools return: each value is the schema of its tool's structured output."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from flows.agent.faults import Fault
from flows.agent.options import Offer, Option

_VALUE = ConfigDict(frozen=True, use_attribute_docstrings=True)

State = Literal["waiting", "running", "finished", "failed", "cancelled", "time_limit", "interrupted"]
"""Of a run. waiting: for a place; interrupted: its process was killed, and the same submit goes on."""

GOING_ON: tuple[State, ...] = ("waiting", "running")

Number = int | float | None
"""An element of a matrix; null for NaN and infinity, which JSON does not have."""


class Alternative(BaseModel):
    """Another plan of the same product, for comparison: analyze again with the change to have it."""

    model_config = _VALUE

    change: dict[str, str | int]
    """Fields of the job that would differ."""
    seconds: float | None
    """Predicted; null where there is no such plan."""
    usd: float | None
    """What that costs; null where no price is known."""
    peak_memory_bytes: int | None
    error_bound: float | None
    """Certified normwise error."""
    verdict: str
    """Why it is not the plan, or what it would change."""


class Shown(BaseModel):
    """A plan and its predictions."""

    model_config = _VALUE

    job: dict[str, object]
    """The job, its paths absolute and its memory stated."""
    title: str
    """The product in words."""
    flops: int
    """Operations; one multiply-add counts 2."""
    seconds: float
    """Predicted time of the run."""
    seconds_interval: tuple[float, float] | None
    """Range that four runs of five fall into."""
    usd: float | None
    """What the predicted time costs; null where no price is known."""
    usd_interval: tuple[float, float] | None
    bytes_read: int
    """Decoded bytes of A and B."""
    bytes_out: int
    """Bytes of the product, before compression."""
    bytes_ratio: float
    """Bytes moved over the least that any schedule with this memory moves."""
    peak_memory_bytes: int
    """Of all workers together."""
    memory_limit_bytes: int
    arithmetic: str
    max_error: float
    """Asked, or the default of the inputs' type."""
    error_bound: float
    """Certified normwise error."""
    workers: int
    tiles: int
    device: str
    slowest_lane: str
    """What takes most of a worker's time: read, multiply, verify, encode or write."""
    warnings: list[str]
    alternatives: list[Alternative]
    elsewhere: list[Option]
    """The same product on other devices, the cheapest first, at most 5; run here is what submit does."""


class Analysis(BaseModel):
    """The answer of analyze."""

    model_config = _VALUE

    state: Literal["ready", "planning"]
    """planning: not done yet; call analyze with the same arguments again."""
    plan_id: str | None
    """For submit; null while planning."""
    plan: Shown | None
    """Null while planning."""
    next: str
    """What to do now."""


class Progress(BaseModel):
    """How far a run is."""

    model_config = _VALUE

    tiles_done: int
    tiles: int
    share: float
    """Of the work, 0 to 1."""
    seconds: float
    """Since the first tile was sent."""
    seconds_left: float
    """Estimate."""


class Status(BaseModel):
    """A run."""

    model_config = _VALUE

    handle: str
    state: State
    plan_id: str
    out: str
    """Where the product is, or will be."""
    progress: Progress | None
    """Null before the first tile."""
    predicted_seconds: float
    limit_seconds: float
    """When the run is ended; from its begin."""
    report: dict[str, object] | None
    """Of a finished run: measured, error, storage, warnings. Null where its process was killed after the product was complete."""
    error: Fault | None
    """Why it has no product."""
    tiles_kept: int | None
    """Finished tiles from which the same product goes on; null while the run goes on, and where there is a product."""
    next: str
    """What to do now."""


class Entry(BaseModel):
    """An element of a product."""

    model_config = _VALUE

    col: int
    value: Number


class RowEntries(BaseModel):
    """The largest elements of a row."""

    model_config = _VALUE

    row: int
    entries: list[Entry]
    """Largest first."""


class Statistics(BaseModel):
    """Of the elements that were looked at."""

    model_config = _VALUE

    elements: int
    """How many were looked at."""
    whole: bool
    """Whether these are all; else they are blocks, evenly spread."""
    nonfinite: int
    """NaN and infinity among them; the numbers below leave them out."""
    least: Number
    largest: Number
    mean: Number
    deviation: Number
    """Standard deviation."""
    root_mean_square: Number


class Preview(BaseModel):
    """A look at a product; never all of a large one."""

    model_config = _VALUE

    handle: str
    out: str
    """The Zarr array, for programs that read it."""
    shape: tuple[int, int]
    dtype: str
    error: dict[str, object] = Field(default_factory=dict[str, object])
    """What the certificate says: asked, promised, measured."""
    block: list[list[Number]] | None = None
    """Rows of the block that was asked."""
    top: list[RowEntries] | None = None
    statistics: Statistics | None = None


class Device(BaseModel):
    """Something that computes."""

    model_config = _VALUE

    name: str
    where: Literal["this machine", "catalogue"]
    kind: str
    """Of this machine cpu or cuda; of the catalogue dc-gpu, consumer-gpu, tpu, npu or cpu."""
    vendor: str | None = None
    cores: int | None = None
    """Of this machine."""
    memory_bytes: int | None
    flops: dict[str, float]
    """FLOP/s by arithmetic: measured, all workers together; or dense peaks of the sheet, which no product reaches."""
    measured: bool
    """Whether the rates were measured here, on the code that runs."""
    memory_bandwidth: float | None = None
    """Bytes/s."""
    link_bandwidth: float | None = None
    """Bytes/s between host and device, one way."""
    price: Offer | None = None
    """The cheapest that is known."""
    conflicts: list[str] = Field(default_factory=list[str])
    """Numbers that sources disagree about."""
    note: str


class Devices(BaseModel):
    """The answer of list_devices."""

    model_config = _VALUE

    devices: list[Device]
    """This machine first. What is null is unknown."""
