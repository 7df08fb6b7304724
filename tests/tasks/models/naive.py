"""The slow way to count a transformer: layer by layer, head by head, token by token, from the fields of the file alone.

It shares no line with `tasks.models`. A row of `FIELDS` is a small random config of one family.
"""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Fields = Mapping[str, Any]
small = st.integers(1, 6)


@st.composite
def dense(draw: st.DrawFn, family: str = "llama") -> dict[str, Any]:
    """Heads in groups, with or without a width of their own."""
    kv, group, width = draw(small), draw(st.integers(1, 4)), draw(small)
    fields = {
        "model_type": family,
        "num_attention_heads": kv * group,
        "num_key_value_heads": kv,
        "hidden_size": kv * group * width,
        "num_hidden_layers": draw(small),
        "intermediate_size": draw(small),
        "vocab_size": draw(small),
        "tie_word_embeddings": draw(st.booleans()),
    }
    return fields | draw(st.sampled_from([{}, {"head_dim": draw(small)}]))


@st.composite
def sliding(draw: st.DrawFn) -> dict[str, Any]:
    """Some layers with a window, listed."""
    fields = draw(dense("mistral"))
    kinds = st.sampled_from(["sliding_attention", "full_attention"])
    layers = fields["num_hidden_layers"]
    return fields | {"sliding_window": draw(small), "layer_types": draw(st.lists(kinds, min_size=layers, max_size=layers))}


@st.composite
def mixture(draw: st.DrawFn) -> dict[str, Any]:
    """Experts in some layers, one shared by all."""
    fields, experts = draw(dense("qwen2_moe")), draw(small)
    layers = fields["num_hidden_layers"]
    return fields | {
        "num_experts": experts,
        "num_experts_per_tok": draw(st.integers(1, experts)),
        "moe_intermediate_size": draw(small),
        "shared_expert_intermediate_size": draw(st.integers(0, 5)),
        "decoder_sparse_step": draw(st.integers(1, 3)),
        "mlp_only_layers": draw(st.lists(st.integers(0, layers - 1), max_size=3)),
    }


@st.composite
def latent(draw: st.DrawFn) -> dict[str, Any]:
    """Latent attention, the first layers dense."""
    experts = draw(small)
    names = ("num_attention_heads", "hidden_size", "intermediate_size", "vocab_size", "moe_intermediate_size", "num_hidden_layers")
    widths = ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
    return {name: draw(small) for name in names + widths} | {
        "model_type": "deepseek_v3",
        "n_routed_experts": experts,
        "num_experts_per_tok": draw(st.integers(1, experts)),
        "n_shared_experts": draw(st.integers(0, 2)),
        "first_k_dense_replace": draw(st.integers(0, 3)),
        "q_lora_rank": draw(st.none() | small),
        "tie_word_embeddings": draw(st.booleans()),
    }


@st.composite
def gpt2(draw: st.DrawFn) -> dict[str, Any]:
    """Names of GPT-2."""
    heads, width = draw(small), draw(small)
    return {
        "model_type": "gpt2",
        "n_embd": heads * width,
        "n_head": heads,
        "n_layer": draw(small),
        "n_positions": 64,
        "vocab_size": draw(small),
    }


@st.composite
def stretched(draw: st.DrawFn) -> dict[str, Any]:
    """Llama 4: stretches that see only themselves, experts in some layers."""
    fields, experts = draw(dense("llama4_text")), draw(small)
    layers = fields["num_hidden_layers"]
    return fields | {
        "head_dim": draw(small),
        "intermediate_size_mlp": draw(small),
        "num_local_experts": experts,
        "num_experts_per_tok": draw(st.integers(1, experts)),
        "moe_layers": draw(st.lists(st.integers(0, layers - 1), max_size=4)),
        "attention_chunk_size": draw(small),
        "no_rope_layers": draw(st.lists(st.integers(0, 1), min_size=layers, max_size=layers)),
    }


FIELDS = st.one_of(dense(), sliding(), mixture(), latent(), gpt2(), stretched())


def _sizes(fields: Fields) -> tuple[int, int, int, int]:
    """Hidden width, layers, heads, vocabulary."""
    if "n_embd" in fields:
        return fields["n_embd"], fields["n_layer"], fields["n_head"], fields["vocab_size"]
    return fields["hidden_size"], fields["num_hidden_layers"], fields["num_attention_heads"], fields["vocab_size"]


def _is_sparse(fields: Fields, layer: int) -> bool:
    if "num_experts" in fields:
        return layer not in fields["mlp_only_layers"] and (layer + 1) % fields["decoder_sparse_step"] == 0
    if "moe_layers" in fields:
        return layer in fields["moe_layers"]
    return "n_routed_experts" in fields and layer >= fields["first_k_dense_replace"]


def _window(fields: Fields, layer: int) -> float:
    if "layer_types" in fields and fields["layer_types"][layer] == "sliding_attention":
        return fields["sliding_window"]
    if "no_rope_layers" in fields and fields["no_rope_layers"][layer]:
        return fields["attention_chunk_size"]
    return float("inf")


