from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flows.batch_fit import Headers
from flows.batch_places import Places, tie
from flows.samples import Sample, write_sample


def there(place: str) -> str:
    del place
    return ""


def test_a_later_job_waits_for_an_earlier_one() -> None:
    jobs = [Places({"a": "/x/A"}, "/x/C"), Places({"a": "/x/C", "b": "/x/A"}, "/x/D"), Places({"a": "/x/D", "add": "/x/C"}, "/x/E")]
    assert [(knot.needs, knot.problems) for knot in tie(jobs, there)] == [(set(), ()), ({0}, ()), ({0, 1}, ())]


def test_an_earlier_job_must_not_read_what_a_later_one_writes() -> None:
    first, second = tie([Places({"b": "/x/D"}, "/x/C"), Places({"a": "/x/A"}, "/x/D")], there)
    assert first.problems == ("b: /x/D is the output of job 2, which comes later: put job 2 first",)
    assert second.problems == ()


def test_no_job_reads_its_own_output() -> None:
    [one] = tie([Places({"a": "/x/C/c"}, "/x/C")], there)
    assert one.problems == ("a: /x/C/c lies inside the job's own output: choose another place for the result",)


def test_one_place_is_written_once_however_it_is_spelt(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    outs = [f"{tmp_path}/C", f"{tmp_path}/D", f"{tmp_path}/link/C", f"{tmp_path}/D/inner", "s3://lab/C", "S3://lab/C/"]
    found = [knot.problems for knot in tie([Places({}, out) for out in outs], there)]
    assert [len(problems) for problems in found] == [0, 0, 1, 1, 0, 1]
    assert found[2] == (f"out: {tmp_path}/link/C is the output of job 1, there spelt {tmp_path}/C: give each its own place",)
    assert "lies inside the output of job 2" in found[3][0]


def test_a_missing_input_is_named_unless_a_job_makes_it(tmp_path: Path) -> None:
    write_sample(tmp_path / "A", Sample((2, 3), 1))
    jobs = [
        Places({"a": f"{tmp_path}/A", "b": f"{tmp_path}/none"}, f"{tmp_path}/C"),
        Places({"a": f"{tmp_path}/C", "add": f"{tmp_path}/none"}, None),
    ]
    assert [knot.problems for knot in tie(jobs, Headers().missing)] == [
        (f"b: {tmp_path}/none does not exist: check the path",),
        (f"add: {tmp_path}/none does not exist: check the path",),
    ]


@given(st.lists(st.tuples(st.sets(st.integers(0, 6), max_size=3), st.integers(0, 6)), max_size=8))
def test_no_job_waits_for_a_later_one_and_none_is_lost(drawn: list[tuple[set[int], int]]) -> None:
    jobs = [Places({str(place): f"/gemmflow-none/{place}" for place in reads}, f"/gemmflow-none/{out}") for reads, out in drawn]
    knots = tie(jobs, there)
    for number, (knot, (reads, out)) in enumerate(zip(knots, drawn, strict=True)):
        assert knot.needs == {other for other, (_, made) in enumerate(drawn[:number]) if made in reads}
        late = sum(made in reads for _, made in drawn[number:])
        rivals = sum(made == out for _, made in drawn[:number])
        assert len(knot.problems) == late + rivals
