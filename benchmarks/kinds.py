"""Kinds of products, as the codecs see them: what is random in them and what is not."""

from collections.abc import Callable

import numpy as np

Values = np.ndarray
DEPTH = 256


def _normal(rng: np.random.Generator, *shape: int) -> Values:
    return rng.standard_normal(shape, dtype=np.float32)


def _product(rng: np.random.Generator, edge: int) -> Values:
    """Of two random matrices."""
    return _normal(rng, edge, DEPTH) @ _normal(rng, DEPTH, edge)


def _cosine(rng: np.random.Generator, edge: int) -> Values:
    """Cosines of embeddings of rank 32."""
    left, right = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (_normal(rng, edge, 32), _normal(rng, edge, 32)))
    return left @ right.T


def _relu(rng: np.random.Generator, edge: int) -> Values:
    """Negative elements set to zero."""
    return np.maximum(_product(rng, edge), 0)


def _bf16(rng: np.random.Generator, edge: int) -> Values:
    """Rounded to bfloat16, stored as float32."""
    bits = _product(rng, edge).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).view(np.float32)


def _integer(rng: np.random.Generator, edge: int) -> Values:
    """Of two matrices of small integers, stored as float32."""
    left, right = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((edge, DEPTH), (DEPTH, edge)))
    return left @ right


def _smooth(rng: np.random.Generator, edge: int) -> Values:
    """Of four slow waves."""
    t = np.linspace(0, 1, edge, dtype=np.float32)
    waves = np.stack([np.cos((1 + number) * 3 * t + number) for number in range(4)]).astype(np.float32)
    return (waves.T * np.array([1, 1 / 2, 1 / 4, 1 / 8], np.float32)) @ waves


def _sparse(rng: np.random.Generator, edge: int) -> Values:
    """95 % zeros."""
    return np.where(rng.random((edge, edge)) < 0.95, 0, _product(rng, edge)).astype(np.float32)


KINDS: dict[str, Callable[[np.random.Generator, int], Values]] = {
    "normal": _product,
    "cosine": _cosine,
    "relu": _relu,
    "bf16": _bf16,
    "integer": _integer,
    "smooth": _smooth,
    "sparse": _sparse,
}


def values(kind: str, edge: int = 1024, seed: int = 0) -> Values:
    """A square float32 product of this kind."""
    return KINDS[kind](np.random.default_rng(seed), edge)
