"""Attention as shapes: grouped heads (MHA, GQA, MQA) and latent heads (MLA), with one interface.

What a score and its use cost per query, key and head: `score_width` multiply-adds for the score, `value_width` for the weighted sum.
Latent attention has two forms. Where many queries meet the same keys (prefill, train) keys and values are expanded for each head. In
decode, expanding the whole cache for one query would cost far more, so the expansion is absorbed into query and output, and scores
are taken with the compressed cache: same weights per token, wider heads. That is what serving engines do.
"""

from dataclasses import dataclass
from typing import Literal

from tasks.models.linear import Linear

QueryKeyNorm = Literal["none", "head", "width"]
"""none; one norm of a head's width for queries and one for keys (Qwen3); norms over all heads together (OLMo-2)."""


@dataclass(frozen=True)
class Grouped:
    """Heads of queries, in equal groups that share keys and values."""

    heads: int
    """Heads of queries."""
    kv_heads: int
    """Heads of keys and values; a divisor of `heads`."""
    head_dim: int
    """Width of a head."""
    qkv_bias: bool = False
    """Whether queries, keys and values have biases."""
    out_bias: bool = False
    """Whether the output has a bias."""
    norm: QueryKeyNorm = "none"
    """Norms of queries and keys."""
    sinks: bool = False
    """One learned score for each head (gpt-oss)."""

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        """Matrices of a layer."""
        width = (self.heads + 2 * self.kv_heads) * self.head_dim
        return Linear("qkv", hidden, width, self.qkv_bias), Linear("attention out", self.heads * self.head_dim, hidden, self.out_bias)

    @property
    def extra_parameters(self) -> int:
        """Of norms and sinks."""
        wide = (self.heads + self.kv_heads) * self.head_dim
        return {"none": 0, "head": 2 * self.head_dim, "width": wide}[self.norm] + (self.heads if self.sinks else 0)

    @property
    def score_width(self) -> int:
        """Multiply-adds of one score."""
        return self.head_dim

    @property
    def value_width(self) -> int:
        """Multiply-adds that one score's use costs."""
        return self.head_dim

    @property
    def cached(self) -> int:
        """Elements that a token leaves in the cache of one layer."""
        return 2 * self.kv_heads * self.head_dim

    @property
    def kept(self) -> int:
        """Elements per token between the matrices that the backward pass needs: queries, keys, values and what goes into the output."""
        return 2 * self.heads * self.head_dim + self.cached

    def absorbed(self) -> "Grouped":
        """The form that decode uses: the same."""
        return self


@dataclass(frozen=True)
class Latent:
    """Multi-head latent attention (DeepSeek-V2): keys and values are expanded from one compressed vector per token."""

    heads: int
    """Heads."""
    query_rank: int | None
    """Width of the compressed query; None where queries are not compressed."""
    kv_rank: int
    """Width of the compressed keys and values."""
    plain: int
    """Width of a head's query and key without position."""
    rotary: int
    """Width of a head's query and of the one shared key with position."""
    value: int
    """Width of a head's value."""
    bias: bool = False
    """Whether the compressing matrices and the output have biases."""
    is_absorbed: bool = False
    """Whether scores are taken with the compressed cache."""

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        """Matrices of a layer."""
        queries = self.heads * (self.plain + self.rotary)
        query = (
            (Linear("query", hidden, queries),)
            if self.query_rank is None
            else (Linear("query down", hidden, self.query_rank, self.bias), Linear("query up", self.query_rank, queries))
        )
        return (
            *query,
            Linear("kv down", hidden, self.kv_rank + self.rotary, self.bias),
            *self._expansion,
            Linear("attention out", self.heads * self.value, hidden, self.bias),
        )

    @property
    def _expansion(self) -> tuple[Linear, ...]:
        """From the compressed vector to keys and values, or the same weights for queries into it and values out of it, head by head."""
        if not self.is_absorbed:
            return (Linear("kv up", self.kv_rank, self.heads * (self.plain + self.value)),)
        into = Linear("query into cache", self.plain, self.kv_rank, copies=self.heads)
        return into, Linear("value out of cache", self.kv_rank, self.value, copies=self.heads)

    @property
    def extra_parameters(self) -> int:
        """Of the norms of what is compressed."""
        return (self.query_rank or 0) + self.kv_rank

    @property
    def score_width(self) -> int:
        """Multiply-adds of one score."""
        return (self.kv_rank if self.is_absorbed else self.plain) + self.rotary

    @property
    def value_width(self) -> int:
        """Multiply-adds that one score's use costs."""
        return self.kv_rank if self.is_absorbed else self.value

    @property
    def kv_heads(self) -> int:
        """Heads that have keys of their own; one for all where the cache is used as it is."""
        return 1 if self.is_absorbed else self.heads

    @property
    def cached(self) -> int:
        """Elements that a token leaves in the cache of one layer."""
        return self.kv_rank + self.rotary

    @property
    def kept(self) -> int:
        """Elements per token between the matrices that the backward pass needs."""
        return (self.query_rank or 0) + self.cached + self.heads * (2 * (self.plain + self.rotary) + 2 * self.value)

    def absorbed(self) -> "Latent":
        """The form that decode uses."""
        return Latent(self.heads, self.query_rank, self.kv_rank, self.plain, self.rotary, self.value, self.bias, is_absorbed=True)


Attention = Grouped | Latent
