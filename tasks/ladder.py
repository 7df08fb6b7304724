"""The ladder of arithmetics: one row each, cheapest kind first. What a row certifies is in `tasks.arithmetic`.

A library that sums at most `block` products before the sum joins the accumulator certifies more: 1024 float32 products of int8
values are exact, so int8 matrices of any depth are.
"""

from tasks.arithmetic import Arithmetic

CROSSED = ((0, 1), (1, 0))
"""Products of the first slices with the second ones."""

ARITHMETICS: dict[str, Arithmetic] = {
    row.name: row
    for row in (
        Arithmetic(
            "int8",
            compute="int8",
            accumulate="float64",
            inner="int32",
            block_output={"cpu": "int32", "cuda": "int32"},
            block=1 << 16,
            why="exact for int8 inputs; others become 255 steps of a scale for each row and column",
        ),
        Arithmetic(
            "float16",
            compute="float16",
            accumulate="float32",
            block_output={"cuda": "float32"},
            block=1 << 13,
            truncates_on=("cuda",),
            why="11 significant bits, rows and columns scaled by powers of two",
        ),
        Arithmetic(
            "bfloat16",
            compute="bfloat16",
            accumulate="float32",
            block_output={"cpu": "bfloat16", "cuda": "float32"},
            block=1 << 13,
            truncates_on=("cuda",),
            why="8 significant bits; on CPU the product of each block is rounded to bfloat16 once more",
        ),
        Arithmetic(
            "tf32",
            compute="tf32",
            accumulate="float32",
            block_output={"cuda": "float32"},
            truncates_on=("cuda",),
            why="matrix units read 11 significant bits of float32",
        ),
        Arithmetic(
            "bfloat16x3",
            compute="bfloat16",
            accumulate="float32",
            block_output={"cuda": "float32"},
            slices=2,
            taken=((0, 0), *CROSSED),
            block=1 << 11,
            truncates_on=("cuda",),
            why="two bfloat16 slices of each operand, 3 products",
        ),
        Arithmetic(
            "bfloat16x6",
            compute="bfloat16",
            accumulate="float32",
            block_output={"cuda": "float32"},
            slices=3,
            taken=((0, 0), *CROSSED, (1, 1), (0, 2), (2, 0)),
            block=1 << 11,
            truncates_on=("cuda",),
            why="three bfloat16 slices of each operand, the 6 largest products: float32's accuracy on matrix units",
        ),
        Arithmetic(
            "bfloat16x9",
            compute="bfloat16",
            accumulate="float32",
            block_output={"cuda": "float32"},
            slices=3,
            taken=((0, 0), *CROSSED, (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2)),
            block=1 << 11,
            truncates_on=("cuda",),
            why="three bfloat16 slices, all 9 products: float32 inputs are cut without a rest",
        ),
        Arithmetic(
            "float32",
            compute="float32",
            accumulate="float32",
            block_output={"cpu": "float32", "cuda": "float32"},
            why="IEEE single precision, TF32 off",
        ),
        Arithmetic(
            "float32-wide",
            compute="float32",
            accumulate="float64",
            block_output={"cpu": "float32", "cuda": "float32"},
            block=1 << 10,
            why="IEEE single precision for 1024 products at a time, whose sums are added up in double precision",
        ),
        Arithmetic(
            "float64",
            compute="float64",
            accumulate="float64",
            inner="float64",
            block_output={"cpu": "float64", "cuda": "float64"},
            why="IEEE double precision",
        ),
    )
}
"""A near-tie in time goes to the earlier row."""

SATURATING = tuple(name for name, row in ARITHMETICS.items() if row.compute == "int8")
"""Rows that the same libraries multiply wrongly on some processors, and say nothing."""
