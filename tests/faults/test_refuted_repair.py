"""A repair on hardware whose tiles err by several bounds in many rows, each below its own threshold: their probes refuse them together."""

import numpy as np
import pytest

from storage import open_result
from storage.assess import assess
from tasks import probing
from tasks.cluster import Cluster
from tasks.plan import Plan
from tasks.stored import origin_of
from tests.faults.lab import Lab
from tests.faults.test_repair import remove, repair, snapshot, verify

pytestmark = pytest.mark.slow


def loosen(error: float, direction: list[float]) -> None:
    """Let all rows of this worker's products be wrong by so much, in this direction (run on workers); 0 heals them."""
    import torch

    from tasks import kernels

    if not hasattr(kernels, "TIGHT"):
        kernels.TIGHT = {name: kernel for name, kernel in kernels.KERNELS.items() if isinstance(kernel, kernels.Adds)}

    def loose(honest):
        def kernel(accumulator, a, b, beta):
            honest.add(accumulator, a, b, beta)
            rows = error * a.double().norm(dim=1) * b.double().norm()
            accumulator.add_((rows[:, None] * torch.tensor(direction, dtype=torch.float64)).to(accumulator.dtype))

        return kernels.Adds(kernel)

    kernels.KERNELS.update({name: loose(honest) if error else honest for name, honest in kernels.TIGHT.items()})


def seen_alike(plan: Plan) -> list[float]:
    """A direction of errors of which each probe of each tile column sees 1."""
    cols = range(plan.grid[1])
    probes = np.hstack([probing.draw(plan.seed, col, plan.tile.cols, plan.probes).numpy() for col in cols])
    return np.linalg.lstsq(probes.T, np.ones(probes.shape[1]))[0].tolist()


@pytest.fixture
def loose_processor(cluster: Cluster):
    yield lambda error, direction=(): cluster.run_on_workers(loosen, error, list(direction))
    cluster.run_on_workers(loosen, 0, [])


@pytest.mark.parametrize("damaged", [1, 64], ids=["one tile", "all tiles"])
@pytest.mark.parametrize(("bounds", "sound"), [(2.5, True), (2.9, False)])
def test_what_multiply_would_refuse_is_not_certified_by_a_repair(lab: Lab, loose_processor, bounds: float, sound: bool, damaged: int):
    """By the same share of the bound: 2.67 of them are surely too much (`tests.tasks.test_refuted`)."""
    assert lab.run().code == 0
    with open_result(lab.out) as result:
        plan = origin_of(assess(result), str(lab.out)).plan
    keys = [chunk.key for chunk in lab.world.chunks()][:damaged]
    for key in keys:
        remove(lab.out / key)
    before = snapshot(lab)
    loose_processor(bounds * plan.arithmetic_bound, seen_alike(plan))
    done = repair(lab)
    if sound:
        assert done.code == 0 and "other bits than before, within the certificate" in done.output
        return
    assert done.code == 4 and "computed again is surely above" in done.line and "is certified for every input" in done.line
    assert snapshot(lab) == before and lab.world.beside() == []
    loose_processor(0)
    assert repair(lab).code == 0 and verify(lab, "--full").code == 0
