"""The same tiles on a CUDA device; run with `make test-gpu` on a machine that has one."""

import numpy as np
import pytest
import torch

from tasks.clusters import ClusterSpec, open_cluster
from tasks.kernels import libraries
from tasks.ladder import ARITHMETICS
from tasks.rates import measure_worker
from tasks.selftest import is_right
from tests.tasks.inline import Way, compute, recipe_for, result

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("arithmetic", [name for name, row in ARITHMETICS.items() if "cuda" in row.devices])
@pytest.mark.parametrize("turned", [(False, False), (True, True)])
def test_tiles_on_the_device_keep_the_bound(tmp_path, arithmetic, turned):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((700, 900)).astype("float32"), rng.standard_normal((900, 500)).astype("float32")
    way = Way(
        tile=(256, 256, 300), chunk=(128, 128), arithmetic=arithmetic, transpose=turned, kept=(True, False), residency="A", device="cuda"
    )
    recipe = recipe_for(tmp_path / "run", (a, b), way)
    assert all(tile.accepted for tile in compute(recipe))
    error = np.linalg.norm(result(recipe) - a.astype(float) @ b.astype(float))
    assert error <= recipe.bound * np.linalg.norm(a) * np.linalg.norm(b)


@pytest.mark.parametrize("arithmetic", [name for name, row in ARITHMETICS.items() if "cuda" in row.devices])
def test_every_kernel_of_the_device_multiplies_what_is_exact(arithmetic):
    assert all(is_right((arithmetic, "cuda", library)) for library in libraries(arithmetic, "cuda"))


def test_rates_of_the_device_are_measured(tmp_path):
    answer = measure_worker("cuda", str(tmp_path))
    assert answer.device_memory_bytes > 0
    assert answer.rates.flops["bfloat16"] > answer.rates.flops["float32"]


def test_a_cuda_cluster_has_one_worker_a_device():
    with open_cluster(ClusterSpec("cuda", torch.cuda.device_count(), 1)) as cluster:
        assert len(cluster.workers) == torch.cuda.device_count()
