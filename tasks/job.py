"""What a caller can say: one frozen value, from which the command line, the Prefect form and the checks are made.

A job says what to multiply, how exact, into what, with how much memory and where. It holds no decision: tiles, arithmetic
and workers are the plan's.
"""

import difflib
import math
import re
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
from tasks.cluster_file import require_known
from tasks.complaints import Kind, explain
from tasks.errors import BadInput
from tasks.ladder import ARITHMETICS
from tasks.rounding import RoundingMode
from tasks.units import format_bytes, parse_bytes

MINIMUM_MEMORY = 64 * 1024**2

SMALLEST_FACTOR = 1e-37
"""Every arithmetic holds this and its inverse as normal numbers."""

MOST_URGENT = 1_000_000
"""The highest priority; the lowest is as far below 0."""

DIGITS = re.compile(r"[+-]?[0-9]{1,9}")
"""A whole number as the command line gives it."""

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
    """Where the workers are: local, cuda, the address of a Dask scheduler (tcp://host:port), or a cluster file, by name or path."""
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
    plan: str | None = None
    """Plan to run, a file that gemmflow analyze --save-plan wrote: to the letter, or not at all. Options that are left out are those that
    it was made with; those that are given must not contradict it. Default: a new plan."""
    overwrite: bool = False
    """Replace an existing OUT, in one step at the end."""
    priority: int = Field(default=0, strict=True, ge=-MOST_URGENT, le=MOST_URGENT)
    """Higher goes first. On a scheduler that runs share: whose waiting tiles are taken; those that run are not interrupted. In a batch:
    which job starts; equal ones in the order of the file, and a job that others wait for counts as the highest of these."""

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
        return require_known(value)

    @field_validator("priority", mode="before")
    @classmethod
    def _digits_are_a_number(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and DIGITS.fullmatch(value) else value

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

    @field_validator("round", "portable", mode="before")
    @classmethod
    def _yes_and_no_are_words(cls, value: object) -> object:
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value  # what YAML makes of them

    @field_validator("alpha", "beta", "max_error", "workers", mode="before")
    @classmethod
    def _number_is_no_yes(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool):
            raise ValueError(f"{info.field_name} is {value}: give a number")
        return value

    @field_validator("a", "b", "out", "add", "plan")
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
        raise BadInput(explain(error, Kind.of(Job))) from None


def _one_of(field: str, value: str, known: list[str]) -> str:
    if value in known:
        return value
    close = difflib.get_close_matches(value, known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ValueError(f"{field} {value!r} is unknown{hint}: use one of {', '.join(known)}")
