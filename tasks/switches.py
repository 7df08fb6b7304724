"""torch's global switches that change what a multiplication returns: set inside a kernel, and given back as they were.

Others may have set them in a worker's process: `torch.set_float32_matmul_precision("medium")`, for one, makes float32 products
bfloat16 products on processors that have those.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch

_CUDA, _MKLDNN = torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul")  # noqa: B009 - not in its type

Switches = Mapping[str, str | bool]

IEEE: Switches = {"fp32_precision": "ieee"}
TF32: Switches = {"fp32_precision": "tf32"}
FULL_REDUCTION: Switches = {"allow_bf16_reduced_precision_reduction": False, "allow_fp16_reduced_precision_reduction": False}
"""Partial sums of a product stay float32."""


@contextmanager
def switched(wanted: Switches) -> Generator[None]:
    """Within the block every switch is as wanted, for each device that has it."""
    places = [(place, name) for place in (_CUDA, _MKLDNN) for name in wanted if place is _CUDA or name == "fp32_precision"]
    before = [getattr(place, name) for place, name in places]
    for place, name in places:
        setattr(place, name, wanted[name])
    try:
        yield
    finally:
        for (place, name), value in zip(places, before, strict=True):
            setattr(place, name, value)
