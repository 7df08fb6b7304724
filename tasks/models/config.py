"""A transformer as numbers: what every family's config.json is brought to before anything is counted."""

from collections import Counter
from dataclasses import dataclass, replace

from tasks.errors import BadInput
from tasks.models.attention import Attention
from tasks.models.feed_forward import Experts, Mlp
from tasks.models.linear import Linear
from tasks.models.quantized import Quantization


@dataclass(frozen=True)
class Layer:
    """What distinguishes one layer from another."""

    window: int | None = None
    """How many keys a query sees at most, itself included; None: all."""
    chunked: bool = False
    """Whether the window is a fixed stretch of the sequence (Llama 4), not the last keys."""
    sparse: bool = False
    """Whether its feed-forward block is the experts'."""


@dataclass(frozen=True)
class Norms:
    """Norms of a family."""

    per_layer: int = 2
    """In each layer, of the hidden width."""
    bias: bool = False
    """LayerNorm with a bias (GPT-2) or a scale alone."""
    outside: int = 1
    """Outside of layers: the final one, or that of embeddings (BERT)."""


@dataclass(frozen=True)
class Tables:
    """What is looked up or learned outside of layers."""

    vocab: int
    """Tokens of the vocabulary."""
    positions: int = 0
    """Learned positions; 0: positions are rotations without parameters."""
    segments: int = 0
    """Learned segments (BERT)."""
    tied: bool = False
    """Whether the head is the table of tokens."""
    head: bool = True
    """Whether there is a head for the next token."""
    head_bias: bool = False
    """Whether the head has a bias (Phi-2)."""
    pooler: bool = False
    """Whether a matrix is applied to the first token of each sequence (BERT)."""


@dataclass(frozen=True)
class Config:
    """One transformer; made by `read_config` and `parse_config`, which refuse what is not sound."""

    family: str
    """model_type as the file says; empty where it says none."""
    hidden: int
    """Width of the residual stream."""
    attention: Attention
    """The same in every layer but for windows."""
    mlp: Mlp | None
    """Feed-forward block of layers without experts; None where all have experts."""
    experts: Experts | None
    """None: a dense model."""
    layers: tuple[Layer, ...]
    """First to last."""
    norms: Norms
    """Norms."""
    tables: Tables
    """Embeddings and head."""
    context: int | None = None
    """Longest sequence that the file allows, in tokens (max_position_embeddings)."""
    causal: bool = True
    """Whether a token sees only those before it; an encoder sees all."""
    dropout: bool = False
    """Whether the family trains with dropout, whose masks are kept."""
    stored: str | None = None
    """Type of the published weights as the file names it."""
    quantization: Quantization | None = None
    """How the published weights are packed; None: not."""
    assumed: tuple[str, ...] = ()
    """What the file does not say and was taken, one sentence each."""

    def __post_init__(self) -> None:
        lacks = "experts" if self.sparse_layers and self.experts is None else "mlp"
        if not self.layers or (self.sparse_layers and self.experts is None) or (self.sparse_layers < len(self.layers) and self.mlp is None):
            raise BadInput(f"a model of {len(self.layers)} layers, {self.sparse_layers} with experts, has no {lacks}: give it")

    @property
    def groups(self) -> tuple[tuple[Layer, int], ...]:
        """Different layers, and how many there are of each."""
        return tuple(Counter(self.layers).items())

    @property
    def usual_sequence(self) -> int:
        """Tokens of a sequence where nobody says: 4096, or what the model allows where that is less."""
        return min(4096, self.tables.positions or self.context or 4096)

    def decoding(self) -> "Config":
        """The same model in the form in which tokens are generated one by one."""
        return replace(self, attention=self.attention.absorbed())

    @property
    def sparse_layers(self) -> int:
        """Layers with experts."""
        return sum(layer.sparse for layer in self.layers)

    @property
    def head(self) -> Linear | None:
        """The head's matrix; counted as work also where it is the table of tokens."""
        return Linear("head", self.hidden, self.tables.vocab, self.tables.head_bias) if self.tables.head else None

    @property
    def pooler(self) -> Linear | None:
        """The matrix for the first token of each sequence."""
        return Linear("pooler", self.hidden, self.hidden, bias=True) if self.tables.pooler else None
