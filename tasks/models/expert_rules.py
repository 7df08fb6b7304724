"""Where the files of a family say which layers have experts, and what an expert is."""

from collections.abc import Callable
from dataclasses import dataclass

from tasks.models.fields import Fields


def everywhere(fields: Fields, layers: int) -> tuple[bool, ...]:
    """Every layer has experts."""
    return (True,) * layers


def after_first(fields: Fields, layers: int) -> tuple[bool, ...]:
    """Layers from first_k_dense_replace on, each moe_layer_freq-th (DeepSeek)."""
    first, step = fields.whole("first_k_dense_replace", least=0), fields.whole("moe_layer_freq", 1)
    return tuple(layer >= first and layer % step == 0 for layer in range(layers))


def by_step(fields: Fields, layers: int) -> tuple[bool, ...]:
    """Each decoder_sparse_step-th layer that mlp_only_layers does not name (Qwen-MoE)."""
    step = fields.whole("decoder_sparse_step", 1)
    dense = {Fields.checked("mlp_only_layers", layer, least=0) for layer in fields.items("mlp_only_layers") or []}
    return tuple((layer + 1) % step == 0 and layer not in dense for layer in range(layers))


def interleaved(fields: Fields, layers: int) -> tuple[bool, ...]:
    """Layers that moe_layers names, or each interleave_moe_layer_step-th (Llama 4)."""
    named = fields.items("moe_layers")
    if named is not None:
        sparse = {Fields.checked("moe_layers", layer, least=0) for layer in named}
        return tuple(layer in sparse for layer in range(layers))
    step = fields.whole("interleave_moe_layer_step", 1)
    return tuple((layer + 1) % step == 0 for layer in range(layers))


@dataclass(frozen=True)
class ExpertRule:
    """Where a family's files say what its experts are."""

    layers: Callable[[Fields, int], tuple[bool, ...]] = everywhere
    """Which layers have them."""
    width: str = "moe_intermediate_size"
    """Field of an expert's width."""
    shared_count: str | None = None
    """Field of the number of shared experts, each of an expert's width."""
    shared_width: str | None = None
    """Field of the width of the one shared expert."""
    gate: bool = False
    """Whether a learned number scales the shared expert."""
    bias: bool = False
    """Whether router and experts have biases."""
    correction: bool = False
    """Whether each expert has a routing correction."""
