"""The answer about a transformer: parameters, operations, products and bytes, and where it should run."""

from collections.abc import Sequence
from datetime import date

from tasks.choice.answer import LEFT_OUT, Answer, Table, price_warnings
from tasks.choice.model_job import ModelJob
from tasks.choice.rank import Ranking
from tasks.choice.whatif import Variation
from tasks.gemm import Gemm
from tasks.models import ModelNeed
from tasks.units import format_bytes, format_count

MOST_PRODUCTS = 16
"""Rows of products for people: those with most operations."""

PRODUCTS_ALONE = "times are those of the products, as single warm kernels: an engine's own work, norms and sampling come on top"

SMALLEST = 5e-4
"""Share of all operations below which a product is not shown to people."""


def model_answer(job: ModelJob, ranking: Ranking, today: date, variations: tuple[Variation, ...] = ()) -> Answer:
    """For a job whose ranking is known."""
    chosen = ranking.chosen
    found = job.need(chosen.way.precision if chosen is not None and chosen.way is not None else job.precisions[0])
    return Answer(
        kind="model",
        title=job.title,
        needs=found.to_json(),
        facts=_facts(found),
        tables=(_bytes(found), products_table(found.gemms)),
        ranking=ranking,
        variations=variations,
        warnings=(*LEFT_OUT, PRODUCTS_ALONE, *(found.notes if chosen is None else ()), *price_warnings(ranking, today)),
    )


def _facts(found: ModelNeed) -> tuple[tuple[str, str], ...]:
    parameters, work, load = found.parameters, found.work, found.workload
    active = [] if parameters.active_with_embeddings == parameters.total else [_active(found)]
    passes = "forward and backward" if load.is_training else "forward"
    return (
        ("parameters", f"{parameters.total:,}"),
        *active,
        ("multiplied", f"{parameters.matmul_per_token:,} weights for each token, head included"),
        ("operations", f"{format_count(work.causal, 'FLOP')} {passes}, causal; {format_count(work.full, 'FLOP')} with masked pairs"),
        ("counting", "a multiply-add as 2"),
        ("steps", f"{load.step_count:,}, of {format_count(load.largest_step, 'tokens')} at most"),
        ("precision", found.precision),
    )


def _active(found: ModelNeed) -> tuple[str, str]:
    parameters = found.parameters
    return "active", f"{parameters.active_with_embeddings:,} with both embeddings, {parameters.active_without_lookup:,} without the look-up"


def _bytes(found: ModelNeed) -> Table:
    memory = found.memory
    parts = (
        ("weights", memory.weights),
        ("keys and values", memory.cache),
        ("activations", memory.activations),
        ("scores of the head", memory.logits),
        ("gradients", memory.gradients),
        ("optimizer", memory.optimizer),
    )
    rows = [(name, format_bytes(size), f"{size:,}") for name, size in parts if size]
    return Table("memory", ("", "", "bytes"), (*rows, ("together", format_bytes(memory.resident), f"{memory.resident:,}")))


def products_table(gemms: Sequence[Gemm]) -> Table:
    """Those with most operations, for people."""
    total = sum(gemm.flops for gemm in gemms)
    largest = sorted((gemm for gemm in gemms if gemm.flops >= SMALLEST * total), key=lambda gemm: gemm.flops, reverse=True)
    rows = [
        (gemm.name, f"{gemm.m:,}", f"{gemm.n:,}", f"{gemm.k:,}", f"{gemm.count:,}", f"{100 * gemm.flops / total:.1f} %")
        for gemm in largest[:MOST_PRODUCTS]
    ]
    rest = len(gemms) - len(rows)
    note = f"and {rest} smaller ones: --json lists all" if rest > 0 else ""
    return Table("products", ("", "m", "n", "k", "times", "operations"), tuple(rows), note)
