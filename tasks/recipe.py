"""What a worker must know to compute any tile of a run: one frozen value, sent with each task."""

from dataclasses import dataclass, replace

from storage import AnyStaging, Matrix
from tasks.arithmetic import Arithmetic
from tasks.compression import CodecChoice
from tasks.hands import hands_of
from tasks.job import Job
from tasks.ladder import ARITHMETICS
from tasks.plan import Plan, TileShape
from tasks.proof import Proof, proof_of
from tasks.survey import Operand, Problem
from tasks.triangle import walk_for
from tasks.walk import Walk


@dataclass(frozen=True)
class Recipe:
    """The run, as its tiles see it: no budget, no predictions."""

    run_id: str
    """Of the run and its epoch: buffers belong to one of them."""
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
    staging: "AnyStaging"
    probes: int
    seed: int
    bound: float
    """Certified normwise error of the arithmetic, rounding to the stored type included."""
    allow_nonfinite: bool
    share: float = 0.0
    """Normwise error that rounding before storage may add; 0 for none."""
    choose: CodecChoice | None = None
    """How the codec is chosen on the first finished tile; None where the staging names it."""
    rung: int = 0
    """Which arithmetic of the plan this is."""
    proof: Proof | None = None
    """What a tile must prove; None where the arithmetic certifies it."""
    parts: int = 1
    """Parts of k that are summed up apart."""
    sums_codec: str = "none"
    """Row of CODECS in which partial sums travel."""
    narrowed: int = 0
    """Steps by which tiles need less memory than planned (`tasks.narrow`)."""
    piece_rows: int = 0
    """Rows of a tile that are computed at a time; 0 for all."""

    @property
    def arithmetic(self) -> Arithmetic:
        """The row of the ladder."""
        return ARITHMETICS[self.arithmetic_name]

    @property
    def hands(self) -> int:
        """Threads of each worker that read and encode."""
        return hands_of(self.device, self.threads)

    @property
    def tile(self) -> TileShape:
        """The tile's edges and depth."""
        return self.walk.tile

    @property
    def rows(self) -> int:
        """Most rows that are computed at a time."""
        return self.piece_rows or self.tile.rows


def walk_of(plan: Plan) -> Walk:
    """The tiles of a plan, in order."""
    return walk_for((plan.shape, plan.tile, plan.grid), plan.residency, plan.symmetry)


def on_rung(recipe: Recipe, plan: Plan, rung: int) -> Recipe:
    """The recipe with another arithmetic of the plan."""
    found = plan.rungs[rung]
    return replace(recipe, arithmetic_name=found.arithmetic, kernel=found.kernel, bound=found.bound, rung=rung, proof=proof_of(plan, rung))


def make_recipe(job: Job, problem: Problem, plan: Plan, staging: "AnyStaging", choose: CodecChoice | None = None) -> Recipe:
    """The recipe of a plan, written to `staging`."""
    return Recipe(
        run_id=f"{staging.run_id}.{staging.epoch}",
        a=problem.a,
        b=problem.b,
        add=problem.add,
        alpha=job.alpha,
        beta=job.beta,
        walk=walk_of(plan),
        slots=plan.slots,
        arithmetic_name=plan.arithmetic,
        kernel=plan.kernel,
        device=plan.device,
        threads=plan.threads_per_worker,
        exact=plan.exact,
        staging=staging,
        probes=plan.probes,
        seed=plan.seed,
        bound=plan.arithmetic_bound,
        share=plan.rounding.share,
        allow_nonfinite=job.allow_nonfinite,
        choose=choose,
        proof=proof_of(plan, 0),
        parts=plan.parts,
        sums_codec=plan.sums_codec,
    )
