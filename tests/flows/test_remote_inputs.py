"""Whole commands whose inputs are on an object store."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from flows import multiply
from flows.cli import run
from flows.samples import Sample, write_sample
from storage import open_matrix, read_certificate
from storage.objects import ObjectStore, object_store
from tests.object_server import Fault, Proxy


def upload(folder: Path, store: ObjectStore) -> str:
    for file in folder.rglob("*"):
        if file.is_file():
            store.put(str(file.relative_to(folder)), file.read_bytes())
    return store.url


def stored(place: Path | str) -> np.ndarray:
    matrix = open_matrix(place)
    found = np.empty(matrix.shape, matrix.dtype)
    matrix.read_into(found, slice(None), slice(None))
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("warm_cache")
def test_the_product_of_remote_inputs_is_that_of_local_ones(tmp_path: Path, flaky: tuple[ObjectStore, Proxy]) -> None:
    store, proxy = flaky
    urls: dict[str, str] = {}
    for name, shape, seed in (("A", (300, 200), 1), ("B", (200, 250), 2), ("C0", (300, 250), 3)):
        write_sample(tmp_path / f"{name}.zarr", Sample(shape, seed, chunk=64))
        array = zarr.open_array(tmp_path / f"{name}.zarr", mode="r+")
        array[:] = np.rint(array[:])  # whole numbers: the product is exact, however either run is planned
        urls[name] = upload(tmp_path / f"{name}.zarr", object_store(f"{store.url}/{name}.zarr"))
    more = {"beta": 0.5, "memory": "1GiB", "direct": True}
    local = {name: str(tmp_path / f"{name}.zarr") for name in urls}
    multiply(a=local["A"], b=local["B"], add=local["C0"], out=str(tmp_path / "local.zarr"), **more)
    proxy.fail(*[Fault(), Fault(), Fault(status=503, code="SlowDown"), Fault(cut=100), Fault(closed=True)] * 20)
    report = multiply(a=urls["A"], b=urls["B"], add=urls["C0"], out=str(tmp_path / "C.zarr"), **more)
    assert stored(tmp_path / "C.zarr").tobytes() == stored(tmp_path / "local.zarr").tobytes()
    assert report.certificate.measured <= report.certificate.asked
    assert not proxy.faults, "the workers did not read through the proxy"
    certificate = read_certificate(tmp_path / "C.zarr")
    assert certificate["job"]["a"] == urls["A"]
    assert "hidden-value" not in json.dumps(certificate)


@pytest.mark.parametrize(("b", "message"), [("gs://lab/b", "give a path or s3://bucket/key"), ("s3://nowhere/b", "no such bucket")])
@pytest.mark.usefixtures("s3")
def test_a_bad_address_is_one_line_and_exit_2(tmp_path: Path, b: str, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 2), np.float32))
    assert run(["multiply", str(tmp_path / "a.npy"), b, str(tmp_path / "C.zarr"), "--direct", "--quiet"]) == 2
    error = capfd.readouterr().err
    assert message in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
