"""Made-up users and items of one day: `python generate.py 2026-01-31`. Rows are embeddings, float32."""

import sys
from pathlib import Path

import numpy as np

USERS, ITEMS, WIDTH = 600, 400, 64


def main(day: str) -> None:
    """Write data/users-DAY.npy and data/items.npy."""
    folder = Path(__file__).parent / "data"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(int(day.replace("-", "")))
    np.save(folder / f"users-{day}.npy", rng.standard_normal((USERS, WIDTH), dtype=np.float32))
    np.save(folder / "items.npy", np.random.default_rng(1).standard_normal((ITEMS, WIDTH), dtype=np.float32))


if __name__ == "__main__":
    main(sys.argv[1])
