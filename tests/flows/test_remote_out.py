"""Whole commands whose OUT is on an object store."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from flows import multiply
from flows.cli import run
from flows.samples import Sample, write_sample
from storage import open_result
from storage.object_lease import ObjectLease
from storage.object_output import home_of
from storage.objects import ObjectStore
from tests.flows.processes import Command, wait_until
from tests.flows.test_remote_inputs import stored
from tests.object_server import Fault, Proxy

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """Small integers: the same bits whichever kernel adds them up."""
    rng = np.random.default_rng(1)
    for name, shape in (("A.npy", (300, 200)), ("B.npy", (200, 250))):
        np.save(tmp_path / name, rng.integers(-8, 9, shape).astype(np.float32))
    return [str(tmp_path / "A.npy"), str(tmp_path / "B.npy")]


def refusal(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capfd.readouterr()
    code = run([*arguments, "--quiet"])
    error = capfd.readouterr().err
    assert error.count("\n") == 1, error
    return code, error


@pytest.mark.slow
@pytest.mark.usefixtures("warm_cache")
def test_a_remote_product_is_the_local_one_is_checked_and_never_overwritten(
    tmp_path: Path, flaky: tuple[ObjectStore, Proxy], inputs: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    store, proxy = flaky
    local, more = tmp_path / "C.zarr", {"memory": "1GiB", "direct": True, "chunk": (64, 64)}
    multiply(a=inputs[0], b=inputs[1], out=str(local), codec="zstd", **more)
    proxy.fail(*[Fault(), Fault(), Fault(status=503, code="SlowDown"), Fault(), Fault(closed=True)] * 8)
    report = multiply(a=inputs[0], b=inputs[1], out=store.url, codec="zstd", **more)
    assert not proxy.faults, "the run did not write through the proxy"
    assert stored(store.url).tobytes() == stored(local).tobytes()
    assert not list(home_of(store).list())

    with open_result(store.url) as opened:
        assert opened.root == report.stored.root
    assert run(["info", store.url]) == 0
    assert "hidden-value" not in capfd.readouterr().out
    for level in ([], ["--full"], ["--expect-root", report.stored.root], ["--against-inputs"]):
        assert run(["verify", store.url, *level, "--quiet"]) == 0, level
    code, error = refusal(["multiply", *inputs, store.url, "--overwrite", "--direct"], capfd)
    assert code == 2 and "never overwritten" in error
    code, error = refusal(["multiply", *inputs, store.url, "--direct"], capfd)
    assert code == 2 and "choose another key" in error
    code, error = refusal(["repair", store.url], capfd)
    assert code == 2 and "not repaired" in error

    store.put("c/0/1", store.read("c/0/0").content)
    code, error = refusal(["verify", store.url], capfd)
    assert code == 4 and "c/0/1" in error and "another key" in error
    store.delete("c/0/1")
    code, error = refusal(["verify", store.url], capfd)
    assert code == 4 and "c/0/1 cannot be read" in error


@pytest.mark.slow
@pytest.mark.usefixtures("warm_cache")
def test_the_workers_choose_one_codec_through_the_store(tmp_path: Path, s3: ObjectStore, inputs: list[str]) -> None:
    report = multiply(a=inputs[0], b=inputs[1], out=s3.url, memory="1GiB", direct=True, chunk=(64, 64), max_error=1e-3)
    multiply(a=inputs[0], b=inputs[1], out=str(tmp_path / "C"), memory="1GiB", direct=True, chunk=(64, 64), max_error=1e-3)
    assert report.stored.codecs
    assert stored(s3.url).tobytes() == stored(tmp_path / "C").tobytes()
    assert run(["verify", s3.url, "--full", "--quiet"]) == 0


@pytest.mark.slow
def test_a_killed_run_is_gone_on_with(tmp_path: Path, s3: ObjectStore, warm_cache: Path, large_inputs: tuple[Path, Path]) -> None:
    """The plan has several tiles, so the first ones are recorded long before the last."""
    line = ["multiply", *map(str, large_inputs), s3.url, "--memory", "640MiB", "--direct", "--codec", "none", "--chunk", "512,512"]
    cache = {"GEMMFLOW_CACHE": str(warm_cache)}
    first = Command([*line, "--quiet"], tmp_path, cache)
    try:
        wait_until(lambda: sum("/journal/" in listed.key for listed in home_of(s3).list()) > 2, 100)  # run, reopened, tiles
        assert first.process.poll() is None, "the first run was over too early to be killed"
        first.process.send_signal(signal.SIGKILL)
    finally:
        first.clean()
    assert not s3.holds("zarr.json")
    second = Command([*line, "--json", "-"], tmp_path, cache)
    code, output, errors = second.end()
    second.clean()
    assert code == 0, errors
    assert json.loads(output)["measured"]["tiles_resumed"] > 0
    assert run(["verify", s3.url, "--full", "--quiet"]) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("warm_cache")
def test_a_second_run_is_refused_while_the_first_one_writes(s3: ObjectStore, inputs: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with ObjectLease.take(home_of(s3), "first"):
        code, error = refusal(["multiply", *inputs, s3.url, "--direct", "--memory", "1GiB"], capfd)
        assert code == 3 and "is being written by process" in error and "(run first)" in error
    assert run(["multiply", *inputs, s3.url, "--direct", "--memory", "1GiB", "--quiet"]) == 0, "it had begun nothing"


@pytest.mark.parametrize("out", ["s3://nowhere/c", "gs://lab/c"])
@pytest.mark.usefixtures("s3")
def test_a_bad_address_is_one_line_and_exit_2(tmp_path: Path, out: str, capfd: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 2), np.float32))
    began = time.monotonic()
    code, error = refusal(["multiply", str(tmp_path / "a.npy"), str(tmp_path / "a.npy"), out, "--direct"], capfd)
    assert code == 2 and out in error and time.monotonic() - began < 30


def test_shards_and_an_input_around_out_are_refused(tmp_path: Path, s3: ObjectStore, capfd: pytest.CaptureFixture[str]) -> None:
    write_sample(tmp_path / "A.zarr", Sample((8, 8), 1))
    for file in (tmp_path / "A.zarr").rglob("*"):
        if file.is_file():
            s3.put(str(file.relative_to(tmp_path / "A.zarr")), file.read_bytes())
    for out, more, message in (
        (s3.url, [], "is also the input"),
        (f"{s3.url}/C", [], "lies inside the input"),
        (f"{s3.url}-C", ["--shard", "8,8"], "shards are written to local"),
    ):
        code, error = refusal(["multiply", s3.url, s3.url, out, "--direct", *more], capfd)
        assert code == 2 and message in error


def test_clean_removes_what_a_run_left(s3: ObjectStore) -> None:
    home_of(s3).put("probe-1", b"")
    assert run(["clean", s3.url, "--quiet"]) == 0
    assert not list(home_of(s3).list())
