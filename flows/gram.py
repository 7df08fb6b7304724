"""Gram: X Xᵀ or Xᵀ X of one matrix, as the job that multiplies it with itself; every other field is that of a job."""

from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict, Field, create_model

from flows.multiply import multiply
from tasks.job import Job, make_job

if TYPE_CHECKING:
    from tasks.report import Report

OWN = ("a", "b", "out", "transpose_a", "transpose_b", "add", "beta")
"""Fields of a job that the command says in its own words, or not at all: with a C0 a product need not be symmetric."""


class _Operand(BaseModel):
    """What is multiplied with itself, and where the product goes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, title="Gram")

    x: str
    """Matrix X: a Zarr array (v2 or v3), also at s3://bucket/key, a .npy file, or a scipy sparse .npz (CSR, CSC)."""
    out: str = Field(description=Job.model_fields["out"].description)
    transpose: bool = False
    """Multiply Xᵀ X, of X's columns, instead of X Xᵀ; nothing is copied on disk."""


_SHARED = {name: (field.annotation, field) for name, field in Job.model_fields.items() if name not in OWN}

GramJob = cast("type[BaseModel]", create_model("GramJob", __base__=_Operand, **_SHARED))  # pyright: ignore[reportArgumentType, reportCallIssue]
"""One Gram matrix: OUT = alpha X Xᵀ."""


def gram_job(x: str, out: str, transpose: bool = False, **fields: object) -> Job:
    """The job of a Gram matrix; raises BadInput where a field is wrong."""
    return make_job(a=x, b=x, out=out, transpose_a=transpose, transpose_b=not transpose, **fields)


def gram(x: str, out: str, *, transpose: bool = False, direct: bool = False, **fields: object) -> "Report":
    """OUT = X Xᵀ, or with `transpose` Xᵀ X: half the operations of `multiply`, which it calls with the fields of a job.

    All of them, as a warning of the report says, where zeros of X are left out or no square tile of whole chunks fits the memory.

    ``store="triangle"`` stores what reaches the diagonal from below; the rest reads as NaN.
    """
    return multiply(gram_job(x, out, transpose, **fields), direct=direct)
