"""What `gemmflow analyze` is asked: about stored matrices, about a shape, or about a transformer; and what matters in a choice.

The values are read here and made into demands, devices and aims in `flows.analyze_choice`.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tasks.errors import BadInput
from tasks.units import parse_bytes, parse_count, parse_seconds

_STRICT = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _edges(value: object) -> object:
    if not isinstance(value, str):
        return value
    edges = value.split(",")
    if len(edges) != 3:
        raise ValueError(f"{value!r} has {len(edges)} numbers: write M,K,N, for example 1e6,1024,1e6")
    return [parse_count(edge.strip()) for edge in edges]


def _list(value: object) -> object:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _axes(value: object) -> object:
    return [axis.strip() for axis in value.split(";") if axis.strip()] if isinstance(value, str) else value


def _with(read: Callable[[object], object]) -> BeforeValidator:
    return BeforeValidator(read)


Count = Annotated[int, _with(parse_count), Field(ge=1)]


class Subject(BaseModel):
    """What is asked about, where it is no pair of stored matrices."""

    model_config = _STRICT

    shape: Annotated[tuple[int, int, int], _with(_edges)] | None = None
    """M,K,N of a product that need not exist: rows of A, columns of A, columns of B; 1e6,1024,1e6 for a million times a million."""
    dtype: str = "float32"
    """Type of the matrices of --shape."""
    symmetric: bool = False
    """The product of --shape is A Aᵀ: half of the operations."""
    keep: str = "all"
    """What of the product is stored: all, triangle, top:100 (entries of each row) or above:0.001 (a share of all elements)."""
    model: str | None = None
    """A transformer: a Hugging Face config.json, its folder, or a safetensors file."""
    tokens: Count | None = None
    """Tokens of the whole job; needs --model."""
    batch: Count = 1
    """Sequences at a time."""
    sequence: Count | None = None
    """Tokens of a sequence. Default: 4096, or what the model allows if that is less."""
    mode: Literal["prefill", "decode", "train", "embed"] = "prefill"
    """What is done with the tokens."""
    recompute: Literal["none", "selective", "full"] = "none"
    """What a training step computes again instead of keeping."""


def refuse_unless(subject: Subject, what: str, about: tuple[str, ...]) -> None:
    """Raise BadInput where an option was given that says nothing about this kind of question."""
    for name, field in Subject.model_fields.items():
        if name not in about and getattr(subject, name) != field.default:
            raise BadInput(f"--{name} says nothing about {what}: leave it out")


class Wanted(BaseModel):
    """What matters in the choice of devices."""

    model_config = _STRICT

    by: Literal["time", "cost"] = "cost"
    """What is made small, where the deadline and the budget allow."""
    deadline: Annotated[float, _with(parse_seconds)] | None = None
    """How long it may take: 90s, 30min, 6h, 2d."""
    budget: float | None = None
    """How many US dollars it may cost."""
    devices: Annotated[list[str], _with(_list)] | None = None
    """Only these, by name, separated by commas; here is this machine. Default: all that are known."""
    most_devices: Count = 8
    """How many of one device at most."""
    count: Count | None = None
    """Exactly so many. Default: the number that serves best."""
    catalogue: str | None = None
    """A CSV or YAML file with devices or prices of your own."""
    price_here: float | None = Field(default=None, ge=0)
    """US dollars that an hour of this machine costs. Default: unknown."""
    storage: Annotated[int, _with(parse_bytes)] | None = Field(default=None, gt=0)
    """Bytes a second that the devices' storage reads and writes: 3GB. Default: 2 GB/s are assumed."""
    vary: Annotated[list[str], _with(_axes)] | None = None
    """The same with other numbers: 'n=1e5,1e6,1e7' or 'precision=float32,bfloat16; workers=1,2,4'; one axis at a time."""
