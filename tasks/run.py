"""Multiply: every tile of a run, by `tasks.drive`, and what is said where that fails."""

from contextlib import ExitStack, suppress

from storage import TakenOver
from tasks.cluster import Cluster
from tasks.drive import Drive, Observer
from tasks.errors import GemmflowError, NonFinite, NotCertified, OutOfMemory
from tasks.metrics import watched
from tasks.outcome import Outcome
from tasks.prepare import Run


def multiply(run: Run, cluster: Cluster, observe: Observer) -> Outcome:
    """Compute every tile of the run; returns the workers' records.

    Raises what a tile raises (NonFinite, CorruptData, DiskFull), NotCertified when a tile fails its check twice or
    every worker computes wrong tiles, WorkersLost.
    Staging is kept then, and the message names it; without a finished tile it is removed where only another command can end better.
    """
    with ExitStack() as after, run.hold.journal() as journal:
        drive = Drive(run, cluster, journal, watched(run, observe))
        try:
            return drive.to_the_end()
        except TakenOver:
            raise
        except GemmflowError as error:
            if drive.lost:
                raise run.hold.taken_over() from error
            if run.only is not None:
                raise
            if isinstance(error, NonFinite) and drive.finished_nothing:
                after.callback(_discard, run)  # once the journal is closed
                raise
            raise type(error)(f"{error} ({kept(run, error)})") from error
        finally:
            drive.stop()


def _discard(run: Run) -> None:
    with suppress(GemmflowError):
        run.hold.discard()


def kept(run: Run, error: GemmflowError) -> str:
    """What a run that fails leaves behind, in a few words, and what to do where the same command can only fail again."""
    folder, remove = f"what is finished is kept in {run.staging.folder}", f"gemmflow clean {run.job.out}"
    if isinstance(error, NonFinite):
        return f"{folder}: {remove} removes it, before another command or other inputs"
    also = f", {remove} removes it before another" if isinstance(error, NotCertified | OutOfMemory) else ""
    return f"{folder}: the same command goes on from there{also}"
