"""A stored result, checked: which files are damaged, which tiles of the product that is, and what to do about it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from storage import Damage, Result, open_result, scrub
from storage.scrub import assess
from tasks.errors import BadInput
from tasks.units import format_bytes, format_seconds

MOST_NAMED = 5
"""Damaged files that an error line names."""

Place = tuple[int, int]


@dataclass(frozen=True)
class Checkup:
    """What a look at a result found."""

    out: str
    level: str
    """quick: sizes and checksums; full: also hashes and values."""
    root: str
    """Hash of the manifest, as zarr.json names it."""
    chunks: int
    bytes_stored: int
    """Of all chunks, as recorded; 0 where the manifest is damaged."""
    damages: tuple[Damage, ...]
    tiles: tuple[Place, ...]
    """Tile rows and columns that the damaged chunks belong to."""
    seconds: float

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damages

    @property
    def line(self) -> str:
        """The answer in one line."""
        if self.sound:
            size, took = format_bytes(self.bytes_stored), format_seconds(self.seconds)
            return f"{self.out} is what was written: {self.chunks} chunks, {size}, checked in {took} ({self.level}); root {self.root}"
        named = ", ".join(f"{damage.key} {damage.why}" for damage in self.damages[:MOST_NAMED])
        more = f" and {len(self.damages) - MOST_NAMED} more" if len(self.damages) > MOST_NAMED else ""
        count = f"{len(self.damages)} file{'s' if len(self.damages) > 1 else ''}"
        return f"{count} of {self.out} are damaged: {named}{more}; mend it with gemmflow repair {self.out}"

    def to_json(self) -> dict[str, object]:
        """For scripts."""
        return {
            "schema": 1,
            "out": self.out,
            "level": self.level,
            "whole": self.sound,
            "root": self.root,
            "chunks": self.chunks,
            "bytes_stored": self.bytes_stored,
            "damaged": [damage.key for damage in self.damages],
            "damages": [{"key": damage.key, "why": damage.why} for damage in self.damages],
            "tiles": [list(tile) for tile in self.tiles],
            "seconds": self.seconds,
        }


def check_up(out: Path, full: bool = False, expect_root: str | None = None) -> Checkup:
    """Check a stored result against its manifest and, where one is given, the root that the caller kept.

    Raises BadInput where OUT is no result of gemmflow with a manifest.
    """
    started = time.monotonic()
    with open_result(out) as result:
        found = assess(result)
        damages = [*_wrong_root(found.root, expect_root), *scrub(result, full)]
        return Checkup(
            out=str(out),
            level="full" if full else "quick",
            root=found.root,
            chunks=len(found.keys),
            bytes_stored=found.manifest.stored_bytes if found.manifest else 0,
            damages=tuple(damages),
            tiles=damaged_tiles(result, [damage.key for damage in damages]),
            seconds=time.monotonic() - started,
        )


def damaged_tiles(result: Result, keys: list[str]) -> tuple[Place, ...]:
    """Tile rows and columns that hold these chunks; metadata belong to none."""
    found = assess(result)
    height, width = found.spec.chunks
    plan = cast("dict[str, dict[str, int]]", found.certificate.get("plan"))
    try:
        rows, cols = plan["tile"]["rows"], plan["tile"]["cols"]
    except (KeyError, TypeError):
        raise BadInput(f"{result.out} is no result of gemmflow: its certificate does not say its tiles") from None
    places = {(int(i) * height // rows, int(j) * width // cols) for i, j in (key.split("/")[1:] for key in keys if key.startswith("c/"))}
    return tuple(sorted(places))


def _wrong_root(root: str, expected: str | None) -> list[Damage]:
    if expected is None or expected == root:
        return []
    return [Damage("root", f"is {root}, expected was {expected}: this is another result, or an older one was put back")]
