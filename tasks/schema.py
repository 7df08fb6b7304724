"""The JSON of a plan and of a report, schema 1: keys are added, never renamed, and every number is finite.

A value that has no finite number (the time of an arithmetic for which no plan exists) is null.
"""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeAlias

from tasks.integers import integers_line
from tasks.measured import Measured, WorkerRecord
from tasks.outcome import Certificate, Outcome
from tasks.plan import LANES, Choice, Plan, Prediction
from tasks.survey import Problem

if TYPE_CHECKING:
    from tasks.publish import Stored

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

SCHEMA = 1


def finite(value: object) -> Json:
    """Plain JSON of dicts, sequences and numbers; infinity and NaN become null."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"{type(value).__name__} has no place in the JSON of a report")


def bytes_out(plan: Plan) -> int:
    """Bytes of what is stored of the product, before compression."""
    return plan.predicted.bytes_written


def problem_section(problem: Problem, plan: Plan) -> dict[str, object]:
    """What was multiplied."""
    m, k, n = problem.shape
    dtype_a, dtype_b = problem.dtypes
    return {
        "m": m,
        "k": k,
        "n": n,
        "dtype_a": dtype_a,
        "dtype_b": dtype_b,
        "dtype_out": plan.dtype_out,
        "flops": plan.flops,
        "bytes_a": problem.a.nbytes,
        "bytes_b": problem.b.nbytes,
        "bytes_out": bytes_out(plan),
    }


def plan_section(plan: Plan, problem: Problem, stored: dict[str, object] | None = None) -> dict[str, object]:
    """What was decided and predicted; `stored` is the prediction of a sample, if one was taken."""
    return {
        "arithmetic": plan.arithmetic,
        "tile": [plan.tile.rows, plan.tile.cols, plan.tile.depth],
        "grid": list(plan.grid),
        "residency": plan.residency,
        "workers": plan.workers,
        "parts": plan.parts,
        "sums_codec": plan.sums_codec,
        "threads_per_worker": plan.threads_per_worker,
        "lower_bound_bytes": plan.lower_bound_bytes,
        "predicted": _predicted(plan.predicted) | ({"stored": stored} if stored else {}),
        "device": plan.device,
        "kernel": plan.kernel,
        "exact": plan.exact,
        "slots": list(plan.slots),
        "chunk": list(plan.chunk),
        "shard": list(plan.shard) if plan.shard else None,
        "codec": plan.codec,
        "memory_limit_bytes": plan.memory_limit,
        "max_error": plan.max_error,
        "bytes_ratio": plan.bytes_ratio,
        "choices": [_choice(choice) for choice in plan.choices],
        "rounding": asdict(plan.rounding),
        "guarantee": plan.guarantee,
        "fallbacks": [asdict(rung) for rung in plan.fallbacks],
        "data": asdict(plan.data) if plan.data else None,
        "integers": integers_line(plan, problem),
        "skipped": asdict(plan.skipped) if plan.skipped else None,
        "symmetry": plan.symmetry,
        "inputs": asdict(plan.inputs) if plan.inputs else None,
        "rates": plan.rates,
    }


def measured_section(measured: Measured) -> dict[str, object]:
    """What the tiles took; the caller adds the clock and the counts of the run."""
    return {
        "lanes": {lane: measured.lanes[lane] for lane in LANES},
        "bytes_read": measured.bytes_read,
        "bytes_written": measured.bytes_written,
        "peak_memory_bytes": measured.peak_memory_bytes,
        "workers": [_worker(record) for record in measured.workers],
    }


def outcome_section(tiles: int, outcome: Outcome) -> dict[str, object]:
    """What became of the plan's tiles and of the workers."""
    return {
        "tiles": tiles,
        "tiles_resumed": outcome.resumed,
        "tiles_retried": outcome.retried,
        "tiles_missed": outcome.missed,
        "tiles_split": outcome.split,
        "workers_retired": [asdict(worker) for worker in outcome.retired],
        "workers_joined": outcome.joined,
        "multiply_seconds": outcome.seconds,
    }


def storage_section(stored: "Stored") -> dict[str, object]:
    """What was written, and how it is compressed."""
    return {
        "codec": stored.codec,
        "why": stored.why,
        "ratio": stored.ratio,
        "bytes_stored": stored.bytes_stored,
        "root": stored.root,
        "codecs": [asdict(row) for row in stored.codecs],
        "part": stored.part,
        "absent": stored.absent,
    }


def error_section(certificate: Certificate) -> dict[str, object]:
    """How exact the product is."""
    return {
        "asked": certificate.asked,
        "promised": certificate.promised,
        "measured": certificate.measured,
        "confidence": certificate.confidence,
        "guarantee": certificate.guarantee,
        "probes": certificate.probes,
        "seed": certificate.seed,
        "norm": certificate.norm,
        "exact": certificate.exact,
        "kept": certificate.kept,
        "norm_a": certificate.norm_a,
        "norm_b": certificate.norm_b,
        "norm_c0": certificate.norm_c0,
        "nonfinite": list(certificate.nonfinite),
        "rounding": asdict(certificate.rounding),
        "arithmetic": certificate.arithmetic,
        "arithmetics": certificate.arithmetics,
    }


def _predicted(predicted: Prediction) -> dict[str, object]:
    return {
        "seconds": predicted.seconds,
        "seconds_interval": predicted.seconds_interval,
        "correction": predicted.correction,
        "lanes": {lane: predicted.lanes.get(lane, 0.0) for lane in LANES},
        "bytes_read": predicted.bytes_read,
        "bytes_of_sums": predicted.bytes_of_sums,
        "bytes_written": predicted.bytes_written,
        "peak_memory_bytes": predicted.peak_memory_bytes,
        "error_bound": predicted.error_bound,
        "memory_items": dict(predicted.memory_items),
    }


def _choice(choice: Choice) -> dict[str, object]:
    return asdict(choice)


def _worker(record: WorkerRecord) -> dict[str, object]:
    return {
        "address": record.address,
        "tiles": record.tiles,
        "started": record.started,
        "finished": record.finished,
        "busy_seconds": record.busy,
        "utilisation": record.utilisation,
        "peak_memory_bytes": record.peak_bytes,
    }
