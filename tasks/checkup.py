"""A stored result, checked: which files are damaged, which tiles of the product that is, and what to do about it."""

import re
import secrets
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict, field_validator

from storage import Damage, Result, Staging, is_url, open_result, scrub
from storage.assess import Assessment, assess
from tasks.errors import BadInput
from tasks.schema import finite
from tasks.stored import origin_of
from tasks.units import format_bytes, format_seconds, round_up
from tasks.wording import asked, confidence, plural

if TYPE_CHECKING:
    from tasks.against import Against

MOST_NAMED = 5
"""Damaged files that an error line names."""

Place = tuple[int, int]


class Ask(BaseModel):
    """How closely to look."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, title="Ask")

    full: bool = False
    """Also decode every chunk and compare the hashes of what is stored and of its values."""
    against_inputs: bool = False
    """Also multiply C and A B by fresh random vectors and compare: reads A, B and C once."""
    expect_root: str | None = None
    """Root that was noted when the result was made: finds a whole older result put back in its place."""

    @field_validator("expect_root")
    @classmethod
    def _root_is_a_hash(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[0-9a-f]{64}", value):
            raise ValueError(f"expect_root is {value!r}: give the 64 hexadecimal digits that gemmflow info shows")
        return value


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
    against: "Against | None" = None
    """What fresh probes against the inputs found, where that was asked."""

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged, and the product is that of its inputs as far as that was asked."""
        return not self.damages and (self.against is None or self.against.kept)

    @property
    def line(self) -> str:
        """The answer in one line."""
        if self.sound:
            size, took = format_bytes(self.bytes_stored), format_seconds(self.seconds)
            probed = "" if self.against is None else f"; {_proved(self.against)}"
            kind = f"{plural(self.chunks, 'chunk')}, {size}, checked in {took} ({self.level})"
            return f"{self.out} is what was written: {kind}{probed}; root {self.root}"
        if not self.damages and self.against is not None and not self.against.tiles:
            return f"{self.out} is what was written, but {_disproved(self.against)}: see whether A or B was changed"
        if not self.damages and self.against is not None:
            places = ", ".join(str(tile) for tile in self.against.tiles[:MOST_NAMED])
            return (
                f"{self.out} is what was written, but not the product of A and B as they are now: tiles {places} "
                f"({len(self.against.tiles)} in all) are up to {self.against.worst:.3g} times outside their bound: "
                "see whether A or B was changed"
            )
        named = ", ".join(f"{damage.key} {damage.why}" for damage in self.damages[:MOST_NAMED])
        more = f" and {len(self.damages) - MOST_NAMED} more" if len(self.damages) > MOST_NAMED else ""
        count = f"{plural(len(self.damages), 'file')} of {self.out} {'is' if len(self.damages) == 1 else 'are'} damaged"
        mend = "compute it again under another key" if is_url(self.out) else f"mend with gemmflow repair {self.out}"
        return f"{count}: {named}{more}; {mend}"

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
            "against_inputs": None if self.against is None else finite(asdict(self.against)),
        }


def check_up(out: str | Path, ask: Ask = Ask()) -> Checkup:  # noqa: B008 - frozen
    """Check a stored result against its manifest and, where that is asked, against its inputs and the root that the caller kept.

    Raises BadInput where OUT is no result of gemmflow with a manifest, or its inputs are gone.
    """
    started = time.monotonic()
    with open_result(out) as result:
        found = assess(result)
        damages = [*_wrong_root(found.root, ask.expect_root), *scrub(result, ask.full)]
        against = _against(result, found, out) if ask.against_inputs and not damages else None
        return Checkup(
            out=str(out),
            level="full" if ask.full else "quick",
            root=found.root,
            chunks=len(found.keys),
            bytes_stored=found.stored_bytes,
            damages=tuple(damages),
            tiles=damaged_tiles(result, [damage.key for damage in damages]),
            seconds=time.monotonic() - started,
            against=against,
        )


def damaged_tiles(result: Result, keys: list[str]) -> tuple[Place, ...]:
    """Tile rows and columns that hold these files; metadata belong to none."""
    found = assess(result)
    height, width = found.spec.objects
    plan = cast("dict[str, dict[str, int]]", found.certificate.get("plan"))
    try:
        rows, cols = plan["tile"]["rows"], plan["tile"]["cols"]
    except (KeyError, TypeError):
        raise BadInput(f"{result.out} is no result of gemmflow: its certificate does not say its tiles") from None
    places = {(int(i) * height // rows, int(j) * width // cols) for i, j in (key.split("/")[1:] for key in keys if key.startswith("c/"))}
    symmetric = cast("dict[str, object]", plan).get("symmetry", "none") != "none"
    return tuple(sorted({(max(place), min(place)) for place in places} if symmetric else places))


def _proved(against: "Against") -> str:
    """What the probes prove, and how to repeat it."""
    certain = f"{confidence(against.confidence)} confidence ({_repeated(against)})"
    least = f" and at least {against.at_least:.3g}" if against.measured > against.asked else ""
    return f"against A and B its error is at most {round_up(against.measured)} with {certain}{least}, {asked(against.asked)} was accepted"


def _disproved(against: "Against") -> str:
    """What the probes prove where that is too much."""
    return f"against A and B its error is at least {against.at_least:.3g} ({_repeated(against)}), {asked(against.asked)} was accepted"


def _repeated(against: "Against") -> str:
    return f"{against.probes} probes, seed {against.seed}"


def _wrong_root(root: str, expected: str | None) -> list[Damage]:
    if expected is None or expected == root:
        return []
    return [Damage("root", f"is {root}, expected was {expected}: this is another result, or an older one was put back")]


def _against(result: Result, found: Assessment, out: str | Path) -> "Against":
    from tasks.against import check_against  # noqa: PLC0415 - loads torch

    origin = origin_of(found, str(out))
    staging = Staging(str(out), "verify", 1, found.spec, "process", found.seal)
    seed = secrets.randbits(31)
    recipes = [replace(recipe, seed=seed) for recipe in origin.recipes(origin.problem(), staging)]
    return check_against(recipes, result.matrix, origin.certificate)
