"""The answer about weights of which only headers are known: numbers and bytes by type, products, and where they could run."""

from datetime import date

from tasks.choice.answer import LEFT_OUT, Answer, Table, price_warnings
from tasks.choice.model_answer import PRODUCTS_ALONE, products_table
from tasks.choice.rank import Ranking
from tasks.choice.weights_job import WeightsJob
from tasks.choice.whatif import Variation
from tasks.units import format_bytes, format_count

CONVENTION = "a multiply-add is two; attention between tokens is not counted"


def weights_answer(job: WeightsJob, ranking: Ranking, today: date, variations: tuple[Variation, ...] = ()) -> Answer:
    """For a job whose ranking is known."""
    chosen = ranking.chosen
    precision = chosen.way.precision if chosen is not None and chosen.way is not None else job.precision or "bfloat16"
    notes = () if chosen is not None else job.held.notes
    return Answer(
        kind="model",
        title=job.title,
        needs=_needs(job, precision),
        facts=_facts(job, precision),
        tables=(_stored(job), products_table(job.products())),
        ranking=ranking,
        variations=variations,
        warnings=(*LEFT_OUT, PRODUCTS_ALONE, *notes, *job.weights.notes, *price_warnings(ranking, today)),
    )


def _facts(job: WeightsJob, precision: str) -> tuple[tuple[str, str], ...]:
    return (
        ("parameters", f"{job.weights.parameters:,} stored"),
        ("multiplied", f"{job.held.per_token:,} weights for each token"),
        ("operations", f"{format_count(job.flops, 'FLOP')} forward, without attention between tokens"),
        ("counting", "a multiply-add as 2"),
        ("precision", f"{precision}, {format_bytes(job.weight_bytes(precision))} of weights"),
    )


def _stored(job: WeightsJob) -> Table:
    rows = [(kind.dtype, f"{kind.tensors:,}", f"{kind.elements:,}", format_bytes(kind.bytes)) for kind in job.weights.by_dtype]
    return Table("stored", ("", "arrays", "numbers", "bytes"), tuple(rows))


def _needs(job: WeightsJob, precision: str) -> dict[str, object]:
    load = job.workload
    return {
        "schema": 1,
        "precision": precision,
        "stored": job.weights.to_json(),
        "workload": {"mode": load.mode, "tokens": load.tokens, "batch": load.batch, "sequence": load.sequence},
        "parameters": {"total": job.weights.parameters, "matmul_per_token": job.held.per_token},
        "flops": {"convention": CONVENTION, "matrices": 2 * job.held.per_token * load.tokens},
        "products": [
            {"name": gemm.name, "m": gemm.m, "n": gemm.n, "k": gemm.k, "count": gemm.count, "flops": gemm.flops} for gemm in job.products()
        ],
        "bytes": {"weights": job.weight_bytes(precision), "weights_as_stored": job.weights.bytes},
        "notes": list(job.held.notes),
    }
