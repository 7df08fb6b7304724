"""Is the product symmetric? A Aᵀ and Aᵀ A are: half of the multiplications do, and half of the bytes, if that is asked.

    none        op(A) op(B) of two matrices, or with a C0
    full        one triangle is computed, and every file of it is written a second time, turned
    triangle    one triangle is computed and stored; files wholly above the diagonal are left out and read as NaN

Two operands are the same matrix where they are the same file, folder or object, however they were named.
"""

from pathlib import Path
from typing import Literal

from storage import Matrix, is_url
from tasks.errors import BadInput
from tasks.job import Job

Symmetry = Literal["none", "full", "triangle"]


def symmetry_of(job: Job, a: Matrix, b: Matrix) -> Symmetry:
    """How the product may be computed; raises BadInput where a triangle is asked of a product that need not be symmetric."""
    symmetric = job.add is None and job.transpose_a != job.transpose_b and same_matrix(a, b)
    if job.store == "triangle" and not symmetric:
        why = _why_not(job, a, b)
        raise BadInput(f"store triangle needs a symmetric product, A Aᵀ or Aᵀ A, {why}; give --store full, or use gemmflow gram")
    return job.store if symmetric else "none"


def same_matrix(a: Matrix, b: Matrix) -> bool:
    """Whether two names mean one stored matrix.

    What was copied is another one: nothing says that both stay alike.
    """
    if (a.shape, a.dtype, a.fingerprint) != (b.shape, b.dtype, b.fingerprint):
        return False
    if a.path == b.path or is_url(a.path) or is_url(b.path):
        return a.path == b.path
    try:
        return Path(a.path).samefile(b.path)
    except OSError:
        return False


def tile_count(grid: tuple[int, ...], symmetry: Symmetry) -> int:
    """Tiles that are computed of a grid.

    >>> tile_count((4, 4), "none"), tile_count((4, 4), "full")
    (16, 10)
    """
    return grid[0] * grid[1] if symmetry == "none" else grid[0] * (grid[0] + 1) // 2


def operations(shape: tuple[int, int, int], symmetry: Symmetry) -> int:
    """Floating-point operations that the product needs, a multiply-add counting 2: those of one triangle where it is symmetric.

    >>> operations((4, 5, 4), "none"), operations((4, 5, 4), "triangle")
    (160, 100)
    """
    m, k, n = shape
    return 2 * m * k * n if symmetry == "none" else m * (m + 1) * k


def symmetry_words(shape: tuple[int, int, int], symmetry: Symmetry) -> str:
    """What a plan does about it, in a clause; empty where the product is not symmetric."""
    if symmetry == "none":
        return ""
    saved = 100 * (1 - operations(shape, symmetry) / operations(shape, "none"))
    stored = "and stored twice, as it is and turned" if symmetry == "full" else "and stored alone: above the diagonal OUT reads as NaN"
    return f"symmetric: one triangle is computed, {saved:.0f} % of the operations saved, {stored}"


def whole_words(because: str, exact: bool) -> tuple[str, ...]:
    """A warning that a symmetric product is computed like any other; none without a reason why it is.

    >>> whole_words("its tiles are too large", exact=False)
    ('X Xᵀ is computed like any other product, all of it: its tiles are too large; C[i, j] and C[j, i] may differ in their last bits',)
    """
    if not because:
        return ()
    bits = "" if exact else "; C[i, j] and C[j, i] may differ in their last bits"
    return (f"X Xᵀ is computed like any other product, all of it: {because}{bits}",)


def _why_not(job: Job, a: Matrix, b: Matrix) -> str:
    if job.add is not None:
        return "and C0 need not be one"
    if not same_matrix(a, b):
        return f"but A is {a.path} and B is {b.path}"
    return f"but {'both operands are' if job.transpose_a else 'neither operand is'} transposed"
