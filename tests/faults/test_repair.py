"""A stored result is damaged, found out and mended on the command line; a repair that cannot be proved changes nothing."""

import shutil

import numpy as np
import pytest
import zarr

from flows import upkeep
from storage import OutputSpec, create_staging, discard, open_result
from storage.assess import assess
from tasks import repair as mending
from tasks.cluster import Cluster
from tests.faults.lab import Lab
from tests.faults.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def stored(lab: Lab) -> Lab:
    """A whole result at OUT."""
    assert lab.run().code == 0
    return lab


def flip(path, bit: int = 1000) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path) -> None:
    path.write_bytes(b"")


def remove(path) -> None:
    path.unlink()


def snapshot(lab: Lab):
    return {path.relative_to(lab.out): (path.stat().st_ino, path.stat().st_mtime_ns) for path in lab.out.rglob("*")}


def verify(lab: Lab, *more: str):
    return lab.command("verify", str(lab.out), *more)


def repair(lab: Lab, *more: str):
    return lab.command("repair", str(lab.out), *more)


def spoil(factor: float) -> None:
    """Let this worker's kernels give other bits (run on workers); 0 heals them."""
    from tasks import kernels

    if not hasattr(kernels, "HONEST"):
        kernels.HONEST = {name: kernel for name, kernel in kernels.KERNELS.items() if isinstance(kernel, kernels.Adds)}

    def spoiled(honest):
        def kernel(accumulator, a, b, beta):
            honest.add(accumulator, a, b, beta)
            accumulator[::7] *= 1 + factor

        return kernels.Adds(kernel)

    kernels.KERNELS.update({name: spoiled(honest) if factor else honest for name, honest in kernels.HONEST.items()})


