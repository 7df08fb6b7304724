"""Sealed results without their seal, and under another key: nothing is computed, so no cluster is opened."""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from storage import (
    Lease,
    Staging,
    Start,
    check_out,
    check_space,
    create_staging,
    discard,
    find_staging,
    open_result,
    publish,
    require_free,
    rewrap,
    sweep,
    write_seal,
)
from storage.assess import assess
from storage.export import require_exportable, unseal_into
from storage.output import OutputSpec
from storage.sync import write_error
from tasks.errors import BadInput, Refused
from tasks.prepare import new_run_id
from tasks.resume import EXPORT, began_as, finished_nothing
from tasks.units import format_bytes, format_seconds
from tasks.wording import plural


@dataclass(frozen=True)
class Exported:
    """What an export wrote."""

    out: str
    plain: str
    chunks: int
    bytes_stored: int
    """Of all chunks of the plain array."""
    root: str
    """Hash of the manifest, of both."""
    seconds: float

    @property
    def line(self) -> str:
        """The answer in one line."""
        size, took = format_bytes(self.bytes_stored), format_seconds(self.seconds)
        return f"{self.plain} is {self.out} without its seal: {plural(self.chunks, 'chunk')}, {size}, in {took}; root {self.root}"

    def to_json(self) -> dict[str, object]:
        """For scripts."""
        return {"schema": 1, **asdict(self)}


def export(out: Path, plain: Path, overwrite: bool) -> Exported:
    """Unseal a result into a new plain array that appears whole, at the end.

    Raises BadInput (no sealed result, its key missing, PLAIN exists or cannot be written), Refused (no room, another run holds
    PLAIN), CorruptData (a file is damaged), DiskFull; PLAIN is unchanged then.
    """
    started = time.monotonic()
    with open_result(out) as result:
        found = assess(result)
        chunks = require_exportable(result, found)
        check_out(plain, [out], overwrite)
        check_space(plain, sum(chunk.nbytes for chunk in chunks))
        staging = _begin(plain, replace(found.spec, sealed=False))
        lease = Lease.take(staging)
        try:
            root = unseal_into(staging, result, found)
            publish(staging, overwrite)
        finally:
            lease.release()
            discard(staging)
    nbytes = sum(chunk.nbytes for chunk in chunks)
    return Exported(str(out), str(plain), len(chunks), nbytes, root, time.monotonic() - started)


def change_key(out: Path, key_id: str) -> str:
    """Wrap the data key of a sealed result under another key; returns the name of the old one. No chunk is touched.

    Raises BadInput where the result is plain or one of the keys is missing.
    """
    with open_result(out) as result:
        seal = result.seal
        if seal is None:
            raise BadInput(f"{out} is not sealed: it has no key to change")
        fresh = rewrap(seal, key_id)
        try:
            write_seal(result.folder, fresh)
        except OSError as error:
            raise write_error(out, error) from error
    return seal.key_id


def _begin(plain: Path, spec: OutputSpec) -> Staging:
    left = find_staging(plain)
    if left is not None:
        require_free(left)
        if not (began_as(EXPORT, left) or finished_nothing(plain)):
            raise Refused(f"{plain} has an unfinished run in {left.folder}: finish it, or remove it with gemmflow clean {plain}")
        discard(left)
    sweep(plain)
    return create_staging(plain, spec, "power", new_run_id(), Start((EXPORT,)))
