"""Whether the product of a job is there already: made by the same job from the same inputs, as the certificate in OUT says.

The certificate lies in what publish made visible in one step, so where it is, the result is whole. Whether a file of it was damaged
since, `gemmflow verify` finds; this reads headers alone.
"""

from typing import cast

from storage import GemmflowError, read_certificate
from tasks.job import Job, make_job
from tasks.resume import WHERE, input_stamps
from tasks.survey import open_problem


def is_made(job: Job) -> bool:
    """Whether OUT holds the product of this job from its inputs as they are now; False also where nobody can tell."""
    try:
        certificate = read_certificate(job.out)
        before = make_job(**cast("dict[str, object]", certificate["job"]))
        return _same(job, before) and certificate["inputs"] == input_stamps(open_problem(job))
    except (GemmflowError, KeyError, TypeError):
        return False


def _same(job: Job, before: Job) -> bool:
    """Whether both ask for the same, wherever it was computed."""
    return all(getattr(job, name) == getattr(before, name) for name in Job.model_fields if name not in WHERE)
