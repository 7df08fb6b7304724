"""Which codec suits the data: chosen from what the first finished tile shows. Pure; the measuring is in `tasks.trials`.

    auto       least expected seconds     encode + bytes / write rate + reads x (bytes / read rate + decode)
    smallest   fewest bytes               among codecs that encode no slower than SLOWEST_ENCODE

`none` is a codec like the others and may win. Without --portable no, only rows that zarr-python, TensorStore and zarrs open
take part. Times that differ by less than TIE are equal and the first row of the table wins, so that decisions repeat.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias, cast

import numpy as np

from storage import GOALS, AnyStaging, Decision, OutputSpec, automatic_codecs, hold_of
from tasks.hardware import Layout
from tasks.job import Job

Goal = Literal["auto", "smallest"]
Evidence: TypeAlias = "dict[str, str | float]"

TIE = 0.03
"""Expected times that differ by less are equal. Sizes need none: the same values take the same bytes each time."""

SLOWEST_ENCODE = 40e6
"""Decoded bytes/s of one core below which `smallest` takes no codec: Huffman alone reaches 50 to 120 MB/s, zlib's search for
matches 15 to 20."""

EXPECTED_READS = 1.0
"""How often somebody reads the product."""

PIECE_BYTES = 1 << 20
"""Size of one sample: twice the largest block of any codec."""

PIECES = 4
"""Most samples of a tile."""

GIB = 2**30


@dataclass(frozen=True)
class CodecChoice:
    """How a run chooses its codec: what its workers need to know."""

    goal: Goal
    names: tuple[str, ...]
    """Rows of CODECS to choose from."""
    write: float
    """Bytes/s at which one worker stores, synced or not as the job asks."""
    read: float
    """Bytes/s at which one worker reads what is stored, before it decodes."""


@dataclass(frozen=True)
class Trial:
    """What one codec did to the samples."""

    name: str
    """Row of CODECS."""
    ratio: float
    """Bytes before over bytes after, checksum included."""
    encode: float
    """Decoded bytes/s of one core."""
    decode: float
    """Decoded bytes/s of one core."""


@dataclass(frozen=True)
class Weighed:
    """One row of the evidence."""

    name: str
    ratio: float
    encode_bytes_per_second: float
    decode_bytes_per_second: float
    seconds_per_gib: float
    """Expected seconds of one worker to encode, store and read again 1 GiB of the product."""
    verdict: str


@dataclass(frozen=True)
class CodecDecision:
    """What was chosen, and why."""

    codec: str
    why: str
    weighed: tuple[Weighed, ...]
    """In the order of the table."""

    def to_json(self) -> Decision:
        """As the file in the staging folder holds it."""
        return {"codec": self.codec, "why": self.why, "weighed": [asdict(row) for row in self.weighed]}

    @classmethod
    def from_json(cls, decision: Decision) -> "CodecDecision":
        """The decision of such a file."""
        rows = cast("list[dict[str, object]]", decision["weighed"])
        return cls(str(decision["codec"]), str(decision["why"]), tuple(Weighed(**row) for row in rows))  # pyright: ignore[reportArgumentType]


def choice_for(job: Job, dtype: str, layout: Layout) -> CodecChoice | None:
    """How a run of this job chooses, among codecs that its workers have; None where the caller named one."""
    if job.codec not in GOALS:
        return None
    rates = layout.rates
    names = tuple(name for name in candidates(job, dtype) if name in rates.encode)
    write = rates.write if job.durability == "power" else rates.write_unsynced
    return CodecChoice(job.codec, names, write, rates.decode["none"])


def candidates(job: Job, dtype: str) -> tuple[str, ...]:
    """Names of the codecs that the data may choose among; empty where the caller named one."""
    if job.codec not in GOALS:
        return ()
    return tuple(codec.name for codec in automatic_codecs(np.dtype(dtype), job.portable == "yes"))


def sample_bytes(spec: OutputSpec) -> int:
    """Upper bound in bytes of what trials on a tile hold at once: the samples, and one of them encoded, copied and decoded."""
    return (PIECES + 4) * (min(PIECE_BYTES, spec.chunk_bytes) + (1 << 16))


def settled(staging: "AnyStaging") -> CodecDecision | None:
    """What was chosen, None where no tile was stored yet or the caller named a codec."""
    decision = hold_of(staging).read_settled()
    return CodecDecision.from_json(decision) if decision else None


def seconds_per_gib(trial: Trial, choice: CodecChoice) -> float:
    """Expected seconds of one worker for 1 GiB of the product: encode, write, read, decode."""
    stored = GIB / trial.ratio
    return GIB / trial.encode + stored / choice.write + EXPECTED_READS * (stored / choice.read + GIB / trial.decode)


def choose(trials: Sequence[Trial], choice: CodecChoice) -> CodecDecision:
    """The decision over trials of at least one codec, in the order of the table."""
    costs = [_cost(trial, choice) for trial in trials]
    least = min(costs)
    limit = least * (1 + TIE) if choice.goal == "auto" else least
    best = trials[next(place for place, cost in enumerate(costs) if cost <= limit)]
    verdicts = ["chosen" if trial is best else _verdict(cost, least, choice) for trial, cost in zip(trials, costs, strict=True)]
    weighed = tuple(_weighed(trial, choice, verdict) for trial, verdict in zip(trials, verdicts, strict=True))
    return CodecDecision(best.name, _why(weighed, best, choice), weighed)


def contenders(trials: Sequence[Trial], choice: CodecChoice, within: float) -> list[str]:
    """Names of the codecs whose cost is at most `within` times the least: those that deserve a closer look."""
    costs = [_cost(trial, choice) for trial in trials]
    return [trial.name for trial, cost in zip(trials, costs, strict=True) if cost <= min(costs) * within]


def _cost(trial: Trial, choice: CodecChoice) -> float:
    """What the goal minimises; infinite below the floor, where `none` never is."""
    if choice.goal == "auto":
        return seconds_per_gib(trial, choice)
    return 1 / trial.ratio if trial.encode >= SLOWEST_ENCODE or trial.name == "none" else float("inf")


def _verdict(cost: float, least: float, choice: CodecChoice) -> str:
    if cost == float("inf"):
        return f"encodes below {SLOWEST_ENCODE / 1e6:.0f} MB/s"
    if choice.goal == "auto" and cost <= least * (1 + TIE):
        return "as good, later in the table"
    return f"{cost / least:.2f} times the {'time' if choice.goal == 'auto' else 'bytes'}"


def _weighed(trial: Trial, choice: CodecChoice, verdict: str) -> Weighed:
    return Weighed(trial.name, trial.ratio, trial.encode, trial.decode, seconds_per_gib(trial, choice), verdict)


def _why(weighed: Sequence[Weighed], best: Trial, choice: CodecChoice) -> str:
    """The winner and the next two, in one clause."""
    auto = choice.goal == "auto"
    ranked = sorted(weighed, key=lambda row: (row.name != best.name, row.seconds_per_gib if auto else -row.ratio))
    first, *others = [(row.name, f"{row.seconds_per_gib:.2f}" if auto else f"{row.ratio:.2f}") for row in ranked[:3]]
    unit, goal = ("s a GiB", "least expected time") if auto else (": 1", "fewest bytes")
    return f"{goal} on the first tile: {', '.join([f'{first[0]} {first[1]} {unit}', *(' '.join(pair) for pair in others)])}"
