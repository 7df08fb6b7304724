from pathlib import Path

import numpy as np
import pytest

from flows.ending import failure_line, interrupted_line
from flows.samples import Sample
from flows.traces import bytes_in, followed, take_traces
from storage import Staging, create_staging, publish, set_attributes, write_block
from tasks.errors import GemmflowError


def start(out: Path, run_id: str) -> Staging:
    """What a run writes before it is done."""
    staging = create_staging(out, Sample((6, 6), 1, chunk=6).spec, "process", run_id)
    write_block(staging, 0, 0, np.ones((6, 6), np.float32))
    set_attributes(staging, {"gemmflow": {"run_id": run_id}})
    return staging


def test_a_run_that_wrote_nothing_left_nothing(tmp_path: Path) -> None:
    with followed() as traces:
        assert take_traces(str(tmp_path / "C")).warning() == ""
    assert (traces[0].unfinished, traces[0].complete) == ([], False)
    assert failure_line(GemmflowError("bad"), traces) == "bad"
    line = "interrupted; nothing at OUT was changed. To start again: gemmflow multiply 'my A'"
    assert interrupted_line(["multiply", "my A"], traces) == interrupted_line(["multiply", "my A"], []) == line


def test_an_unfinished_result_is_named_once(tmp_path: Path) -> None:
    with followed() as traces:
        take_traces(str(tmp_path / "C"))
    folder = start(tmp_path / "C", "2").folder
    kept = f"unfinished result kept in {folder}: delete it or start again"
    assert failure_line(GemmflowError("bad"), traces) == f"bad ({kept})"
    assert failure_line(GemmflowError(f"bad, see {folder}"), traces) == f"bad, see {folder}"
    assert interrupted_line(["multiply"], traces) == f"interrupted; nothing at OUT was changed; {kept}: gemmflow multiply"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_published_result_is_complete(tmp_path: Path, overwrite: bool) -> None:
    if overwrite:
        publish(start(tmp_path / "C", "1"), overwrite=False)
    with followed() as traces:
        take_traces(str(tmp_path / "C"))
    staging = start(tmp_path / "C", "2")
    assert not traces[0].complete
    publish(staging, overwrite)
    assert failure_line(RuntimeError("bad"), traces).endswith(f"; {tmp_path / 'C'} is complete")
    assert interrupted_line([], traces) == f"interrupted, but {tmp_path / 'C'} is complete"
    Path(staging.folder).mkdir()
    assert f"is complete (left behind: {staging.folder}" in interrupted_line([], traces)


def test_a_result_of_somebody_else_is_not_ours(tmp_path: Path) -> None:
    with followed() as traces:
        take_traces(str(tmp_path / "C"))
    start(tmp_path / "C", "2")
    publish(start(tmp_path / "C", "3"), overwrite=False)
    assert not traces[0].complete


def test_older_folders_are_named_with_their_sizes_and_stay_out_of_it(tmp_path: Path) -> None:
    old = [start(tmp_path / "C", run_id).folder for run_id in ("2", "1")]
    start(tmp_path / "C.zarr", "7")
    (tmp_path / "C.gemmflow-file").write_text("no folder")
    Path(old[0], "more").write_bytes(bytes(2**20))
    taken = take_traces(str(tmp_path / "C"))
    assert [str(folder) for folder in taken.older] == sorted(old)
    warning = taken.warning()
    assert all(f"{folder} (" in warning for folder in old) and "1.00 MiB" in warning and "\n" not in warning
    assert taken.unfinished == []


def test_bytes_are_counted_deep(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x").write_bytes(b"123")
    (tmp_path / "a" / "b" / "y").write_bytes(b"4567")
    assert bytes_in(tmp_path) == 7
    assert bytes_in(tmp_path / "none") == 0
