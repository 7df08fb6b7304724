"""A transformer's job as a demand.

Devices form groups, each of the fewest that hold the model with its cache and states; groups work on batches of their own. Within a
group each product is cut along its longer free edge (tensor parallel); what that exchanges is counted apart, since nothing is known of the
links between devices: two sums of the hidden states over the group in each layer, forward and backward (M. Shoeybi et al.,
Megatron-LM, arXiv:1909.08053), and in training one sum of the gradients over the groups in each step, each sum sent as a ring sends it.

Scores and their use are timed together, as a kernel that never stores the scores does them: for all heads of a layer one product of
queries x keys with the heads' widths as its depth, which has the same operations and moves queries, keys and values once. The experts of
a layer are timed together, too.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING

from tasks.choice.demand import Share, Team, Way, Work
from tasks.choice.site import USABLE
from tasks.gemm import Gemm
from tasks.models import PRECISIONS, Config, ModelNeed, Workload, need
from tasks.units import format_count

if TYPE_CHECKING:
    from tasks.catalogue import Device

USUAL = ("bfloat16", "float16")
"""Precisions that a model is run in where nobody names one: the second on devices that lack the first."""

NARROWEST = 256
"""No product is cut to fewer columns: kernels get slow there."""

_SCORES = "scores"
_FUSED = (_SCORES, "values")
_EXPERT = "expert "


@dataclass(frozen=True)
class ModelJob:
    """So many tokens through a model."""

    config: Config
    workload: Workload
    precision: str | None = None
    """None: bfloat16, or float16 where a device has no bfloat16."""
    name: str = ""
    """Of the model, for people."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that come into question."""
        return _asked(self.precision)

    @property
    def title(self) -> str:
        """Model, mode and tokens."""
        load = self.workload
        what = f"{self.name or self.config.family or 'a transformer'}, {load.mode} of {format_count(load.tokens, 'tokens')}"
        return f"{what}, {load.batch} x {load.sequence:,} at a time"

    @property
    def flops(self) -> float:
        """Masked pairs of attention left out."""
        return self.need(self.precisions[0]).flops_causal

    def need(self, precision: str) -> ModelNeed:
        """Raises BadInput where the job makes no sense in it."""
        return _need(self.config, self.workload, precision)

    def ways(self, device: "Device") -> tuple[Way, ...]:
        """The precisions that come into question, those that the device has first."""
        return precisions_of(self.precision, device)

    def resident_bytes(self, way: Way) -> int:
        """Of one copy of the model with all that a step needs."""
        return self.need(way.precision).memory.resident

    def work(self, way: Way, team: Team) -> Work:
        """What each device of the team does."""
        found = self.need(way.precision)
        group = group_of(found.memory.resident, team)
        copies = Fraction(team.count, group)
        part = _part_of_a_copy(found, copies)
        return Work(
            shares=tuple(Share(gemm, float(times * part)) for gemm, times in cut(_products(found), group)),
            read_bytes=found.memory.weights,
            written_bytes=_written(found),
            exchanged_bytes=_exchanged(found, group, copies),
            notes=found.notes,
        )


def precisions_of(asked: str | None, device: "Device") -> tuple[Way, ...]:
    """The precisions that come into question, those that the device has first."""
    known = [name for name in _asked(asked) if name in device.peaks] or list(_asked(asked))
    return tuple(Way(name, name) for name in known)


def _asked(precision: str | None) -> tuple[str, ...]:
    return USUAL if precision is None else (precision,)


@lru_cache(maxsize=64)
def _need(config: Config, workload: Workload, precision: str) -> ModelNeed:
    return need(config, workload, precision)


def group_of(resident: int, team: Team) -> int:
    """Devices that hold one copy; at most all."""
    room = team.device.memory_bytes
    return 1 if room is None else min(team.count, max(1, ceil(resident / (USABLE * room))))


