"""What-ifs of a product: nobody chose the type that it is stored as, so each point takes that of a run."""

from itertools import product

import pytest

from flows.analyze_choice import Question
from flows.analyze_matrix import axes
from storage.matrix import ACCEPTED
from tasks.choice.matrix_job import MatrixJob
from tasks.choice.rank import Aim
from tasks.choice.site import Site
from tasks.precision import choose_precisions
from tests.tasks.machines import job, problem

NAMES = tuple(dtype.name for dtype in ACCEPTED)
SITE = Site(2e9, 2e9, assumed=False)


@pytest.mark.parametrize("dtypes", list(product(NAMES, NAMES)), ids="-by-".join)
def test_a_what_if_stores_it_as_a_run_does(dtypes: tuple[str, str]) -> None:
    """Of a k at which most integers are exact, and of one at which wide ones are not."""
    for k, alpha in product((2, 1000), (1.0, 2.0)):
        asked = MatrixJob((8, 8, 8), dtypes, "float64", scaled=alpha != 1)
        found = axes(automatic=True)["k"](Question(asked, (), Aim(), SITE), str(k)).demand
        rows = choose_precisions(job(alpha=alpha), problem((8, k, 8), dtypes), "cpu")
        assert found.output == next(row.dtype_out for row in rows if row.reason == ""), (k, alpha)
        assert found.can_be_kept
