"""Published models: every number exact that somebody else has counted."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tasks.models import FAMILIES, Workload, count_bytes, count_parameters, count_work, need, parse_config, products
from tasks.models.parameters import layer_weights

HERE = Path(__file__).parent
REFERENCE: dict[str, Any] = {row["name"]: row for row in json.loads((HERE / "reference.json").read_text())["models"]}
PUBLISHED: dict[str, Any] = {row["name"]: row for row in json.loads((HERE / "published.json").read_text())["models"]}
SMALL: list[dict[str, Any]] = json.loads((HERE / "small.json").read_text())["models"]
UNITS = {"M": 10**6, "B": 10**9, "T": 10**12}
GIB = 1024**3


def config_of(name: str):
    return parse_config((REFERENCE | PUBLISHED)[name]["config"])


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_check_a_all_rows_of_the_reference(name: str) -> None:
    row, config = REFERENCE[name], parse_config(REFERENCE[name]["config"])
    parameters = count_parameters(config)
    assert parameters.total == row["parameters"]
    assert parameters.matmul_per_token == row["matmul_weights_per_token"]
    assert count_bytes(config, Workload(1), "bfloat16").cache_per_token == row["kv_bytes_per_token_bf16"]


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_totals_are_those_of_transformers(name: str) -> None:
    parameters = count_parameters(config_of(name))
    assert parameters.total == PUBLISHED[name]["parameters"]
    assert sum(part.parameters for part in parameters.breakdown) == parameters.total


@pytest.mark.parametrize("row", SMALL, ids=lambda row: " ".join(f"{value}" for value in row["config"].values()))
def test_small_models_of_all_families_are_those_of_transformers(row: dict[str, Any]) -> None:
    assert count_parameters(parse_config(row["config"])).total == row["parameters"] + row["buffers"]


def test_every_family_has_a_model_to_compare_with() -> None:
    compared = {row["config"]["model_type"] for row in (*SMALL, *PUBLISHED.values())}
    assert set(FAMILIES) - compared <= {"roberta", "xlm-roberta"}, "the same row as bert"


@pytest.mark.parametrize("name", [name for name in sorted(PUBLISHED) if PUBLISHED[name]["published"]])
def test_counts_are_those_that_were_published(name: str) -> None:
    parameters = count_parameters(config_of(name))
    parts = {part.name: part.parameters for part in parameters.breakdown}
    counted = {
        "total": parameters.total,
        "without_embedding": parameters.total - parts["token embedding"] - parts.get("head", 0),
        "active_with_embeddings": parameters.active_with_embeddings,
        "active_without_lookup": parameters.active_without_lookup,
    }
    for meaning, text in PUBLISHED[name]["published"].items():
        number, unit = (Decimal(text[:-1]), UNITS[text[-1]]) if text[-1] in UNITS else (Decimal(text), 1)
        last_digit = Decimal(1).scaleb(int(number.as_tuple().exponent)) * unit if unit > 1 else 0
        assert abs(counted[meaning] - number * unit) <= last_digit, (meaning, counted[meaning], text)


@pytest.mark.parametrize("name", sorted(REFERENCE | PUBLISHED))
@pytest.mark.parametrize("mode", ["prefill", "decode", "train", "embed"])
def test_products_add_up_to_the_formula(name: str, mode: str) -> None:
    config = config_of(name)
    if config.causal or mode == "embed":
        load = Workload(1_000_003, batch=7, sequence=500, mode=mode)
        assert sum(gemm.flops for gemm in products(config, load)) == count_work(config, load).full


def test_the_routing_corrections_of_deepseek_v3_are_what_transformers_leaves_out() -> None:
    config = config_of("DeepSeek-V3")
    assert config.experts is not None
    assert count_parameters(config).total - config.sparse_layers * config.experts.count == 671_026_404_352
    assert config.sparse_layers * config.experts.count == 14_848


def test_active_has_three_meanings() -> None:
    parameters = count_parameters(config_of("DeepSeek-V3"))
    assert parameters.active_with_embeddings == 37_552_297_472
    assert parameters.active_without_lookup == 37_552_297_472 - 129_280 * 7168
    assert parameters.matmul_per_token == 36_624_596_992
    assert count_parameters(config_of("Mixtral-8x7B")).active_with_embeddings == 12_879_925_248


def test_check_b_a_layer_and_the_head_of_llama() -> None:
    config = config_of("Llama-3.1-8B")
    assert config.head is not None
    assert [layer_weights(config, layer) for layer, _ in config.groups] == [218_103_808]
    assert config.head.weights == 525_336_576
    assert count_parameters(config).matmul_per_token == 218_103_808 * 32 + 525_336_576 == 7_504_658_432


@pytest.mark.parametrize(
    ("name", "tokens", "flops"),
    [
        ("gpt2", 512, 136_160_477_184),
        ("Qwen2.5-0.5B", 512, 528_364_863_488),
        ("Llama-3.1-8B", 512, 7_822_209_187_840),
        ("Gemma-2B", 256, 1_292_785_156_096),
    ],
)
def test_check_c_operations_are_those_of_the_counter_of_pytorch(name: str, tokens: int, flops: int) -> None:
    """Without the outer product of rotations, which the counter has besides: 2 * 64 * 512 for Llama."""
    assert count_work(config_of(name), Workload(tokens, sequence=tokens)).full == flops


def test_check_c_causal() -> None:
    assert count_work(config_of("gpt2"), Workload(512, sequence=512)).causal == 131_328_638_976


def test_check_d_bytes_of_the_cache() -> None:
    assert count_bytes(config_of("Llama-3.1-8B"), Workload(8192, sequence=8192), "bfloat16").cache == GIB
    assert count_bytes(config_of("DeepSeek-V3"), Workload(1), "bfloat16").cache_per_token == 70_272


def test_check_e_bytes_of_bert() -> None:
    """accelerate's documentation: 413.18 MB (it means MiB) to load BERT-base in float32."""
    assert count_bytes(config_of("BERT-base-cased"), Workload(1, mode="embed"), "float32").weights / 1024**2 == pytest.approx(
        413.18, abs=0.02
    )


def test_check_k_a_billion_tokens_of_llama() -> None:
    work = count_work(config_of("Llama-3.1-8B"), Workload(10**9, batch=1, sequence=4096))
    assert work.causal / 1e19 == pytest.approx(1.6083, abs=5e-5)


@pytest.mark.parametrize(("name", "gib"), [("gpt-oss-20b", 12.8), ("gpt-oss-120b", 60.8)])
def test_packed_checkpoints_take_what_the_model_card_says(name: str, gib: float) -> None:
    stored = need(config_of(name), Workload(1)).memory.weights_as_stored
    assert stored is not None
    assert stored / GIB == pytest.approx(gib, abs=0.05)


def test_windows_of_published_models() -> None:
    per_token = 2 * 8 * 64 * 2
    oss = count_bytes(config_of("gpt-oss-20b"), Workload(131_072, sequence=131_072), "bfloat16")
    assert oss.cache == per_token * (12 * 128 + 12 * 131_072)
    assert sum(layer.window is None for layer in config_of("Gemma-3-27B").layers) == 10
    assert {layer.window for layer in config_of("Qwen2.5-0.5B").layers} == {None}