def _part_of_a_copy(found: ModelNeed, copies: Fraction) -> Fraction:
    """Of the job: whole batches, so that where there are fewer of them than copies, the others have nothing to do."""
    load = found.workload
    batches = -(-load.tokens // (load.batch * load.sequence))
    return Fraction(ceil(batches / copies), batches)


def _products(found: ModelNeed) -> list[tuple[Gemm, Fraction]]:
    """Shapes with how often each is computed in the whole job; scores and values as one, causal pairs alone."""
    plain = [_grouped(found, gemm) for gemm in found.gemms if not gemm.name.startswith(_FUSED)]
    return plain + _fused(found, [gemm for gemm in found.gemms if gemm.name.startswith(_SCORES) and ":" not in gemm.name])


def _grouped(found: ModelNeed, gemm: Gemm) -> tuple[Gemm, Fraction]:
    """The experts of a layer that get as many rows, side by side in one product, as a grouped kernel does them: as many operations, the
    same weights, and one start instead of one for each expert."""
    experts = found.config.experts
    if experts is None or not gemm.name.startswith(_EXPERT):
        return gemm, Fraction(gemm.count)
    rows = gemm.k if gemm.name.endswith("gradient of weights") else gemm.m
    together = max((count for tokens, _ in found.workload.steps for same, count in experts.rows(tokens) if same == rows), default=1)
    return replace(gemm, n=gemm.n * together), Fraction(gemm.count, together)


def _fused(found: ModelNeed, scores: list[Gemm]) -> list[tuple[Gemm, Fraction]]:
    """All heads of a layer, of all sequences of a step, as one product of queries x keys; causal pairs alone.

    Operations are divided among shapes as those of their scores are; a backward pass repeats the forward shapes.
    """
    decode = found.workload.mode == "decode"
    heads = found.config.attention.absorbed() if decode else found.config.attention
    depth = (heads.kv_heads if decode else heads.heads) * found.workload.together * (heads.score_width + heads.value_width)
    forward = sum(gemm.flops for gemm in scores)
    kernels = [(Gemm(gemm.name.replace(_SCORES, "attention", 1), gemm.m, gemm.n, depth), gemm) for gemm in scores]
    return [(kernel, Fraction(found.work.attention_causal * gemm.flops, forward * kernel.flops)) for kernel, gemm in kernels]


def cut(products: list[tuple[Gemm, Fraction]], group: int) -> list[tuple[Gemm, Fraction]]:
    """One device's part of each."""
    return [_part(gemm, times, group) for gemm, times in products]


def _part(gemm: Gemm, times: Fraction, group: int) -> tuple[Gemm, Fraction]:
    one = replace(gemm, count=1)
    if group == 1:
        return one, times
    if gemm.n >= group * NARROWEST:
        return replace(one, n=ceil(gemm.n / group)), times
    if gemm.k >= group * NARROWEST:
        return replace(one, k=ceil(gemm.k / group)), times
    return one, times / group


def _written(found: ModelNeed) -> int:
    """Weights once where they are trained, a vector for each sequence where that is asked; texts are small."""
    load = found.workload
    if load.mode == "embed":
        size = PRECISIONS["float32"].weight_bytes
        return size * found.config.hidden * sum(count for _, count in load.sequences)
    return found.memory.weights if load.is_training else 0


def _exchanged(found: ModelNeed, group: int, copies: Fraction) -> float:
    """Bytes that one device sends."""
    load, size = found.workload, PRECISIONS[found.precision].activation_bytes
    passes = 2 if load.is_training else 1
    states = 2 * passes * len(found.config.layers) * load.tokens * found.config.hidden * size
    part = _part_of_a_copy(found, copies)
    within = _ring(group) * states * part
    between = _ring(copies) * load.step_count * found.memory.gradients / group * part if load.is_training else 0
    return float(within + between)


def _ring(members: Fraction | int) -> Fraction:
    """What one member of a ring sends for each byte that is summed over all."""
    return 2 * (1 - Fraction(1, 1) / members) if members > 1 else Fraction(0)
