"""Whether a product of integers will be exact, and if not, why, and what would make it so: said before anything is multiplied.

Types alone decide, never values: a sum of k products of the largest integers must be one that the arithmetic, and the type that
is stored, holds exactly.
"""

from storage.matrix import ACCEPTED
from tasks.ladder import ARITHMETICS
from tasks.number_types import largest_magnitude, largest_sum, last_exact_integer
from tasks.plan import Plan
from tasks.survey import Problem

INTEGERS = tuple(dtype.name for dtype in ACCEPTED if dtype.kind in "iu")


def integers_line(plan: Plan, problem: Problem) -> str:
    """One line; empty where an input holds floating-point numbers."""
    if not all(name in INTEGERS for name in problem.dtypes):
        return ""
    types = f"{' by '.join(problem.dtypes)} with k = {problem.k}"
    if plan.exact:
        return f"exact: {types} gives no sum above {largest_sum(problem.k, problem.dtypes):.3g}, which {_holders(plan)} exactly"
    return f"not exact: {_reason(plan, problem, types)}"


def _holders(plan: Plan) -> str:
    return f"{plan.arithmetic} and {plan.dtype_out} hold" if plan.arithmetic != plan.dtype_out else f"{plan.dtype_out} holds"


def _reason(plan: Plan, problem: Problem, types: str) -> str:
    there = [row for row in ARITHMETICS.values() if plan.device in row.devices]
    exact = [row.name for row in there if row.exact_for(problem.k, problem.dtypes, plan.device)]
    if not exact:
        deepest = last_exact_integer("float64") // (largest_magnitude(problem.dtypes[0]) * largest_magnitude(problem.dtypes[1]))
        depth = f"a k of at most {deepest} or narrower types" if deepest else "narrower types"
        return f"{types} may give sums above 2^53, where float64 rounds; {depth} would be exact"
    if plan.arithmetic not in exact:
        return f"{plan.arithmetic} rounds {types}; --precision {exact[-1]} without a --max-error would be exact"
    if plan.dtype_out not in ("int64", "float64"):
        return f"{types} may give sums that {plan.dtype_out} rounds; --dtype-out int64 would be exact"
    return f"alpha and C0 are rounded; {types} without them would be exact"
