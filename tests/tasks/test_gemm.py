"""The shape of a product."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.gemm import Gemm

sizes = st.integers(1, 50)


@given(sizes, sizes, sizes, sizes)
def test_flops_are_those_of_three_loops(m: int, n: int, k: int, count: int) -> None:
    gemm = Gemm("any", m, n, k, count)
    assert gemm.flops == sum(2 * k for _ in range(count) for _ in range(m) for _ in range(n))
    assert gemm.elements == count * (m * k + k * n + m * n)
    assert gemm.intensity == pytest.approx(2 / (1 / m + 1 / n + 1 / k))


@pytest.mark.parametrize("shape", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0), (-1, 1, 1, 1)])
def test_what_is_empty_is_refused(shape: tuple[int, int, int, int]) -> None:
    with pytest.raises(BadInput, match="is empty"):
        Gemm("nothing", *shape)
