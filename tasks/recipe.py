"""What a worker must know to compute any tile of a run: one frozen value, sent with each task."""

from dataclasses import dataclass

from storage import Matrix, Staging
from tasks.arithmetic import ARITHMETICS, Arithmetic
from tasks.compression import CodecChoice
from tasks.plan import Plan, TileShape
from tasks.survey import Operand
from tasks.walk import Walk


@dataclass(frozen=True)
class Recipe:
    """The run, as its tiles see it: no budget, no predictions."""

    run_id: str
    a: Operand
    b: Operand
    add: Matrix | None
    alpha: float
    beta: float
    walk: Walk
    slots: tuple[int, int]
    arithmetic_name: str
    kernel: str
    device: str
    threads: int
    exact: bool
    staging: Staging
    probes: int
    seed: int
    bound: float
    """Certified normwise error of the stored product."""
    allow_nonfinite: bool
    choose: CodecChoice | None = None
    """How the codec is chosen on the first finished tile; None where the staging names it."""

    @property
    def arithmetic(self) -> Arithmetic:
        """The row of the ladder."""
        return ARITHMETICS[self.arithmetic_name]

    @property
    def tile(self) -> TileShape:
        """The tile's edges and depth."""
        return self.walk.tile


def walk_of(plan: Plan) -> Walk:
    """The tiles of a plan, in order."""
    return Walk(plan.shape, plan.tile, plan.grid, plan.residency)
