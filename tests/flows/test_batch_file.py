from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.batch_file import BadBatch, Batch, read_batch
from flows.samples import Sample, write_sample
from tasks.errors import BadInput


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A and B, and a link to the folder they lie in."""
    write_sample(tmp_path / "A", Sample((4, 5), 1))
    write_sample(tmp_path / "B", Sample((5, 6), 2))
    (tmp_path / "link").symlink_to(tmp_path)
    return tmp_path


def read(folder: Path, text: str, scheduled: datetime | None = None) -> Batch:
    (folder / "jobs.yaml").write_text(text)
    return read_batch(folder / "jobs.yaml", scheduled)


def problems(folder: Path, text: str) -> list[str]:
    before = sorted(folder.rglob("*"))
    with pytest.raises(BadBatch) as caught:
        read(folder, text)
    assert sorted({*before, folder / "jobs.yaml"}) == sorted(folder.rglob("*"))
    assert all("\n" not in line for line in caught.value.problems)
    return [line.removeprefix(f"{folder}/jobs.yaml: ") for line in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no list of jobs"),
        ("a: 1", "no list of jobs"),
        ("[]", "no list of jobs"),
        ("jobs: []", "no list of jobs"),
        ("jobs: 7", "no list of jobs"),
        ("- 7", "job 1: 7 is no job"),
        ("- [", "no YAML"),
        ("\x00", "no YAML"),
        ("- {a: A, b: B, out: C, a: D}", "a is given twice"),
    ],
)
def test_what_is_no_file_of_jobs_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read(tmp_path, text)
    with pytest.raises(BadInput, match="cannot be read"):
        read_batch(tmp_path / "none.yaml")


def test_an_entry_that_is_no_job_hides_no_other_problem(folder: Path) -> None:
    text = "at_once: 0\njobs: [{a: A, b: B, out: C, memori: 1}, 7, {a: A, b: none, out: C}, A]"
    found = problems(folder, text)
    assert len(found) == 6, found
    for line in ("at_once:", "job 1: memori", "job 2: 7 is no job", "job 3: b: ", "job 3: out: ", "job 4: 'A' is no job"):
        assert sum(problem.startswith(line) for problem in found) == 1, line


def test_a_list_of_jobs_in_the_order_of_the_file(folder: Path) -> None:
    batch = read(folder, "- {a: A, b: B, out: C, max_error: 1.0e-3}\n- {a: A, b: B, out: D, name: second, priority: 3}")
    first, second = batch.entries
    assert (first.job.a, first.job.b, first.job.out, first.job.max_error) == (f"{folder}/A", f"{folder}/B", f"{folder}/C", 1e-3)
    assert (first.name, first.job.priority, second.name, second.job.priority) == (f"{folder}/C", 0, "second", 3)
    assert (batch.name, batch.at_once, batch.memory) == ("jobs", 1, None)


def test_urls_stay_urls(folder: Path) -> None:
    batch = read(folder, "- {a: A, b: B, out: s3://lab/C}")
    assert batch.entries[0].job.out == "s3://lab/C"


def test_a_mapping_says_more(folder: Path) -> None:
    text = "{name: nightly, at_once: 2, memory: 1GiB, defaults: {a: A, b: B, alpha: 2.0}, jobs: [{out: C}, {out: D, alpha: 3.0}]}"
    batch = read(folder, text)
    assert (batch.name, batch.at_once, batch.memory) == ("nightly", 2, 2**30)
    assert [entry.job.alpha for entry in batch.entries] == [2.0, 3.0]
    assert {entry.job.a for entry in batch.entries} == {f"{folder}/A"}


def test_a_job_waits_for_what_it_reads(folder: Path) -> None:
    batch = read(folder, "- {a: A, b: B, out: C}\n- {a: link/C, b: C, transpose_b: true, out: D}")
    assert [entry.needs for entry in batch.entries] == [frozenset(), {0}]


def test_a_cluster_file_is_relative_too(folder: Path) -> None:
    (folder / "here.yaml").write_text("kind: local")
    assert read(folder, "- {a: A, b: B, out: C, cluster: here.yaml}").entries[0].job.cluster == f"{folder}/here.yaml"


def test_names_over_dates(folder: Path) -> None:
    text = "{timezone: Europe/Berlin, jobs: [{a: A, b: B, out: 'C-{scheduled:%Y-%m-%d}'}]}"
    for zone, day in ((None, "31"), (UTC, "01")):
        batch = read(folder, text, datetime(2026, 1, 31, 23, 30, tzinfo=zone))
        assert batch.entries[0].job.out.endswith(f"-{day}")
    assert batch.scheduled.tzname() == "CET"


def test_all_problems_are_listed_at_once(folder: Path) -> None:
    found = problems(
        folder,
        """
