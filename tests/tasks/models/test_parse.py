"""What config.json files are taken, and in which one line the others are refused."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.models import Config, count_parameters, parse_config, read_config
from tasks.models.attention import Grouped
from tasks.models.config import Layer
from tasks.models.families import FAMILIES, SAME
from tests.tasks.models.test_products import DEEPSEEK, LLAMA, MIXTRAL

LLAMA4 = {"num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": 100, "attention_chunk_size": 8192}
QWEN_MOE = LLAMA | {
    "model_type": "qwen3_moe",
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 768,
}


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {known: value for known, value in fields.items() if known != name}


def windows(config: Config) -> list[int | None]:
    return [layer.window for layer in config.layers]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "without hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, vocab_size"),
        (without(LLAMA, "hidden_size"), "config lacks hidden_size or n_embd: add it"),
        (without(LLAMA, "vocab_size"), "config lacks vocab_size: add it"),
        (without(MIXTRAL, "num_experts_per_tok"), "config lacks num_experts_per_tok"),
        (without(LLAMA, "intermediate_size") | {"model_type": "bert"}, "config lacks intermediate_size or n_inner"),
        (without(DEEPSEEK, "kv_lora_rank"), "config lacks kv_lora_rank"),
        (without(DEEPSEEK, "first_k_dense_replace"), "config lacks first_k_dense_replace"),
        (LLAMA | {"hidden_size": None}, "config lacks hidden_size"),
        (
            LLAMA | {"hidden_size": 4095},
            "hidden_size is 4095 in config, no multiple of num_attention_heads 32: change one, or give head_dim",
        ),
        (LLAMA | {"num_key_value_heads": 7}, "num_key_value_heads is 7 in config, no divisor of num_attention_heads 32"),
        (LLAMA | {"num_key_value_heads": 64}, "num_key_value_heads is 64 in config, no divisor"),
        (LLAMA | {"num_local_experts": 8}, "num_local_experts is 8 in config, but llama has no experts: give the right model_type"),
        (MIXTRAL | {"kv_lora_rank": 512}, "kv_lora_rank is 512 in config, but mixtral has no latent attention"),
        (MIXTRAL | {"num_experts_per_tok": 9}, "num_experts_per_tok is 9 in config, more than num_local_experts 8: give 8 or less"),
        (LLAMA | {"hidden_size": 0}, "hidden_size is 0 in config: it must be 1 or more"),
        (LLAMA | {"num_hidden_layers": -1}, "num_hidden_layers is -1 in config"),
        (LLAMA | {"hidden_size": 4096.0}, "hidden_size is 4096.0 in config: it must be a whole number"),
        (LLAMA | {"hidden_size": "4096"}, "hidden_size is '4096' in config"),
        (LLAMA | {"hidden_size": True}, "hidden_size is True in config: it must be a whole number"),
        (LLAMA | {"vocab_size": True}, "vocab_size is True in config: it must be a whole number"),
        (LLAMA | {"hidden_size": math.nan}, "hidden_size is nan in config"),
        (LLAMA | {"hidden_size": [4096]}, r"hidden_size is \[4096\] in config"),
        (LLAMA | {"hidden_size": 10**12}, "hidden_size is 1000000000000 in config: at most 1000000000 is possible"),
        (LLAMA | {"hidden_size": 10**5000}, "hidden_size is a number of thousands of digits in config: at most"),
        (LLAMA | {"num_hidden_layers": 10**6}, "at most 10000 layers are possible"),
        (LLAMA | {"tie_word_embeddings": "no"}, "tie_word_embeddings is 'no' in config: it must be true or false"),
        (LLAMA | {"model_type": 7}, "model_type is 7 in config: it must be a text"),
        (LLAMA | {"n_embd": 2048}, "hidden_size is 4096 and n_embd is 2048, but they mean the same: keep one"),
        (LLAMA | {"layer_types": ["full_attention"]}, "layer_types has 1 entries for 32 layers in config: give one for each"),
        (LLAMA | {"layer_types": ["linear_attention"] * 32}, "layer_types names 'linear_attention' in config"),
        (LLAMA | {"layer_types": ["sliding_attention"] * 32}, "config lacks sliding_window"),
        (LLAMA | {"layer_types": "full"}, "layer_types is 'full' in config: it must be a list"),
        (LLAMA | {"is_encoder_decoder": True}, "is_encoder_decoder is true in config"),
        (LLAMA | {"model_type": "gpt2", "add_cross_attention": True}, "add_cross_attention is true in config"),
        (LLAMA | {"model_type": "phi", "qk_layernorm": True}, "qk_layernorm is true in config: that variant of phi is not counted"),
        (QWEN_MOE | {"mlp_only_layers": [1.5]}, "mlp_only_layers is 1.5 in config"),
        (QWEN_MOE | {"mlp_only_layers": 3}, "mlp_only_layers is 3 in config: it must be a list"),
        (QWEN_MOE | {"decoder_sparse_step": 0}, "decoder_sparse_step is 0 in config"),
        (LLAMA | LLAMA4 | {"model_type": "llama4", "no_rope_layers": [1]}, "no_rope_layers has 1 entries for 32 layers in config"),
        (LLAMA | LLAMA4 | {"model_type": "llama4", "layer_types": ["sliding_attention"] * 32}, "only full_attention and chunked_attention"),
        ({"text_config": 3}, "text_config is 3 in config: it must be an object"),
        (LLAMA | {"quantization_config": {"quant_method": "gptq", "bits": "four"}}, "bits is 'four' in config"),
        (LLAMA | {"model_type": "jamba", "mamba_d_state": 16}, "model_type is 'jamba' in config, with mamba_d_state: that architecture"),
        (LLAMA | {"model_type": "llama5_text", "num_local_experts": 16}, "with num_local_experts: that architecture is not counted"),
        (LLAMA | {"model_type": "gemma4_text", "attention_k_eq_v": True}, "with attention_k_eq_v"),
        (LLAMA | {"model_type": "new", "hidden_size_per_layer_input": 256}, "with hidden_size_per_layer_input"),
        (without(LLAMA, "intermediate_size") | {"model_type": "falcon"}, "'falcon' in config, without intermediate_size"),
        (LLAMA | {"model_type": "deepseek_v32", "kv_lora_rank": 512}, "the nearest that is counted is deepseek_v3"),
        (LLAMA | {"model_type": "x" * 500, "experts": 3}, r"model_type is 'xxx+\.\.\. in config"),
    ],
)
def test_what_is_wrong_is_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        parse_config(fields)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_config_that_is_made_by_hand_is_checked_too() -> None:
    config = parse_config(LLAMA)
    for change in ({"mlp": None}, {"layers": (Layer(sparse=True),)}, {"layers": ()}):
        with pytest.raises(BadInput, match="a model of"):
            replace(config, **change)


def test_a_usual_sequence_is_one_that_the_model_allows() -> None:
    assert parse_config(LLAMA).usual_sequence == 4096
    assert parse_config(LLAMA | {"max_position_embeddings": 2048}).usual_sequence == 2048
    assert parse_config(LLAMA | {"model_type": "gpt2"}).usual_sequence == 1024


JUNK = st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | st.text(max_size=4) | st.lists(st.integers(), max_size=3)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_field_of_any_kind_is_counted_or_refused_in_one_line(data: st.DataObject) -> None:
    fields = dict(data.draw(st.sampled_from([LLAMA, MIXTRAL, DEEPSEEK, QWEN_MOE])))
    known = sorted({*fields, "head_dim", "layer_types", "sliding_window", "quantization_config", "text_config", "model_type", "n_embd"})
    for name in data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=3)):
        fields[name] = data.draw(JUNK)
    try:
        parameters = count_parameters(parse_config(fields))
    except BadInput as error:
        assert str(error).isprintable()
    else:
        assert sum(part.parameters for part in parameters.breakdown) == parameters.total > 0


def test_an_unknown_family_with_the_fields_of_a_llama_is_counted_and_said() -> None:
    config = parse_config(LLAMA | {"model_type": "novel", "rms_norm_eps": 1e-5, "bos_token_id": 128000, "use_cache": True})
    assert config.assumed == (
        "model_type 'novel' is not known: counted as a Llama (gated feed-forward blocks, two RMS norms a layer, rotated positions)",
    )
    assert count_parameters(config).total == count_parameters(parse_config(LLAMA)).total
    assert "no model_type" in parse_config(without(LLAMA, "model_type")).assumed[0]


def test_what_the_family_takes_for_missing_fields_is_said() -> None:
    config = parse_config(without(LLAMA, "num_attention_heads") | {"model_type": "gemma3_text", "head_dim": 128})
    assert config.attention == Grouped(8, 8, 128, norm="head")
    assert "the file has no num_attention_heads: 8, as its family's models have" in config.assumed


def test_layers_that_predict_further_tokens_are_left_out_and_said() -> None:
    assert "num_nextn_predict_layers" in parse_config(DEEPSEEK | {"num_nextn_predict_layers": 1}).assumed[0]


def test_text_of_a_model_with_several_parts() -> None:
    inner = without(LLAMA, "tie_word_embeddings") | {"model_type": "mistral"}
    config = parse_config({"model_type": "llava", "tie_word_embeddings": True, "text_config": inner, "vision_config": {"hidden_size": 7}})
    assert config.family == "mistral"
    assert config.tables.tied
    assert config.assumed == ("only the part for text is counted, not vision_config",)


@pytest.mark.parametrize("name", sorted(SAME))
def test_other_names_of_rows_are_rows(name: str) -> None:
    assert SAME[name] in FAMILIES
    fields = LLAMA | LLAMA4 if "llama4" in name else QWEN_MOE if FAMILIES[SAME[name]].experts else LLAMA
    own, row = (parse_config(fields | {"model_type": each, "head_dim": 128, "sliding_window": 9}) for each in (name, SAME[name]))
    assert (own.family, own.assumed) == (name, ())
    assert replace(own, family=SAME[name]) == row


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model_type": "llama", "sliding_window": 4}, [None] * 6),
        ({"model_type": "mistral", "sliding_window": 4}, [4] * 6),
        ({"model_type": "mistral", "sliding_window": None}, [None] * 6),
        ({"model_type": "qwen2", "sliding_window": 4, "max_window_layers": 4}, [None] * 6),
        ({"model_type": "qwen2", "sliding_window": 4, "max_window_layers": 4, "use_sliding_window": True}, [None] * 4 + [4] * 2),
        ({"model_type": "gemma2", "sliding_window": 4}, [4, None] * 3),
        ({"model_type": "gemma3_text", "sliding_window": 4}, [4] * 5 + [None]),
        ({"model_type": "gemma3_text", "sliding_window": 4, "sliding_window_pattern": 3}, [4, 4, None] * 2),
        ({"model_type": "gpt_oss", "num_local_experts": 4, "num_experts_per_tok": 2}, [128, None] * 3),
        ({"model_type": "llama4_text", **LLAMA4, "attention_chunk_size": 4}, [4, 4, 4, None, 4, 4]),
        ({"model_type": "llama4_text", **LLAMA4, "attention_chunk_size": 4, "no_rope_layers": [1, 0] * 3}, [4, None] * 3),
        ({"model_type": "llama4_text", **LLAMA4, "layer_types": ["chunked_attention", "full_attention"] * 3}, [8192, None] * 3),
        ({"model_type": "llama", "sliding_window": 4, "layer_types": ["full_attention", "sliding_attention"] * 3}, [None, 4] * 3),
    ],
)
def test_windows(fields: dict[str, Any], expected: list[int | None]) -> None:
    assert windows(parse_config(LLAMA | {"num_hidden_layers": 6} | fields)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (MIXTRAL, "111111"),
        (QWEN_MOE, "111111"),
        (QWEN_MOE | {"decoder_sparse_step": 2}, "010101"),
        (QWEN_MOE | {"decoder_sparse_step": 2, "mlp_only_layers": [1]}, "000101"),
        (DEEPSEEK, "000111"),
        (DEEPSEEK | {"moe_layer_freq": 2}, "000010"),
        (LLAMA, "000000"),
    ],
)
def test_layers_with_experts(fields: dict[str, Any], expected: str) -> None:
    assert "".join(str(int(layer.sparse)) for layer in parse_config(fields | {"num_hidden_layers": 6}).layers) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[1]", "holds a list, not an object"),
        (b"\xff\xfe", "is not JSON"),
        (b'{"hidden_size": NaN}', "it holds NaN, which is no number"),
        (b'{"hidden_size": 1, "hidden_size": 2}', "'hidden_size' is given twice: keep one"),
        (b'{"a": ' + b"[" * 100_000, "is not JSON that can be read"),
        (b'{"hidden_size": ' + b"9" * 5000 + b"}", "is not JSON that can be read"),
        (b" " * (4 * 1024**2 + 1), "has 4194305 bytes, more than the 4194304"),
        (json.dumps(LLAMA | {"hidden_size": -1}).encode(), "hidden_size is -1"),
    ],
)
def test_files_that_are_no_config(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=message) as caught:
        read_config(file)
    assert str(caught.value).startswith(str(file)) or str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_with_a_config_is_its_config(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is a folder without config\.json"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert read_config(tmp_path) == read_config(tmp_path / "config.json") == parse_config(LLAMA)


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_config(tmp_path / "nothing.json")
    (tmp_path / "config.json").mkdir()
    with pytest.raises(BadInput, match="is not a file"):
        read_config(tmp_path)
