"""Commands about a stored result: info, verify, repair, export, rewrap, clean.

They need no Prefect; `flows.workflow` has flows for schedules.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TypeGuard, cast

import typer
from pydantic import BaseModel, ConfigDict, Field

from flows import upkeep
from flows.chores import Mending, Stale
from flows.options import Group, Output, command
from flows.show import answer
from flows.watching import watching
from storage import expanded, is_url, open_result
from storage.assess import assess
from tasks.checkup import Ask
from tasks.errors import BadInput, DamageFound
from tasks.tables import aligned

UNSHOWN = ("choices", "predicted", "probes", "seed", "slots", "warnings")
"""Parts of the stored plan that only machines need."""


class Result(BaseModel):
    """A stored result."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    out: str
    """A product that gemmflow stored."""


class Unsealing(BaseModel):
    """A sealed result and where it goes."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    out: str
    """A sealed product that gemmflow stored."""
    plain: str
    """Where its plain copy goes: a Zarr v3 array that must not exist yet, unless overwrite is set."""


class Replacing(BaseModel):
    """What becomes of an older copy."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    overwrite: bool = False
    """Replace an existing PLAIN, in one step at the end."""


class Rewrapping(BaseModel):
    """The key that a result is put under."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    key: str | None = None
    """Name of the new key; the old one must be known, too."""


class Place(BaseModel):
    """Where unfinished runs are looked for."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    out: str
    """A product, whether it exists or not; with --days also a folder of products."""


class Age(BaseModel):
    """Which unfinished runs are given up."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    days: float | None = Field(default=None, ge=0, le=3650)
    """Only runs to which nobody wrote for so many days, beside OUT or beside every product in the folder OUT. Default: that of OUT,
    whatever its age."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    shows = Group(Output, "What it shows")
    command(app, "info", Group(Result), shows)(info)
    command(app, "verify", Group(Result), Group(Ask, "How closely"), shows)(verify)
    command(app, "repair", Group(Result), Group(Mending, "How"), shows)(repair)
    command(app, "export", Group(Unsealing), Group(Replacing, "How"), shows)(export)
    command(app, "rewrap", Group(Result), Group(Rewrapping, "How"), shows)(rewrap)
    command(app, "clean", Group(Place), Group(Age, "Which"), shows)(clean)


def info(result: Result, output: Output) -> int:
    """Show how a result was made and how exact it is, from the certificate and the manifest that are stored in it."""
    with open_result(_path(result)) as opened:
        found = assess(opened)
        manifest = found.manifest
    summary = {"root": found.root, "damaged": [damage.key for damage in found.damages], "notes": list(found.notes)}
    if manifest is not None:
        summary |= {"chunks": len(manifest.chunks), "bytes_stored": found.stored_bytes}
    chunks = [asdict(chunk) for chunk in manifest.chunks] if manifest else []
    plan = cast("dict[str, object]", found.certificate.get("plan", {}))
    shown = {**found.certificate, "plan": {name: part for name, part in plan.items() if name not in UNSHOWN}}
    del shown["root"]
    shown |= foreseen(plan.get("predicted"), shown.pop("measured", None))
    whole = {**found.certificate, "manifest": {**summary, "chunks": chunks}}
    answer(output, whole, "\n".join(lines({**shown, "manifest": summary})))
    return 0


def foreseen(predicted: object, measured: object) -> dict[str, object]:
    """What was predicted, beside what was measured; nothing for a result that does not say."""
    if not isinstance(predicted, dict) or not isinstance(measured, dict):
        return {}
    told = cast("dict[str, object]", predicted)
    return {"predicted": {name: told[name] for name in measured if name in told}, "measured": measured}


def verify(result: Result, ask: Ask, output: Output) -> int:
    """Check every file of a result against its manifest; exit code 4 where one is missing or damaged.

    Without options: sizes and checksums, as fast as the disk reads. --full also compares hashes and decodes all values.
    """
    checked = upkeep.verify(_path(result), ask)
    answer(output, checked.to_json(), checked.line if checked.sound else None)
    if not checked.sound:
        raise DamageFound(checked.line)
    return 0


def repair(result: Result, mending: Mending, output: Output) -> int:
    """Compute again, from A and B, the tiles of a result that are damaged, and nothing else.

    What comes out as it was is proved by its hash; what another processor computes differently has to pass its certificate.
    """
    upkeep.require_mendable(result.out)
    with open_result(_path(result)) as opened:
        assess(opened)  # what is no result is refused before anything is said to start
    with watching(output.quiet, f"repair of {result.out}"):
        repaired = upkeep.repair(_path(result), mending)
    answer(output, repaired.to_json(), repaired.line)
    return 0


def export(unsealing: Unsealing, replacing: Replacing, output: Output) -> int:
    """Write a sealed result as a plain Zarr array: the same bytes in every chunk, the same certificate, the same root."""
    exported = upkeep.export(unsealing.out, unsealing.plain, replacing.overwrite)
    answer(output, exported.to_json(), exported.line)
    return 0


def rewrap(result: Result, rewrapping: Rewrapping, output: Output) -> int:
    """Put a sealed result under another key. Only its header is written again; both keys must be known now, the new one afterwards."""
    if rewrapping.key is None:
        raise BadInput("no key is named: give the new one with --key")
    before = upkeep.rewrap(_path(result), rewrapping.key)
    answer(
        output,
        {"schema": 1, "out": str(_path(result)), "key": rewrapping.key, "before": before},
        f"{result.out} is sealed under {rewrapping.key} now, and no longer under {before}",
    )
    return 0


def clean(place: Place, age: Age, output: Output) -> int:
    """Remove what unfinished runs left beside OUT; a run that still writes there is not touched."""
    where = place.out if is_url(place.out) else Path(place.out)
    found = {"removed": upkeep.clean(where), "kept": []} if age.days is None else upkeep.clean_stale(where, Stale(days=age.days))
    told = [f"{verb} {', '.join(found[verb])}" for verb in ("removed", "kept") if found[verb]]
    answer(output, {"schema": 1, **found}, "; ".join(told) or f"nothing of an unfinished run lies beside {place.out}")
    return 0


def lines(value: Mapping[str, object], indent: int = 0) -> list[str]:
    """A nested mapping as indented lines, empty values left out."""
    shown: list[str] = []
    for name, part in value.items():
        if isinstance(part, Mapping):
            shown += [f"{'  ' * indent}{name}", *lines(cast("Mapping[str, object]", part), indent + 1)]
        elif _is_table(part):
            shown += [f"{'  ' * indent}{name}", *(f"{'  ' * indent}  {line}" for line in aligned(_cells(part), left=1))]
        elif part not in (None, "", [], ()):
            shown.append(f"{'  ' * indent}{name:<{20 - 2 * indent}} {_plain(part)}")
    return shown


def _is_table(part: object) -> TypeGuard[list[Mapping[str, object]]]:
    """Whether a value is a list of mappings, such as the codecs that were weighed."""
    return isinstance(part, list) and bool(part) and all(isinstance(row, Mapping) for row in cast("list[object]", part))


def _cells(rows: list[Mapping[str, object]]) -> list[list[str]]:
    return [list(rows[0]), *([_plain(cell) for cell in row.values()] for row in rows)]


def _plain(part: object) -> str:
    if isinstance(part, list | tuple):
        return " x ".join(str(item) for item in cast("list[object]", part))
    return f"{part:.6g}" if isinstance(part, float) else str(part)


def _path(result: Result) -> str | Path:
    return result.out if is_url(result.out) else expanded(result.out)
