"""What the tools take: types with their limits and the words that an agent reads."""

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from tasks.choice.matrix_job import LARGEST_EDGE, TYPES
from tasks.choice.rank import Goal
from tasks.job import Job
from tasks.ladder import ARITHMETICS
from tasks.models.precisions import PRECISIONS
from tasks.models.workload import MOST_TOKENS

WAIT_SECONDS = 25.0
"""Longest that a call is held open: clients give up after 60 s."""
MOST_SECONDS = 30 * 86400.0
"""Longest that a run may take."""
MOST_LINES = 4096

_JOB = Job.model_json_schema()
_JOB["properties"].pop("plan")  # what runs is named by its plan_id

JobFields = Annotated[
    dict[str, object],
    WithJsonSchema({key: _JOB[key] for key in ("type", "properties", "required", "additionalProperties")}),
    Field(description="The product: a, b and out are needed. Paths lie in the server's roots; relative ones are those in the first root."),
]
"""The fields of a job as they come: their paths are judged before a job is made of them."""

Price = Annotated[
    float | None, Field(description="What the machine costs, for predicted costs; null where it costs nothing more.", gt=0, lt=1e4)
]
PlanWait = Annotated[float, Field(description="Longest to wait for the plan, in seconds.", ge=0, le=WAIT_SECONDS)]
PlanId = Annotated[str, Field(description="The plan_id that analyze returned.")]
Key = Annotated[
    str,
    Field(
        description="Your name for this run: it never starts a second one. Repeat it where no answer came.",
        min_length=1,
        max_length=200,
    ),
]
Seconds = Annotated[
    float,
    Field(description="The run is refused where predicted to take longer, and ended after so many seconds.", gt=0, le=MOST_SECONDS),
]
Dollars = Annotated[float | None, Field(description="The same for its cost; wants a plan with a price.", gt=0)]
Handle = Annotated[str, Field(description="The handle that submit returned.")]
StatusWait = Annotated[float, Field(description="Answer when the run ends, or after so many seconds.", ge=0, le=WAIT_SECONDS)]
Look = Annotated[
    Literal["block", "top", "statistics"],
    Field(description="block: elements; top: the largest of each row, cols of them; statistics: of all, or of blocks of a large product."),
]
Start = Annotated[int, Field(description="First row or column.", ge=0)]
Lines = Annotated[int, Field(description="How many of them.", ge=1, le=MOST_LINES)]

Rows = Annotated[int, Field(description="Rows of A and of the product.", ge=1, le=LARGEST_EDGE)]
Depth = Annotated[int, Field(description="Columns of A, rows of B.", ge=1, le=LARGEST_EDGE)]
Columns = Annotated[int, Field(description="Columns of B and of the product.", ge=1, le=LARGEST_EDGE)]
Type = Annotated[str, Field(description="Stored type of A and B.", json_schema_extra={"enum": list(TYPES)})]
Symmetric = Annotated[bool, Field(description="The product is A times its transpose: half of the operations; wants m = n.")]
Keep = Annotated[
    str,
    Field(
        description="What of the product is stored: all, triangle, top:100 (entries of each row), above:0.001 (a share of all).",
        max_length=40,
    ),
]
Error = Annotated[
    float | None, Field(description="Largest normwise error, certified; null for the arithmetic of the stored type.", gt=0, lt=1)
]
Arithmetic = Annotated[
    str, Field(description="auto: the cheapest that keeps the error.", json_schema_extra={"enum": ["auto", *ARITHMETICS]})
]
Model = Annotated[
    str,
    Field(
        description="A Hugging Face config.json or its folder, or weights (.safetensors) alone, in a root; relative to the first root.",
        min_length=1,
        max_length=4096,
    ),
]
Tokens = Annotated[int, Field(description="Of the whole job.", ge=1, le=MOST_TOKENS)]
Batch = Annotated[int, Field(description="Sequences at a time.", ge=1)]
Sequence = Annotated[int | None, Field(description="Tokens of a sequence; null: 4096, or what the model allows if that is less.", ge=1)]
Mode = Annotated[Literal["prefill", "decode", "train", "embed"], Field(description="What is done with the tokens.")]
ModelPrecision = Annotated[
    str,
    Field(
        description="Of weights and arithmetic; auto: bfloat16, or float16 where a device has no bfloat16.",
        json_schema_extra={"enum": ["auto", *PRECISIONS]},
    ),
]
By = Annotated[Goal, Field(description="What is made small, where deadline and budget allow.")]
Deadline = Annotated[float | None, Field(description="Seconds that it may take.", gt=0)]
Budget = Annotated[float | None, Field(description="US dollars that it may cost.", ge=0)]
Named = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=100)]] | None,
    Field(description="Only these, by a name of list_devices; here is this machine. Null: all.", min_length=1, max_length=64),
]
MostDevices = Annotated[int, Field(description="How many of one device at most.", ge=1, le=1_000_000)]
Storage = Annotated[
    int | None, Field(description="Bytes a second that the devices' storage reads and writes; null: 2 GB/s are assumed.", gt=0, le=10**15)
]
MOST_AXES = 3
Vary = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]] | None,
    Field(
        description="The same with other values, one axis at a time, such as ['n=1e5,1e6', 'workers=1,2,4']. Axes: m, k, n, max_error, "
        "keep of a shape; tokens, batch, sequence of a model; precision, workers, deadline, budget, device of both.",
        max_length=MOST_AXES,
    ),
]
Filter = Annotated[
    str | None, Field(description="Only devices with this in their name, such as H100; here is this machine. Null: all.", max_length=100)
]
