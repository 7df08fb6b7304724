"""A site that is a folder of this host's file systems (see site)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.beside import leftovers, sweep
from storage.codecs import resolve_codec
from storage.errors import BadInput, TakenOver
from storage.journal import Journal, Record, read_journal
from storage.lease import Lease, require_free
from storage.matrix import Block
from storage.output import OutputSpec
from storage.place import check_out, check_space
from storage.publish import certify, publish
from storage.record import ChunkRecord
from storage.salvage import salvage
from storage.seal import Seal
from storage.settled import Decision, declare_codec, read_settled, settle
from storage.staging import Durability, Found, Staging, Start, create_staging, discard, find_staging, is_published, take_over, taken_over
from storage.sums import has_sums, keep_sum, read_sum
from storage.sync import write_atomically
from storage.write import Elements, WriteResult, write_block

CODEC = "codec"
"""File of the staging folder that holds what was settled."""


@dataclass(frozen=True)
class LocalSite:
    """An OUT that is a path."""

    out: Path

    def check(self, inputs: Sequence[str | Path], overwrite: bool) -> None:
        """Raise BadInput or Refused where it cannot be written."""
        check_out(self.out, inputs, overwrite)

    def check_space(self, nbytes: int) -> None:
        """Raise Refused where so many bytes do not fit."""
        check_space(self.out, nbytes)

    def left(self) -> "LocalLeft | None":
        """The unfinished run beside it."""
        found = find_staging(self.out)
        return None if found is None else LocalLeft(found)

    def begin(self, spec: OutputSpec, durability: Durability, run_id: str, start: Start) -> tuple[Staging, Lease]:
        """Make the staging folder and hold it."""
        sweep(self.out)
        staging = create_staging(self.out, spec, durability, run_id, start)
        return staging, Lease.take(staging)

    def clean(self) -> list[str]:
        """Remove what unfinished runs left beside it."""
        if not self.out.parent.is_dir():
            raise BadInput(f"the folder {self.out.parent} does not exist: check the path")
        left, before = self.left(), leftovers(self.out)
        if left is not None:
            left.require_free()
            left.discard()
        sweep(self.out)
        return [str(folder) for folder in before if not folder.exists()]


@dataclass(frozen=True)
class LocalLeft:
    """A staging folder that lies beside OUT."""

    found: Found

    @property
    def run_id(self) -> str:
        """Its run."""
        return self.found.run_id

    @property
    def seal(self) -> Seal | None:
        """What opens it."""
        return self.found.seal

    def require_free(self) -> None:
        """Return when it may be taken over."""
        require_free(self.found)

    def is_over(self) -> bool:
        """Whether its result is visible; a folder never appears without a journal."""
        return is_published(self.found)

    def records(self) -> list[Record]:
        """Its journal."""
        return read_journal(self.found.folder / "journal", self.seal)

    def has_sums(self) -> bool:
        """Whether there is a file of partial sums."""
        return has_sums(self.found.folder)

    def take_over(self, spec: OutputSpec, durability: Durability) -> tuple[Staging, Lease]:
        """Rename it to its next epoch and hold it."""
        staging = take_over(self.found).staging(spec, durability)
        return staging, Lease.take(staging)

    def discard(self) -> None:
        """Remove it."""
        discard(self.found)


@dataclass(frozen=True)
class LocalHold:
    """A staging folder. Its path holds its epoch: who lost it can write nothing."""

    staging: Staging

    def write(self, row0: int, col0: int, block: Block | Elements) -> WriteResult:
        """Write a block."""
        return write_block(self.staging, row0, col0, block)

    def settle(self, decide: Callable[[], Decision]) -> Decision:
        """The decision that all workers of the run follow."""
        return settle(self._codec, decide, self.staging.seal)

    def read_settled(self) -> Decision | None:
        """What was settled."""
        return read_settled(self._codec, self.staging.seal)

    def keep_sum(self, name: str, content: bytes) -> None:
        """Put a partial sum into the folder."""
        keep_sum(self.staging, name, content)

    def read_sum(self, name: str) -> bytes | None:
        """A partial sum that is there."""
        return read_sum(self.staging, name)

    def has_sums(self) -> bool:
        """Whether there is a file of partial sums."""
        return has_sums(Path(self.staging.folder))

    def journal(self) -> Journal:
        """Open the journal to go on with it."""
        return Journal.reopen(Path(self.staging.journal), self.staging.seal)

    def keep(self, records: Sequence[Record], chunks: Iterable[ChunkRecord]) -> set[str]:
        """Remove every other chunk, and begin the journal afresh with these records."""
        sound = salvage(self.staging, chunks)
        Journal.create(Path(self.staging.journal), records, self.staging.seal).close()
        return sound

    def put_token(self, token: str) -> str:
        """Put a text into the folder."""
        path = Path(self.staging.folder, "token")
        write_atomically(path, token.encode())
        return str(path)

    def certify(self, codec: str, certificate: dict[str, object], chunks: Iterable[ChunkRecord]) -> str:
        """Put certificate and manifest into the staged array."""
        if codec != self.staging.spec.codec:
            declare_codec(self.staging.array, resolve_codec(codec), self.staging.spec.stored.itemsize, self.staging.seal)
        return certify(self.staging, certificate, chunks)

    def publish(self, overwrite: bool) -> None:
        """Rename or exchange."""
        publish(self.staging, overwrite)

    def discard(self) -> None:
        """Remove the folder."""
        discard(self.staging)

    def taken_over(self) -> TakenOver:
        """The error for a run that finds its folder gone."""
        return taken_over(self.staging)

    @property
    def _codec(self) -> Path:
        return Path(self.staging.folder, CODEC)
