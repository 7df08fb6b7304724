"""What schedulers and workers remember of the past, for developers to look at, stays small.

SHORT_LOGS      Dask settings for schedulers and workers of our own. By default they keep the code and the messages of a hundred
                computations, ten thousand lines of their log, an hour of samples of the machine, and for an hour what a client did
                that has gone: a batch of many jobs would grow until these are full. For a scheduler that somebody else starts the
                same settings are in deployments/dask.yaml.
as_one_span     for whoever submits tasks, to whatever scheduler. Dask files tasks under spans. Without a word it makes one each
                time that the cluster was idle before, and never forgets any: 4 KB in the scheduler for every question and every run.
"""

from contextlib import AbstractContextManager

SHORT_LOGS: dict[str, object] = {
    "distributed.diagnostics.computations.max-history": 1,
    "distributed.diagnostics.erred-tasks.max-history": 1,
    "distributed.admin.log-length": 100,
    "distributed.admin.low-level-log-length": 10,
    "distributed.admin.system-monitor.log-length": 10,
    "distributed.scheduler.events-cleanup-delay": "1 minute",
}

SPAN = {"name": ("gemmflow",), "ids": ("gemmflow",)}
"""As `distributed.span` annotates tasks, but with an id that is always the same."""


def as_one_span() -> AbstractContextManager[None]:
    """While tasks are submitted: file them under the one span of all gemmflow's runs."""
    from dask.base import annotate  # noqa: PLC0415 - nobody needs it before there is a cluster

    return annotate(span=SPAN)
