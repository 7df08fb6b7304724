"""Shapes of the products of jobs that can be checked by hand."""

from tasks.gemm import Gemm
from tasks.models import Workload, parse_config, products
from tests.tasks.models.configs import DEEPSEEK, LLAMA

MIXTRAL = LLAMA | {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}


def test_prefill_of_llama() -> None:
    assert products(parse_config(LLAMA), Workload(2 * 3 * 512, batch=2, sequence=512)) == (
        Gemm("qkv", 1024, 6144, 4096, 96),
        Gemm("attention out", 1024, 4096, 4096, 96),
        Gemm("gate and up", 1024, 28672, 4096, 96),
        Gemm("down", 1024, 4096, 14336, 96),
        Gemm("scores", 512, 512, 128, 6 * 32 * 32),
        Gemm("values", 512, 128, 512, 6 * 32 * 32),
        Gemm("head", 1024, 128256, 4096, 3),
    )


def test_the_rest_of_a_job_is_a_shorter_step_and_a_shorter_sequence() -> None:
    listed = products(parse_config(LLAMA), Workload(1024 + 600, batch=2, sequence=512))
    assert {(gemm.m, gemm.count) for gemm in listed if gemm.name == "head"} == {(1024, 1), (600, 1)}
    assert {(gemm.m, gemm.n, gemm.count // 1024) for gemm in listed if gemm.name == "scores"} == {(512, 512, 3), (88, 88, 1)}


def test_decode_multiplies_a_row_for_each_sequence_and_shares_keys_among_heads() -> None:
    listed = products(parse_config(LLAMA), Workload(1000, batch=16, sequence=8192, mode="decode"))
    assert Gemm("down", 16, 4096, 14336, 32 * 62) in listed
    assert Gemm("down", 8, 4096, 14336, 32) in listed
    assert Gemm("scores", 4, 8192, 128, 32 * 8 * 1000) in listed
    assert Gemm("values", 4, 128, 8192, 32 * 8 * 1000) in listed


def test_experts_get_few_rows() -> None:
    listed = products(parse_config(MIXTRAL), Workload(4, batch=3, sequence=100, mode="decode"))
    rows = {(gemm.m, gemm.count // 32) for gemm in listed if gemm.name == "expert down"}
    assert rows == {(1, 6 + 2)}  # three tokens meet six of eight experts, the last one two
    assert Gemm("router", 3, 8, 4096, 32) in listed
    uneven = products(parse_config(MIXTRAL), Workload(9, batch=1, sequence=9))
    assert {(gemm.m, gemm.count // 32) for gemm in uneven if gemm.name == "expert gate and up"} == {(3, 2), (2, 6)}


def test_latent_attention_is_expanded_in_prefill_and_absorbed_in_decode() -> None:
    config = parse_config(DEEPSEEK)
    prefill = products(config, Workload(4096))
    assert Gemm("kv up", 4096, 128 * 256, 512, 61) in prefill
    assert Gemm("scores", 4096, 4096, 192, 61 * 128) in prefill
    assert Gemm("values", 4096, 128, 4096, 61 * 128) in prefill
    decode = products(config, Workload(10, batch=10, mode="decode"))
    assert Gemm("scores", 128, 4096, 576, 61 * 10) in decode
    assert Gemm("values", 128, 512, 4096, 61 * 10) in decode
    assert Gemm("query into cache", 10, 512, 128, 61 * 128) in decode
    assert Gemm("value out of cache", 10, 128, 512, 61 * 128) in decode
    assert Gemm("shared down", 10, 7168, 2048, 58) in decode
    assert not [gemm for gemm in decode if gemm.name == "kv up"]


def test_windows_limit_keys() -> None:
    fields = LLAMA | {"model_type": "gemma2", "head_dim": 128, "sliding_window": 100}
    listed = products(parse_config(fields), Workload(512, sequence=512))
    assert Gemm("scores (window 100)", 512, 100, 128, 16 * 32) in listed
    assert Gemm("scores", 512, 512, 128, 16 * 32) in listed


def test_training_has_two_more_products_for_each() -> None:
    listed = products(parse_config(LLAMA), Workload(512, sequence=512, mode="train", recompute="selective"))
    assert Gemm("down", 512, 4096, 14336, 32) in listed
    assert Gemm("down: gradient of input", 512, 14336, 4096, 32) in listed
    assert Gemm("down: gradient of weights", 14336, 4096, 512, 32) in listed
    assert Gemm("scores", 512, 512, 128, 2 * 32 * 32) in listed
    assert Gemm("scores: gradient of keys or values", 128, 512, 512, 32 * 32) in listed


def test_a_pooler_takes_a_row_for_each_sequence() -> None:
    fields = {"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
    config = parse_config(fields | {"vocab_size": 30522, "max_position_embeddings": 512})
    listed = products(config, Workload(1000, batch=4, sequence=128, mode="embed"))
    assert {(gemm.m, gemm.count) for gemm in listed if gemm.name == "pooler"} == {(4, 2)}  # 512 + 488 tokens: four sequences each
    assert all(gemm.name != "head" for gemm in listed)
