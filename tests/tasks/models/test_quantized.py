"""Packed weights: how many bits, scales included."""

from fractions import Fraction
from typing import Any

import pytest

from tasks.models import Workload, count_parameters, need, parse_config
from tests.tasks.models.test_products import LLAMA


@pytest.mark.parametrize(
    ("said", "bits"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8 + Fraction(32, 128 * 128)),
        ({"quant_method": "fp8"}, 8),
        ({"quant_method": "mxfp4"}, Fraction(17, 4)),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, 4 + Fraction(20, 128)),
        ({"quant_method": "awq", "bits": 4, "group_size": -1}, 4),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, Fraction(9, 2)),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
        ({"quant_method": "compressed-tensors"}, None),
        ({"quant_method": 7}, None),
        ({}, None),
        ("fp8", None),
    ],
)
def test_bits_of_a_weight(said: Any, bits: Fraction | None) -> None:
    packing = parse_config(LLAMA | {"quantization_config": said}).quantization
    assert packing is not None
    assert packing.bits == bits


def test_what_is_packed_and_what_is_not() -> None:
    config = parse_config(LLAMA | {"quantization_config": {"quant_method": "fp8"}})
    found = need(config, Workload(1))
    matrices = 218_103_808 * 32
    assert found.memory.weights_as_stored == matrices + 2 * (count_parameters(config).total - matrices)
    assert found.memory.weights == 2 * count_parameters(config).total
    assert f"packed by fp8 (about {found.memory.weights_as_stored} bytes there)" in found.notes[-1]


def test_an_unknown_method_is_said() -> None:
    found = need(parse_config(LLAMA | {"quantization_config": {"quant_method": "new"}}), Workload(1))
    assert found.memory.weights_as_stored is None
    assert "packed by new (how many bytes that takes, the headers of its safetensors files say)" in found.notes[-1]


def test_what_is_not_packed_says_nothing() -> None:
    found = need(parse_config(LLAMA), Workload(1))
    assert found.memory.weights_as_stored is None
    assert not [note for note in found.notes if "packed" in note]
