"""How much a model has to do, in whole steps and whole sequences, with what is left over at the end.

    prefill, embed, train    a step: `batch` sequences of `sequence` tokens each
    decode                   a step: one token for each of `batch` sequences, each of which attends `sequence` keys

Nothing is rounded: the last step and the last sequence may be shorter, and are counted as they are.
"""

from dataclasses import dataclass

from tasks.errors import BadInput, Refused
from tasks.models.precisions import STATES, one_of

MODES = ("prefill", "decode", "train", "embed")
"""prefill: tokens in, a score for the next token at each; decode: tokens out, one by one; train: forward, backward, update;
embed: forward without the head."""

RECOMPUTE = ("none", "selective", "full")
"""What the backward pass computes again instead of keeping: nothing; scores (as flash attention does); whole layers."""

MOST_TOKENS = 10**24
"""About 10**10 times what the largest models were trained on."""

MOST_PER_STEP = 10**12
"""Tokens in one step."""


@dataclass(frozen=True)
class Workload:
    """A whole job.

    Raises BadInput where a number or name is none, Refused where a number is absurd.
    """

    tokens: int
    """Tokens of the whole job: read (prefill, embed, train) or generated (decode)."""
    batch: int = 1
    """Sequences that are worked on together."""
    sequence: int = 4096
    """Tokens of a sequence; in decode the keys that a generated token attends, itself included: the mean over the job."""
    mode: str = "prefill"
    """prefill, decode, train or embed."""
    recompute: str = "none"
    """In train: none, selective (scores are computed again) or full (layers are)."""
    states: str | None = None
    """In train: bytes per parameter by name, such as adam-mixed. None: the usual of the precision."""

    def __post_init__(self) -> None:
        one_of("mode", self.mode, MODES)
        one_of("recompute", self.recompute, RECOMPUTE)
        if self.states is not None:
            one_of("states", self.states, tuple(STATES))
        for name, value in (("tokens", self.tokens), ("batch", self.batch), ("sequence", self.sequence)):
            _check(name, value)
        if self.tokens > MOST_TOKENS:
            raise Refused(f"{_short(self.tokens)} tokens are more than any job has: give {_short(MOST_TOKENS)} or fewer")
        if self.batch * self.sequence > MOST_PER_STEP:
            per_step = self.batch * self.sequence
            raise Refused(f"batch times sequence is {_short(per_step)} tokens: give at most {_short(MOST_PER_STEP)} together")

    @property
    def is_training(self) -> bool:
        """Whether there is a backward pass."""
        return self.mode == "train"

    @property
    def per_step(self) -> int:
        """Tokens of a full step."""
        return self.batch if self.mode == "decode" else self.batch * self.sequence

    @property
    def steps(self) -> tuple[tuple[int, int], ...]:
        """Tokens of a step, and how many steps have so many."""
        return _whole_and_rest(self.tokens, self.per_step)

    @property
    def step_count(self) -> int:
        """Steps, the last one perhaps shorter."""
        return sum(count for _, count in self.steps)

    @property
    def sequences(self) -> tuple[tuple[int, int], ...]:
        """Tokens of a sequence and how many are so long; not for decode, where a token is a query of its own."""
        return _whole_and_rest(self.tokens, self.sequence)

    @property
    def largest_step(self) -> int:
        """Tokens of the largest step."""
        return min(self.tokens, self.per_step)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence, whose keys are attended."""
        return self.sequence if self.mode == "decode" else min(self.tokens, self.sequence)

    @property
    def together(self) -> int:
        """Sequences of the largest step."""
        return self.largest_step if self.mode == "decode" else -(-self.largest_step // self.sequence)


def _whole_and_rest(total: int, size: int) -> tuple[tuple[int, int], ...]:
    whole, rest = divmod(total, size)
    return tuple((length, count) for length, count in ((size, whole), (rest, 1)) if length and count)


def _check(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput(f"{name} is {str(value)[:40]!r}: give a whole number")
    if value < 1:
        raise BadInput(f"{name} is {_short(value)}: give 1 or more")


def _short(value: int) -> str:
    """A number that fits a line.

    >>> _short(4096), _short(10**30), _short(-10**5000)
    ('4096', 'about 10**30', 'about -10**5000')
    """
    if -(10**15) < value < 10**15:
        return str(value)
    digits = int(value.bit_length() * 0.30103)
    return f"about {'-' if value < 0 else ''}10**{digits}"
