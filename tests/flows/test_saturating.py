"""Integers on a processor without VNNI, which one variable makes of any: the product is exact, whatever the cache remembers of others."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

GEMMFLOW = str(Path(sys.executable).with_name("gemmflow"))


def plan_of(folder: Path, name: str, **variables: str) -> dict[str, object]:
    """What a multiplication in this environment, workers included, was planned to be."""
    files = ["ia.npy", "ib.npy", name, "--json", f"{name}.json"]
    environment = os.environ | {"GEMMFLOW_CACHE": str(folder / "cache")} | variables
    command = [GEMMFLOW, "multiply", *files, "--direct", "--memory", "1GiB"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / f"{name}.json").read_text())["plan"]


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the variable means instructions of x86-64")
@pytest.mark.timeout(240)
def test_the_default_product_of_integers_is_exact_without_vnni_after_a_run_with_it(tmp_path):
    """The extremes in C[0, 0], wrong by 2 where pairs saturate, and the full range elsewhere."""
    rng = np.random.default_rng(5)
    a, b = rng.integers(-128, 128, (60, 3000), "int8"), rng.integers(-128, 128, (3000, 70), "int8")
    a[0], b[:, 0] = 0, 0
    a[0, 0], b[0, 0], b[1, 0] = 127, 127, 3
    np.save(tmp_path / "ia.npy", a)
    np.save(tmp_path / "ib.npy", b)
    exact = a.astype("int64") @ b.astype("int64")
    plan_of(tmp_path, "usual")
    assert len(list((tmp_path / "cache").glob("calibration-*"))) == 1
    plan = plan_of(tmp_path, "narrow", ONEDNN_MAX_CPU_ISA="AVX2")
    assert len(list((tmp_path / "cache").glob("calibration-*"))) == 2
    assert plan["exact"] is True
    said = {choice["arithmetic"]: choice["verdict"] for choice in plan["choices"]}
    assert said["int8"] == "not available on every worker: it fails its self-test there"
    for name in ("usual", "narrow"):
        np.testing.assert_array_equal(zarr.open_array(tmp_path / name, mode="r")[:], exact)
