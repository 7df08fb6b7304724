from pathlib import Path

import pytest

from flows import batch as batch_module
from flows.batch import read_jobs, run_batch, summary_json, summary_text, worst
from tasks.errors import BadInput, NotCertified, Refused
from tests.tasks.builders import report


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no list of jobs"),
        ("a: 1", "no list of jobs"),
        ("[]", "no list of jobs"),
        ("- 7", "entry 1"),
        ("- [", "no YAML"),
        ("\x00", "no YAML"),
    ],
)
def test_what_is_no_list_of_jobs_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_jobs(file)
    with pytest.raises(BadInput, match="cannot be read"):
        read_jobs(tmp_path / "none.yaml")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text("- {a: A.zarr, b: /data/B.zarr, out: c/C.zarr, max_error: 1.0e-3}")
    assert read_jobs(file) == [{"a": f"{tmp_path}/A.zarr", "b": "/data/B.zarr", "out": f"{tmp_path}/c/C.zarr", "max_error": 1e-3}]


def test_one_failure_stops_no_other_and_the_worst_code_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "/ok": report(),
        "/small": Refused("memory is too small"),
        "/wrong": NotCertified("missed"),
        "/odd": RuntimeError("?"),
        "/last": report(),
    }

    def run_job(job, direct: bool, approve: object):
        assert direct
        answer = answers[job.out]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(batch_module, "run_job", run_job)
    entries = [{"a": "a", "b": "b", "out": out} for out in answers] + [{"a": "a", "speed": 9}]
    results = run_batch(entries, direct=True)
    assert [result.exit_code for result in results] == [0, 3, 4, 1, 0, 2]
    assert worst(results) == 4
    text = summary_text(results)
    assert "2 of 6 jobs done" in text and "memory is too small" in text and "unexpected RuntimeError: ?" in text
    whole = summary_json(results)
    assert (whole["jobs"], whole["done"]) == (6, 2)
    assert whole["results"][0]["report"]["schema"] == 1 and whole["results"][1]["report"] is None


def test_an_interruption_ends_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_job(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(batch_module, "run_job", run_job)
    with pytest.raises(KeyboardInterrupt):
        run_batch([{"a": "a", "b": "b", "out": "c"}], direct=True)
