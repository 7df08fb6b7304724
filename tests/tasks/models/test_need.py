"""The value that everything else is made from."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.models import Workload, need, parse_config
from tests.tasks.models import naive
from tests.tasks.models.test_products import DEEPSEEK, LLAMA, MIXTRAL
from tests.tasks.test_report import key_tree

PUBLISHED = Path(__file__).parent / "published.json"
GOLDEN = Path(__file__).parents[2] / "golden" / "model-need-schema-1.txt"
BERT = {"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 2, "num_attention_heads": 12, "intermediate_size": 3072}
BERT |= {"vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2}


def test_keys_are_the_golden_ones() -> None:
    found = need(
        parse_config(DEEPSEEK | {"quantization_config": {"quant_method": "fp8"}, "torch_dtype": "bfloat16"}), Workload(10**6, mode="train")
    )
    lines = key_tree(found.to_json())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text("\n".join(lines) + "\n")
    assert lines == GOLDEN.read_text().splitlines()


def test_the_page_lists_every_key() -> None:
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    rows = dict(re.findall(r"^\| `?(\w*)`? ?\| (`.*) \|$", page[page.index("## JSON") :], re.MULTILINE))
    for line in GOLDEN.read_text().splitlines():
        *objects, key = line.split()[0].replace("[]", "").split(".")
        assert f"`{key}`" in rows[objects[0] if objects else ""], line


def test_numbers_in_json_are_those_of_the_value() -> None:
    found = need(parse_config(MIXTRAL), Workload(10**6, batch=4, sequence=1000, mode="decode"), "fp8")
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert sum(row["flops"] for row in read["products"]) == read["flops"]["full"] == found.flops_full
    assert read["flops"]["causal"] == found.flops_causal
    assert read["flops"]["matrices"] + read["flops"]["attention_full"] == read["flops"]["full"]
    assert sum(part["parameters"] for part in read["parameters"]["breakdown"]) == read["parameters"]["total"]
    held = ("weights", "cache", "activations", "logits", "gradients", "optimizer")
    assert sum(read["bytes"][name] for name in held) == read["bytes"]["resident"]
    assert read["workload"] == {
        "mode": "decode",
        "tokens": 10**6,
        "batch": 4,
        "sequence": 1000,
        "steps": 250_000,
        "recompute": None,
        "states": None,
    }


def test_the_parts_of_memory_add_up_to_what_must_be_resident() -> None:
    found = need(parse_config(LLAMA), Workload(10**6, mode="train")).memory
    parts = (found.weights, found.cache, found.activations, found.logits, found.gradients, found.optimizer)
    assert sum(parts) == found.resident
    assert found.moved > found.resident - found.activations - found.logits


@settings(deadline=None)
@given(naive.FIELDS, st.sampled_from(["prefill", "decode", "train", "embed"]))
def test_the_same_question_has_the_same_answer(fields: naive.Fields, mode: str) -> None:
    answers = [need(parse_config(fields), Workload(100, 3, 7, mode)) for _ in range(2)]
    assert answers[0] == answers[1]
    assert json.dumps(answers[0].to_json()) == json.dumps(answers[1].to_json())


def test_a_trillion_million_tokens_are_counted_exactly() -> None:
    one, many = (need(parse_config(LLAMA), Workload(tokens, batch=1, sequence=100)) for tokens in (100, 10**18))
    assert many.flops_full == one.flops_full * 10**16
    assert many.flops_causal == one.flops_causal * 10**16
    assert sum(gemm.flops for gemm in many.gemms) == many.flops_full
    assert many.memory == one.memory


def test_an_encoder_makes_no_tokens() -> None:
    config = parse_config(BERT)
    for mode in ("prefill", "decode", "train"):
        with pytest.raises(BadInput, match=f"bert is an encoder, it makes no tokens: give mode embed, not {mode}"):
            need(config, Workload(100, sequence=100, mode=mode))
    found = need(config, Workload(1000, sequence=100, mode="embed"))
    assert found.flops_full == found.flops_causal == sum(gemm.flops for gemm in found.gemms)


def test_a_sequence_longer_than_what_was_learned_is_refused() -> None:
    with pytest.raises(BadInput, match="a sequence of 513 tokens is longer than the 512 positions that the model learned: give less"):
        need(parse_config(BERT), Workload(1000, sequence=513, mode="embed"))
    assert need(parse_config(BERT), Workload(1000, sequence=512, mode="embed")).notes == ()


def test_notes_say_what_the_numbers_rest_on() -> None:
    said = " | ".join(need(parse_config(DEEPSEEK), Workload(10, mode="decode")).notes)
    assert "spread evenly over the experts" in said
    assert "absorbed form" in said
    stretched = parse_config(json.loads(PUBLISHED.read_text())["models"][-1]["config"])
    assert "each as full where tokens are decoded" in " | ".join(need(stretched, Workload(10, mode="decode")).notes)
    short = parse_config(LLAMA | {"max_position_embeddings": 2048})
    assert need(short, Workload(4096)).notes[-1].endswith("2048 tokens that the file allows")
    assert need(parse_config(LLAMA), Workload(10, sequence=10, mode="train")).notes == ()


def test_nothing_heavy_is_imported() -> None:
    heavy = ("torch", "dask", "distributed", "prefect", "zarr", "scipy", "pydantic", "yaml")
    program = f"import sys, tasks.models; print([name for name in {heavy!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"
