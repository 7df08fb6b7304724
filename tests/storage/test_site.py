"""One contract for every place where a result may lie."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage import BadInput, OutputSpec, Refused, Start, hold_of, open_matrix, open_result, read_token, site_of
from storage.objects import ObjectStore
from storage.site import Hold, Site

SPEC = OutputSpec((5, 7), "float32", (4, 4), "auto")
VALUES = np.arange(35, dtype=np.float32).reshape(5, 7)
RECORDS = ({"kind": "run", "n": 1}, {"kind": "run", "n": 2})


@pytest.fixture(params=["path", "url"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "path":
        return str(tmp_path / "C.zarr")
    store: ObjectStore = request.getfixturevalue("s3")
    return f"{store.url}/C.zarr"


@pytest.fixture
def site(out: str) -> Site:
    return site_of(out)


def begin(site: Site, run_id: str = "r1") -> tuple[Hold, object]:
    staging, lease = site.begin(SPEC, "process", run_id, Start(RECORDS))
    return hold_of(staging, lease), lease


def write_all(hold: Hold) -> list:
    """With the codec that was settled."""
    return list(hold_of(replace(hold.staging, spec=settled())).write(0, 0, VALUES).records)


def settled() -> OutputSpec:
    return OutputSpec(SPEC.shape, SPEC.dtype, SPEC.chunks, "zstd")


def stored(out: str) -> np.ndarray:
    found = np.empty_like(VALUES)
    open_matrix(out).read_into(found, slice(None), slice(None))
    return found


def test_a_result_lives_from_its_start_to_its_publication(site: Site, out: str) -> None:
    site.check([], overwrite=False)
    site.check_space(1000)
    assert site.left() is None
    hold, lease = begin(site)
    left = site.left()
    assert left is not None and left.run_id == "r1" and left.seal is None and not left.is_over()
    assert hold.read_settled() is None
    assert hold.settle(lambda: {"codec": "zstd"}) == hold.settle(lambda: {"codec": "gzip"}) == hold.read_settled() == {"codec": "zstd"}
    assert read_token(hold.put_token("abc")) == b"abc"
    assert hold.read_sum("0-0-0") is None
    hold.keep_sum("0-0-0", b"partial")
    assert (hold.read_sum("0-0-0"), hold.read_sum("0-0-1")) == (b"partial", None)
    chunks = write_all(hold)
    with pytest.raises(BadInput):
        open_matrix(out)
    root = hold.certify("zstd", {"asked": 1}, chunks)
    hold.publish(overwrite=False)
    lease.release()
    assert site.left() is None
    assert stored(out).tobytes() == VALUES.tobytes()
    with open_result(out) as result:
        assert (result.root, result.certificate["run_id"], result.manifest.chunks) == (root, "r1", tuple(chunks))
    with pytest.raises(BadInput, match=r"choose another|exists"):
        site.check([], overwrite=False)


@pytest.mark.slow
def test_one_run_at_a_time(site: Site) -> None:
    _, lease = begin(site)
    with pytest.raises(Refused):
        begin(site, "r2")
    left = site.left()
    assert left is not None
    with pytest.raises(Refused):
        left.require_free()
    with pytest.raises(Refused):
        site.clean()
    lease.release()
    left.require_free()


def test_an_unfinished_run_is_gone_on_with(site: Site, out: str) -> None:
    hold, lease = begin(site)
    with hold.journal() as journal:
        journal.append({"kind": "tile", "n": 3})
        journal.sync()
    chunks = write_all(hold)
    lease.release()
    left = site.left()
    assert left is not None
    left.require_free()
    records = left.records()
    assert records == [*RECORDS, {"kind": "tile", "n": 3}]
    staging, again = left.take_over(settled(), "process")
    taken = hold_of(staging, again)
    with pytest.raises(Refused):
        left.take_over(settled(), "process")
    assert (staging.run_id, staging.epoch) == ("r1", 2)
    assert taken.keep(records, chunks) == {chunk.key for chunk in chunks}
    taken.certify("zstd", {}, chunks)
    taken.publish(overwrite=False)
    again.release()
    assert stored(out).tobytes() == VALUES.tobytes()


def test_what_is_left_is_cleaned(site: Site) -> None:
    assert site.clean() == []
    hold, lease = begin(site)
    write_all(hold)
    lease.release()
    [removed] = site.clean()
    assert "C.zarr.gemmflow" in removed
    assert site.left() is None and site.clean() == []
    begin(site, "r2")[1].release()
    site.clean()


def test_a_run_that_gives_up_leaves_nothing(site: Site, out: str) -> None:
    hold, lease = begin(site)
    write_all(hold)
    hold.discard()
    lease.release()
    assert site.left() is None and site.clean() == []
    assert out in str(hold.taken_over())
