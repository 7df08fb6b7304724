"""Families of transformers: one row each, what their files leave unsaid.

A new family is a new row: how it differs from a Llama (gated feed-forward blocks, two RMS norms a layer, no biases, rotated positions,
a head of its own). Rows were checked against transformers 4.57.6; the numbers that they give are in tests/tasks/models.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tasks.models import windows
from tasks.models.attention import QueryKeyNorm
from tasks.models.config import Norms
from tasks.models.expert_rules import ExpertRule, after_first, by_step, interleaved
from tasks.models.fields import Fields


@dataclass(frozen=True)
class Switch:
    """Whether something is there: by a field of the file, or always as the default says."""

    default: bool = False
    """Where the file does not say."""
    by: str | None = None
    """The field that says it; None: no field does."""

    def read(self, fields: Fields) -> bool:
        """The answer. Raises BadInput where the field is neither true nor false."""
        return self.default if self.by is None else fields.flag(self.by, self.default)


RMS_NORM, LAYER_NORM, GEMMA_NORM = Norms(), Norms(bias=True), Norms(per_layer=4)
NO, YES = Switch(), Switch(True)
BY_ATTENTION_BIAS, BY_MLP_BIAS, BY_USE_BIAS = Switch(by="attention_bias"), Switch(by="mlp_bias"), Switch(True, by="use_bias")


@dataclass(frozen=True)
class Family:
    """How a family differs from a Llama."""

    gated: bool = True
    """Feed-forward blocks with a gate."""
    width: str = "intermediate_size"
    """Field of the width of feed-forward blocks without experts."""
    four_times: bool = False
    """Feed-forward blocks four times as wide as the model where the file does not say."""
    norms: Norms = RMS_NORM
    """Norms."""
    qkv_bias: Switch = NO
    """Biases of queries, keys and values."""
    out_bias: Switch = NO
    """Bias of the attention's output."""
    mlp_bias: Switch = NO
    """Biases of feed-forward blocks."""
    head_bias: bool = False
    """Bias of the head."""
    query_key_norm: QueryKeyNorm = "none"
    """Norms of queries and keys."""
    norm_by: str | None = None
    """The field that says whether these norms are there; None: always."""
    sinks: bool = False
    """A learned score for each head."""
    latent: bool = False
    """Latent attention."""
    experts: ExpertRule | None = None
    """Experts."""
    tied: bool = False
    """Whether the head is the table of tokens where the file does not say."""
    learned_positions: bool = False
    """A table of positions."""
    encoder: bool = False
    """Every token sees all; no head, a pooler."""
    dropout: bool = False
    """Trained with dropout."""
    sliding: windows.Rule = windows.nowhere
    """Which layers have a window where the file does not list them."""
    unlike: tuple[str, ...] = ()
    """Fields that, where true, mean a shape that is not counted."""
    defaults: Mapping[str, int | bool] = field(default_factory=dict[str, int | bool])
    """Fields that published files leave out."""


LLAMA = Family(qkv_bias=BY_ATTENTION_BIAS, out_bias=BY_ATTENTION_BIAS, mlp_bias=BY_MLP_BIAS)
DEEPSEEK_EXPERTS = ExpertRule(after_first, shared_count="n_shared_experts")
DEEPSEEK_V3 = Family(
    latent=True,
    qkv_bias=BY_ATTENTION_BIAS,
    experts=ExpertRule(after_first, shared_count="n_shared_experts", correction=True),
)
GPT2 = Family(
    gated=False,
    four_times=True,
    norms=LAYER_NORM,
    qkv_bias=YES,
    out_bias=YES,
    mlp_bias=YES,
    tied=True,
    learned_positions=True,
    dropout=True,
    defaults={"max_position_embeddings": 1024},
)

BERT = Family(
    gated=False,
    norms=LAYER_NORM,
    qkv_bias=YES,
    out_bias=YES,
    mlp_bias=YES,
    learned_positions=True,
    encoder=True,
    dropout=True,
    defaults={"type_vocab_size": 2},
)

