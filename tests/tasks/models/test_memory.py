"""Bytes: of the cache, of training, of what a step moves."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.models import PRECISIONS, STATES, Workload, count_bytes, count_parameters, need, parse_config
from tests.tasks.models import naive
from tests.tasks.models.test_products import DEEPSEEK, LLAMA, MIXTRAL

GIB = 1024**3
GPT = {"model_type": "gpt2", "n_embd": 1024, "n_layer": 3, "n_head": 16, "vocab_size": 50257, "n_positions": 2048}


def test_cache_of_grouped_and_of_all_heads() -> None:
    """Check D: 1.000 GiB for 8192 tokens of Llama-3.1-8B, 4.000 GiB if each head had its own keys."""
    load = Workload(8192, sequence=8192)
    assert count_bytes(parse_config(LLAMA), load, "bfloat16").cache == GIB
    assert count_bytes(parse_config(LLAMA | {"num_key_value_heads": 32}), load, "bfloat16").cache == 4 * GIB
    assert count_bytes(parse_config(LLAMA), load, "float32").cache == 2 * GIB


def test_cache_of_latent_attention() -> None:
    memory = count_bytes(parse_config(DEEPSEEK), Workload(1000, batch=3, sequence=1000, mode="decode"), "bfloat16")
    assert memory.cache_per_token == 70_272
    assert memory.cache == 3 * 1000 * 70_272


def test_a_window_keeps_no_more_than_itself() -> None:
    config = parse_config(LLAMA | {"model_type": "gemma2", "head_dim": 128, "sliding_window": 1000})
    per_layer = 2 * 8 * 128 * 2
    assert count_bytes(config, Workload(10**6, 2, 400), "bfloat16").cache == 2 * 32 * 400 * per_layer
    assert count_bytes(config, Workload(10**6, 2, 5000), "bfloat16").cache == 2 * (16 * 1000 + 16 * 5000) * per_layer


def test_stretches_keep_no_scores_between_them() -> None:
    fields = LLAMA | {"model_type": "llama4", "attention_chunk_size": 100, "no_rope_layers": [1] * 32, "intermediate_size_mlp": 7}
    config = parse_config(fields | {"num_local_experts": 2, "num_experts_per_tok": 1})
    load = {recompute: Workload(250, sequence=250, mode="train", recompute=recompute) for recompute in ("none", "selective")}
    kept = {recompute: count_bytes(config, each, "bfloat16").activations for recompute, each in load.items()}
    assert kept["none"] - kept["selective"] == 32 * 32 * (100**2 + 100**2 + 50**2) * 2


def test_there_is_no_cache_without_next_tokens() -> None:
    for mode in ("train", "embed"):
        assert count_bytes(parse_config(LLAMA), Workload(4096, mode=mode), "bfloat16").cache == 0


def test_states_of_training() -> None:
    """Check E: 16 bytes per parameter of Llama-3.1-8B are 128.48 GB, 18 are 144.54 GB."""
    config = parse_config(LLAMA)
    for states, size in (("adam-mixed", 128.48), ("adam-mixed-float32-gradients", 144.54), ("adam-float32", 128.48)):
        memory = count_bytes(config, Workload(4096, mode="train", states=states), "bfloat16")
        held = memory.weights + memory.gradients + memory.optimizer
        row = STATES[states]
        assert held == 8_030_261_248 * (row.weights + row.gradients + row.optimizer)
        assert held / 1e9 == pytest.approx(size, abs=0.005)


def test_the_usual_states_follow_the_precision() -> None:
    config, load = parse_config(LLAMA), Workload(4096, mode="train")
    assert count_bytes(config, load, "bfloat16").gradients == 2 * 8_030_261_248
    assert count_bytes(config, load, "fp8").weights == 2 * 8_030_261_248
    assert count_bytes(config, load, "float32").optimizer == 8 * 8_030_261_248
    with pytest.raises(BadInput, match="nobody trains in int8: give bfloat16"):
        need(config, load, "int8")


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 2048))
def test_activations_of_gpt_are_those_of_korthikanti(batch: int, sequence: int) -> None:
    config = parse_config(GPT)

    def kept(recompute: str) -> int:
        load = Workload(10**9, batch, sequence, "train", recompute)
        return count_bytes(config, load, "float16").activations

    assert kept("none") == 3 * (34 * sequence * batch * 1024 + 5 * 16 * sequence**2 * batch)
    assert kept("selective") == 3 * 34 * sequence * batch * 1024
    assert kept("full") == 3 * 2 * sequence * batch * 1024


def test_activations_of_llama_by_hand() -> None:
    """Per token and layer: inputs and norms 4 d, queries and what enters the output 2 d, keys and values d/2, three of f."""
    memory = count_bytes(parse_config(LLAMA), Workload(4096, mode="train", recompute="selective"), "bfloat16")
    assert memory.activations == 32 * 4096 * 2 * (4 * 4096 + 2 * 4096 + 2 * 1024 + 3 * 14336)


def test_activations_without_a_backward_pass_are_a_residual_an_input_and_the_widest_that_a_block_makes() -> None:
    dense = count_bytes(parse_config(LLAMA), Workload(10**6, 2, 100), "float32")
    assert dense.activations == 200 * (2 * 4096 + 3 * 14336) * 4
    assert dense.logits == 200 * 128256 * 4
    sparse = count_bytes(parse_config(MIXTRAL), Workload(10**6, 2, 100, "decode"), "fp8")
    assert sparse.activations == 2 * (2 * 4096 + 2 * (4096 + 3 * 14336)) * 2


def test_activations_of_experts_by_hand() -> None:
    """Each expert's input is a copy; a shared block keeps what any block keeps."""
    load = Workload(4096, mode="train", recompute="selective")
    of_all = 4 * 4096 + 2 * 4096 + 2 * 1024
    assert count_bytes(parse_config(MIXTRAL), load, "bfloat16").activations == 32 * 4096 * 2 * (of_all + 2 * (4096 + 3 * 14336))
    fields = LLAMA | {"model_type": "qwen2_moe", "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 10}
    shared = parse_config(fields | {"shared_expert_intermediate_size": 50})
    assert count_bytes(shared, load, "bfloat16").activations == 32 * 4096 * 2 * (of_all + 2 * (4096 + 30) + 150)


@pytest.mark.parametrize(("recompute", "passes"), [("none", 3), ("selective", 3), ("full", 4)])
def test_a_training_step_moves_weights_gradients_and_states(recompute: str, passes: int) -> None:
    """Weights once for each pass and once when they are written, gradients and states written and read."""
    memory = count_bytes(parse_config(LLAMA), Workload(4096, mode="train", recompute=recompute), "bfloat16")
    assert memory.moved == 8_030_261_248 * (passes * 2 + 2 * 2 + 2 * 12)


def test_a_decode_step_reads_the_experts_that_it_takes_and_the_cache() -> None:
    config = parse_config(MIXTRAL | {"tie_word_embeddings": False})
    expert, idle_rows = 3 * 4096 * 14336, (128256 - 1) * 4096
    one = count_bytes(config, Workload(1, 1, 4096, "decode"), "bfloat16")
    assert one.moved == 2 * (count_parameters(config).total - 32 * 6 * expert - idle_rows) + one.cache
    many = count_bytes(config, Workload(100, 100, 4096, "decode"), "bfloat16")
    assert many.moved == 2 * (count_parameters(config).total - (128256 - 100) * 4096) + many.cache


def test_embed_leaves_a_head_of_its_own_at_home() -> None:
    load = Workload(4096, mode="embed")
    assert count_bytes(parse_config(LLAMA), load, "bfloat16").weights == 2 * (8_030_261_248 - 128256 * 4096)
    tied = parse_config(LLAMA | {"tie_word_embeddings": True})
    assert count_bytes(tied, load, "bfloat16").weights == 2 * count_parameters(tied).total
    assert count_bytes(tied, load, "bfloat16").logits == 0


@settings(deadline=None)
@given(naive.FIELDS, st.integers(1, 9), st.integers(1, 9), st.sampled_from(["prefill", "decode", "train", "embed"]))
def test_bytes_grow_with_the_precision(fields: naive.Fields, batch: int, sequence: int, mode: str) -> None:
    config, load = parse_config(fields), Workload(100, batch, sequence, mode)
    order = ["fp8", "bfloat16", "float32", "float64"]
    sizes = [count_bytes(config, load, precision) for precision in order]
    for less, more in pairwise(sizes):
        assert less.weights <= more.weights
        assert less.cache <= more.cache
        assert less.resident <= more.resident
        assert less.moved > 0


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(BadInput, match="precision 'bfloat61' is not known: did you mean bfloat16"):
        count_bytes(parse_config(LLAMA), Workload(1), "bfloat61")
    assert set(PRECISIONS) == {"float64", "float32", "tf32", "bfloat16", "float16", "fp8", "int8"}
