"""How the rows of a tile compare: each row's error as its probes see it, beside the median of all.

    t_i = sqrt(mean over the Gaussian probes of R_ig^2) / n_i
    s_i = |R_i,signs| / n_i
    n_i = |alpha| ||a_i|| ||B_j||_F + |beta| ||c0_i||

`typical` is the median of t_i over the rows that hold anything, and the others are set against it. Never against less than the
noise of the check itself, and not before what underflow may take from a row is granted to it: an exact row's noise stands out nowhere.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Rows:
    """What a tile's rows show; the fields go into `tasks.outcome.Measurement`."""

    count: int = 0
    """Rows compared."""
    typical: float = 0.0
    outlier: float = 0.0
    """Largest t_i over `typical`."""
    single: float = 0.0
    """Largest s_i over `typical`."""


NOT_COMPARED = Rows()
"""Of a tile whose arithmetic is exact: every error is one, and the bound finds it."""


@dataclass(frozen=True)
class Measure:
    """What the rows of a tile are measured by, float64 [rows] each."""

    scale: torch.Tensor
    """n_i; 0 in rows that stand outside the certificate."""
    lost: torch.Tensor
    """Norm of what underflow may take."""
    noise: float
    """Of the check, relative to `scale`: `tasks.probes.checking_noise`."""


def compare(residual: torch.Tensor, probes: int, measure: Measure) -> Rows:
    """Compare rows by their residuals, float64 [rows, probes + 1], the random signs last."""
    held = measure.scale > 0
    if not held.any():
        return NOT_COMPARED
    scale, lost = measure.scale[held], measure.lost[held]
    rows, single = residual[held, :probes].square().mean(dim=1).sqrt(), residual[held, probes]
    typical = float((rows / scale).median())
    usual = max(typical, measure.noise) * scale + lost
    return Rows(len(scale), typical, float((rows / usual).max()), float((single / usual).max()))
