"""Nothing outside of the roots can be named, however it is written."""

import os
from pathlib import Path

import pytest

from flows.agent.faults import AgentError
from flows.agent.roots import Roots, open_roots
from tasks.errors import BadInput


@pytest.fixture
def roots(root: Path, tmp_path: Path) -> Roots:
    (tmp_path / "outside").mkdir()
    (tmp_path / "root-not").mkdir()
    (root / "A.zarr" / "c").mkdir(parents=True)
    (root / "way-out").symlink_to(tmp_path / "outside")
    (root / "way-in").symlink_to(root / "A.zarr")
    return open_roots([str(root)])


def test_what_is_inside_keeps_its_name_without_links(roots: Roots, root: Path) -> None:
    for written in ("A.zarr", str(root / "A.zarr"), "x/../A.zarr", "./A.zarr", "way-in", f"{root}/../root/A.zarr"):
        assert roots.confine(written) == str(root / "A.zarr")
    assert roots.confine("new/deep/C.zarr") == str(root / "new/deep/C.zarr")
    assert roots.confine("~root/A.zarr") == str(root / "~root/A.zarr")


@pytest.mark.parametrize(
    "written",
    [
        "/etc/passwd",
        "../outside",
        "A.zarr/../../outside",
        "way-out",
        "way-out/new.zarr",
        "..",
        ".",
        "/",
        "/proc/self/cwd",
        "/proc/self/root/etc",
        "{root}-not/A",
        "{root}/../root-not",
        "s3://bucket/A",
    ],
)
def test_what_is_outside_is_refused(roots: Roots, root: Path, written: str) -> None:
    with pytest.raises(AgentError) as refused:
        roots.confine(written.format(root=root))
    assert refused.value.fault.code == "outside_roots" and str(root) in refused.value.fault.cause


def test_a_whole_root_can_be_read_and_not_written(roots: Roots, root: Path) -> None:
    (root / "way-out").unlink()  # a link that leads out
    for written in (".", str(root), f"{root}/", "A.zarr/.."):
        assert roots.confine_input(written) == str(root)
        with pytest.raises(AgentError, match="is not in"):
            roots.confine(written)
    for written in ("..", f"{root}-not", "/"):
        with pytest.raises(AgentError, match="is not in"):
            roots.confine_input(written)


@pytest.mark.parametrize("written", ["file:///etc/passwd", "http://host/A", "S3://", "s3://bucket", "a\0b", "x" * 5000, "\ud800"])
def test_what_is_no_place_is_refused(roots: Roots, written: str) -> None:
    with pytest.raises((BadInput, AgentError)):
        roots.confine(written)


@pytest.mark.parametrize("written", [None, 7, ["A.zarr"], {"a": 1}, "", "  "])
def test_what_is_no_text_is_refused(roots: Roots, written: object) -> None:
    with pytest.raises(AgentError, match="no path"):
        roots.confine(written)


def test_an_array_with_a_link_out_of_the_roots_is_no_input(roots: Roots, root: Path) -> None:
    assert roots.confine_input("A.zarr")
    (root / "A.zarr/c/0").symlink_to(root / "A.zarr/c")
    assert roots.confine_input("A.zarr")
    (root / "A.zarr/c/1").symlink_to("/etc/passwd")
    with pytest.raises(AgentError, match="c/1 is a link out of"):
        roots.confine_input("A.zarr")


def test_a_root_on_an_object_store_holds_what_is_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.agent.roots._reached", lambda place: place)
    roots = open_roots(["s3://bucket/data"])
    assert roots.confine("s3://bucket/data/A/") == "s3://bucket/data/A"
    for other in ("s3://bucket/data", "s3://bucket/database/A", "s3://other/data/A", "/etc/passwd"):
        with pytest.raises(AgentError, match="is not in"):
            roots.confine(other)
    with pytest.raises(BadInput):
        roots.confine("s3://bucket/data/../A")


@pytest.mark.parametrize(("given", "says"), [([], "no --root"), (["/no/such"], "is no folder"), (["/etc/passwd"], "is no folder")])
def test_a_root_that_cannot_be_reached_is_refused(given: list[str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        open_roots(given)


def test_an_object_store_that_does_not_answer_is_no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with pytest.raises(BadInput, match="--root"):
        open_roots(["s3://bucket/data"])


def test_roots_touch_what_they_hold_and_what_holds_them(roots: Roots, root: Path, tmp_path: Path) -> None:
    for folder in (root, root / "state", tmp_path, root / "way-in" / "x"):
        assert roots.touch(str(folder))
    assert not roots.touch(str(tmp_path / "outside"))
    assert not roots.touch(os.fspath(root / "way-out" / "x"))


def test_a_link_out_is_named_as_one(roots: Roots) -> None:
    with pytest.raises(AgentError, match=r"way-out is not in .* once its links are followed"):
        roots.confine("way-out")
    with pytest.raises(AgentError) as refused:
        roots.confine("../outside")
    assert "links" not in str(refused.value)
