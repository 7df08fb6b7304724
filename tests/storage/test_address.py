"""Places as callers write them."""

from pathlib import Path

import pytest

from storage import BadInput, absolute, is_url


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("x/../a b.npy") == f"{tmp_path}/a b.npy"
    assert absolute("s3:/a/b") == f"{tmp_path}/s3:/a/b"
    assert not is_url(absolute("~/a")) and not is_url(Path("s3://lab/a"))


@pytest.mark.parametrize(("given", "kept"), [("s3://lab/a/b c/ü", "s3://lab/a/b c/ü"), ("S3://lab/a//", "s3://lab/a")])
def test_urls_stay_as_they_are(given: str, kept: str) -> None:
    assert absolute(given) == kept and is_url(given)


@pytest.mark.parametrize("given", ["gs://lab/a", "az://lab/a", "https://host/a", "file:///a"])
def test_other_schemes_are_refused_with_those_that_are_known(given: str) -> None:
    with pytest.raises(BadInput, match=r"scheme \w+://, which gemmflow does not read: give a path or s3://bucket/key"):
        absolute(given)


@pytest.mark.parametrize("given", ["s3://", "s3:///a", "s3://lab", "s3://lab/", "s3://lab/a//b", "s3://lab/../b", "s3://key@lab/a"])
def test_a_url_that_names_no_object_is_refused(given: str) -> None:
    with pytest.raises(BadInput, match="does not name an object: give s3://bucket/key"):
        absolute(given)
