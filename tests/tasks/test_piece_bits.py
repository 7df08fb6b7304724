"""Rows in pieces, as each library multiplies them: the bits of all rows."""

import pytest
import torch

from tasks.devices import torch_dtype
from tasks.kernels import KERNELS
from tasks.ladder import ARITHMETICS
from tasks.memory import PRODUCT_ROWS
from tasks.operands import prepare
from tasks.product import Method, add_product
from tasks.syrk import add_symmetric_product, add_symmetric_rows, fill_upper
from tests.tasks.test_narrow import operands


def prepared(row, values: torch.Tensor, side: int):
    source = torch.float64 if row.name == "float64" else torch.float32
    count = row.slices if row.converts(str(source).removeprefix("torch.")) else 0
    buffers = tuple(torch.empty(values.numel(), dtype=torch_dtype(row.stored_as)) for _ in range(count))
    return prepare(row, values.to(source), side, buffers)


def method_of(name: tuple[str, str, str], cols: int) -> Method:
    row = ARITHMETICS[name[0]]
    return Method(row, KERNELS[name], torch.empty(PRODUCT_ROWS * cols, dtype=torch_dtype(row.block_output["cpu"])))


HEIGHTS = {("float32-wide", "scipy"): (1024,), ("float32", "torch"): (768, 512, 256)}
"""What is summed up in strips of 1024 rows is cut there."""


@pytest.mark.parametrize("name", [name for name in KERNELS if name[1] == "cpu"], ids="-".join)
def test_rows_in_pieces_have_the_bits_of_all_rows(name: tuple[str, str, str]) -> None:
    """Of every arithmetic and library: elements are summed up along k alone, whatever rows there are beside them."""
    row = ARITHMETICS[name[0]]
    a, b = map(torch.from_numpy, operands(1536, 384, 640))

    def product(rows: torch.Tensor) -> torch.Tensor:
        out = torch.empty(len(rows), b.shape[1], dtype=torch_dtype(row.accumulate))
        add_product(method_of(name, b.shape[1]), out, prepared(row, rows, 0), prepared(row, b, 1), 0.0)
        return out

    whole = product(a)
    for height in HEIGHTS.get((row.name, name[2]), (768, 384, 1152)):
        parts = torch.cat([product(a[start : start + height]) for start in range(0, len(a), height)])
        same = (parts == whole).double().mean().item()
        assert same == 1.0, f"{height} rows: {1 - same:.2%} of the elements differ"


@pytest.mark.parametrize("name", [name for name in KERNELS if name[1] == "cpu"], ids="-".join)
def test_rows_of_a_diagonal_tile_have_the_bits_of_the_whole_below_the_diagonal(name: tuple[str, str, str]) -> None:
    """Pieces of whole strips for every library; for torch's, which sums up all rows alike, of parts of strips, too."""
    row, edge = ARITHMETICS[name[0]], 3072
    a = torch.from_numpy(operands(edge, 96, 1)[0])

    def product(first: int, last: int) -> torch.Tensor:
        out = torch.zeros(last - first, edge, dtype=torch_dtype(row.accumulate))
        add_symmetric_rows(method_of(name, edge), out, (prepared(row, a[first:last], 0), prepared(row, a.T, 1)), first, 0.0)
        return out.tril(first)

    whole = torch.zeros(edge, edge, dtype=torch_dtype(row.accumulate))
    add_symmetric_product(method_of(name, edge), whole, prepared(row, a, 0), 0.0)
    fill_upper(whole)
    for height in (1536,) if name[2] == "scipy" else (1536, 768, 640):
        parts = torch.cat([product(start, min(start + height, edge)) for start in range(0, edge, height)])
        same = (parts == whole.tril()).double().mean().item()
        assert same == 1.0, f"{height} rows: {1 - same:.2%} of the elements differ"