FAMILIES: dict[str, Family] = {
    "llama": LLAMA,
    "llama4_text": Family(
        width="intermediate_size_mlp",
        sliding=windows.chunks,
        experts=ExpertRule(interleaved, width="intermediate_size", shared_width="intermediate_size"),
        defaults={"head_dim": 128, "attention_chunk_size": 8192},
    ),
    "mistral": Family(sliding=windows.everywhere),
    "mixtral": Family(sliding=windows.everywhere, experts=ExpertRule(width="intermediate_size")),
    "qwen2": Family(qkv_bias=YES, sliding=windows.late),
    "qwen2_moe": Family(
        qkv_bias=Switch(True, by="qkv_bias"),
        sliding=windows.if_used,
        experts=ExpertRule(by_step, shared_width="shared_expert_intermediate_size", gate=True),
    ),
    "qwen3": Family(
        qkv_bias=BY_ATTENTION_BIAS, out_bias=BY_ATTENTION_BIAS, query_key_norm="head", sliding=windows.late, defaults={"head_dim": 128}
    ),
    "qwen3_moe": Family(
        qkv_bias=BY_ATTENTION_BIAS,
        out_bias=BY_ATTENTION_BIAS,
        query_key_norm="head",
        sliding=windows.if_used,
        experts=ExpertRule(by_step),
    ),
    "gemma": Family(qkv_bias=BY_ATTENTION_BIAS, out_bias=BY_ATTENTION_BIAS, tied=True, defaults={"head_dim": 256}),
    "gemma2": Family(
        norms=GEMMA_NORM,
        qkv_bias=BY_ATTENTION_BIAS,
        out_bias=BY_ATTENTION_BIAS,
        tied=True,
        sliding=windows.alternate,
        defaults={"head_dim": 256, "sliding_window": 4096},
    ),
    "gemma3_text": Family(
        norms=GEMMA_NORM,
        qkv_bias=BY_ATTENTION_BIAS,
        out_bias=BY_ATTENTION_BIAS,
        query_key_norm="head",
        tied=True,
        sliding=windows.five_of_six,
        defaults={"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262_208, "sliding_window": 4096},
    ),
    "gpt_oss": Family(
        qkv_bias=YES,
        out_bias=YES,
        sinks=True,
        sliding=windows.alternate,
        experts=ExpertRule(width="intermediate_size", bias=True),
        defaults={"head_dim": 64, "sliding_window": 128},
    ),
    "deepseek_v2": Family(latent=True, qkv_bias=BY_ATTENTION_BIAS, experts=DEEPSEEK_EXPERTS),
    "deepseek_v3": DEEPSEEK_V3,
    "kimi_k2": DEEPSEEK_V3,
    "glm4_moe": Family(
        qkv_bias=BY_ATTENTION_BIAS,
        query_key_norm="head",
        norm_by="use_qk_norm",
        experts=ExpertRule(after_first, shared_count="n_shared_experts", correction=True),
    ),
    "phi": Family(
        gated=False,
        norms=Norms(per_layer=1, bias=True),
        qkv_bias=YES,
        out_bias=YES,
        mlp_bias=YES,
        head_bias=True,
        dropout=True,
        unlike=("qk_layernorm",),
    ),
    "phi3": Family(sliding=windows.everywhere),
    "granite": LLAMA,
    "smollm3": Family(qkv_bias=BY_ATTENTION_BIAS, out_bias=BY_ATTENTION_BIAS, mlp_bias=BY_MLP_BIAS, tied=True),
    "seed_oss": Family(
        qkv_bias=Switch(True, by="attention_bias"),
        out_bias=Switch(by="attention_out_bias"),
        mlp_bias=BY_MLP_BIAS,
        defaults={"head_dim": 128},
    ),
    "glm4": Family(norms=GEMMA_NORM, qkv_bias=Switch(True, by="attention_bias"), defaults={"head_dim": 128}),
    "ernie4_5": Family(
        qkv_bias=Switch(by="use_bias"),
        out_bias=Switch(by="use_bias"),
        mlp_bias=Switch(by="use_bias"),
        tied=True,
        defaults={"head_dim": 128},
    ),
    "cohere": Family(
        norms=Norms(per_layer=1),
        qkv_bias=BY_ATTENTION_BIAS,
        out_bias=BY_ATTENTION_BIAS,
        tied=True,
        unlike=("use_qk_norm",),
    ),
    "olmo": Family(norms=Norms(per_layer=0, outside=0), qkv_bias=BY_ATTENTION_BIAS, out_bias=BY_ATTENTION_BIAS),
    "olmoe": Family(
        qkv_bias=BY_ATTENTION_BIAS,
        out_bias=BY_ATTENTION_BIAS,
        query_key_norm="width",
        experts=ExpertRule(width="intermediate_size"),
    ),
    "olmo2": Family(qkv_bias=BY_ATTENTION_BIAS, out_bias=BY_ATTENTION_BIAS, query_key_norm="width"),
    "starcoder2": Family(
        gated=False,
        norms=LAYER_NORM,
        qkv_bias=BY_USE_BIAS,
        out_bias=BY_USE_BIAS,
        mlp_bias=BY_USE_BIAS,
        tied=True,
        sliding=windows.everywhere,
    ),
    "gpt_neox": Family(
        gated=False,
        norms=LAYER_NORM,
        qkv_bias=Switch(True, by="attention_bias"),
        out_bias=Switch(True, by="attention_bias"),
        mlp_bias=YES,
    ),
    "gpt2": GPT2,
    "gpt_bigcode": replace(GPT2, defaults={**GPT2.defaults, "multi_query": True}),
    "bert": BERT,
    "roberta": BERT,
    "xlm-roberta": BERT,
}
"""By model_type."""

SAME: dict[str, str] = {
    "gemma3": "gemma3_text",
    "llama4": "llama4_text",
    "llava": "llama",
    "mistral3": "mistral",
    "qwen2_5_vl": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen2_vl": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen3_vl": "qwen3",
    "qwen3_vl_text": "qwen3",
    "qwen3_vl_moe": "qwen3_moe",
    "qwen3_vl_moe_text": "qwen3_moe",
}
"""Models of several parts, or their part for text, that are a row above as far as text goes."""
