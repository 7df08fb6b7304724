"""The matrices that weights hold, and what a token is multiplied by, as far as names and shapes in headers say it.

A header tells no heads, so attention is left out, and not how many experts a token takes, so weights with experts are refused.
"""

import re
from collections import Counter
from dataclasses import dataclass

from tasks.errors import BadInput
from tasks.gemm import Gemm
from tasks.models.safetensors import Tensor
from tasks.models.shards import Weights

EXPERTS = re.compile(r"expert|block_sparse_moe")
HEAD = re.compile(r"(^|\.)(lm_head|embed_out)\.weight$|^output\.weight$")
TOKENS = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|tok_embeddings|embed_in)\.weight$")
LOOKED_UP = re.compile(r"embed|(^|\.)(wte|wpe)\.")
SCALES = re.compile(r"scale")
FLOATS = ("F8_E4M3", "F8_E5M2", "F16", "BF16", "F32", "F64")

NO_ATTENTION = "attention between tokens is left out: no header says how many heads there are; give config.json for that"


@dataclass(frozen=True)
class Held:
    """What one token is multiplied by."""

    matrices: tuple[tuple[str, int, int, int], ...]
    """Name with stars for numbers, rows, columns, and how many there are; most numbers first."""
    notes: tuple[str, ...]
    """What is assumed."""

    @property
    def per_token(self) -> int:
        """Weights that a token is multiplied by."""
        return sum(rows * columns * count for _, rows, columns, count in self.matrices)

    def products(self, tokens: int) -> tuple[Gemm, ...]:
        """Those of so many tokens at a time."""
        return tuple(Gemm(name, tokens, rows, columns, count) for name, rows, columns, count in self.matrices)


def held(weights: Weights, with_head: bool = True) -> Held:
    """The matrices in these weights. Raises BadInput where there are none, or no header says how they are used."""
    _refuse_unclear(weights)
    kinds: dict[str, list[Tensor]] = {"head": [], "table": [], "product": []}
    for tensor in filter(_is_matrix, weights.tensors):
        kinds[_kind(tensor.name)].append(tensor)
    heads, tables, taken = kinds.values()
    if not taken:
        raise BadInput(
            f"{', '.join(weights.files)[:200]} holds no matrices of floats that tokens are multiplied by: give a model's weights"
        )
    notes = [NO_ATTENTION]
    if with_head and not heads:
        heads = [tensor for tensor in tables if TOKENS.search(tensor.name)][:1]
        notes += ["no head is stored: the table of tokens is taken as one"] if heads else ["no head is stored, and none is counted"]
    counted = Counter((_starred(tensor.name), *tensor.shape) for tensor in (*taken, *(heads if with_head else ())))
    found = [(str(name), int(rows), int(columns), count) for (name, rows, columns), count in counted.items()]
    return Held(tuple(sorted(found, key=lambda one: (-one[1] * one[2] * one[3], one[0]))), tuple(notes))


def _refuse_unclear(weights: Weights) -> None:
    what = f"{', '.join(weights.files)[:200]} holds {weights.parameters:,} numbers in {weights.bytes:,} bytes"
    expert = next((tensor.name for tensor in weights.tensors if EXPERTS.search(tensor.name)), None)
    if expert is not None:
        raise BadInput(f"{what} with experts ({expert[:80]}), and no header says how many a token takes: give the model's config.json")
    odd = next((tensor for tensor in weights.tensors if _is_matrix(tensor) and tensor.dtype not in FLOATS), None)
    if odd is not None:
        raise BadInput(f"{what}, packed as {odd.dtype} ({odd.name[:80]}), and no header says how: give the model's config.json")


def _kind(name: str) -> str:
    return "head" if HEAD.search(name) else "table" if LOOKED_UP.search(name) else "product"


def _is_matrix(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 and min(tensor.shape) > 1 and not SCALES.search(tensor.name)


def _starred(name: str) -> str:
    """One name for the same matrix of all layers.

    >>> _starred("model.layers.11.mlp.up_proj.weight")
    'model.layers.*.mlp.up_proj'
    """
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name).removesuffix(".weight")
