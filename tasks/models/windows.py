"""Which layers see only the last keys: each family's rule where its file does not list layers."""

from collections.abc import Callable

from tasks.errors import BadInput
from tasks.models.fields import Fields
from tasks.models.strict_json import shown

Windows = tuple[int | None, ...]
"""For each layer the keys that a query sees at most, itself included; None: all."""

Rule = Callable[[Fields, int], Windows]

_KINDS = {"full_attention": False, "sliding_attention": True, "attention": False}
"""What a list of layers may say, and whether the window holds there."""

_CHUNKS = {"full_attention": False, "chunked_attention": True}
"""The same where windows are stretches."""


def nowhere(fields: Fields, layers: int) -> Windows:
    """No layer has a window, whatever the file says (Llama)."""
    return (None,) * layers


def everywhere(fields: Fields, layers: int) -> Windows:
    """Every layer, where the file has a window (Mistral)."""
    return (_window(fields),) * layers


def if_used(fields: Fields, layers: int) -> Windows:
    """Every layer, where use_sliding_window says so (Qwen-MoE)."""
    return everywhere(fields, layers) if fields.flag("use_sliding_window", False) else nowhere(fields, layers)


def late(fields: Fields, layers: int) -> Windows:
    """Layers from max_window_layers on, where use_sliding_window says so (Qwen2)."""
    if not fields.flag("use_sliding_window", False):
        return nowhere(fields, layers)
    first = fields.whole("max_window_layers", 28, least=0)
    return tuple(_window(fields) if layer >= first else None for layer in range(layers))


def alternate(fields: Fields, layers: int) -> Windows:
    """The first layer and every second from there (Gemma-2, gpt-oss)."""
    return _all_but_each(2, fields, layers)


def five_of_six(fields: Fields, layers: int) -> Windows:
    """All but each sixth layer, or each of the file's pattern (Gemma-3)."""
    return _all_but_each(fields.whole("sliding_window_pattern", 6), fields, layers)


def chunks(fields: Fields, layers: int) -> Windows:
    """Layers with rotated positions: those of no_rope_layers with 1, or all but each fourth (Llama 4)."""
    size = fields.optional("attention_chunk_size")
    rotated = fields.items("no_rope_layers") or []
    if not rotated:
        step = fields.whole("no_rope_layer_interval", 4)
        return tuple(size if (layer + 1) % step else None for layer in range(layers))
    if len(rotated) != layers:
        raise BadInput(f"no_rope_layers has {len(rotated)} entries for {layers} layers in config: give one for each")
    return tuple(size if Fields.checked("no_rope_layers", flag, least=0) else None for flag in rotated)


def listed(fields: Fields, layers: int, rule: Rule) -> Windows:
    """What layer_types says, else the rule. Raises BadInput where the list is none, has another length, or names other kinds."""
    kinds = fields.items("layer_types")
    if kinds is None:
        return rule(fields, layers)
    if len(kinds) != layers:
        raise BadInput(f"layer_types has {len(kinds)} entries for {layers} layers in config: give one for each")
    known, size = (_CHUNKS, "attention_chunk_size") if rule is chunks else (_KINDS, "sliding_window")
    odd = next((kind for kind in kinds if not isinstance(kind, str) or kind not in known), None)
    if odd is not None:
        raise BadInput(f"layer_types names {shown(odd)} in config: only {' and '.join(list(known)[:2])} are counted here")
    slides = [known[str(kind)] for kind in kinds]
    window = fields.whole(size) if any(slides) else None
    return tuple(window if sliding else None for sliding in slides)


def _window(fields: Fields) -> int | None:
    return fields.optional("sliding_window")


def _all_but_each(step: int, fields: Fields, layers: int) -> Windows:
    return tuple(_window(fields) if (layer + 1) % step else None for layer in range(layers))
