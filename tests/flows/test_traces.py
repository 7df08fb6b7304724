from pathlib import Path

import numpy as np
import pytest

from flows.ending import failure_line, interrupted_line
from flows.samples import Sample, write_sample
from flows.traces import followed, take_traces
from storage import Staging, certify, create_staging, find_staging, publish, take_over, write_block
from tasks.errors import GemmflowError


def start(out: Path, run_id: str) -> Staging:
    """What a run writes before it is done."""
    staging = create_staging(out, Sample((6, 6), 1, chunk=6).spec, "process", run_id)
    certify(staging, {"run_id": run_id}, write_block(staging, 0, 0, np.ones((6, 6), np.float32)).records)
    return staging


def test_a_run_that_wrote_nothing_left_nothing(tmp_path: Path) -> None:
    with followed() as traces:
        take_traces(str(tmp_path / "C"))
    assert (traces[0].unfinished, traces[0].complete) == (None, False)
    assert failure_line(GemmflowError("bad"), traces) == "bad"
    line = "interrupted; nothing at OUT was changed. To start again: gemmflow multiply 'my A'"
    assert interrupted_line(["multiply", "my A"], traces) == interrupted_line(["multiply", "my A"], []) == line


def test_an_unfinished_result_is_named_once(tmp_path: Path) -> None:
    with followed() as traces:
        take_traces(str(tmp_path / "C"))
    folder = start(tmp_path / "C", "2").folder
    kept = f"what is finished is kept in {folder}: the same command goes on from there"
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
    Path(staging.folder).mkdir(parents=True)
    assert f"is complete (left behind: {staging.folder}" in interrupted_line([], traces)


def test_a_result_of_somebody_else_is_not_ours(tmp_path: Path) -> None:
    with followed() as traces:
        take_traces(str(tmp_path / "C"))
    write_sample(tmp_path / "other", Sample((6, 6), 1, chunk=6))
    start(tmp_path / "C", "2")
    (tmp_path / "other").rename(tmp_path / "C")
    assert not traces[0].complete


def test_an_older_folder_is_ours_only_once_it_was_taken_over(tmp_path: Path) -> None:
    start(tmp_path / "C", "1")
    with followed() as traces:
        take_traces(str(tmp_path / "C"))
    assert traces[0].unfinished is None
    found = find_staging(tmp_path / "C")
    assert found is not None
    later = take_over(found)
    assert traces[0].unfinished == later and later.folder.name == "1.2"
