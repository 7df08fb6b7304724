"""Matrices to try things on: low rank plus noise, as measured data often is, written chunk row by chunk row."""

import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from storage import ChunkRecord, OutputSpec, certify, create_staging, discard, publish, write_block

RANK = 32
NOISE = 0.05
"""Standard deviation of the noise; that of the low-rank part is 1."""


@dataclass(frozen=True)
class Sample:
    """A generated matrix."""

    shape: tuple[int, int]
    seed: int
    chunk: int = 2048
    """Edge of a chunk."""
    codec: str = "blosc-lz4"

    @property
    def spec(self) -> OutputSpec:
        """How it is stored: float32."""
        edges = (min(self.chunk, self.shape[0]), min(self.chunk, self.shape[1]))
        return OutputSpec(shape=self.shape, dtype="float32", chunks=edges, codec=self.codec)


def write_sample(path: Path, sample: Sample) -> None:
    """Write the matrix of `sample` as Zarr; an existing one is replaced. Holds one row of chunks in memory."""
    staging = create_staging(path, sample.spec, "process", f"sample-{secrets.token_hex(4)}")
    try:
        rng = np.random.default_rng(sample.seed)
        right = rng.standard_normal((RANK, sample.shape[1]), dtype=np.float32) / np.float32(RANK**0.5)
        records: list[ChunkRecord] = []
        for row in range(0, sample.shape[0], sample.chunk):
            records += write_block(staging, row, 0, _rows(rng, min(sample.chunk, sample.shape[0] - row), right)).records
        certify(staging, {"run_id": staging.run_id, "sample": asdict(sample), "storage": {"codec": sample.codec}}, records)
        publish(staging, overwrite=path.exists())
    except BaseException:
        discard(staging)
        raise


def _rows(rng: np.random.Generator, rows: int, right: np.ndarray) -> np.ndarray:
    left = rng.standard_normal((rows, RANK), dtype=np.float32)
    noise = rng.standard_normal((rows, right.shape[1]), dtype=np.float32)
    noise *= np.float32(NOISE)
    noise += left @ right
    return noise
