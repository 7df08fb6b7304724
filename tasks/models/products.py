"""Every matrix product of a job, by shape: what a model does, as a list that a machine's measured speeds can be asked about.

Shapes are those of a dense product C[m, n] = A[m, k] B[k, n] with a token per row:

    matrices      m tokens of a step, n outputs, k inputs; queries, keys and values in one, gate and up in one
    experts       m the rows that an expert gets when tokens spread evenly: few, where experts are many
    scores        prefill: for each sequence and head (s, t, d), then values (s, d, t), t the keys in reach: s or the window
                  decode: for each token and head of keys (queries that share it, t, d), and (.., d, t)
    backward      of each product two more: gradient of its input (m, k, n), of its weights (k, n, m)

Reach is counted in full, as if no token were masked: `work` says how much a kernel that leaves out masked blocks saves.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tasks.gemm import Gemm
from tasks.models.config import Config, Layer
from tasks.models.linear import Linear
from tasks.models.parameters import common_linears
from tasks.models.workload import Workload

Products = tuple[Gemm, ...]

_SCORES, _VALUES = "scores", "values"


class _Shape(NamedTuple):
    name: str
    m: int
    n: int
    k: int


def products(config: Config, workload: Workload) -> Products:
    """All products of the whole job, each shape once with its count; in the order of a layer, forward before backward."""
    counts: Counter[_Shape] = Counter()
    config = config.decoding() if workload.mode == "decode" else config
    for shape, count in _forward(config, workload):
        again = workload.is_training and (workload.recompute == "full" or (workload.recompute == "selective" and _is_score(shape)))
        counts[shape] += count * (2 if again else 1)
    if workload.is_training:
        for shape, count in _forward(config, workload):
            counts[_Shape(f"{shape.name}: gradient of input", shape.m, shape.k, shape.n)] += count
            other = "keys or values" if _is_score(shape) else "weights"
            counts[_Shape(f"{shape.name}: gradient of {other}", shape.k, shape.n, shape.m)] += count
    return tuple(Gemm(*shape, count) for shape, count in counts.items())


def is_attention(gemm: Gemm) -> bool:
    """Whether a product of such a list is one of scores or of their use, forward or backward: what a causal kernel may halve."""
    return gemm.name.startswith((_SCORES, _VALUES))


def window_of(layer: Layer, length: int) -> int:
    """Keys that a query of a sequence of `length` has in reach."""
    return length if layer.window is None else min(length, layer.window)


def spans(layer: Layer, length: int) -> tuple[tuple[int, int, int], ...]:
    """Queries of a sequence, keys that each has in reach, and how often: a sequence in one, or stretches that see only themselves."""
    if not layer.chunked or layer.window is None:
        return ((length, window_of(layer, length), 1),)
    whole, rest = divmod(length, layer.window)
    return tuple((size, size, count) for size, count in ((layer.window, whole), (rest, 1)) if size and count)


def _forward(config: Config, workload: Workload) -> Iterator[tuple[_Shape, int]]:
    for layer, layers in config.groups:
        for linear in common_linears(config, layer):
            yield from _applied(linear, workload, layers)
        if layer.sparse:
            yield from _experts(config, workload, layers)
        yield from _attention(config, workload, layer, layers)
    if config.head is not None and workload.mode != "embed":
        yield from _applied(config.head, workload, 1)
    if config.pooler is not None:
        for tokens, steps in workload.steps:
            yield _Shape("pooler", -(-tokens // workload.sequence), config.pooler.outputs, config.pooler.inputs), steps


def _applied(linear: Linear, workload: Workload, layers: int) -> Iterator[tuple[_Shape, int]]:
    for tokens, steps in workload.steps:
        yield _Shape(linear.name, tokens, linear.outputs, linear.inputs), layers * steps * linear.copies


def _experts(config: Config, workload: Workload, layers: int) -> Iterator[tuple[_Shape, int]]:
    assert config.experts is not None
    for tokens, steps in workload.steps:
        for rows, experts in config.experts.rows(tokens):
            for linear in config.experts.mlp.linears(config.hidden, "expert "):
                yield _Shape(linear.name, rows, linear.outputs, linear.inputs), layers * steps * experts


def _attention(config: Config, workload: Workload, layer: Layer, layers: int) -> Iterator[tuple[_Shape, int]]:
    kind = "stretch" if layer.chunked else "window"
    where = f" ({kind} {layer.window})" if layer.window is not None else ""
    heads = config.attention
    if workload.mode == "decode":
        reach, queries = window_of(layer, workload.sequence), heads.heads // heads.kv_heads
        groups = [(queries, reach, workload.tokens * heads.kv_heads)]
    else:
        of_all = [(span, count * heads.heads) for length, count in workload.sequences for span in spans(layer, length)]
        groups = [(queries, reach, times * count) for (queries, reach, times), count in of_all]
    for queries, reach, count in groups:
        yield _Shape(f"{_SCORES}{where}", queries, reach, heads.score_width), layers * count
        yield _Shape(f"{_VALUES}{where}", queries, heads.value_width, reach), layers * count


def _is_score(shape: _Shape) -> bool:
    return shape.name.startswith((_SCORES, _VALUES))