def _reach(fields: Fields, layer: int, query: int, length: int) -> int:
    """Keys of a sequence that one of its queries has in reach, masked or not."""
    window = _window(fields, layer)
    if window < length and "no_rope_layers" in fields:
        first = query - query % int(window)
        return min(int(window), length - first)
    return int(min(length, window))


def _matrices(fields: Fields, layer: int) -> list[tuple[int, int]]:
    """(outputs, inputs) of every matrix that one token is multiplied by in a layer."""
    d, _, heads, _ = _sizes(fields)
    found: list[tuple[int, int]] = []
    if "kv_lora_rank" in fields:
        plain, rotary, value, rank = (fields[name] for name in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "kv_lora_rank"))
        compressed = fields["q_lora_rank"]
        found += [(compressed, d)] if compressed else []
        found += [(plain + rotary, compressed or d) for _ in range(heads)]
        found += [(rank, d), (rotary, d)]
        found += [(plain, rank) for _ in range(heads)] + [(value, rank) for _ in range(heads)] + [(d, value) for _ in range(heads)]
    else:
        width = fields.get("head_dim", d // heads)
        found += [(width, d) for _ in range(heads)]
        found += [(width, d) for _ in range(2 * fields.get("num_key_value_heads", heads))]
        found += [(d, width) for _ in range(heads)]
    if not _is_sparse(fields, layer):
        inner = fields.get("intermediate_size_mlp", fields.get("intermediate_size", 4 * d))
        return found + [(inner, d), (d, inner)] + ([] if fields["model_type"] == "gpt2" else [(inner, d)])
    experts = next(fields[name] for name in ("num_experts", "n_routed_experts", "num_local_experts") if name in fields)
    found += [(1, d) for _ in range(experts)]
    inner = fields.get("moe_intermediate_size", fields.get("intermediate_size"))
    found += [(inner, d), (inner, d), (d, inner)] * fields["num_experts_per_tok"]
    found += [(inner, d), (inner, d), (d, inner)] * fields.get("n_shared_experts", int("moe_layers" in fields))
    shared = fields.get("shared_expert_intermediate_size", 0)
    return found + ([(shared, d), (shared, d), (d, shared), (1, d)] if shared else [])


def weights_per_token(fields: Fields) -> int:
    """Weights that one token is multiplied by, head included."""
    d, layers, _, vocab = _sizes(fields)
    return sum(rows * columns for layer in range(layers) for rows, columns in _matrices(fields, layer)) + vocab * d


def forward(fields: Fields, lengths: list[int], head: bool = True) -> int:
    """Operations of a forward pass over sequences, every key in reach."""
    d, layers, _, vocab = _sizes(fields)
    total = 0
    for length in lengths:
        for _ in range(length):
            total += sum(2 * rows * columns for layer in range(layers) for rows, columns in _matrices(fields, layer))
            total += 2 * vocab * d if head else 0
    return total + scores(fields, lengths)


def scores(fields: Fields, lengths: list[int]) -> int:
    """Operations of attention between the matrices, query by query, every key in reach."""
    _, layers, heads, _ = _sizes(fields)
    total = 0
    for layer in range(layers):
        for length in lengths:
            for query in range(length):
                reach = _reach(fields, layer, query, length)
                for _ in range(heads):
                    total += reach * 2 * sum(_head(fields))
    return total


def _head(fields: Fields) -> tuple[int, int]:
    """Widths of a query and of a value."""
    d, _, heads, _ = _sizes(fields)
    if "kv_lora_rank" in fields:
        return fields["qk_nope_head_dim"] + fields["qk_rope_head_dim"], fields["v_head_dim"]
    return fields.get("head_dim", d // heads), fields.get("head_dim", d // heads)


def masked_scores(fields: Fields, length: int) -> int:
    """Operations of attention over the pairs that a causal mask leaves, with the diagonal and the edge of the window at half."""
    _, layers, heads, _ = _sizes(fields)
    halves = 0
    for layer in range(layers):
        window = _window(fields, layer)
        for query in range(length):
            for key in range(length):
                behind = query - key
                if "no_rope_layers" in fields and window < length:
                    same = query // window == key // window
                    halves += 0 if not same else 1 if behind == 0 else 2 if behind > 0 else 0
                    continue
                halves += 1 if behind in (0, window) else 2 if 0 < behind < window else 0
    return halves * heads * sum(_head(fields))


def decoded(fields: Fields, tokens: int, keys: int) -> int:
    """Operations of tokens generated one by one, each with so many keys in reach; a latent cache is used as it is."""
    d, layers, heads, vocab = _sizes(fields)
    total = 0
    for _ in range(tokens):
        total += 2 * vocab * d
        for layer in range(layers):
            total += sum(2 * rows * columns for rows, columns in _matrices(fields, layer))
            reach = int(min(keys, _window(fields, layer)))
            rank = fields.get("kv_lora_rank")
            width = rank + fields["qk_rope_head_dim"] + rank if rank else sum(_head(fields))
            total += sum(2 * reach * width for _ in range(heads))
    return total
