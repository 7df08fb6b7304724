"""Publish: the certificate becomes part of the result, and the result becomes OUT, in one step."""

from dataclasses import asdict, dataclass, replace
from importlib import metadata
from math import isfinite

import numpy as np

from storage.object_files import overhead
from storage.output import LOWER
from tasks.compression import CodecDecision, Weighed, settled
from tasks.errors import NotCertified
from tasks.measured import sum_up
from tasks.moment import now
from tasks.outcome import Certificate, Outcome
from tasks.prepare import Run, product_spec
from tasks.resume import input_stamps, plan_json

ABSENT = "the product is symmetric: C[i, j] with i < j is C[j, i]; chunks wholly above the diagonal are not stored and read as NaN"
"""What the attributes of a triangle say to its readers."""


@dataclass(frozen=True)
class Stored:
    """What lies at OUT."""

    codec: str
    why: str
    """How the codec was chosen."""
    ratio: float
    """Bytes before compression over bytes stored."""
    bytes_stored: int
    root: str = ""
    """Hash of the manifest: who knows it can check every bit of the result."""
    codecs: tuple[Weighed, ...] = ()
    """What each codec did to samples of the first tile; empty where the caller named one."""
    part: str = "all"
    """Which part of the array is stored: all, or lower triangle."""
    absent: str = ""
    """What a reader sees where nothing is stored."""


def publish(run: Run, outcome: Outcome, certificate: Certificate) -> Stored:
    """Write certificate and manifest into the staged array and exchange it for OUT.

    Raises NotCertified when an input was changed meanwhile; TakenOver, Refused when OUT appeared: the staged result is kept then.
    """
    _require_unchanged(run)
    decision = settled(run.staging) if run.recipe.choose else None
    stored = _stored(run, outcome, decision)
    chunks = [chunk for tile in outcome.measurements for chunk in tile.chunks]
    attributes = _attributes(run, certificate, stored) | {"measured": measured_so_far(run, outcome)}
    root = run.hold.certify(stored.codec, attributes, chunks)
    run.hold.publish(run.job.overwrite)
    return replace(stored, root=root)


def _require_unchanged(run: Run) -> None:
    """Raise NotCertified where an input is not what it was when the run started: tiles of the old and of the new one would be mixed.

    They are removed, so that no later run goes on with them.
    """
    stamps, out = input_stamps(run.problem), run.job.out
    changed = [name.upper() if name != "add" else "C0" for name, stamp in run.inputs.items() if stamps[name] != stamp]
    if changed:
        run.hold.discard()
        raise NotCertified(
            f"{' and '.join(changed)} changed while {out} was computed, so its tiles may not belong together: nothing is published and "
            "they are removed; run again when the inputs are at rest"
        )


def _stored(run: Run, outcome: Outcome, decision: CodecDecision | None) -> Stored:
    spec = product_spec(run.job, run.problem, run.plan)
    plain = spec.elements * np.dtype(run.plan.dtype_out).itemsize
    part, absent = (LOWER, ABSENT) if spec.lower else ("all", "")
    encoded = sum(tile.bytes_stored + len(tile.chunks) * overhead(run.staging.seal) for tile in outcome.measurements)
    if decision:
        return Stored(decision.codec, decision.why, plain / encoded, encoded, codecs=decision.weighed, part=part, absent=absent)
    return Stored(run.plan.codec, "asked for", plain / encoded, encoded, part=part, absent=absent)


def measured_so_far(run: Run, outcome: Outcome) -> dict[str, object]:
    """What stands beside the plan's predictions in the result: all of the run but its last step, and its tiles, resumed ones included."""
    totals = sum_up(outcome.computed, run.plan.workers)
    return {
        "seconds": max(0.0, now() - run.started_at),
        "lanes": totals.lanes,
        "bytes_read": totals.bytes_read,
        "bytes_written": totals.bytes_written,
        "peak_memory_bytes": totals.peak_memory_bytes,
        "tiles_resumed": outcome.resumed,
    }


def _attributes(run: Run, certificate: Certificate, stored: Stored) -> dict[str, object]:
    """What `gemmflow info` shows, and what `verify` and `repair` need; JSON has no infinity, so unbounded values are absent."""
    return {
        "schema": 1,
        "version": metadata.version("gemmflow"),
        "run_id": run.run_id,
        "job": run.job.model_dump(mode="json"),
        "inputs": run.inputs,
        "certificate": {key: value for key, value in asdict(certificate).items() if not isinstance(value, float) or isfinite(value)},
        "plan": plan_json(run.plan),
        "storage": {key: value for key, value in asdict(stored).items() if key != "root"},
    }