def spoil_encoded(key: str) -> None:
    """Let this worker flip a bit of what it writes to this key, after its checksum (run on workers); "" heals it."""
    from storage import write

    honest = getattr(write, "honest_encode", write.encode_chunk)

    def flipped(spec, block, piece):
        record, (body, end) = honest(spec, block, piece)
        if record.key == key:
            body = body.copy()
            body[len(body) // 2] ^= 4
        return record, (body, end)

    write.honest_encode, write.encode_chunk = honest, flipped


@pytest.fixture
def another_processor(cluster: Cluster):
    """The workers give other bits from now on: by rounding (1e-7), or by far."""
    yield lambda factor: cluster.run_on_workers(spoil, factor)
    cluster.run_on_workers(spoil, 0)


def test_damaged_chunks_are_computed_again_bit_for_bit(stored: Lab) -> None:
    chunks, root = stored.world.chunks(), stored.world.root()
    for key, damage in {"c/0/0": flip, "c/2/2": cut, "c/5/2": empty, "c/7/7": remove}.items():
        damage(stored.out / key)
    found = verify(stored)
    assert found.code == 4
    assert "4 files" in found.line and "c/0/0" in found.line and "c/7/7" in found.line and f"gemmflow repair {stored.out}" in found.line
    mended = repair(stored)
    assert mended.code == 0, mended
    assert "4 files repaired, 4 tiles computed again: bit for bit what it was" in mended.output and root in mended.output
    assert (stored.world.chunks(), stored.world.root()) == (chunks, root)
    assert verify(stored, "--full", "--expect-root", root).code == 0
    assert stored.world.beside() == []


def test_output_that_flips_after_its_checksum_is_found_and_mended(lab: Lab, cluster: Cluster) -> None:
    """The probes saw what was encoded, and that was right: only the checksum knows."""
    cluster.run_on_workers(spoil_encoded, "c/3/5")
    try:
        assert lab.run().code == 0
    finally:
        cluster.run_on_workers(spoil_encoded, "")
    root, found = lab.world.root(), verify(lab)
    assert found.code == 4 and "c/3/5" in found.line
    mended = repair(lab)
    assert mended.code == 0 and "1 file repaired, 1 tile computed again: bit for bit what it was" in mended.output
    assert verify(lab, "--full", "--against-inputs", "--expect-root", root).code == 0


def test_what_others_put_into_a_result_is_not_deleted(stored: Lab) -> None:
    flip(stored.out / "c/0/0")
    (stored.out / "notes.txt").write_text("mine")
    refused = repair(stored)
    assert refused.code == 2 and f"{stored.out} holds notes.txt beside a Zarr array" in refused.line
    assert (stored.out / "notes.txt").read_text() == "mine" and stored.world.beside() == []


@pytest.mark.parametrize("name", ["zarr.json", "gemmflow/manifest", "gemmflow/metadata"])
def test_damaged_metadata_are_restored(stored: Lab, name: str) -> None:
    root, content = stored.world.root(), (stored.out / name).read_bytes()
    for damage in (flip, cut, remove):
        damage(stored.out / name)
        assert verify(stored).code == 4
        mended = repair(stored)
        assert mended.code == 0, mended
        assert "1 file repaired, 0 tiles computed again: bit for bit" in mended.output
        assert (stored.out / name).read_bytes() == content
    assert verify(stored, "--full", "--expect-root", root).code == 0
    assert stored.world.beside() == []


def test_a_manifest_and_a_chunk_damaged_together_are_mended(stored: Lab) -> None:
    root = stored.world.root()
    flip(stored.out / "gemmflow/manifest")
    flip(stored.out / "c/1/1")
    assert repair(stored).code == 0
    assert verify(stored, "--full", "--expect-root", root).code == 0


def test_nothing_damaged_nothing_changed(stored: Lab) -> None:
    before = snapshot(stored)
    done = repair(stored)
    assert done.code == 0 and "nothing to repair" in done.output
    assert snapshot(stored) == before and stored.world.beside() == []


def test_other_bits_within_the_certificate_are_accepted_and_noted(stored: Lab, another_processor) -> None:
    root, values = stored.world.root(), stored.world.values()
    remove(stored.out / "c/3/4")
    another_processor(1e-7)
    done = repair(stored)
    assert done.code == 0, done
    assert "other bits than before, within the certificate" in done.output
    fresh = stored.world.root()
    assert fresh != root and fresh in done.output
    assert verify(stored, "--full", "--expect-root", fresh).code == 0
    assert verify(stored, "--expect-root", root).code == 4
    assert verify(stored, "--against-inputs").code == 0
    shown = stored.command("info", str(stored.out)).output
    assert "tiles computed again 1, with other values than before: (1, 2)" in shown
    changed = np.argwhere(stored.world.values() != values)
    assert len(changed) and changed.min(0).tolist() >= [256, 512] and changed.max(0).tolist() < [512, 768]


def test_a_repair_of_a_repair_keeps_both_notes(stored: Lab, another_processor) -> None:
    another_processor(1e-7)
    for key in ("c/0/0", "c/7/7"):
        remove(stored.out / key)
        assert repair(stored).code == 0
    with open_result(stored.out) as result:
        assert len(result.manifest.notes) == 2
    remove(stored.out / "gemmflow/manifest")
    root = stored.world.root()
    assert repair(stored).code == 0
    assert verify(stored, "--full", "--expect-root", root).code == 0


def test_wrong_values_are_refused_and_nothing_changes(stored: Lab, another_processor) -> None:
    remove(stored.out / "c/3/4")
    before = snapshot(stored)
    another_processor(0.5)
    done = repair(stored)
    assert done.code == 4 and "outside its bound" in done.line
    assert snapshot(stored) == before and stored.world.beside() == []


def test_changed_inputs_are_refused_and_nothing_changes(stored: Lab) -> None:
    zarr.open_array(stored.world.a)[500:510] = 9
    remove(stored.out / "c/3/4")
    before = snapshot(stored)
    done = repair(stored)
    assert done.code == 2 and "A or B were changed" in done.line
    assert snapshot(stored) == before and stored.world.beside() == []


def test_a_change_of_the_inputs_elsewhere_leaves_the_repair_proved(stored: Lab) -> None:
    root = stored.world.root()
    zarr.open_array(stored.world.a)[0:10] = 9
    remove(stored.out / "c/3/4")
    done = repair(stored)
    assert done.code == 0 and "bit for bit" in done.output
    assert verify(stored, "--full", "--expect-root", root).code == 0


def test_missing_inputs_are_named_and_nothing_changes(stored: Lab) -> None:
    shutil.rmtree(stored.world.b)
    remove(stored.out / "c/3/4")
    before = snapshot(stored)
    done = repair(stored)
    assert done.code == 2 and f"{stored.world.b} does not exist" in done.line
    assert snapshot(stored) == before and stored.world.beside() == []


def test_a_result_that_was_replaced_meanwhile_is_left_alone(stored: Lab) -> None:
    newer = stored.world.scratch / "newer"
    shutil.copytree(stored.out, newer)
    remove(stored.out / "c/3/4")

    def replace() -> None:
        if newer.exists():
            stored.out.rename(stored.world.scratch / "older")
            newer.rename(stored.out)

    with stored.at(mending, "origin_of", replace):
        done = repair(stored)
    assert done.code == 3 and "was replaced by another result while it was checked" in done.line
    assert verify(stored, "--full").code == 0 and stored.world.beside() == []


def test_a_run_that_ends_while_the_repair_waits_is_no_unfinished_one(stored: Lab) -> None:
    remove(stored.out / "c/3/4")
    left = create_staging(stored.out, stored_spec(stored), "process", "running")
    with stored.at(mending, "require_free", lambda: discard(left)):
        assert repair(stored).code == 0
    assert stored.world.beside() == []


def test_an_unfinished_run_is_named_and_kept(stored: Lab) -> None:
    remove(stored.out / "c/3/4")
    folder = stored.stop("--overwrite")
    done = repair(stored)
    assert done.code == 3 and f"unfinished run in {folder}" in done.line
    assert folder.is_dir()


def stored_spec(lab: Lab) -> OutputSpec:
    with open_result(lab.out) as result:
        return assess(result).spec


@pytest.mark.slow
@pytest.mark.parametrize("step", ["tile recording", "header renaming", "manifest renamed", "exchange before", "exchange after"])
def test_a_repair_killed_on_its_way_changes_nothing_or_all(processes: World, step: str) -> None:
    assert processes.run().code == 0
    chunks, root = processes.chunks(), processes.root()
    for key in ("c/0/0", "c/3/4"):
        remove(processes.out / key)
    line = ("repair", str(processes.out))
    assert processes.run(line=line, fault=f"{step}:1:all").code == -9
    assert len(processes.struck) == 1
    whole = step == "exchange after"
    assert upkeep.verify(processes.out).sound == whole
    again = processes.run(line=line)
    assert again.code == 0 and ("nothing to repair" if whole else "2 tiles computed again: bit for bit") in again.output
    assert (processes.chunks(), processes.root(), processes.beside()) == (chunks, root, [])


@pytest.mark.slow
def test_a_repair_killed_among_its_tiles_is_begun_again(processes: World) -> None:
    assert processes.run().code == 0
    root = processes.root()
    for key in processes.chunks()[:20]:
        remove(processes.out / key.key)
    line = ("repair", str(processes.out))
    assert processes.run(line=line, fault="chunk renamed:5:all").code == -9
    refused = processes.run("--overwrite")
    assert refused.code == 3 and "has an unfinished repair" in refused.line
    assert processes.run(line=line, fault="chunk renamed:3:driver").code == -9
    assert processes.run(line=line).code == 0
    assert (processes.root(), processes.beside()) == (root, [])


def test_inputs_that_were_moved_back_prove_it_all_the_same(stored: Lab) -> None:
    root = stored.world.root()
    shutil.copytree(stored.world.a, stored.world.scratch / "A")
    shutil.rmtree(stored.world.a)
    shutil.copytree(stored.world.scratch / "A", stored.world.a)
    remove(stored.out / "c/3/4")
    assert "bit for bit" in repair(stored).output
    assert stored.world.root() == root


def consistent_lie(lab: Lab, one: str, other: str) -> None:
    """Swap two chunks and rewrite manifest and root so that all of it fits together."""
    from storage.manifest import HEADER, Manifest, blank_root, write_manifest

    with open_result(lab.out) as result:
        manifest, root = result.manifest, result.root
    parts = [lab.out / one, lab.out / other, lab.world.scratch / "swapped"]
    for source, target in ((0, 2), (1, 0), (2, 1)):
        parts[source].replace(parts[target])
    names = {one: other, other: one}
    known = {chunk.key: chunk for chunk in manifest.chunks}
    chunks = tuple(known[names.get(key, key)].__class__(key, *rest(known[names.get(key, key)])) for key in known)
    metadata = blank_root((lab.out / HEADER).read_bytes(), root)
    assert Manifest(len(metadata), manifest.metadata, chunks).chunks != manifest.chunks
    write_manifest(lab.out, metadata, chunks, manifest.notes)


def rest(chunk):
    return chunk.nbytes, chunk.crc32c, chunk.encoded, chunk.values


def test_chunks_swapped_with_all_that_describes_them_are_found_by_their_inputs_and_by_a_kept_root(stored: Lab) -> None:
    root = stored.world.root()
    consistent_lie(stored, "c/0/0", "c/4/6")
    assert verify(stored, "--full").code == 0  # nothing inside OUT can tell
    found = verify(stored, "--against-inputs")
    assert found.code == 4 and "(0, 0)" in found.line and "(2, 3)" in found.line
    assert verify(stored, "--expect-root", root).code == 4


def test_inputs_that_changed_are_found(stored: Lab) -> None:
    assert verify(stored, "--against-inputs").code == 0
    zarr.open_array(stored.world.b)[:, 700] += 1
    found = verify(stored, "--against-inputs")
    assert found.code == 4 and "not the product of A and B as they are now" in found.line and "(0, 2)" in found.line
    assert verify(stored, "--full").code == 0


def test_an_old_result_put_back_is_found_by_a_kept_root(stored: Lab) -> None:
    shutil.copytree(stored.out, stored.world.scratch / "old")
    assert stored.run("--overwrite", "--alpha", "2").code == 0
    root = stored.world.root()
    shutil.rmtree(stored.out)
    shutil.copytree(stored.world.scratch / "old", stored.out)
    assert verify(stored, "--full").code == 0
    found = verify(stored, "--expect-root", root)
    assert found.code == 4 and root in found.line and "older one was put back" in found.line
