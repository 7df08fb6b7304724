"""Operations of a job, by formula; a multiply-add is two.

    forward, per token    2 M + attention          M: weights that a token is multiplied by
    attention, full       2 H (a + b) t            H heads, a and b the widths of a score and of its use, t keys in reach
    attention, causal     half of the square at the sequence's start is masked: 2 H (a + b) (t - t**2 / 2s), so half where t = s
    training              3 forward, 4 where layers are recomputed (head included), scores 4 where only they are

"Full" is what PyTorch's counter says; Megatron and others count "causal". Both are named here, neither is the time.
Rotations, norms, softmax and looking up are not products and not counted.
"""

from dataclasses import dataclass

from tasks.models.config import Config
from tasks.models.parameters import matmul_per_token
from tasks.models.products import spans, window_of
from tasks.models.workload import Workload


@dataclass(frozen=True)
class Work:
    """Operations of a whole job."""

    matrices: int
    """Of products with weights, head included."""
    head: int
    """Of the head alone: for every token; an engine that generates needs a prompt's last one only."""
    attention_full: int
    """Of scores and their use, every key in reach."""
    attention_causal: int
    """The same without masked pairs; the diagonal counts half."""

    @property
    def full(self) -> int:
        """All, masked pairs included: the sum over `products`."""
        return self.matrices + self.attention_full

    @property
    def causal(self) -> int:
        """All, masked pairs left out."""
        return self.matrices + self.attention_causal


def count_work(config: Config, workload: Workload) -> Work:
    """Operations of a whole job, exact."""
    matrices, scores = _passes(workload)
    head = 0 if config.head is None else 2 * config.head.weights * workload.tokens
    forward = 2 * matmul_per_token(config) * workload.tokens
    if workload.mode == "embed":
        forward, head = forward - head, 0
    full, causal = _attention(config, workload)
    pooler = 2 * config.pooler.weights * _pooled(workload) if config.pooler else 0
    return Work(matrices * (forward + pooler), matrices * head, scores * full, scores * causal)


def _passes(workload: Workload) -> tuple[int, int]:
    """Forward passes that the job is worth: of matrices, of scores."""
    if not workload.is_training:
        return 1, 1
    return {"none": (3, 3), "selective": (3, 4), "full": (4, 4)}[workload.recompute]


def _attention(config: Config, workload: Workload) -> tuple[int, int]:
    decode = workload.mode == "decode"
    heads = (config.decoding() if decode else config).attention
    per_pair = heads.heads * (heads.score_width + heads.value_width)
    full = causal = 0
    for layer, layers in config.groups:
        if decode:
            pairs = workload.tokens * window_of(layer, workload.sequence)
            full, causal = full + layers * 2 * pairs, causal + layers * 2 * pairs
            continue
        for length, count in workload.sequences:
            for queries, reach, times in spans(layer, length):
                full += layers * count * times * 2 * queries * reach
                causal += layers * count * times * (2 * queries * reach - (reach**2 if config.causal else 0))
    return per_pair * full, per_pair * causal


def _pooled(workload: Workload) -> int:
    return sum(steps * -(-tokens // workload.sequence) for tokens, steps in workload.steps)
