"""Tokens through weights of which only headers are known, as a demand: every matrix once for every token, attention left out."""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, inf
from typing import TYPE_CHECKING

from tasks.choice.demand import Share, Team, Way, Work
from tasks.choice.model_job import cut, group_of, precisions_of
from tasks.errors import BadInput
from tasks.gemm import Gemm
from tasks.models import Workload, precision_named
from tasks.models.held import Held
from tasks.models.shards import Weights
from tasks.units import format_count

if TYPE_CHECKING:
    from tasks.catalogue import Device

MODES = ("prefill", "embed")
"""Whose needs weights alone tell: no cache, no states."""

UNTOLD = "no header says what devices that share a copy tell each other: the interval has no upper end"


@dataclass(frozen=True)
class WeightsJob:
    """So many tokens through the matrices of a file."""

    weights: Weights
    held: Held
    workload: Workload
    precision: str | None = None
    """None: bfloat16, or float16 where a device has no bfloat16."""
    name: str = ""

    def __post_init__(self) -> None:
        if self.workload.mode not in MODES:
            raise BadInput(f"mode {self.workload.mode} needs more than headers say: give the model's config.json, or mode prefill or embed")
        if self.precision is not None:
            precision_named(self.precision)

    @property
    def title(self) -> str:
        """File, mode and tokens."""
        load = self.workload
        return f"{self.name}, {load.mode} of {format_count(load.tokens, 'tokens')}, {load.batch} x {load.sequence:,} at a time"

    @property
    def flops(self) -> float:
        """Of the matrices."""
        return 2 * self.held.per_token * self.workload.tokens

    def products(self) -> tuple[Gemm, ...]:
        """Of the whole job; the last step may be shorter."""
        return tuple(replace(gemm, count=gemm.count * steps) for size, steps in self.workload.steps for gemm in self.held.products(size))

    def ways(self, device: "Device") -> tuple[Way, ...]:
        """The precisions that come into question, those that the device has first."""
        return precisions_of(self.precision, device)

    def weight_bytes(self, precision: str) -> int:
        """In this precision."""
        return self.weights.parameters * precision_named(precision).weight_bytes

    def resident_bytes(self, way: Way) -> int:
        """Weights, and the widest result of a step."""
        widest = max(rows for _, rows, _, _ in self.held.matrices)
        return self.weight_bytes(way.precision) + self.workload.largest_step * widest * precision_named(way.precision).activation_bytes

    def work(self, way: Way, team: Team) -> Work:
        """Groups of the fewest that hold the weights work on whole steps of their own."""
        group = group_of(self.resident_bytes(way), team)
        steps, copies = self.workload.step_count, Fraction(team.count, group)
        part = Fraction(ceil(steps / copies), steps)
        shares = cut([(gemm, gemm.count * part) for gemm in self.products()], group)
        return Work(
            shares=tuple(Share(gemm, float(times)) for gemm, times in shares),
            read_bytes=self.weight_bytes(way.precision),
            exchanged_bytes=inf if group > 1 else 0.0,
            notes=(*self.held.notes, *((UNTOLD,) if group > 1 else ())),
        )
