"""Places as callers write them."""

from pathlib import Path

import pytest

from storage import BadInput, absolute, expanded, is_url, locate, open_matrix


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


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("~no-such-user/a", "there is no such user: write the folder out"),
        ("a\0b", "is no path: it has a null character"),
        ("a\ud800", "is no path: it has a character that no file's name can have"),
        (256 * "x", "longest name has 256 bytes: a name has at most 255"),
        ("/".join(2100 * ["x"]), "a path 4095"),
    ],
    ids=["user", "null", "surrogate", "name", "path"],
)
def test_what_no_file_can_be_called_is_refused(given: str, says: str) -> None:
    for ask in (expanded, absolute, locate, open_matrix):
        with pytest.raises(BadInput) as refused:
            ask(given)
        assert says in str(refused.value) and "\n" not in str(refused.value)
        str(refused.value).encode()


def test_names_that_are_no_text_are_kept() -> None:
    assert absolute("/a/\udcff").endswith("/\udcff") and expanded("~/a") == Path.home() / "a"
