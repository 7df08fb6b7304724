"""Bytes of a job: what must lie in memory at once, and what a step must move at least.

Training keeps what the backward pass needs, counted per token and layer as in Korthikanti et al., arXiv 2205.05198, but with this model's
own widths: inputs of matrices and norms, queries, keys, values, what the feed-forward block makes, and scores unless they are recomputed.
For GPT (all heads together as wide as the model, four times that in between, dropout) these are its 34 s b d + 5 H s**2 b bytes exactly.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from tasks.models.config import Config, Layer
from tasks.models.parameters import Parameters, count_parameters, expert_parameters
from tasks.models.precisions import STATES, Precision, precision_named
from tasks.models.products import spans, window_of
from tasks.models.workload import Workload


@dataclass(frozen=True)
class Memory:
    """Bytes, on one device that holds all."""

    weights: int
    """Weights; in embed without a head that is not the table of tokens."""
    weights_as_stored: int | None
    """What the published file's own packing takes; None: it is not packed, or the file does not say how."""
    cache: int
    """Keys and values of all sequences of a step, at their full length; a window keeps no more than itself. 0 in train and embed."""
    cache_per_token: int
    """What one more token adds to the cache while no window is full."""
    activations: int
    """What flows through a step; in train, what the backward pass needs of all layers."""
    logits: int
    """Scores of the head for all tokens of a step; 0 in embed."""
    gradients: int
    """Gradients; 0 outside of train."""
    optimizer: int
    """States of the optimizer; 0 outside of train."""
    moved: int
    """What one step reads and writes at least: weights that it meets, cache, and in train gradients and states."""

    @property
    def resident(self) -> int:
        """What must lie in memory at once."""
        return self.weights + self.cache + self.activations + self.logits + self.gradients + self.optimizer


def count_bytes(config: Config, workload: Workload, precision: str) -> Memory:
    """Bytes of a job. Raises BadInput where the precision is not known or nobody trains in it."""
    row = precision_named(precision)
    parameters = count_parameters(config)
    held = _held(config, workload, parameters)
    cache = _cache(config, workload, row)
    logits = 0 if config.head is None or workload.mode == "embed" else workload.largest_step * config.tables.vocab * row.activation_bytes
    per_token = len(config.layers) * config.attention.cached * row.cache_bytes if config.causal else 0
    stored = stored_bytes(config, parameters)
    if not workload.is_training:
        met = _met(config, workload, held) * row.weight_bytes
        return Memory(held * row.weight_bytes, stored, cache, per_token, _flowing(config, workload, row), logits, 0, 0, met + cache)
    states = STATES[workload.states or row.states or ""]
    weights, gradients, optimizer = held * states.weights, held * states.gradients, held * states.optimizer
    passes = 4 if workload.recompute == "full" else 3
    moved = passes * weights + 2 * gradients + 2 * optimizer
    return Memory(weights, stored, 0, per_token, kept_bytes(config, workload, row), logits, gradients, optimizer, moved)


def kept_bytes(config: Config, workload: Workload, precision: Precision) -> int:
    """What the backward pass needs of all layers, by what it recomputes."""
    tokens, size, masks = workload.largest_step, precision.activation_bytes, 1 if config.dropout else 0
    if workload.recompute == "full":
        return len(config.layers) * tokens * config.hidden * size
    total = 0
    for layer, layers in config.groups:
        total += layers * tokens * (_kept_per_token(config, layer) * size + 2 * masks * config.hidden)
        if workload.recompute == "none":
            pairs = sum(queries * reach * times for queries, reach, times in spans(layer, workload.longest))
            total += layers * workload.together * config.attention.heads * pairs * (size + masks * (1 + size))
    return total


def stored_bytes(config: Config, parameters: Parameters) -> int | None:
    """Bytes of the published weights as their packing is described, the rest at 16 bits. None: not packed, or not described."""
    packing = config.quantization
    if packing is None or packing.bits is None:
        return None
    packed = _packed(config, packing.experts_only)
    return ceil(packed * packing.bits / 8 + Fraction(2) * (parameters.total - packed))


def _kept_per_token(config: Config, layer: Layer) -> int:
    hidden = config.hidden
    norms_and_inputs = 4 * hidden  # two norms' inputs, the inputs of attention and of the feed-forward block
    if not layer.sparse:
        assert config.mlp is not None
        return norms_and_inputs + config.attention.kept + config.mlp.kept
    experts = config.experts
    assert experts is not None
    routed = experts.per_token * (hidden + experts.mlp.kept)  # each expert's input is a copy
    return norms_and_inputs + config.attention.kept + routed + (experts.shared.kept if experts.shared else 0)


def _flowing(config: Config, workload: Workload, precision: Precision) -> int:
    """Without a backward pass: the residual, a block's input, and the widest that a block makes."""
    widest = max(_widest(config, layer) for layer, _ in config.groups)
    return workload.largest_step * (2 * config.hidden + widest) * precision.activation_bytes


def _widest(config: Config, layer: Layer) -> int:
    if not layer.sparse:
        assert config.mlp is not None
        return max(config.attention.kept, config.mlp.kept)
    assert config.experts is not None
    return max(config.attention.kept, config.experts.per_token * (config.hidden + config.experts.mlp.kept))


def _cache(config: Config, workload: Workload, precision: Precision) -> int:
    if workload.mode not in ("prefill", "decode"):
        return 0
    tokens = sum(layers * window_of(layer, workload.longest) for layer, layers in config.groups)
    return workload.together * tokens * config.attention.cached * precision.cache_bytes


def _held(config: Config, workload: Workload, parameters: Parameters) -> int:
    """Parameters that must be in memory: without the head where it is not used and not the table of tokens."""
    has_own_head = config.head is not None and not config.tables.tied
    unused = config.head.parameters if has_own_head and config.head and workload.mode == "embed" else 0
    return parameters.total - unused


def _met(config: Config, workload: Workload, held: int) -> int:
    """Parameters that a step reads: experts that it takes, rows of tables that it looks up."""
    experts, tables, tokens = config.experts, config.tables, workload.largest_step
    idle = (experts.count - experts.touched(tokens)) * expert_parameters(experts, config.hidden) * config.sparse_layers if experts else 0
    is_head = tables.tied and workload.mode != "embed"
    skipped = 0 if is_head else max(0, tables.vocab - tokens)
    return held - idle - skipped * config.hidden


def _packed(config: Config, experts_only: bool) -> int:
    """Weights that packing applies to."""
    hidden, experts = config.hidden, config.experts
    of_experts = config.sparse_layers * experts.count * sum(each.weights for each in experts.mlp.linears(hidden)) if experts else 0
    if experts_only:
        return of_experts
    attention = len(config.layers) * sum(each.weights for each in config.attention.linears(hidden))
    shared = config.sparse_layers * sum(each.weights for each in experts.shared.linears(hidden)) if experts and experts.shared else 0
    dense = (len(config.layers) - config.sparse_layers) * sum(each.weights for each in config.mlp.linears(hidden)) if config.mlp else 0
    return of_experts + attention + shared + dense
