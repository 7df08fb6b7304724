"""What a caller can say: one frozen value, from which the command line, the Prefect form and the checks are made.

A job says what to multiply, how exact, into what, with how much memory and where. It holds no decision: tiles, arithmetic
and workers are the plan's.
"""

import difflib
import math
from typing import Annotated, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from storage import CODECS, GOALS, absolute, check_key_id, is_url
from tasks.errors import BadInput
from tasks.ladder import ARITHMETICS
from tasks.rounding import RoundingMode
from tasks.units import format_bytes, parse_bytes

MINIMUM_MEMORY = 64 * 1024**2

SMALLEST_FACTOR = 1e-37
"""Every arithmetic holds this and its inverse as normal numbers."""

ByteSize = Annotated[int, BeforeValidator(parse_bytes, json_schema_input_type=int | str), PlainSerializer(lambda count: int(count))]
OutputType = Literal["auto", "float16", "float32", "float64", "int64"]
Durability = Literal["power", "process"]


class Job(BaseModel):
    """One product: OUT = alpha op(A) op(B) + beta C0."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, title="Job")

    a: str
    """Matrix A: a Zarr array (v2 or v3), also at s3://bucket/key, a .npy file, or a scipy sparse .npz (CSR, CSC)."""
    b: str
    """Matrix B: a Zarr array (v2 or v3), also at s3://bucket/key, a .npy file, or a scipy sparse .npz (CSR, CSC)."""
    out: str
    """Where the product goes: a Zarr v3 array, also at s3://bucket/key, that must not exist yet, unless overwrite is set."""
    transpose_a: bool = False
    """Multiply by the transpose of A; nothing is copied on disk."""
    transpose_b: bool = False
    """Multiply by the transpose of B; nothing is copied on disk."""
    alpha: float = 1.0
    """Factor of the product."""
    beta: float = 0.0
    """Factor of C0 (needs add)."""
    add: str | None = None
    """Matrix C0 of the product's shape, added beta times."""
    max_error: float | None = None
    """Largest normwise error to accept: ||C^ - C||_F / (|alpha| ||A||_F ||B||_F + |beta| ||C0||_F).
    Default: what the type of the inputs certifies in its own arithmetic (float32 for float16 and float32)."""
    guarantee: Literal["certified", "measured"] = "certified"
    """certified: the arithmetic's bound for every input is within max_error. measured: random probes prove each tile within max_error,
    with 99.9 % confidence for the whole product; that allows cheaper arithmetic, and tiles that miss are computed again in a better
    one. Needs max_error."""
    precision: str = "auto"
    """Arithmetic: auto (the cheapest that keeps max_error), int8, float16, bfloat16, tf32, bfloat16x3, bfloat16x6, bfloat16x9, float32,
    float32-wide or float64; what the workers lack is refused."""
    memory: ByteSize | None = None
    """Resident memory of all worker processes together, in bytes or as 4GiB. Default: 60 % of what is free."""
    workers: int | None = Field(default=None, ge=1, le=4096)
    """Number of worker processes. Default: the plan chooses."""
    cluster: str = "local"
    """Where the workers are: local, cuda, or the address of a Dask scheduler (tcp://host:port)."""
    codec: str = "auto"
    """Compression of the product: auto (least expected time on these data), smallest (fewest bytes), or a name such as blosc-lz4,
    blosc-zstd, zstd, gzip, huffman, pcodec, none."""
    portable: Literal["yes", "no"] = "yes"
    """Whether auto and smallest take only codecs that zarr-python, TensorStore and zarrs all open."""
    chunk: tuple[int, int] | None = None
    """Rows and columns of a stored chunk of the product. Default: about 16 MiB, nearly square."""
    shard: tuple[int, int] | None = None
    """Rows and columns of a shard: one file that holds many chunks, in whole multiples of the chunk. It is written by one tile,
    so no tile is smaller. Default: no shards, a file for each chunk."""
    dtype_out: OutputType = "auto"
    """Type of the stored product. auto: the inputs' result type, or the next wider where rounding to it would exceed
    max_error; integers give int64 when exact, else float64."""
    round: RoundingMode = "no"
    """auto: spend what the arithmetic leaves of max_error on storage: values are rounded so that they compress better, and the
    bound still holds. Needs max_error; exact products are never rounded."""
    durability: Durability = "power"
    """power: every chunk is on disk (fsync) before its tile counts as done; process: survives a crash of the program only."""
    seal: str | None = None
    """Name of the key that seals the product: it is encrypted as it is written. The key itself comes from the environment, a file
    or the system's keyring. Default: a plain Zarr array."""
    allow_nonfinite: bool = False
    """Accept NaN and infinity: the rows and columns they reach are listed and stand outside the certificate."""
    store: Literal["full", "triangle"] = "full"
    """What is stored of a symmetric product, A Aᵀ or Aᵀ A: all of it, or the files that reach the diagonal from below; the others
    then read as NaN."""
    overwrite: bool = False
    """Replace an existing OUT, in one step at the end."""

    @field_validator("max_error")
    @classmethod
    def _error_is_positive(cls, value: float | None) -> float | None:
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ValueError(f"max_error is {value}: give a positive number such as 1e-6")
        if value is not None and value > 1:
            raise ValueError(f"max_error is {value:g}: zeros have an error of 1, give less")
        return value

    @field_validator("alpha", "beta")
    @classmethod
    def _factor_is_finite(cls, value: float) -> float:
        if not math.isfinite(value):
            raise ValueError(f"alpha and beta must be finite, not {value}")
        if value and not SMALLEST_FACTOR <= abs(value) <= 1 / SMALLEST_FACTOR:
            limits = f"between {SMALLEST_FACTOR:g} and {1 / SMALLEST_FACTOR:g}"
            raise ValueError(f"alpha and beta must be 0 or {limits} in size, not {value:g}: scale an input")
        return value

    @field_validator("memory")
    @classmethod
    def _memory_is_possible(cls, value: int | None) -> int | None:
        if value is not None and value < MINIMUM_MEMORY:
            raise ValueError(f"memory is {format_bytes(value)}: no worker fits below {format_bytes(MINIMUM_MEMORY)}")
        return value

    @field_validator("precision")
    @classmethod
    def _precision_is_known(cls, value: str) -> str:
        return _one_of("precision", value, ["auto", *ARITHMETICS])

    @field_validator("codec")
    @classmethod
    def _codec_is_known(cls, value: str) -> str:
        return _one_of("codec", value, [*GOALS, *CODECS])

    @field_validator("cluster")
    @classmethod
    def _cluster_is_known(cls, value: str) -> str:
        return value if "://" in value else _one_of("cluster", value, ["local", "cuda", "tcp://host:port"])

    @field_validator("chunk", "shard", mode="before")
    @classmethod
    def _edges_are_a_pair(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, list | tuple) and len(cast("list[object]", value)) != 2:
            given = ",".join(map(str, cast("list[object]", value)))
            raise ValueError(f"{info.field_name} is {given}: give rows and columns, for example 2048,2048")
        return value

    @field_validator("chunk", "shard")
    @classmethod
    def _edges_are_positive(cls, value: tuple[int, int] | None, info: ValidationInfo) -> tuple[int, int] | None:
        if value is not None and min(value) < 1:
            raise ValueError(f"{info.field_name} is {value[0]},{value[1]}: both edges must be at least 1")
        return value

    @field_validator("seal")
    @classmethod
    def _seal_is_a_key_id(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                check_key_id(value)
            except BadInput as error:
                raise ValueError(f"seal: {error}") from None
        return value

    @field_validator("round", mode="before")
    @classmethod
    def _no_is_a_word(cls, value: object) -> object:
        return "no" if value is False else value  # what YAML makes of it

    @field_validator("a", "b", "out", "add")
    @classmethod
    def _path_is_absolute(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.strip():
            raise ValueError("a path is empty: give A, B and OUT")
        try:
            return absolute(value)
        except BadInput as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _beta_goes_with_add(self) -> "Job":
        if (self.add is None) != (self.beta == 0.0):
            raise ValueError("beta and add belong together: give both (beta * C0) or neither")
        return self

    @model_validator(mode="after")
    def _triangles_are_symmetric(self) -> "Job":
        if self.store == "triangle" and self.add is not None:
            raise ValueError("store triangle and add do not go together, C0 need not be symmetric: leave one of them out")
        return self

    @model_validator(mode="after")
    def _shards_are_whole_chunks(self) -> "Job":
        if self.shard and self.chunk and any(edge % chunk for edge, chunk in zip(self.shard, self.chunk, strict=True)):
            (rows, cols), (height, width) = self.shard, self.chunk
            fitting = f"{-(-rows // height) * height},{-(-cols // width) * width}"
            raise ValueError(f"shard is {rows},{cols} but chunk is {height},{width}: give whole multiples of the chunk, such as {fitting}")
        return self

    @model_validator(mode="after")
    def _sealed_files_are_chunks(self) -> "Job":
        if self.seal and self.shard:
            raise ValueError("sealed results have no shards: leave out seal or shard")
        return self

    @model_validator(mode="after")
    def _shards_and_seals_go_to_disks(self) -> "Job":
        if is_url(self.out) and (self.shard or self.seal):
            kind, option = ("shards", "shard") if self.shard else ("sealed results", "seal")
            raise ValueError(f"{self.out}: {kind} are written to local file systems only; leave {option} out, or write to a folder")
        return self

    @model_validator(mode="after")
    def _measured_has_a_goal(self) -> "Job":
        if self.guarantee == "measured" and self.max_error is None:
            raise ValueError("guarantee measured compares each tile with an error that you accept, and none is given: give --max-error")
        if self.guarantee == "measured" and self.round != "no":
            raise ValueError(f"round {self.round} spends what a certified error leaves: leave out round or guarantee measured")
        return self

    @model_validator(mode="after")
    def _rounding_has_a_budget(self) -> "Job":
        if self.round != "no" and self.max_error is None:
            raise ValueError(f"round {self.round} spends an error that you accept, and none is given: give --max-error")
        return self


def make_job(**fields: object) -> Job:
    """A job from loose fields; raises BadInput with one line that names the first wrong field."""
    try:
        return Job.model_validate(fields)
    except ValidationError as error:
        raise BadInput(explain(error)) from None


def explain(error: ValidationError) -> str:
    """One line for people from a validation error: the first problem, with the field's name."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(field, list(Job.model_fields), n=1)
        return f"{field} is no field of a job" + (f": did you mean {close[0]}?" if close else "")
    if first["type"] != "value_error":
        return f"{field}: {first['msg'][0].lower()}{first['msg'][1:]}, not {first['input']!r}"
    message = first["msg"].removeprefix("Value error, ")
    return message if not field or field in message else f"{field}: {message}"


def _one_of(field: str, value: str, known: list[str]) -> str:
    if value in known:
        return value
    close = difflib.get_close_matches(value, known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ValueError(f"{field} {value!r} is unknown{hint}: use one of {', '.join(known)}")
