"""A sealed result as a plain one: every file unsealed into a staging folder, which then becomes the new array in one step.

OUT/c/0/3  --unseal, check against the manifest-->  staging/array/c/0/3      byte for byte what was encoded
metadata and manifest                               the same content, hence the same root
"""

from storage.assess import Assessment
from storage.chain import Undecodable
from storage.errors import BadInput, CorruptData
from storage.record import ChunkRecord
from storage.repair import restore
from storage.result import Result
from storage.scrub import checked_body, load
from storage.staging import Staging, taken_over
from storage.sync import replace_file, sync_folder, write_error


def require_exportable(result: Result, found: Assessment) -> tuple[ChunkRecord, ...]:
    """The records of all chunks; raises BadInput where the result is plain, CorruptData where its manifest is damaged."""
    if found.seal is None:
        raise BadInput(f"{result.out} is not sealed: any Zarr library reads it; copy the folder")
    if found.manifest is None:
        raise CorruptData(f"{result.out} has a damaged manifest: mend it with gemmflow repair {result.out}, then export it")
    return found.manifest.chunks


def unseal_into(staging: Staging, result: Result, found: Assessment) -> str:
    """Fill a plain staged array with the chunks and metadata of a sealed result; returns the root, which is that of the result.

    Raises CorruptData naming the chunk that is damaged, TakenOver, DiskFull, GemmflowError.
    """
    chunks = require_exportable(result, found)
    for record in chunks:
        _unseal_chunk(staging, result, record, found)
    try:
        for row in range(found.spec.grid[0]):
            sync_folder(f"{staging.array}/c/{row}")
    except OSError as error:
        raise write_error(staging.array, error) from error
    root = restore(staging, found, chunks)
    if root != found.root:
        raise CorruptData(f"{result.out} does not give its own root: check it with gemmflow verify {result.out}")
    return root


def _unseal_chunk(staging: Staging, result: Result, record: ChunkRecord, found: Assessment) -> None:
    try:
        stored = load(result, record.key, record.nbytes)
        checked_body(stored, record, found.spec)
    except OSError as error:
        raise _damaged(result, record, f"cannot be read ({error.strerror})") from error
    except Undecodable as error:
        raise _damaged(result, record, str(error)) from error
    try:
        replace_file(f"{staging.array}/{record.key}", [stored], durable=True)
    except FileNotFoundError as error:
        raise taken_over(staging) from error
    except OSError as error:
        raise write_error(staging.array, error) from error


def _damaged(result: Result, record: ChunkRecord, why: str) -> CorruptData:
    return CorruptData(f"{result.out} chunk {record.key} {why}: mend it with gemmflow repair {result.out}, then export it")
