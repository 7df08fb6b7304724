"""What went wrong, for a caller that is a program: a code that stays, the cause with its numbers, and what to do.

Errors of a run are one line for people, `cause: fix`; the code is the name of their class.

>>> from tasks.errors import BadInput
>>> fault_of(BadInput("/d/A.zarr does not exist: check the path")).model_dump()
{'code': 'bad_input', 'cause': '/d/A.zarr does not exist', 'fix': 'check the path'}
"""

import re

from pydantic import BaseModel, ConfigDict

from tasks.errors import GemmflowError
from tasks.job import Job

FIXES = {
    "bad_input": "change the job, then analyze it again",
    "refused": "ask for less, or for another place, then analyze again",
    "too_little_memory": "give more memory, or fewer workers, then analyze again",
    "cluster_mismatch": "have the operator bring the workers to the same version",
    "not_certified": "analyze with a larger max_error, or guarantee certified",
    "non_finite": "mend the input, or analyze with allow_nonfinite",
    "interrupted": "submit the plan again under a new idempotency_key: finished tiles are kept",
}
"""Where a message says none; by code."""

ANY_FIX = "submit the plan again under a new idempotency_key: finished tiles are kept"


class Fault(BaseModel):
    """An error."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    code: str
    """What kind it is; stays the same from version to version."""
    cause: str
    """What is wrong, with the numbers."""
    fix: str
    """What to change."""


class AgentError(Exception):
    """An answer that is an error; nothing was started or changed."""

    def __init__(self, code: str, cause: str, fix: str) -> None:
        super().__init__(f"{cause}: {fix}")
        self.fault = Fault(code=code, cause=cause, fix=fix)


def fault_of(error: BaseException) -> Fault:
    """The fault that an error stands for."""
    if isinstance(error, AgentError):
        return error.fault
    if isinstance(error, GemmflowError):
        code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
        return _split(code, as_fields(" ".join(str(error).split())))
    if isinstance(error, OSError):
        return Fault(
            code="not_written",
            cause=f"{error.filename or 'the state folder'}: {error.strerror or error}",
            fix="tell the operator, then call again",
        )
    return Fault(code="internal", cause=f"unexpected {type(error).__name__}: {error}", fix="tell the operator; the server's log says where")


def as_fields(message: str) -> str:
    """A message that names options of the command, with the fields of the job that they are."""

    def field(found: re.Match[str]) -> str:
        name = found[1].replace("-", "_")
        return name if name in Job.model_fields else found[0]

    return re.sub(r"--([a-z][a-z-]*)", field, message)


def _split(code: str, message: str) -> Fault:
    cause, colon, fix = message.rpartition(": ")
    return Fault(code=code, cause=cause, fix=fix) if colon else Fault(code=code, cause=message, fix=FIXES.get(code, ANY_FIX))
