from pathlib import Path

import pytest

from storage import BadInput
from storage.location import locate


def test_one_place_under_many_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    monkeypatch.chdir(tmp_path / "data")
    for exists in (False, True):
        spelt = ["C", "../data/C", "../link/C", str(tmp_path / "data" / "C"), f"{tmp_path}//link/./C/"]
        assert len({locate(place).key for place in spelt}) == 1, exists
        (tmp_path / "data" / "C").mkdir(exist_ok=True)
    assert locate("C").key != locate("D").key


def test_what_lies_inside(tmp_path: Path) -> None:
    outer, inner = locate(tmp_path / "C"), locate(tmp_path / "C" / "c" / "D")
    assert inner.inside(outer) and not outer.inside(inner) and not outer.inside(outer)
    (tmp_path / "C").mkdir()
    (tmp_path / "link").symlink_to("C")
    assert locate(tmp_path / "link" / "D").inside(locate(tmp_path / "C"))
    assert not locate(tmp_path / "CD").inside(locate(tmp_path / "C"))


def test_objects() -> None:
    assert locate("s3://lab/a/C/").key == locate("S3://lab/a/C").key
    assert locate("s3://lab/a/C").inside(locate("s3://lab/a"))
    assert not locate("s3://lab/ab").inside(locate("s3://lab/a"))
    with pytest.raises(BadInput):
        locate("gs://lab/a")
