"""Repair: what is damaged in a result is computed again from A and B, and nothing else.

    damaged chunks -> their tiles -> computed again by the plan that is stored with the result
        values hash as recorded      proved: the result is bit for bit what it was
        they do not                  another processor or library: the tile's probes must accept it, and the manifest says so

Damaged metadata are restored from their copies; a manifest is made again from the chunks, and the root proves it.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from math import hypot, isfinite, sqrt
from pathlib import Path

from storage import (
    ChunkRecord,
    Lease,
    Result,
    Staging,
    Start,
    create_staging,
    discard,
    find_staging,
    open_result,
    publish,
    require_free,
    scrub,
    sweep,
)
from storage.assess import Assessment, assess
from storage.place import require_nothing_foreign
from storage.repair import amend, link_sound, records_of, restore
from tasks.checkup import Place, damaged_tiles
from tasks.cluster import Cluster
from tasks.drive import Observer
from tasks.errors import BadInput, CorruptData, NotCertified, Refused
from tasks.handshake import check_kernels, check_seal, check_workers
from tasks.hardware import Hardware
from tasks.moment import now
from tasks.outcome import Certificate, Measurement
from tasks.plan import Plan
from tasks.prepare import Run, new_run_id
from tasks.recipe import walk_of
from tasks.refuted import refuted
from tasks.resume import REPAIR, began_as, finished_nothing, input_stamps
from tasks.run import multiply
from tasks.stored import Origin, origin_of
from tasks.units import round_up
from tasks.verify import measured_bound, rounding_of, scale_of
from tasks.wording import plural

OpenCluster = Callable[[str, Plan], AbstractContextManager[Cluster]]
"""The workers of a plan, on a kind of cluster."""
Means = tuple[OpenCluster, Observer]
"""What computes, and who watches."""


@dataclass(frozen=True)
class Repaired:
    """What a repair did."""

    out: str
    damages: tuple[str, ...]
    """Files that were damaged."""
    tiles: tuple[Place, ...]
    """Tile rows and columns that were computed again."""
    proved: bool
    """Whether the result is bit for bit what it was; if not, its certificate covers what is new."""
    root: str
    """Hash of the manifest; the old one where proved."""
    seconds: float

    @property
    def line(self) -> str:
        """The answer in one line."""
        if not self.damages:
            return f"{self.out} is what was written: nothing to repair; root {self.root}"
        files = plural(len(self.damages), "file")
        tiles = f"{plural(len(self.tiles), 'tile')} computed again"
        proof = "bit for bit what it was" if self.proved else "other bits than before, within the certificate"
        return f"{self.out}: {files} repaired, {tiles}: {proof}; root {self.root}"

    def to_json(self) -> dict[str, object]:
        """For scripts."""
        return {"schema": 1, **asdict(self)}


def repair(out: Path, full: bool, means: Means, cluster: str | None = None) -> Repaired:
    """Mend a result in place, in one step at the end.

    Raises BadInput (no result, inputs missing), Refused (another run holds OUT), NotCertified (a tile fails its probes, all
    together contradict their bound, or the certificate is missed), CorruptData (too little is left to tell right from wrong); OUT is
    unchanged then.
    """
    started = time.monotonic()
    try:
        with open_result(out) as result:
            repaired = _mended(result, full, means, cluster)
    finally:
        sweep(out)  # the damaged result stayed as long as it was open
    return replace(repaired, seconds=time.monotonic() - started)


def _mended(result: Result, full: bool, means: Means, cluster: str | None) -> Repaired:
    found, out = assess(result), str(result.out)
    damages = tuple(damage.key for damage in scrub(result, full))
    tiles = damaged_tiles(result, list(damages))
    if not damages:
        _clear(Path(out))
        return Repaired(out, (), (), True, found.root, 0.0)
    origin = origin_of(found, out)
    origin = replace(origin, job=origin.job.model_copy(update={"cluster": cluster or origin.job.cluster}))
    work = _Repair(result, found, origin, _begin(result, found))
    try:
        root = work.mend(damages, tiles, means)
    finally:
        work.lease.release()
        discard(work.staging)
    return Repaired(out, damages, tiles, root == found.root, root, 0.0)


def _begin(result: Result, found: Assessment) -> Staging:
    """The staging folder; from now on nobody else exchanges OUT, so it is asked now whether somebody just did."""
    place = Path(result.out)
    require_nothing_foreign(Path(os.path.realpath(place)))
    left = find_staging(place)
    if left is not None:
        require_free(left)
        if left.folder.is_dir() and not (began_as(REPAIR, left) or finished_nothing(place)):
            raise Refused(f"{place} has an unfinished run in {left.folder}: finish it, or remove it with gemmflow clean {place}")
        discard(left)
    staging = create_staging(place, found.spec, "power", new_run_id(), Start((REPAIR,), found.seal))
    if not result.is_current:
        discard(staging)
        raise Refused(f"{place} was replaced by another result while it was checked: repair it again")
    return staging


def _clear(out: Path) -> None:
    """Remove what a repair left that was killed after its last step."""
    left = find_staging(out)
    if left is not None and began_as(REPAIR, left):
        require_free(left)
        discard(left)


class _Repair:
    """One repair on its way."""

    def __init__(self, result: Result, found: Assessment, origin: Origin, staging: Staging) -> None:
        self.result, self.found, self.origin, self.staging = result, found, origin, staging
        self.lease = Lease.take(staging)

    def mend(self, damages: tuple[str, ...], tiles: tuple[Place, ...], means: Means) -> str:
        """Fill the staging folder and exchange it; returns the root."""
        sound = [key for key in self.found.keys if key not in damages]
        link_sound(self.result, self.staging, sound)
        records = {record.key: record for record in records_of(self.result, self.found, sound)}
        computed, disproof = self._compute(tiles, means) if tiles else ((), None)
        fresh = {chunk.key: chunk for tile in computed for chunk in tile.chunks}
        changed = self._changed(fresh, records)
        if not changed:
            records |= fresh
            root = restore(self.staging, self.found, records.values())
            if root != self.found.root:
                raise CorruptData(f"{self.result.out} cannot be repaired: its chunks do not give its root; compute it with --overwrite")
        elif disproof is not None:
            raise NotCertified(
                f"{self.result.out} repaired would be wrong: the error of {plural(len(computed), 'tile')} computed again is surely above "
                f"{disproof[0]:.3g}, and {round_up(disproof[1])} is certified for every input; check this hardware"
            )
        else:
            root = self._amended(computed, records | fresh)
        publish(self.staging, overwrite=True)
        return root

    def _compute(self, tiles: tuple[Place, ...], means: Means) -> tuple[tuple[Measurement, ...], tuple[float, float] | None]:
        """The tiles, and what their own probes say against them (`refuted`)."""
        open_cluster, observe = means
        origin, plan = self.origin, self.origin.plan
        walk = walk_of(plan)
        only = frozenset(index for index in range(len(walk)) if walk.place(index) in tiles)
        with open_cluster(origin.job.cluster, plan) as cluster:
            check_workers(cluster)
            check_kernels(cluster, plan)
            if self.staging.seal is not None:
                check_seal(cluster, self.staging.seal)
            run = Run(self.staging.run_id, origin.job, origin.problem(), _NOWHERE, plan, self.staging, now(), lease=self.lease, only=only)
            computed = multiply(run, cluster, observe).measurements
        return computed, refuted(run, computed, origin.certificate)

    def _changed(self, fresh: dict[str, ChunkRecord], sound: dict[str, ChunkRecord]) -> bool:
        """Whether any chunk differs from what was recorded; without a manifest the root decides, see `mend`."""
        if self.found.manifest is None:
            return False
        return any(record != fresh.get(record.key, sound.get(record.key)) for record in self.found.manifest.chunks)

    def _amended(self, computed: tuple[Measurement, ...], records: dict[str, ChunkRecord]) -> str:
        origin = self.origin
        recorded = {record.key: record.values for record in self.found.manifest.chunks} if self.found.manifest else {}
        other = [tile for tile in computed if any(chunk.values != recorded[chunk.key] for chunk in tile.chunks)]
        if other and input_stamps(origin.problem()) != origin.inputs:
            raise BadInput(f"A or B were changed since {self.result.out} was made: restore them, or compute it again with --overwrite")
        proof = _with_tiles(origin, other)
        if not proof.kept:
            raise NotCertified(f"{self.result.out} repaired would miss max-error {proof.asked:.3g}: {proof.measured:.3g} is measured")
        places = ", ".join(f"({tile.row}, {tile.col})" for tile in other) or "none"
        note = f"repair {self.staging.run_id}: tiles computed again {len(computed)}, with other values than before: {places}"
        certificate = {
            **self.found.certificate,
            "certificate": {key: value for key, value in asdict(proof).items() if not isinstance(value, float) or isfinite(value)},
        }
        del certificate["root"]
        return amend(self.staging, self.found, certificate, records.values(), note)


def _with_tiles(origin: Origin, tiles: list[Measurement]) -> Certificate:
    """The certificate when these tiles replace others: their errors come on top, those of the old tiles are not taken off."""
    proof, plan = origin.certificate, origin.plan
    if not tiles:
        return proof
    walk = walk_of(plan)
    scale = scale_of((origin.job.alpha, origin.job.beta), (proof.norm_a, proof.norm_b, proof.norm_c0))
    rounded = rounding_of(plan, tuple(tiles), scale).measured
    added = measured_bound(walk, plan.probes, sqrt(sum(tile.copies * tile.square_residual for tile in tiles)), scale)
    arithmetics = Counter(proof.arithmetics)
    if arithmetics:  # else any of the plan's may have been used, and `verify` takes them all
        arithmetics.update(plan.rungs[tile.rung].arithmetic for tile in tiles)
    promised = max(proof.promised, *(plan.rungs[tile.rung].bound for tile in tiles)) + rounded
    return replace(
        proof,
        promised=promised,
        measured=hypot(proof.measured, added + rounded),
        guarantee="certified" if promised <= proof.asked else "measured",
        arithmetics=dict(arithmetics),
    )


_NOWHERE = Hardware("", "", 0, 0, ())
"""A repair plans nothing, so it measures nothing."""
