"""Feed-forward blocks as shapes: one for all tokens, or experts of which each token takes a few."""

from dataclasses import dataclass

from tasks.models.linear import Linear


@dataclass(frozen=True)
class Mlp:
    """A feed-forward block."""

    width: int
    """Width between its matrices."""
    gated: bool = True
    """Whether two matrices go up and their results are multiplied (Llama), or one (GPT-2)."""
    bias: bool = False
    """Whether its matrices have biases."""

    def linears(self, hidden: int, of: str = "") -> tuple[Linear, Linear]:
        """Its matrices, those that go up in one piece; `of` begins their names."""
        up = (
            Linear(f"{of}gate and up", hidden, 2 * self.width, self.bias)
            if self.gated
            else Linear(f"{of}up", hidden, self.width, self.bias)
        )
        return up, Linear(f"{of}down", self.width, hidden, self.bias)

    @property
    def kept(self) -> int:
        """Elements per token within it that the backward pass needs."""
        return (3 if self.gated else 2) * self.width


@dataclass(frozen=True)
class Experts:
    """A router, `count` blocks of which a token takes `per_token`, and perhaps one that all take."""

    count: int
    """Experts."""
    per_token: int
    """How many a token takes."""
    mlp: Mlp
    """Each of them."""
    shared: Mlp | None = None
    """What all tokens take; several shared experts are one wide block."""
    shared_gate: bool = False
    """Whether a learned number scales the shared block (Qwen2-MoE)."""
    router_bias: bool = False
    """Whether the router has a bias."""
    correction: bool = False
    """Whether each expert has a routing correction (DeepSeek-V3), which transformers keeps as a buffer and does not count."""

    def router(self, hidden: int) -> Linear:
        """The router's matrix."""
        return Linear("router", hidden, self.count, self.router_bias)

    def common(self, hidden: int) -> tuple[Linear, ...]:
        """Matrices that every token meets, but the router's."""
        gate = (Linear("shared gate", hidden, 1),) if self.shared_gate else ()
        return gate + (self.shared.linears(hidden, "shared ") if self.shared else ())

    def touched(self, tokens: int) -> int:
        """Experts that `tokens` tokens meet when they spread evenly.

        >>> Experts(8, 2, Mlp(1)).touched(3)
        6
        """
        return min(self.count, tokens * self.per_token)

    def rows(self, tokens: int) -> tuple[tuple[int, int], ...]:
        """Rows and how many experts get so many, when tokens spread as evenly as whole rows allow; together tokens * per_token.

        >>> Experts(8, 2, Mlp(1)).rows(6), Experts(8, 2, Mlp(1)).rows(1)
        (((2, 4), (1, 4)), ((1, 2),))
        """
        least, more = divmod(tokens * self.per_token, self.count)
        return tuple((rows, experts) for rows, experts in ((least + 1, more), (least, self.count - more)) if rows and experts)