name: nightly
at_onec: 2
memory: lots
timezone: Mars
defaults: {codec: zip, memroy: 3, name: all}
jobs:
  - {a: A, b: B, out: C, max_eror: 1, name: first}
  - {a: A, b: B, out: link/C, alpha: no number}
  - {a: none, b: B}
  - {a: E, b: B, out: D, memory: 1MiB, name: first}
  - {a: A, b: B, out: 'E-{date:%Y}', priority: high}
  - {a: A, b: B, out: E}
""",
    )
    assert found == [
        "at_onec is no field of a batch: did you mean at_once?",
        "memory: 'lots' is not a size: write a number with a unit, for example 4GiB or 512MiB",
        "timezone 'Mars' is unknown: give a name such as UTC or Europe/Berlin",
        "defaults: name belongs to one job, not to all",
        "defaults: memroy is no field of a job: did you mean memory?",
        next(line for line in found if line.startswith("defaults: codec 'zip' is unknown")),
        "job 1 (first): max_eror is no field of a job: did you mean max_error?",
        "job 2: alpha: input should be a valid number, unable to parse string as a number, not 'no number'",
        f"job 2: out: {folder}/link/C is the output of job 1, there spelt {folder}/C: give each its own place",
        "job 3: out is missing",
        f"job 3: a: {folder}/none does not exist: check the path",
        "job 4 (first): job 1 has the same name",
        "job 4 (first): memory is 1.00 MiB: no worker fits below 64.0 MiB",
        f"job 4 (first): a: {folder}/E is the output of job 6, which comes later: put job 6 first",
        "job 5: out: {date} is no name: write {scheduled:%Y-%m-%d}",
        "job 5: priority: input should be a valid integer, not 'high'",
    ]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("at_once: 0", "at_once: input should be greater than or equal to 1, not 0"),
        ("at_once: two", "at_once: input should be a valid integer, not 'two'"),
        ("at_once: 4, memory: 128MiB", "memory is 128 MiB, shared by 4 at once: no worker fits below 64.0 MiB each"),
        ("at_once: 2, defaults: {cluster: cuda}", "at_once is 2, but jobs on cuda take every GPU of this host: leave at_once out"),
        ("at_once: 2, defaults: {cluster: 'tcp://h:1'}", "at_once is 2 on tcp://h:1: say with memory how much they share"),
        ("defaults: 7", "defaults: input should be a valid dictionary, not 7"),
    ],
)
def test_what_cannot_be_shared_is_a_problem(folder: Path, header: str, says: str) -> None:
    assert problems(folder, f"{{{header}, jobs: [{{a: A, b: B, out: C}}]}}") == [says]


def test_a_scheduler_elsewhere_is_shared_within_a_budget(folder: Path) -> None:
    batch = read(folder, "{at_once: 2, memory: 2GiB, defaults: {cluster: 'tcp://h:1'}, jobs: [{a: A, b: B, out: C}]}")
    assert batch.at_once == 2


def test_a_name_is_a_word(folder: Path) -> None:
    assert problems(folder, "- {a: A, b: B, out: C, name: ' '}") == ["job 1: name is ' ': give a word or a few"]


@pytest.mark.parametrize("name", ['" "', '"a\\nb"', '"a\\e[31m"', '"\\ud800"', '"a\\u2028b"'])
def test_names_can_be_printed_on_a_line(folder: Path, name: str) -> None:
    assert problems(folder, f"- {{a: A, b: B, out: C, name: {name}}}")[0].startswith("job 1: name is '")
    assert problems(folder, f"name: {name}\njobs: [{{a: A, b: B, out: C}}]")[0].startswith("name is '")
    assert read(folder, "- {a: A, b: B, out: C, name: 'ü <b> & \"x\"'}").entries[0].name == 'ü <b> & "x"'


def test_what_no_file_can_be_called_is_a_problem_of_its_job(folder: Path) -> None:
    text = '- {a: "A\\0", b: "~no-such-user/B", out: "\\ud800"}\n- {a: A, b: B, out: D, cluster: ' + 300 * "x" + "}"
    found = problems(folder, text)
    assert [line.partition(": ")[0] for line in found] == 3 * ["job 1"] + ["job 2"]
