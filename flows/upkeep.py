"""Stored results over the years: check them, mend them, unseal them, change their key, remove what unfinished runs left.

These are plain functions; `flows.workflow` has them as Prefect flows, so that a scrub can be scheduled.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from flows.session import open_session
from storage import discard, find_staging, leftovers, require_free, sweep
from tasks.checkup import Ask, Checkup, check_up
from tasks.errors import BadInput

if TYPE_CHECKING:
    from tasks.export import Exported
    from tasks.repair import Repaired


def verify(out: str | Path, ask: Ask | None = None) -> Checkup:
    """Check a stored result; `ask` says how closely. The answer names what is damaged.

    Raises BadInput where OUT is no result of gemmflow.
    """
    return check_up(_path(out), ask or Ask())


def repair(out: str | Path, full: bool = False, cluster: str | None = None) -> "Repaired":
    """Compute again what is damaged in a stored result, and nothing else; `full` looks for damage as `Ask.full` does.

    Raises BadInput, Refused, NotCertified, CorruptData: OUT is unchanged then.
    """
    from tasks.repair import repair as mend  # noqa: PLC0415 - loads Dask

    with open_session() as session:
        return mend(_path(out), full, (session.pool.cluster, session.observe), cluster)


def export(out: str | Path, plain: str | Path, overwrite: bool = False) -> "Exported":
    """Write a sealed result as a plain Zarr array. Raises BadInput, Refused, CorruptData, DiskFull: PLAIN is unchanged then."""
    from tasks.export import export as unseal  # noqa: PLC0415 - loads Dask

    return unseal(_path(out), _path(plain), overwrite)


def rewrap(out: str | Path, key: str) -> str:
    """Put a sealed result under another key, without touching its chunks; returns the name of the old key. Raises BadInput."""
    from tasks.export import change_key  # noqa: PLC0415 - loads Dask

    return change_key(_path(out), key)


def clean(out: str | Path) -> list[Path]:
    """Remove what unfinished runs left beside OUT; returns the folders. Raises Refused where a run is writing there."""
    place = _path(out)
    if not place.parent.is_dir():
        raise BadInput(f"the folder {place.parent} does not exist: check the path")
    found = find_staging(place)
    before = leftovers(place)
    if found is not None:
        require_free(found)
        discard(found)
    sweep(place)
    return [folder for folder in before if not folder.exists()]


def _path(out: str | Path) -> Path:
    return Path(out).expanduser().absolute()
