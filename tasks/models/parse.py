"""From the fields of a config.json to one validated `Config`.

What is known comes from the family's row. An unknown family is counted as a Llama where its fields are those of one and none speaks of
something else; what is taken then is said. Everything else is refused.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path

from tasks.errors import BadInput
from tasks.models import windows
from tasks.models.attention import Attention, Grouped, Latent
from tasks.models.config import Config, Layer, Tables
from tasks.models.families import FAMILIES, LLAMA, SAME, Family, Switch
from tasks.models.feed_forward import Experts, Mlp
from tasks.models.fields import MOST_LAYERS, Fields
from tasks.models.quantized import quantization
from tasks.models.strict_json import read_json, shown

MOST_BYTES = 4 * 1024**2
"""A config.json of more is none."""

FOREIGN = ("expert", "moe", "lora", "mamba", "ssm", "state", "conv", "linear_", "recurren", "encoder", "decoder", "chunk", "codebook")
"""Parts of field names that speak of something that a Llama has not, whatever the value."""

HARMLESS = {"chunk_size_feed_forward", "is_decoder", "is_encoder_decoder", "output_hidden_states", "decoder_start_token_id"}
"""Fields with such a name that say nothing of the shape, or are looked at on their own."""

UNDERSTOOD = {
    *("hidden_size", "n_embd", "num_hidden_layers", "n_layer", "num_attention_heads", "n_head", "intermediate_size", "n_inner"),
    *("num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings", "n_positions", "n_ctx", "attention_bias", "mlp_bias"),
    *("tie_word_embeddings", "sliding_window", "use_sliding_window", "max_window_layers", "layer_types", "rope_theta", "pretraining_tp"),
    *("use_cache", "original_max_position_embeddings", "use_flash_attention_2", "use_flash_attn", "return_dict", "torchscript"),
    *("max_length", "min_length", "num_beams", "num_beam_groups", "top_k", "no_repeat_ngram_size", "remove_invalid_values"),
    *("output_attentions", "num_return_sequences", "rms_norm_eps", "rope_scaling", "rope_interleaved", "num_nextn_predict_layers"),
}
"""Fields with a number or true that an unknown family may have: we know what they say, or that they say nothing of the shape."""

OF_TEXT = ("text_config", "quantization_config", "generation_config")

SHARED = ("tie_word_embeddings", "dtype", "torch_dtype", "quantization_config")
"""Fields that models of several parts give outside of the part for text."""

NEEDED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")


def read_config(path: Path) -> Config:
    """The transformer that a config.json describes, or the one in a folder.

    Raises BadInput: unreadable, not JSON, or what `parse_config` refuses.
    """
    file = path / "config.json" if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise BadInput(f"{path} is a folder without config.json: give the file, or the folder of a model")
    try:
        return parse_config(read_json(file, MOST_BYTES))
    except BadInput as error:
        text = str(error)
        raise BadInput(text if text.startswith(str(file)) else f"{file}: {text}") from None


def parse_config(values: Mapping[str, object]) -> Config:
    """The transformer that the fields of a config.json describe.

    Raises BadInput: fields that are missing, no sizes, contradict each other, or speak of an architecture that is not counted.
    """
    text, outside = _text_part(values)
    fields, family, assumed = _family(text)
    layers = fields.whole("num_hidden_layers")
    if layers > MOST_LAYERS:
        raise BadInput(f"{fields.called('num_hidden_layers')} is {layers} in config: at most {MOST_LAYERS} layers are possible")
    hidden = fields.whole("hidden_size")
    sparse = family.experts.layers(fields, layers) if family.experts else (False,) * layers
    seen, chunked = windows.listed(fields, layers, family.sliding), family.sliding is windows.chunks
    return Config(
        family=fields.text("model_type") or "",
        hidden=hidden,
        attention=_attention(fields, family, hidden),
        mlp=None if all(sparse) else Mlp(_width(fields, family, hidden), family.gated, family.mlp_bias.read(fields)),
        experts=_experts(fields, family) if any(sparse) else None,
        layers=tuple(Layer(window, window is not None and chunked, experts) for window, experts in zip(seen, sparse, strict=True)),
        norms=family.norms,
        tables=_tables(fields, family),
        context=fields.optional("max_position_embeddings"),
        causal=not family.encoder,
        dropout=family.dropout,
        stored=fields.text("dtype"),
        quantization=quantization(fields),
        assumed=(*outside, *assumed, *_defaults(fields), *_predictors(fields)),
    )


def _text_part(values: Mapping[str, object]) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """The fields that speak of text, and what was left out."""
    inner = values.get("text_config")
    if inner is not None and not isinstance(inner, Mapping):
        raise BadInput(f"text_config is {shown(inner)} in config: it must be an object of fields")
    others = [name for name, value in values.items() if name.endswith("_config") and isinstance(value, Mapping) and name not in OF_TEXT]
    left = (f"only the part for text is counted, not {', '.join(sorted(others))}",) if others else ()
    if inner is None:
        return values, left
    shared = {name: values[name] for name in SHARED if values.get(name) is not None}
    given = {name: value for name, value in inner.items() if value is not None}
    return {"model_type": values.get("model_type"), **shared, **given}, left


def _family(values: Mapping[str, object]) -> tuple[Fields, Family, tuple[str, ...]]:
    fields = Fields(values)
    said = fields.text("model_type")
    name = SAME.get(said, said) if said else None
    for field in ("is_encoder_decoder", "add_cross_attention"):
        if fields.flag(field, False):
            raise BadInput(
                f"{field} is true in config: models of an encoder and a decoder are not counted, give a decoder's or an encoder's"
            )
    if name in FAMILIES:
        family = FAMILIES[name]
        odd = next((known for known in family.unlike if fields.flag(known, False)), None)
        if odd is not None:
            raise BadInput(f"{odd} is true in config: that variant of {name} is not counted")
        _refuse_foreign_parts(fields, family, name)
        return Fields(values, family.defaults), family, ()
    _refuse_unlike_llama(fields, name)
    what = f"model_type {shown(name)} is not known" if name else "the file has no model_type"
    given = Family(LLAMA.gated, qkv_bias=LLAMA.qkv_bias, out_bias=LLAMA.out_bias, mlp_bias=LLAMA.mlp_bias, sliding=_guess(fields))
    return fields, given, (f"{what}: counted as a Llama (gated feed-forward blocks, two RMS norms a layer, rotated positions)",)


def _refuse_foreign_parts(fields: Fields, family: Family, name: str) -> None:
    """Experts in a family that has none are a model of another family under a wrong name."""
    parts = (("experts", "experts", family.experts is not None), ("kv_lora_rank", "latent attention", family.latent))
    for field, part, is_there in parts:
        if not is_there and fields.get(field):
            said = f"{fields.called(field)} is {shown(fields.get(field))} in config"
            raise BadInput(f"{said}, but {name} has no {part}: give the right model_type, or leave the field out")


def _refuse_unlike_llama(fields: Fields, name: str | None) -> None:
    close = difflib.get_close_matches(name or "", FAMILIES, n=1)
    advice = f"the nearest that is counted is {close[0]}" if close else f"known are {', '.join(sorted(FAMILIES))}"
    called = shown(name) if name else "none"
    foreign = [known for known, value in fields.values.items() if _is_foreign(known, value)]
    if foreign:
        raise BadInput(f"model_type is {called} in config, with {foreign[0]}: that architecture is not counted; {advice}")
    missing = [known for known in NEEDED if fields.get(known) is None]
    if missing:
        raise BadInput(f"model_type is {called} in config, without {', '.join(missing)}: it cannot be counted as a Llama either; {advice}")


def _is_foreign(name: str, value: object) -> bool:
    if name in HARMLESS or value is None or value is False or name.endswith(("_token_id", "_token_index", "_index")):
        return False
    return any(part in name.lower() for part in FOREIGN) or (isinstance(value, int) and name not in UNDERSTOOD)


def _guess(fields: Fields) -> windows.Rule:
    return windows.late if fields.get("use_sliding_window") is not None else windows.everywhere


def _attention(fields: Fields, family: Family, hidden: int) -> Attention:
    heads = fields.whole("num_attention_heads")
    if family.latent:
        return Latent(
            heads,
            fields.optional("q_lora_rank"),
            fields.whole("kv_lora_rank"),
            fields.whole("qk_nope_head_dim"),
            fields.whole("qk_rope_head_dim"),
            fields.whole("v_head_dim"),
            family.qkv_bias.read(fields),
        )
    kv_heads = fields.whole("num_key_value_heads", 1 if fields.flag("multi_query", False) else heads)
    if heads % kv_heads:
        of = f"{fields.called('num_attention_heads')} {heads}"
        raise BadInput(f"num_key_value_heads is {kv_heads} in config, no divisor of {of}: give a divisor of it")
    norm = family.query_key_norm if family.norm_by is None or fields.flag(family.norm_by, False) else "none"
    out_bias = family.out_bias.read(fields)
    return Grouped(heads, kv_heads, _head_dim(fields, hidden, heads), family.qkv_bias.read(fields), out_bias, norm, family.sinks)


def _head_dim(fields: Fields, hidden: int, heads: int) -> int:
    given = fields.optional("head_dim")
    if given is None and hidden % heads:
        width, count = fields.called("hidden_size"), fields.called("num_attention_heads")
        raise BadInput(f"{width} is {hidden} in config, no multiple of {count} {heads}: change one, or give head_dim")
    return given or hidden // heads


def _width(fields: Fields, family: Family, hidden: int) -> int:
    return fields.whole(family.width, 4 * hidden if family.four_times else None)


def _experts(fields: Fields, family: Family) -> Experts:
    rule = family.experts
    assert rule is not None
    count, per_token = fields.whole("experts"), fields.whole("num_experts_per_tok")
    if per_token > count:
        taken, there = fields.called("num_experts_per_tok"), fields.called("experts")
        raise BadInput(f"{taken} is {per_token} in config, more than {there} {count}: give {count} or less")
    width = fields.whole(rule.width)
    shared = fields.whole(rule.shared_count, 0, least=0) * width if rule.shared_count else 0
    shared = fields.whole(rule.shared_width, least=0) if rule.shared_width else shared
    return Experts(
        count,
        per_token,
        Mlp(width, family.gated, rule.bias),
        Mlp(shared, family.gated) if shared else None,
        rule.gate and bool(shared),
        rule.bias,
        rule.correction,
    )


def _tables(fields: Fields, family: Family) -> Tables:
    return Tables(
        fields.whole("vocab_size"),
        fields.whole("max_position_embeddings") if family.learned_positions else 0,
        fields.whole("type_vocab_size") if family.encoder else 0,
        Switch(family.tied, by="tie_word_embeddings").read(fields) and not family.encoder,
        head=not family.encoder,
        head_bias=family.head_bias,
        pooler=family.encoder,
    )


def _defaults(fields: Fields) -> tuple[str, ...]:
    taken = {name: value for name, value in fields.defaults.items() if Fields(fields.values).get(name) is None}
    return tuple(f"the file has no {name}: {value}, as its family's models have" for name, value in taken.items())


def _predictors(fields: Fields) -> tuple[str, ...]:
    count = fields.whole("num_nextn_predict_layers", 0, least=0)
    return (f"{count} layers that predict further tokens (num_nextn_predict_layers) are not counted",) if count else ()
