"""How many numbers a model has: all, those a token meets, and where they are."""

from dataclasses import dataclass

from tasks.models.config import Config, Layer
from tasks.models.feed_forward import Experts
from tasks.models.linear import Linear


@dataclass(frozen=True)
class Part:
    """Parameters of one kind."""

    name: str
    """What they are."""
    parameters: int
    """How many, in all layers."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of a model. "Active" has three meanings in publications; each is a field here."""

    breakdown: tuple[Part, ...]
    """By part; they add up to `total`."""
    active_with_embeddings: int
    """All but the experts that a token does not take."""
    active_without_lookup: int
    """The same without tables that are only looked up: positions, segments and, unless it is the head, tokens."""
    matmul_per_token: int
    """Weights that a token is multiplied by; the head counts also where it is the table of tokens, which costs no parameters."""

    @property
    def total(self) -> int:
        """All that training changes, a table that is also the head once."""
        return sum(part.parameters for part in self.breakdown)


def count_parameters(config: Config) -> Parameters:
    """The parameters of a model, exact."""
    parts = _parts(config)
    total = sum(parts.values())
    idle = config.sparse_layers * _idle(config)
    lookup = parts["position embedding"] + parts["segment embedding"] + (0 if config.tables.tied else parts["token embedding"])
    return Parameters(
        tuple(Part(name, count) for name, count in parts.items() if count),
        total - idle,
        total - idle - lookup,
        matmul_per_token(config),
    )


def matmul_per_token(config: Config) -> int:
    """Weights that a token is multiplied by, head included."""
    return sum(count * layer_weights(config, layer) for layer, count in config.groups) + (config.head.weights if config.head else 0)


def layer_weights(config: Config, layer: Layer) -> int:
    """Weights that a token is multiplied by in a layer."""
    experts = config.experts if layer.sparse else None
    weights = sum(linear.weights for linear in common_linears(config, layer))
    return weights + (experts.per_token * sum(linear.weights for linear in experts.mlp.linears(config.hidden)) if experts else 0)


def common_linears(config: Config, layer: Layer) -> tuple[Linear, ...]:
    """Matrices of a layer that every token meets."""
    attention = config.attention.linears(config.hidden)
    if layer.sparse:
        assert config.experts is not None
        return *attention, config.experts.router(config.hidden), *config.experts.common(config.hidden)
    assert config.mlp is not None
    return attention + config.mlp.linears(config.hidden)


def expert_parameters(experts: Experts, hidden: int) -> int:
    """Of one expert."""
    return sum(linear.parameters for linear in experts.mlp.linears(hidden))


def _idle(config: Config) -> int:
    return (config.experts.count - config.experts.per_token) * expert_parameters(config.experts, config.hidden) if config.experts else 0


def _parts(config: Config) -> dict[str, int]:
    layers, sparse, hidden, tables = len(config.layers), config.sparse_layers, config.hidden, config.tables
    norm = hidden * (2 if config.norms.bias else 1)
    head = config.head
    return {
        "token embedding": tables.vocab * hidden,
        "position embedding": tables.positions * hidden,
        "segment embedding": tables.segments * hidden,
        "attention": layers * _sum(config.attention.linears(hidden)),
        "attention norms and sinks": layers * config.attention.extra_parameters,
        "feed-forward": (layers - sparse) * _sum(config.mlp.linears(hidden)) if config.mlp else 0,
        **_expert_parts(config, sparse),
        "norms": (layers * config.norms.per_layer + config.norms.outside) * norm,
        "pooler": config.pooler.parameters if config.pooler else 0,
        "head": 0 if head is None else head.parameters - (head.weights if tables.tied else 0),
    }


def _expert_parts(config: Config, sparse: int) -> dict[str, int]:
    experts, hidden = config.experts, config.hidden
    if experts is None:
        return {}
    router = experts.router(hidden).parameters + (experts.count if experts.correction else 0)
    return {
        "routers": sparse * router,
        "experts": sparse * experts.count * expert_parameters(experts, hidden),
        "shared experts": sparse * _sum(experts.common(hidden)),
    }


def _sum(linears: tuple[Linear, ...]) -> int:
    return sum(linear.parameters for linear in linears)
