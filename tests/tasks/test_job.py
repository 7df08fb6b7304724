import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.job import Job, make_job
from tests.tasks.machines import job


def test_a_job_is_frozen_and_travels():
    made = job(memory="1GiB", max_error=1e-6, chunk=(8, 9), shard=(16, 9))
    assert pickle.loads(pickle.dumps(made)) == made
    assert Job.model_validate_json(made.model_dump_json()) == made
    with pytest.raises(ValueError, match="frozen"):
        made.alpha = 2.0


def test_every_field_says_what_it_is():
    schema = Job.model_json_schema()["properties"]
    assert all(schema[name].get("description") for name in Job.model_fields)


def test_paths_become_absolute_and_links_stay(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    made = make_job(a="x/../a.npy", b="~/b.npy", out="link/out.zarr")
    assert made.a == str(tmp_path / "a.npy")
    assert made.b.startswith("/")
    assert "~" not in made.b
    assert made.out == str(tmp_path / "link" / "out.zarr")


def test_urls_pass_untouched():
    made = make_job(a="s3://lab/a b.zarr/", b="~/b.npy", out="C", add="s3://lab/c0", beta=1.0)
    assert (made.a, made.add) == ("s3://lab/a b.zarr", "s3://lab/c0")


BAD = [
    ({"a": "gs://lab/a"}, "^gs://lab/a has the scheme gs://, which gemmflow does not read: give a path or s3://bucket/key"),
    ({"out": "s3://lab"}, "s3://lab does not name an object"),
    ({"memory": "lots"}, "'lots' is not a size"),
    ({"memory": 1.5}, "1.5 is not a size"),
    ({"memory": "1MiB"}, "memory is 1.00 MiB"),
    ({"memory": -5}, "memory is -5 B"),
    ({"max_error": 0}, "max_error is 0"),
    ({"max_error": -1e-6}, "max_error is -1e-06"),
    ({"max_error": float("nan")}, "max_error is nan"),
    ({"max_error": float("inf")}, "max_error is inf"),
    ({"max_error": "small"}, "max_error: input should be a valid number, .*not 'small'"),
    ({"precision": "float23"}, r"precision 'float23' is unknown \(did you mean float32\?\): use one of auto, int8, float16"),
    ({"codec": "bloscc-lz4"}, "did you mean blosc-lz4"),
    ({"codec": "q"}, "codec 'q' is unknown: use one of auto, smallest, none"),
    ({"cluster": "lcoal"}, "did you mean local"),
    ({"chunk": (0, 3)}, "chunk is 0,3"),
    ({"chunk": (1,)}, "chunk is 1: give rows and columns"),
    ({"shard": (0, 3)}, "shard is 0,3: both edges must be at least 1"),
    ({"shard": (1, 2, 3)}, "shard is 1,2,3: give rows and columns"),
    ({"shard": (5, 4), "chunk": (2, 2)}, "shard is 5,4 but chunk is 2,2: give whole multiples of the chunk, such as 6,4"),
    ({"workers": 0}, "workers: input should be greater than or equal to 1, not 0"),
    ({"workers": 2.5}, "not 2.5"),
    ({"priority": "high"}, "priority: input should be a valid integer, not 'high'"),
    ({"priority": 1.0}, "priority: input should be a valid integer, not 1.0"),
    ({"priority": True}, "priority: input should be a valid integer, not True"),
    ({"priority": "2000000"}, "priority: input should be less than or equal to 1000000, not 2000000"),
    ({"priority": -(10**30)}, "priority: input should be greater than or equal to -1000000, not -1000"),
    ({"dtype_out": "complex64"}, "dtype_out: .*not 'complex64'"),
    ({"alpha": float("inf")}, "alpha and beta must be finite, not inf"),
    ({"beta": float("nan"), "add": "/c"}, "alpha and beta must be finite, not nan"),
    ({"alpha": 1e-50}, "alpha and beta must be 0 or between 1e-37 and 1e\\+37 in size, not 1e-50"),
    ({"beta": -1e40, "add": "/c"}, "not -1e\\+40"),
    ({"beta": 1.0}, "beta and add belong together"),
    ({"add": "/c"}, "beta and add belong together"),
    ({"a": " "}, "a path is empty"),
    ({"durability": "never"}, "durability: .*not 'never'"),
    ({"round": "auto"}, "round auto spends an error that you accept, and none is given: give --max-error"),
    ({"round": "yes", "max_error": 1e-3}, "round: input should be 'no' or 'auto', not 'yes'"),
    ({"round": True, "max_error": 1e-3}, "round: input should be 'no' or 'auto', not 'yes'"),
    ({"max_error": True}, "max_error is True: give a number"),
    ({"workers": True}, "workers is True: give a number"),
    ({"alpha": False}, "alpha is False: give a number"),
    ({"mem": "1GiB"}, r"mem is no field of a job: did you mean memory\?"),
    ({"colour": 1}, "colour is no field of a job"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_nonsense_is_refused_in_one_line_that_names_it(fields, message):
    with pytest.raises(BadInput, match=message) as caught:
        job(**fields)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_path_is_named():
    with pytest.raises(BadInput, match="b is missing"):
        make_job(a="a", out="c")


anything = st.one_of(st.text(), st.floats(), st.none(), st.lists(st.integers(), max_size=3), st.booleans())


@given(st.sampled_from(sorted(Job.model_fields)), anything)
def test_any_value_of_any_field_is_taken_or_refused_in_one_line(field, value):
    try:
        job(**{field: value})
    except BadInput as error:
        assert "\n" not in str(error)


def test_a_priority_is_a_whole_number_also_as_text():
    assert (job().priority, job(priority=-3).priority, job(priority="-3").priority, job(priority="+7").priority) == (0, -3, -3, 7)


def test_the_no_of_yaml_is_no():
    assert job(round=False).round == "no"
    assert (job(portable=True).portable, job(portable=False).portable) == ("yes", "no")
    assert job(round="auto", max_error=1e-3).round == "auto"
