"""Stored results over the years: check them, mend them, unseal them, change their key, remove what unfinished runs left.

These are plain functions; `flows.workflow` has them as Prefect flows, so that a scrub can be scheduled.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from flows.chores import DAYS, Mending, Stale
from flows.session import open_session
from storage import absolute, expanded, idle_seconds, is_url, site_of, unfinished_in
from tasks.checkup import Ask, Checkup, check_up
from tasks.errors import BadInput, Refused

if TYPE_CHECKING:
    from tasks.export import Exported
    from tasks.repair import Repaired


def verify(out: str | Path, ask: Ask | None = None) -> Checkup:
    """Check a stored result; `ask` says how closely. The answer names what is damaged.

    Raises BadInput where OUT is no result of gemmflow.
    """
    return check_up(located(out), ask or Ask())


def repair(out: str | Path, mending: Mending | None = None) -> "Repaired":
    """Compute again what is damaged in a stored result, and nothing else.

    Raises BadInput, Refused, NotCertified, CorruptData: OUT is unchanged then.
    """
    from tasks.repair import repair as mend  # noqa: PLC0415 - loads Dask

    require_mendable(out)
    how = mending or Mending()
    with open_session() as session:
        place = None if how.cluster is None else session.address_of(how.cluster)
        return mend(Path(located(out)), how.full, (session.pool.cluster, session.observe), place)


def require_mendable(out: str | Path) -> None:
    """Raise BadInput where a result lies on an object store."""
    if is_url(out):
        raise BadInput(f"{out}: results on object stores are checked but not repaired; compute it again under another key")


def export(out: str | Path, plain: str | Path, overwrite: bool = False) -> "Exported":
    """Write a sealed result as a plain Zarr array. Raises BadInput, Refused, CorruptData, DiskFull: PLAIN is unchanged then."""
    from tasks.export import export as unseal  # noqa: PLC0415 - loads Dask

    return unseal(_local(out, "sealed results"), _local(plain, "plain copies"), overwrite)


def rewrap(out: str | Path, key: str) -> str:
    """Put a sealed result under another key, without touching its chunks; returns the name of the old key. Raises BadInput."""
    from tasks.export import change_key  # noqa: PLC0415 - loads Dask

    return change_key(_local(out, "sealed results"), key)


def clean(out: str | Path) -> list[str]:
    """Remove what unfinished runs left beside OUT; returns the names of the folders. Raises Refused where a run is writing there."""
    return site_of(located(out)).clean()


def clean_stale(place: str | Path, stale: Stale | None = None) -> dict[str, list[str]]:
    """Remove unfinished runs of one OUT, or of every OUT in a folder, that nobody goes on with; what is written to now is kept.

    Returns the names of the folders removed, and the OUTs beside which something is kept. Raises BadInput where the place cannot be
    read, or is a URL and an age is asked: object stores tell no age of a run.
    """
    days = (stale or Stale()).days
    if is_url(place):
        if days:
            raise BadInput(f"{place}: the age of a run on an object store is not known: set days to 0, or use gemmflow clean")
        return {"removed": clean(place), "kept": []}
    removed: list[str] = []
    kept: list[str] = []
    for out in _unfinished_in(Path(located(place))):
        try:
            if idle_seconds(out) < days * DAYS:
                raise Refused(f"{out} was written to less than {days:g} days ago")
            removed += clean(out)
        except Refused:
            kept.append(str(out))
    return {"removed": removed, "kept": kept}


def _unfinished_in(place: Path) -> list[Path]:
    if not place.parent.is_dir():
        raise BadInput(f"the folder {place.parent} does not exist: check the path")
    try:
        return unfinished_in(place)
    except OSError as error:
        raise BadInput(f"the folder {place} cannot be read: {error.strerror}") from None


def _local(out: str | Path, kind: str) -> Path:
    """An absolute path; raises BadInput where it is the URL of an object store."""
    if is_url(out):
        raise BadInput(f"{out}: {kind} lie on local file systems only: give the path of a folder")
    return expanded(out).absolute()


def located(out: str | Path) -> str | Path:
    """An absolute path, or the URL of an object store."""
    return absolute(str(out)) if is_url(out) else expanded(out).absolute()
