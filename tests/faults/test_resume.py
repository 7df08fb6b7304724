"""An unfinished run is gone on with by the same command, and by no other: whatever differs is named and nothing is lost."""

import shutil
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from storage import open_result
from tasks import publish, resume
from tasks.errors import Refused
from tasks.job import make_job
from tasks.survey import survey
from tests.faults.lab import TILES, Lab
from tests.tasks import machines


def files(folder):
    """Content by path. Tiles that were in flight may still arrive, so what has to hold is that nothing changes or goes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.suffix != ".partial" and path.is_file()}


def test_the_same_command_goes_on_and_says_so(lab: Lab) -> None:
    whole = lab.run()
    assert (whole.code, whole.report["measured"]["tiles_resumed"]) == (0, 0)
    chunks = lab.world.chunks()
    shutil.rmtree(lab.out)
    folder = lab.stop(tiles=5)
    done = lab.run()
    assert done.code == 0
    assert f"going on with run {folder.name.partition('.')[0]}: 5 of {TILES} tiles are done" in done.errors.splitlines()
    assert done.report["measured"]["tiles_resumed"] == 5
    assert done.report["run_id"] == folder.name.partition(".")[0]
    assert lab.world.chunks() == chunks
    assert lab.world.beside() == []


def test_stopped_again_and_again_nothing_is_computed_twice(lab: Lab) -> None:
    lab.stop(tiles=4)
    before = {tile["index"] for tile in lab.world.recorded()}
    with lab.failing(after=6):
        assert lab.run().code == 1
    after = [tile["index"] for tile in lab.world.recorded()]
    assert len(after) == len(set(after)) == 10 and before < set(after)
    done = lab.run()
    assert (done.code, done.report["measured"]["tiles_resumed"]) == (0, 10)
    assert done.report["measured"]["tiles"] == TILES


def test_an_input_that_changes_under_way_is_named_and_nothing_is_published(lab: Lab) -> None:
    def change() -> None:
        zarr.open_array(lab.world.a)[0, 0] = 5

    with lab.at(publish, "input_stamps", change):
        done = lab.run()
    assert (done.code, lab.out.exists()) == (4, False)
    assert f"A changed while {lab.out} was computed" in done.line and "goes on" not in done.line
    assert lab.world.beside() == []
    again = lab.run()
    assert (again.code, again.report["measured"]["tiles_resumed"]) == (0, 0)


def test_an_input_that_was_away_while_the_run_was_stopped_is_another_one(lab: Lab) -> None:
    lab.stop()
    chunk = lab.world.a / "c/0/0"
    chunk.rename(lab.world.data / "away")
    (lab.world.data / "away").rename(chunk)
    refused = lab.run()
    assert refused.code == 3 and f"the input {lab.world.a} was changed" in refused.line


OTHERWISE = {
    "--max-error 1e-3": "max-error was not set, now it is 0.001",
    "--codec gzip": "codec was blosc-zstd, now it is gzip",
    "--dtype-out float64": "dtype-out was auto, now it is float64",
    "--precision float64": "precision was auto, now it is float64",
    "--chunk 64,128": "chunk was 128,128, now it is 64,128",
    "--alpha 2": "alpha was 1.0, now it is 2.0",
    "--durability power": "durability was process, now it is power",
    "--memory 600MiB": "memory was 1.00 GiB, now it is 600 MiB",
    "--allow-nonfinite": "allow-nonfinite was False, now it is True",
}


@pytest.mark.slow
def test_what_is_asked_otherwise_is_named_and_refused(lab: Lab) -> None:
    folder = lab.stop()
    before = files(folder)
    for asked, says in OTHERWISE.items():
        done = lab.run(*asked.split())
        assert done.code == 3
        assert says in done.line and f"gemmflow clean {lab.out}" in done.line
    assert before.items() <= files(folder).items()
    assert lab.run().report["measured"]["tiles_resumed"] == 5


def test_more_memory_is_no_difference(lab: Lab) -> None:
    lab.stop()
    assert lab.run("--memory", "2GiB").report["measured"]["tiles_resumed"] == 5


def test_a_changed_input_is_named_and_refused(lab: Lab) -> None:
    folder = lab.stop()
    before = files(folder)
    for path in (lab.world.b, lab.world.a):
        zarr.open_array(path)[3, 4] = 5.0
        done = lab.run()
        assert done.code == 3
        assert f"the input {path} was changed since" in done.line
    assert before.items() <= files(folder).items() and not lab.out.exists()


def test_another_version_is_named_and_refused(lab: Lab) -> None:
    folder = lab.stop()
    before = files(folder)
    version = metadata.version("gemmflow")
    job = resume.find_unfinished(make_job(a=str(lab.world.a), b=str(lab.world.b), out=str(lab.out))).job
    with lab.patch.context() as patch:
        patch.setattr(resume, "metadata", SimpleNamespace(version=lambda _: "9.9.9"))
        with pytest.raises(Refused, match=f"it was started by gemmflow {version}, this is 9.9.9"):
            resume.plan_or_resume(job, survey(job), machines.hardware())
    assert before.items() <= files(folder).items()


def test_clean_makes_room_for_a_fresh_start(lab: Lab) -> None:
    folder = lab.stop()
    done = lab.command("clean", str(lab.out))
    assert done.code == 0 and str(folder.parent) in done.output
    assert lab.world.beside() == []
    done = lab.run("--codec", "gzip")
    assert (done.code, done.report["measured"]["tiles_resumed"]) == (0, 0)


def test_an_overwriting_run_goes_on_while_the_old_result_is_read(lab: Lab) -> None:
    assert lab.run().code == 0
    old, values = lab.world.root(), lab.world.values()
    lab.stop("--overwrite", "--alpha", "2")
    assert lab.world.root() == old and np.array_equal(lab.world.values(), values)
    with open_result(lab.out) as reader:
        done = lab.run("--overwrite", "--alpha", "2")
        assert (done.code, done.report["measured"]["tiles_resumed"]) == (0, 5)
        assert reader.root == old and np.array_equal(np.asarray(zarr.open_array(reader.folder, mode="r")[:]), values)
        assert lab.world.root() == done.report["storage"]["root"] != old
        assert len(lab.world.beside()) == 1  # the old one stays as long as it is read
    assert lab.command("clean", str(lab.out)).code == 0
    assert lab.world.beside() == []


def test_a_chunk_that_is_gone_or_cut_is_computed_again(lab: Lab) -> None:
    folder = lab.stop(tiles=6)
    first, second, *_ = [tile["chunks"][0]["key"] for tile in lab.world.recorded()]
    (folder / "array" / first).unlink()
    (folder / "array" / second).write_bytes((folder / "array" / second).read_bytes()[:-1])
    done = lab.run()
    assert (done.code, done.report["measured"]["tiles_resumed"]) == (0, 4)
    assert lab.command("verify", str(lab.out), "--full").code == 0


def test_a_torn_record_costs_its_tile(lab: Lab) -> None:
    folder = lab.stop(tiles=6)
    journal = folder / "journal"
    journal.write_bytes(journal.read_bytes()[:-3])
    assert lab.run().report["measured"]["tiles_resumed"] == 5


def test_a_journal_without_its_first_record_is_refused(lab: Lab) -> None:
    folder = lab.stop()
    journal = folder / "journal"
    content = bytearray(journal.read_bytes())
    content[30] ^= 1
    journal.write_bytes(content)
    done = lab.run()
    assert done.code == 3
    assert "its journal is damaged" in done.line and f"gemmflow clean {lab.out}" in done.line


def test_all_zero_tiles_are_stored_and_go_on_as_done(lab: Lab) -> None:
    zarr.open_array(lab.world.a)[:] = 0
    lab.stop(tiles=7)
    done = lab.run()
    assert (done.code, done.report["measured"]["tiles_resumed"]) == (0, 7)
    assert not lab.world.values().any()
    assert all((lab.out / chunk.key).is_file() for chunk in lab.world.chunks())
    assert lab.command("verify", str(lab.out), "--full").code == 0


def test_an_input_of_another_shape_is_refused(lab: Lab) -> None:
    lab.stop()
    shutil.rmtree(lab.world.b)
    zarr.create_array(lab.world.b, shape=(256, 512), chunks=(256, 256), dtype="f4")[:] = 1
    done = lab.run()
    assert done.code == 3 and "was changed since" in done.line
