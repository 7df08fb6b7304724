"""Published weights that are packed below 16 bits: how many bits each takes, scales included.

What a config says of packing is a summary; the headers of the weights' own files are exact (`safetensors`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from tasks.models.fields import Fields
from tasks.models.strict_json import shown


@dataclass(frozen=True)
class Quantization:
    """How published weights are packed."""

    method: str
    """Its name in the file."""
    bits: Fraction | None
    """Bits per packed weight with its share of scales; None: the file does not say, or we do not know the method."""
    experts_only: bool = False
    """Whether only the experts' weights are packed (gpt-oss), or those of all matrices in layers but routers'."""


def quantization(fields: Fields) -> Quantization | None:
    """What the file says. Raises BadInput where its numbers are none."""
    value = fields.get("quantization_config")
    if value is None:
        return None
    said = Fields(value if isinstance(value, Mapping) else {})
    method = said.get("quant_method")
    if not isinstance(method, str) or method not in _METHODS:
        return Quantization(method if isinstance(method, str) else shown(method), None)
    return Quantization(method, _METHODS[method](said), experts_only=method == "mxfp4")


def _fp8(said: Fields) -> Fraction:
    block = said.items("weight_block_size")
    if block is None:
        return Fraction(8)
    rows, columns = (Fields.checked("weight_block_size", side) for side in [*block, 1, 1][:2])
    return 8 + Fraction(32, rows * columns)


def _mxfp4(said: Fields) -> Fraction:
    return 4 + Fraction(8, 32)


def _groups(said: Fields) -> Fraction:
    bits = said.whole("bits", 4)
    size = said.get("group_size")
    return Fraction(bits) if size in (None, -1) else bits + Fraction(16 + bits, said.whole("group_size"))


def _bitsandbytes(said: Fields) -> Fraction:
    return 4 + Fraction(32, 64) if said.flag("load_in_4bit", False) else Fraction(8)


_METHODS: dict[str, Callable[[Fields], Fraction]] = {
    "fp8": _fp8,
    "mxfp4": _mxfp4,
    "gptq": _groups,
    "awq": _groups,
    "bitsandbytes": _bitsandbytes,
}
"""Bits of a weight and of its share of scales: one float32 per block; one byte per 32; 16 bits and a zero point per group."""
