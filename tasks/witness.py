"""Whether a slab of A is still what it was: its row sums with random signs, from when it was read.

The probes see A by A (B G), in the same tile as the product does, so what changes in a slab that stays in memory from one tile to the
next is read alike by both. So one more column of signs goes with B G, and A times it must stay the same. (Of B the probe product
stays, and a change of B since shows in the residual.)
"""

import torch

from tasks.probes import LEAST_NORM


def signs(seed: int, slab: int, depth: int, device: torch.device) -> torch.Tensor:
    """The signs of a k slab: float64 [depth, 1]."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + slab)
    return torch.randint(2, (depth, 1), generator=generator, dtype=torch.float64).mul_(2).sub_(1).to(device)


def has_changed(first: torch.Tensor, now: torch.Tensor, row_squares: torch.Tensor, depth: int) -> bool:
    """Whether any row's sum differs by more than float64 rounds two sums of `depth` terms (Higham, section 3.1)."""
    allowed = 2.2 * depth * 2.0**-53 * ((depth * row_squares).sqrt() + depth * LEAST_NORM)
    return not bool(((now - first).abs() <= allowed).all())
