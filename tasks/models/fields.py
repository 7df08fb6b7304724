"""Fields of a model's config.json: found under any of their names, checked, or refused in one line."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.errors import BadInput
from tasks.models.strict_json import shown

LARGEST = 10**9
"""No size in a published config comes near; more is a mistake."""

MOST_LAYERS = 10_000

NAMES: dict[str, tuple[str, ...]] = {
    "hidden_size": ("hidden_size", "n_embd"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer"),
    "num_attention_heads": ("num_attention_heads", "n_head"),
    "intermediate_size": ("intermediate_size", "n_inner"),
    "max_position_embeddings": ("max_position_embeddings", "n_positions", "n_ctx"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "num_experts_per_tok": ("num_experts_per_tok", "experts_per_token"),
    "dtype": ("dtype", "torch_dtype"),
}
"""What we call a field: what files call it. Other fields have one name, their own."""


@dataclass(frozen=True)
class Fields:
    """The fields of one config; null is the same as absent."""

    values: Mapping[str, object]
    """As the file says."""
    defaults: Mapping[str, int | bool] = field(default_factory=dict[str, int | bool])
    """What the family takes for fields that its files leave out."""

    def get(self, name: str) -> object:
        """The value, or None. Raises BadInput where two names of it disagree."""
        found = {known: self.values[known] for known in NAMES.get(name, (name,)) if self.values.get(known) is not None}
        if len({shown(value) for value in found.values()}) > 1:
            said = " and ".join(f"{known} is {shown(value)}" for known, value in found.items())
            raise BadInput(f"config contradicts itself: {said}, but they mean the same: keep one")
        return next(iter(found.values()), self.defaults.get(name))

    def whole(self, name: str, default: int | None = None, least: int = 1) -> int:
        """A whole number from `least` on. Raises BadInput where it is missing without a default, no whole number, or too large."""
        value = self.get(name)
        if value is None:
            if default is None:
                known = " or ".join(NAMES.get(name, (name,)))
                raise BadInput(f"config lacks {known}: add it, or give the config.json that the model was published with")
            return default
        return self.checked(self.called(name), value, least)

    def optional(self, name: str) -> int | None:
        """A positive whole number or None. Raises BadInput as `whole` does."""
        return None if self.get(name) is None else self.whole(name)

    def flag(self, name: str, default: bool) -> bool:
        """True or false. Raises BadInput for anything else."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise BadInput(f"{name} is {shown(value)} in config: it must be true or false")
        return value

    def text(self, name: str) -> str | None:
        """A text or None. Raises BadInput for anything else."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise BadInput(f"{self.called(name)} is {shown(value)} in config: it must be a text")
        return value

    def items(self, name: str) -> list[object] | None:
        """A list or None. Raises BadInput for anything else."""
        value = self.get(name)
        if value is not None and not isinstance(value, list):
            raise BadInput(f"{name} is {shown(value)} in config: it must be a list")
        return value

    def called(self, name: str) -> str:
        """What the file calls a field; its usual name where the file lacks it."""
        names = NAMES.get(name, (name,))
        return next((known for known in names if self.values.get(known) is not None), names[0])

    @staticmethod
    def checked(name: str, value: object, least: int = 1) -> int:
        """`value` as a whole number between `least` and LARGEST. Raises BadInput."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadInput(f"{name} is {shown(value)} in config: it must be a whole number")
        if value < least:
            raise BadInput(f"{name} is {shown(value)} in config: it must be {least} or more")
        if value > LARGEST:
            raise BadInput(f"{name} is {shown(value)} in config: at most {LARGEST} is possible")
        return value
